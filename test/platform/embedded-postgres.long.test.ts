import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DatabaseUnavailable, openDatabase, sql, type Database } from '../../src/platform/database.ts';
import { EmbeddedInUse, embeddedSecret, findEmbedded, startEmbedded } from '../../src/platform/embedded-postgres.ts';
import { isRunning } from '../../src/platform/process-lock.ts';
import { randomToken } from '../../src/platform/secrets.ts';
import { until } from '../support/until.ts';

const OWNER = join(import.meta.dirname, '..', 'support', 'embedded-owner.ts');
const asRoot = process.getuid?.() === 0;
const NOBODY = 65534;

let base: string;
let folder: string;
const cleanings: (() => unknown)[] = [];

beforeEach(() => {
  base = join(tmpdir(), `tunnus embedded ä ${randomToken(6)}`);
  // longer than a socket's path may be
  folder = join(base, 'a-name-longer-than-most'.repeat(5), '.data');
  cleanings.push(() => rmSync(base, { recursive: true, force: true }));
});
afterEach(async () => {
  for (const clean of cleanings.splice(0).reverse()) await clean();
});

async function start(log?: (line: string) => void, place = folder) {
  const server = await startEmbedded({ folder: place, log, durable: false });
  cleanings.push(() => server.stop());
  return server;
}

async function using<T>(url: string, work: (database: Database) => Promise<T>): Promise<T> {
  const database = openDatabase({ url, max: 1 });
  return work(database).finally(() => database.close());
}

const note = (url: string) =>
  using(url, async (database) => {
    await database.query(sql`create table notes (text text)`);
    await database.query(sql`insert into notes values ('remember')`);
  });
const notes = (url: string) => using(url, (database) => database.query(sql`select text from notes`));
const remembered = [{ text: 'remember' }];

/** Another process that starts the database; says its URL, or the name of what it met. */
async function owner(user?: number): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ['--no-warnings', OWNER, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(user !== undefined && { uid: user, gid: user }),
  });
  cleanings.push(() => child.kill('SIGKILL'));
  const [said] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, said };
}

async function killed(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

test('a start makes a database, and later starts find what it holds, in a long path with spaces', async () => {
  const first = await start();
  await note(first.url);
  await first.stop();
  await expect(notes(first.url)).rejects.toBeInstanceOf(DatabaseUnavailable);
  const second = await start();
  expect(await notes(second.url)).toEqual(remembered);
});

test('a running one is found by commands, keeps its owner, folds letters as people do, and lets nobody else in', async () => {
  expect(await findEmbedded(folder)).toBeUndefined();
  const { url, stop } = await start();
  expect(await findEmbedded(folder)).toEqual({ url });
  // A second start, in another process, is refused; the first goes on.
  expect((await owner()).said).toBe('EmbeddedInUse');
  await note(url);

  // Whatever the language of the machine.
  const [row] = await using(url, (database) =>
    database.query(sql`select lower('ÄÖÅ') as folded, current_setting('timezone') as zone,
      current_setting('server_encoding') as encoding`),
  );
  expect(row).toEqual({ folded: 'äöå', zone: 'UTC', encoding: 'UTF8' });

  const guessed = new URL(url);
  guessed.password = 'guess';
  await expect(notes(guessed.href)).rejects.toThrow('password authentication failed');
  const secret = embeddedSecret(folder);
  expect(secret).toMatch(/^[\w-]{64}$/);
  expect(embeddedSecret(folder)).toBe(secret);
  for (const name of ['secret', 'password', 'owner', 'postgres.log'])
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'postgres')).mode & 0o777).toBe(0o700);
  if (asRoot) expect(statSync(join(folder, 'postgres')).uid).not.toBe(0);

  await stop();
  expect(await findEmbedded(folder)).toBeUndefined();
});

test('of two starts at the same moment exactly one wins', async () => {
  const results = await Promise.allSettled([start(), start()]);
  const [refused] = results.filter((result) => result.status === 'rejected');
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(refused!.reason).toBeInstanceOf(EmbeddedInUse);
});

describe('after its owner ended', () => {
  test('by SIGTERM, PostgreSQL is stopped too', async () => {
    const { child, said } = await owner();
    await killed(child, 'SIGTERM');
    await expect(notes(said)).rejects.toBeInstanceOf(DatabaseUnavailable);
  });

  test('by kill -9, the next start adopts PostgreSQL with what was committed, and can stop it', async () => {
    const { child, said } = await owner();
    await note(said);
    await killed(child, 'SIGKILL');
    const log: string[] = [];
    const server = await start((line) => log.push(line));
    expect(server.url).toBe(said);
    expect(log.join()).toContain('adopted');
    expect(await notes(server.url)).toEqual(remembered);
    await server.stop();
    expect(await findEmbedded(folder)).toBeUndefined();
  });

  test('by kill -9 together with PostgreSQL, the next start recovers what was committed', async () => {
    const { child, said } = await owner();
    await note(said);
    await killed(child, 'SIGKILL');
    const postmaster = Number.parseInt(readFileSync(join(folder, 'postgres', 'postmaster.pid'), 'utf8'), 10);
    process.kill(postmaster, 'SIGKILL');
    // The signal is only a wish: the kernel takes its time.
    await until('the postmaster has ended', () => !isRunning(postmaster));
    expect(await findEmbedded(folder)).toBeUndefined();
    expect(await notes((await start()).url)).toEqual(remembered);
  });
});

describe('what was left behind does not get in the way', () => {
  test('a first start that was broken off', async () => {
    mkdirSync(join(folder, 'new-broken', 'base'), { recursive: true, mode: 0o755 });
    writeFileSync(join(folder, 'password'), 'of the broken one', { mode: 0o600 });
    await note((await start()).url);
    expect(existsSync(join(folder, 'new-broken'))).toBe(false);
  });

  test('process numbers that other processes have by now', async () => {
    const first = await start();
    await first.stop();
    writeFileSync(join(folder, 'owner'), `${process.pid} another-boot 1`);
    writeFileSync(
      join(folder, 'postgres', 'postmaster.pid'),
      `${process.pid}\n${join(folder, 'postgres')}\n1\n5432\n\n127.0.0.1\n\nready\n`,
    );
    expect(await findEmbedded(folder)).toBeUndefined();
    await note((await start()).url);
  });
});

(asRoot ? describe : describe.skip)('started by root', () => {
  test('it moves to /var/tmp where that user cannot enter the folder, says so, and is found there', async () => {
    mkdirSync(base, { mode: 0o700 });
    const log: string[] = [];
    const refuge = join('/var/tmp', folder);
    cleanings.push(() => rmSync(join('/var/tmp', base), { recursive: true, force: true }));
    const server = await start((line) => log.push(line));
    expect(server.folder).toBe(refuge);
    expect(log[0]).toContain(refuge);
    expect(await findEmbedded(folder)).toEqual({ url: server.url });
    expect(embeddedSecret(folder)).toBe(embeddedSecret(refuge));
    expect(existsSync(folder)).toBe(false);
  });

  test('data of an ordinary user stay that user’s', async () => {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    chownSync(folder, NOBODY, NOBODY);
    const { child, said } = await owner(NOBODY);
    await note(said);
    await killed(child, 'SIGTERM');
    expect(await notes((await start()).url)).toEqual(remembered);
    expect(statSync(join(folder, 'postgres')).uid).toBe(NOBODY);
  });
});
