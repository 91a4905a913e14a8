/**
 * Database servers that are lost in earnest while residents come: killed, replaced by their standby, out of disk. Pages stay calm,
 * all goes on by itself, and nothing that was acknowledged is lost. The times go into docs/operations.md.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openDatabase, sql } from '../../src/platform/database.ts';
import { homeOf, programsFor } from '../../src/platform/embedded-home.ts';
import { startEmbedded } from '../../src/platform/embedded-postgres.ts';
import { expectNobodyLost, startArrivals } from '../support/arrivals.ts';
import { baseBackup } from '../support/base-backup.ts';
import { startGate } from '../support/gate.ts';
import { freePort } from '../../src/demo/ports.ts';
import { until } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

type Server = Awaited<ReturnType<typeof startEmbedded>>;

let folder: string;
/** What is still to be closed, however the test ends: the last first. */
let open: (() => unknown)[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnus-lost-'));
  await chmod(folder, 0o755);
  open = [() => rm(folder, { recursive: true, force: true })];
});
afterEach(async () => {
  for (const close of open.reverse()) await close();
});

const readiness = async (world: World): Promise<number> => (await fetch(`${world.issuer}/health/ready`)).status;

/** How many milliseconds until it is so. */
async function timed(what: string, isSo: () => boolean | Promise<boolean>): Promise<number> {
  const began = performance.now();
  await until(what, isSo);
  return Math.round(performance.now() - began);
}

async function kill({ folder: at }: Server): Promise<void> {
  process.kill(Number(readFileSync(join(at, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]), 'SIGKILL');
}

async function onServer(url: string, ...statements: string[]): Promise<void> {
  const database = openDatabase({ url, max: 1 });
  await database
    .session(async (session) => {
      for (const statement of statements) await session.script(statement);
    })
    .finally(() => database.close());
}

/** A world whose database has this address, and residents who come all the time. */
async function startResidents(url: string) {
  const world = await startWorld({ databaseUrl: () => Promise.resolve(url) });
  open.push(() => world.close());
  const arrivals = await startArrivals(world);
  // Whether they fared well is the test's own to ask.
  open.push(() => arrivals.stop().catch(() => undefined));
  return { world, arrivals };
}

/** The same, by a way that can lead to another server later. */
async function startWorldOn(server: Server) {
  const way = await startGate(server.url);
  open.push(() => way.close());
  return { way, ...(await startResidents(way.url)) };
}

test('a server is killed in the middle of sign-ins and comes back elsewhere', async () => {
  let server = await startEmbedded({ folder });
  open.push(() => server.stop());
  const { world, way, arrivals } = await startWorldOn(server);
  const times: number[] = [];
  for (let nth = 0; nth < 3; nth += 1) {
    const came = arrivals.acknowledged.length;
    await until('a resident more', () => arrivals.acknowledged.length > came);
    await kill(server);
    await server.stop();
    await until('not ready', async () => (await readiness(world)) === 503);
    // Elsewhere: on another port, as a standby that takes over.
    server = await startEmbedded({ folder });
    way.leadTo(server.url);
    times.push(await timed('ready', async () => (await readiness(world)) === 200));
  }
  const came = arrivals.acknowledged.length;
  await until('residents again', () => arrivals.acknowledged.length > came);
  await arrivals.stop();
  process.stdout.write(`killed: ready after ${times.join(', ')} ms; ${arrivals.acknowledged.length} residents\n`);
  await expectNobodyLost(world, arrivals);
}, 120_000);

/** A standby of `primary` that streams; hands its address. */
async function startStandby(primary: Server, at: string): Promise<string> {
  await baseBackup(primary.url, primary.folder, at);
  const { hostname, port, username, password } = new URL(primary.url);
  await writeFile(
    join(at, 'postgres', 'postgresql.auto.conf'),
    `primary_conninfo = 'host=${hostname} port=${port} user=${username} password=${password}'\n`,
  );
  await writeFile(join(at, 'postgres', 'standby.signal'), '');
  const home = homeOf(at);
  const own = await freePort();
  const settings = [`port=${own}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories='];
  const standby = spawn(
    join(
      programsFor(home, () => undefined),
      'bin',
      'postgres',
    ),
    ['-D', home.data, ...settings.flatMap((setting) => ['-c', setting])],
    { cwd: at, env: { PATH: process.env['PATH'], LC_ALL: 'C' }, stdio: 'ignore', ...home.user },
  );
  const ended = once(standby, 'exit');
  open.push(() => standby.kill('SIGINT') && ended);
  const url = Object.assign(new URL(primary.url), { port: String(own) }).href;
  await until('the standby answers', () =>
    onServer(url, 'select 1').then(
      () => true,
      () => false,
    ),
  );
  return url;
}

test('two servers in database.url: the standby takes over while residents come', async () => {
  const primary = await startEmbedded({ folder: join(folder, 'a') });
  open.push(() => primary.stop());
  const standby = await startStandby(primary, join(folder, 'b'));
  await onServer(primary.url, `alter system set synchronous_standby_names = '*'`, 'select pg_reload_conf()');
  const { host } = new URL(standby);
  // The standby first: it is asked, takes no writing, and is passed over.
  const url = primary.url.replace('@', `@${host},`) + '?target_session_attrs=read-write';
  const { world, arrivals } = await startResidents(url);
  expect(await readiness(world)).toBe(200);
  await until('residents', () => arrivals.acknowledged.length > 2);

  await kill(primary);
  await until('not ready', async () => (await readiness(world)) === 503);
  const before = arrivals.acknowledged.length;
  await onServer(standby, 'select pg_promote()');
  const ready = await timed('ready', async () => (await readiness(world)) === 200);
  const first = await timed('the first resident', () => arrivals.acknowledged.length > before);
  await until('more residents', () => arrivals.acknowledged.length > before + 3);
  await arrivals.stop();
  process.stdout.write(
    `the standby took over: ready after ${ready} ms, a resident through after ${ready + first} ms; ${arrivals.acknowledged.length} residents\n`,
  );
  await expectNobodyLost(world, arrivals);
  // Every way to the database has found it: listening, the queue (which mailed the links), commands.
  const [row] = await world.database.query<{ port: number }>(sql`select inet_server_port() as port`);
  expect(String(row!.port)).toBe(new URL(standby).port);
}, 120_000);

/** A disk of its own, so small that it can be filled. Only who may mount one has it: others are told, and outage.long.test.ts remains. */
function smallDisk(at: string, megabytes: number): boolean {
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'tmpfs', at]);
  if (status !== 0)
    process.stderr.write(`Left out: the really full disk, since none may be mounted here: ${String(stderr)}\n`);
  return status === 0;
}

/** Takes all that is left; frees it. */
function filler(disk: string) {
  const path = join(disk, 'filler');
  return {
    take: () => expect(spawnSync('dd', ['if=/dev/zero', `of=${path}`, 'bs=4k']).stderr.toString()).toMatch(/No space/),
    free: () => rm(path),
  };
}

test('a disk that is really full, of data and then of WAL: calm meanwhile, and on as soon as there is space', async () => {
  if (!smallDisk(folder, 256)) return;
  open.push(() => spawnSync('umount', [folder]));
  let server = await startEmbedded({ folder });
  open.push(() => server.stop());
  const { world, way, arrivals } = await startWorldOn(server);
  const disk = filler(folder);
  await until('residents', () => arrivals.acknowledged.length > 2);

  disk.take();
  await until('a full disk', () => (arrivals.refused.get(503) ?? 0) > 5, 60_000);
  const log = world.log.filter((line) => line.includes('a request was refused'));
  expect(log.join()).toMatch(/the database does not answer: could not extend file .*No space left on device/);
  const full = arrivals.acknowledged.length;
  await disk.free();
  const back = await timed('residents again', () => arrivals.acknowledged.length > full);

  // No space for WAL ends the server itself, where a record is larger than what it may hold back.
  disk.take();
  const written = `select pg_logical_emit_message(false, 'fill', repeat('x', 40000000)) from generate_series(1, 8)`;
  await onServer(server.url, written).catch(() => undefined);
  await until('not ready', async () => (await readiness(world)) === 503);
  const down = arrivals.acknowledged.length;
  await disk.free();
  await server.stop();
  server = await startEmbedded({ folder });
  way.leadTo(server.url);
  const ready = await timed('ready', async () => (await readiness(world)) === 200);
  await until('residents', () => arrivals.acknowledged.length > down);
  await arrivals.stop();
  process.stdout.write(
    `a full disk: a resident through after ${back} ms; full of WAL: ready ${ready} ms after the server is; ${arrivals.acknowledged.length} residents\n`,
  );
  expect([...arrivals.refused.keys()]).toEqual([503]);
  await expectNobodyLost(world, arrivals);
}, 180_000);
