/**
 * `npm run bench:import`: how fast a list of a million rows is in, beside a raw COPY of its rows into a table with two unique
 * indexes; the same list again; the memory of the importing process; and what residents who sign in meanwhile notice.
 * `--quick` takes a hundred thousand rows and one round; `--rows N --rounds N` as wished.
 *
 * Machines differ and shared ones swing: read the ratios of one run. The import is the command itself, in a process of its own.
 */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startTunnus, type RunningTunnus } from '../src/app.ts';
import { readConfig, type Config } from '../src/config.ts';
import { sql } from '../src/platform/database.ts';
import { makeLog } from '../src/platform/telemetry.ts';
import { hashPassword } from '../src/records/passwords.ts';
import type { Counted, Orders } from './driver.ts';
import { expected, writeList } from './list.ts';

const { values: wishes } = parseArgs({
  options: { quick: { type: 'boolean' }, rows: { type: 'string' }, rounds: { type: 'string' } },
});
const rows = Number(wishes.rows ?? (wishes.quick ? 100_000 : 1_000_000));
const rounds = Number(wishes.rounds ?? (wishes.quick ? 1 : 3));
const root = join(import.meta.dirname, '..');
const port = 43_217;
const password = 'kolme punaista venettä laiturissa';
const residents = 200;
const client = {
  id: 'bench',
  secret: 'a secret of the bench, thirty-two characters',
  redirectUri: 'http://localhost:1/cb',
};

const folder = await mkdtemp(join(tmpdir(), 'tunnus-bench-import-'));
const driver = fork(join(import.meta.dirname, 'driver.ts'), { stdio: 'inherit' });
try {
  await bench();
} finally {
  driver.kill();
  await rm(folder, { recursive: true, force: true });
}

async function bench(): Promise<void> {
  const list = join(folder, 'list.csv');
  const cleanList = join(folder, 'clean.csv');
  await writeList({ path: list, rows });
  await writeList({ path: cleanList, rows, clean: true });
  const config = await writeConfig();
  const tunnus = await startTunnus({ config, log: makeLog({ level: 'error' }) });
  try {
    const copies: number[] = [];
    const firsts: Imported[] = [];
    const seconds: Imported[] = [];
    for (let round = 0; round < rounds; round += 1) {
      copies.push(await rawCopy(tunnus, cleanList));
      await clear(tunnus);
      firsts.push(await importList(list, expected(rows).accounts));
      seconds.push(await importList(list, 0));
    }
    await clear(tunnus);
    await makeResidents(tunnus);
    const orders: Orders = {
      issuer: config.issuer,
      clientId: client.id,
      clientSecret: client.secret,
      redirectUri: client.redirectUri,
      password,
      residents,
      work: 'sign-in',
      atOnce: 1,
    };
    await drive({ ...orders, count: 20 });
    const alone = await drive({ ...orders, count: 100 });
    const { meanwhile, took } = await driveWhile(orders, importList(list, expected(rows).accounts));

    const copyRate = median(copies);
    const firstRate = median(firsts.map(rate));
    await print([
      ['raw COPY of the clean rows, two unique indexes', `${fixed(copyRate)} rows/s`],
      ['import, all in', `${fixed(firstRate)} rows/s, ${fixed(median(firsts.map((one) => one.seconds)))} s`],
      ['  beside the raw COPY', fixed(firstRate / copyRate, 2)],
      [
        'the same list again',
        `${fixed(median(seconds.map(rate)))} rows/s, ${fixed(median(seconds.map((one) => one.seconds)))} s`,
      ],
      [
        'peak memory of the importing process',
        `${fixed(Math.max(...[...firsts, ...seconds].map((one) => one.peak)))} MB`,
      ],
      ['one sign-in alone, p50 · p95 · most', latencies(alone)],
      [`one sign-in at a time during an import (${fixed(took.seconds)} s)`, latencies(meanwhile)],
    ]);
    // For `npm run bench`, which has it as a row of its table.
    process.send?.({ ratio: firstRate / copyRate });
  } finally {
    await tunnus.close();
  }
}

async function writeConfig(): Promise<Config> {
  await mkdir(join(folder, 'clients'));
  // JSON is YAML.
  const settings = {
    issuer: `http://localhost:${port}`,
    listen: { port, metricsPort: port + 1 },
    database: { folder: join(folder, 'database') },
    mail: { url: 'smtp://localhost:1' },
    limits: { addressesPerPlace: 100 },
  };
  await writeFile(join(folder, 'tunnus.yaml'), JSON.stringify(settings));
  const registration = {
    client_id: client.id,
    client_secret: client.secret,
    client_name: 'Bench',
    redirect_uris: [client.redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid email profile',
  };
  await writeFile(join(folder, 'clients', 'bench.yaml'), JSON.stringify(registration));
  const { config, faults } = readConfig(folder, {});
  if (!config) throw new Error(JSON.stringify(faults));
  return config;
}

async function clear({ database }: RunningTunnus): Promise<void> {
  await database.session((session) => session.script('truncate accounts, legacy_ids cascade; checkpoint'));
}

async function makeResidents({ database }: RunningTunnus): Promise<void> {
  const hash = await hashPassword(password);
  await database.query(sql`
    insert into accounts (email, email_key, password_state, password_hash, created_at, updated_at)
    select address, address, 'own', ${hash}, now(), now()
    from (select format('resident%s@example.com', n) as address from generate_series(0, ${residents}::int - 1) n) as made`);
}

/**
 * Rows a second, of the file as it stands, by PostgreSQL's own reader of CSV, its commit included: into one table with the two
 * unique indexes that an import must keep, by address and by source and id. No dirt, no second table, no account's id.
 */
async function rawCopy({ database }: RunningTunnus, file: string): Promise<number> {
  await database.session((session) =>
    session.script(`
      drop table if exists raw_copy;
      create table raw_copy (legacy_id text not null, email text not null unique, given_name text, family_name text,
        phone_number text, locale text, created_at timestamptz, password_hash text, source text not null default 'bench',
        unique (source, legacy_id));
      checkpoint`),
  );
  const begun = performance.now();
  const text = createReadStream(file, { encoding: 'utf8', highWaterMark: 1 << 18 });
  await database.copyFrom(
    `copy raw_copy (legacy_id, email, given_name, family_name, phone_number, locale, created_at, password_hash)
      from stdin (format csv, header)`,
    text,
  );
  const seconds = (performance.now() - begun) / 1000;
  const [{ count } = { count: 0 }] = await database.query<{ count: number }>(sql`select count(*) from raw_copy`);
  await database.session((session) => session.script('drop table raw_copy'));
  return count / seconds;
}

interface Imported {
  seconds: number;
  /** Megabytes, the most at any time. */
  peak: number;
}

function rate({ seconds }: Imported): number {
  return rows / seconds;
}

/** The command itself, from its start to its end. */
async function importList(list: string, created: number): Promise<Imported> {
  const begun = performance.now();
  const command = spawn(
    process.execPath,
    [join(root, 'src/cli.ts'), 'accounts', 'import', list, '--source', 'bench', '--json'],
    {
      env: { ...process.env, TUNNUS_CONFIG: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let told = '';
  command.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
  let peak = 0;
  const watch = setInterval(() => {
    void readFile(`/proc/${command.pid}/status`, 'utf8').then(
      (status) => (peak = Math.max(peak, Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024)),
      () => {},
    );
  }, 50);
  await once(command, 'close');
  clearInterval(watch);
  const seconds = (performance.now() - begun) / 1000;
  const counts = JSON.parse(told) as { created: number };
  if (counts.created !== created) throw new Error(`${counts.created} accounts were made, not ${created}`);
  return { seconds, peak };
}

async function drive(orders: Orders): Promise<Counted> {
  driver.send(orders);
  const [answer] = (await once(driver, 'message')) as [Counted | { error: string }];
  if ('error' in answer) throw new Error(answer.error);
  return answer;
}

async function driveWhile(orders: Orders, work: Promise<Imported>): Promise<{ meanwhile: Counted; took: Imported }> {
  let took: Imported | undefined;
  const ended = work.then((imported) => (took = imported));
  const all: number[] = [];
  for (; !took;) all.push(...(await drive({ ...orders, count: 10 })).latencies);
  await ended;
  return { meanwhile: { done: all.length, milliseconds: 0, latencies: all.sort((a, b) => a - b) }, took };
}

function latencies({ latencies: sorted }: Counted): string {
  return [at(sorted, 0.5), at(sorted, 0.95), sorted.at(-1)!].map((one) => `${fixed(one)} ms`).join(' · ');
}

function at(sorted: number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function median(values: number[]): number {
  return at(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

function fixed(value: number, digits = value < 10 ? 1 : 0): string {
  return value.toFixed(digits);
}

async function print(lines: [string, string][]): Promise<void> {
  const processor = /model name\s*:\s*(.*)/.exec(await readFile('/proc/cpuinfo', 'utf8').catch(() => ''))?.[1] ?? '';
  console.log(
    `\n${rows} rows, ${availableParallelism()} cores ${processor}, Node ${process.version}, ${rounds} rounds\n`,
  );
  const width = Math.max(...lines.map(([name]) => name.length));
  for (const [name, value] of lines) console.log(`${name.padEnd(width)}  ${value}`);
}
