/**
 * The database when no URL is given: the real PostgreSQL from an npm package, started, found and stopped here. One process
 * owns a folder at a time. PostgreSQL outlives a killed owner; the next owner adopts it. Where it lives: embedded-home.ts.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, renameSync, rmSync, writeFileSync, chownSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DatabaseUnavailable, openDatabase } from './database.ts';
import { homeOf, makeHome, makeOwn, movedLine, programsFor, type Home } from './embedded-home.ts';
import { contentOf, createWhole, isRunning, takeLock } from './process-lock.ts';
import { randomToken } from './secrets.ts';

export class EmbeddedInUse extends Error {
  constructor(folder: string, holder: number) {
    super(`the database in ${folder} is in use by another Tunnus (process ${holder}): stop that one first`);
    this.name = 'EmbeddedInUse';
  }
}

interface StartOptions {
  folder: string;
  log?: (line: string) => void;
  /** false: faster, and a power cut may cost the data. For tests. */
  durable?: boolean;
}

const MAJOR = '17';
const START_TIMEOUT = 60_000;
const STOP_TIMEOUT = 30_000;
const POLL = 15;

export async function startEmbedded({ folder: wanted, log = () => {}, durable = true }: StartOptions) {
  const home = homeOf(wanted);
  makeHome(home);
  const moved = movedLine(wanted, home);
  if (moved) log(moved);

  const lock = takeLock(join(home.folder, 'owner'));
  if (lock.holder !== undefined) throw new EmbeddedInUse(home.folder, lock.holder);
  try {
    const programs = programsFor(home, log);
    await initialise(home, programs, durable);
    const pid = (await adopt(home, log)) ?? (await launch(home, programs, durable));
    // when this process ends in a way that still runs handlers, PostgreSQL ends too
    const last = (): void => void signal(pid, 'SIGINT');
    process.once('exit', last);
    return {
      url: urlOf(home, statusOf(home)!.port),
      folder: home.folder,
      stop: async (): Promise<void> => {
        await shutDown(home, pid);
        process.removeListener('exit', last);
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** A running one, for commands that join it. */
export async function findEmbedded(folder: string): Promise<{ url: string } | undefined> {
  const home = homeOf(folder);
  const status = statusOf(home);
  return status?.ready ? { url: urlOf(home, status.port) } : undefined;
}

/** What seals when the configuration names no secret: made once, kept beside the data, readable by its owner only. */
export function embeddedSecret(folder: string): string {
  const home = homeOf(folder);
  makeHome(home);
  const path = join(home.folder, 'secret');
  if (!existsSync(path)) createWhole(path, randomToken(48));
  const secret = contentOf(path);
  if (!secret) throw new Error(`${path} cannot be read`);
  return secret;
}

/** Made elsewhere and renamed, so that what was broken off is never taken for a database. */
async function initialise({ folder, data, password: passwordPath, user }: Home, programs: string, durable: boolean) {
  const version = contentOf(join(data, 'PG_VERSION'))?.trim();
  if (version === MAJOR) {
    if (existsSync(passwordPath)) return;
    throw new Error(`${passwordPath} is missing: without it nobody gets into the database in ${data}`);
  }
  if (existsSync(data)) throw new Error(`${data} holds ${version ? `PostgreSQL ${version}` : 'no PostgreSQL'} data`);
  for (const name of readdirSync(folder))
    if (name.startsWith('new-')) rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 5 });

  const draft = join(folder, `new-${randomToken(6)}`);
  makeOwn(draft, user);
  const password = randomToken();
  writeFileSync(passwordPath, password, { mode: 0o600 });
  const passwordForInit = `${draft}.password`;
  writeFileSync(passwordForInit, password, { mode: 0o600 });
  if (user) chownSync(passwordForInit, user.uid, user.gid);
  const options = [
    `--pgdata=${draft}`,
    '--username=tunnus',
    `--pwfile=${passwordForInit}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    ...(durable ? [] : ['--no-sync']),
  ];
  const { status, stderr, error } = spawnSync(join(programs, 'bin', 'initdb'), options, {
    ...spawnOptions({ folder, user }),
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  rmSync(passwordForInit, { force: true });
  if (status !== 0) throw new Error(`initdb failed: ${error?.message ?? stderr}`, { cause: error });
  renameSync(draft, data);
}

/** The PostgreSQL that a killed owner left behind, or undefined once it is sure that there is none. */
async function adopt(home: Home, log: (line: string) => void): Promise<number | undefined> {
  const pidFile = join(home.data, 'postmaster.pid');
  const deadline = Date.now() + START_TIMEOUT;
  while (Date.now() < deadline) {
    const status = statusOf(home);
    if (!status) {
      disown(pidFile);
      return undefined;
    }
    if (status.ready && (await answers(urlOf(home, status.port)))) {
      log(`adopted the PostgreSQL that was still running in ${home.folder}`);
      return status.pid;
    }
    await pause(POLL); // starting, or on its way down
  }
  throw new Error(`the PostgreSQL running in ${home.folder} does not answer`);
}

/**
 * PostgreSQL clears away what a dead one left, but not where the number is in use: by a process that came later, or by the
 * dead one itself that nobody reaped. Its parent's number it takes for stale, and still looks whether the dead one's
 * children are at work on the data: so the number becomes ours, and the rest stays.
 */
function disown(pidFile: string): void {
  const left = contentOf(pidFile);
  if (left === undefined) return;
  if (/^\d/.test(left)) writeFileSync(pidFile, left.replace(/^\d+/, String(process.pid)));
  else rmSync(pidFile);
}

/** Tried again, since somebody may take the port first, and a killed PostgreSQL's last children need a moment to end. */
async function launch(home: Home, programs: string, durable: boolean): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await launchOnce(home, programs, durable);
    } catch (error) {
      if (tries === 3) throw error;
      await pause(500);
    }
  }
}

async function launchOnce(home: Home, programs: string, durable: boolean): Promise<number> {
  const logPath = join(home.folder, 'postgres.log');
  if (existsSync(logPath)) renameSync(logPath, `${logPath}.1`);
  const output = openSync(logPath, 'a', 0o600);
  const settings = {
    port: await freePort(),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '', // their paths have a length limit, and others on the machine could reach them
    max_connections: 100,
    shared_buffers: '64MB',
    huge_pages: 'off',
    wal_buffers: '16MB', // by itself it would be 2: two who write much would wait for the disk in between
    max_wal_size: '256MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // the log names no values: neither rows nor statements
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    ...(durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
  };
  const server = spawn(
    join(programs, 'bin', 'postgres'),
    ['-D', home.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    // a group of its own: Ctrl-C reaches the owner only, which then stops things in their order
    { ...spawnOptions(home), detached: true, stdio: ['ignore', output, output] },
  );
  closeSync(output);
  server.unref();
  await started(home, server, logPath);
  return server.pid!;
}

async function started(home: Home, server: ChildProcess, logPath: string): Promise<void> {
  let failure: Error | undefined;
  server.once('error', (error) => (failure = error));
  server.once('exit', () => (failure ??= new Error(`PostgreSQL did not start: ${contentOf(logPath)?.trim()}`)));
  const deadline = Date.now() + START_TIMEOUT;
  for (;;) {
    const status = statusOf(home);
    if (status?.ready && status.pid === server.pid) return;
    if (failure) throw failure;
    if (Date.now() > deadline) {
      server.kill('SIGINT');
      throw new Error(`PostgreSQL did not start in time: see ${logPath}`);
    }
    await pause(POLL);
  }
}

/** Fast shutdown: connections are cut, what was committed is written. */
async function shutDown(home: Home, pid: number): Promise<void> {
  signal(pid, 'SIGINT');
  const deadline = Date.now() + STOP_TIMEOUT;
  while (statusOf(home)?.pid === pid) {
    if (Date.now() > deadline) signal(pid, 'SIGQUIT');
    await pause(POLL);
  }
}

/** What PostgreSQL's own file says, when the process that it names really is PostgreSQL on these data. */
function statusOf({ data }: Home): { pid: number; port: number; ready: boolean } | undefined {
  const lines = contentOf(join(data, 'postmaster.pid'))?.split('\n');
  const pid = Number(lines?.[0]);
  if (!lines || !(pid > 0) || !isRunning(pid)) return undefined;
  const command = contentOf(`/proc/${pid}/cmdline`);
  if (command !== undefined && !command.split('\0').includes(lines[1]!)) return undefined;
  return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
}

function urlOf({ password }: Home, port: number): string {
  return `postgres://tunnus:${contentOf(password)?.trim()}@127.0.0.1:${port}/postgres`;
}

async function answers(url: string): Promise<boolean> {
  const database = openDatabase({ url, max: 1 });
  try {
    await database.ping();
    return true;
  } catch (error) {
    if (error instanceof DatabaseUnavailable) return false;
    throw error;
  } finally {
    await database.close();
  }
}

/** Nothing of our own environment (PGDATA, PGPORT, a language) may change what PostgreSQL does. */
function spawnOptions({ folder, user }: Pick<Home, 'folder' | 'user'>) {
  return { cwd: folder, env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }, ...user };
}

function signal(pid: number, name: 'SIGINT' | 'SIGQUIT'): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone already
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
