/**
 * `npm run bench`: how fast a resident gets in, beside how fast the same machine checks the password alone; the statements
 * one sign-in costs; the time to ready; memory. On a PostgreSQL of its own; `--quick` takes fewer and shorter rounds.
 *
 * Machines differ and shared ones swing: read the ratios of one run. The driver is a process of its own (driver.ts).
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTunnus, type RunningTunnus } from '../src/app.ts';
import { readConfig, type Config } from '../src/config.ts';
import { sql } from '../src/platform/database.ts';
import { makeLog } from '../src/platform/telemetry.ts';
import { hashPassword, verifyPassword } from '../src/records/passwords.ts';
import type { Counted, Orders } from './driver.ts';

const quick = process.argv.includes('--quick');
const rounds = quick ? 3 : 7;
const roundLength = quick ? 2_000 : 5_000;
const password = 'kolme punaista venettä laiturissa';
const residents = 500;
const client = {
  id: 'bench',
  secret: 'a secret of the bench, thirty-two characters',
  redirectUri: 'http://localhost:1/cb',
};
const port = 43_117;

const folder = await mkdtemp(join(tmpdir(), 'tunnus-bench-'));
const driver = fork(join(import.meta.dirname, 'driver.ts'), { stdio: 'inherit' });
try {
  await bench();
} finally {
  driver.kill();
  await rm(folder, { recursive: true, force: true });
}

async function bench(): Promise<void> {
  const config = await writeConfig();
  const firstReady = await timeToReady(config);
  const laterReady = await timeToReady(config);
  const tunnus = await start(config);
  try {
    await makeResidents(tunnus);
    const atRest = memory();
    const orders: Orders = {
      issuer: config.issuer,
      clientId: client.id,
      clientSecret: client.secret,
      redirectUri: client.redirectUri,
      password,
      residents,
      work: 'sign-in',
      atOnce: 4,
    };
    await drive({ ...orders, count: 20 });
    const one = await countOne(tunnus, { ...orders, count: 1, atOnce: 1 });
    const alone = await drive({ ...orders, count: quick ? 20 : 60, atOnce: 1 });

    const hashes: number[] = [];
    const signIns: Counted[] = [];
    const refreshes: Counted[] = [];
    const cpu: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      hashes.push(await hashRate());
      const before = process.cpuUsage();
      const counted = await drive({ ...orders, milliseconds: roundLength });
      const { user, system } = process.cpuUsage(before);
      cpu.push((user + system) / 1000 / counted.done);
      signIns.push(counted);
      refreshes.push(await drive({ ...orders, work: 'refresh', milliseconds: roundLength / 2 }));
    }
    const underLoad = memory();

    const hashRateSeen = median(hashes);
    const signInRate = median(signIns.map(rate));
    await print([
      ['argon2id verifications (m=19456, t=2, p=1)', `${fixed(hashRateSeen)} /s`],
      ['password sign-ins, four at once', `${fixed(signInRate)} /s`],
      ['sign-ins for each verification', fixed(signInRate / hashRateSeen, 2)],
      ['  p50 · p95', `${fixed(ofAll(signIns, 0.5))} ms · ${fixed(ofAll(signIns, 0.95))} ms`],
      ['  processor time of the provider', `${fixed(median(cpu))} ms each, hash included`],
      [
        'one sign-in alone, p50 · p95',
        `${fixed(at(alone.latencies, 0.5))} ms · ${fixed(at(alone.latencies, 0.95))} ms`,
      ],
      ['SQL statements · commits of one sign-in', `${one.statements} · ${one.commits}`],
      ['refreshes, four at once', `${fixed(median(refreshes.map(rate)))} /s`],
      ['ready, first start · later start', `${fixed(firstReady / 1000, 1)} s · ${fixed(laterReady / 1000, 1)} s`],
      ['memory at rest · under load (without PostgreSQL)', `${fixed(atRest)} MB · ${fixed(underLoad)} MB`],
    ]);
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

function start(config: Config): Promise<RunningTunnus> {
  return startTunnus({ config, log: makeLog({ level: 'error' }) });
}

async function timeToReady(config: Config): Promise<number> {
  const begun = performance.now();
  const tunnus = await start(config);
  const ready = performance.now() - begun;
  await tunnus.close();
  return ready;
}

async function makeResidents({ database }: RunningTunnus): Promise<void> {
  const hash = await hashPassword(password);
  await database.query(sql`
    insert into accounts (email, email_key, password_state, password_hash, created_at, updated_at)
    select address, address, 'own', ${hash}, now(), now()
    from (select format('resident%s@example.com', n) as address from generate_series(0, ${residents}::int - 1) n) as made`);
}

async function countOne(tunnus: RunningTunnus, orders: Orders): Promise<{ statements: number; commits: number }> {
  const before = { ...tunnus.database.counts };
  await drive(orders);
  const { statements, commits } = tunnus.database.counts;
  return { statements: statements - before.statements, commits: commits - before.commits };
}

/** As many at once as sign-ins are: what the machine can do at most. */
async function hashRate(): Promise<number> {
  const stored = await hashPassword(password);
  const begun = performance.now();
  let done = 0;
  const lane = async () => {
    while (performance.now() - begun < roundLength / 2) {
      await verifyPassword(stored, password);
      done += 1;
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return (done * 1000) / (performance.now() - begun);
}

async function drive(orders: Orders): Promise<Counted> {
  driver.send(orders);
  const [answer] = (await once(driver, 'message')) as [Counted | { error: string }];
  if ('error' in answer) throw new Error(answer.error);
  return answer;
}

function memory(): number {
  return process.memoryUsage().rss / 1024 / 1024;
}

function rate({ done, milliseconds }: Counted): number {
  return (done * 1000) / milliseconds;
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

function ofAll(all: Counted[], share: number): number {
  const latencies = all.flatMap((counted) => counted.latencies);
  return at(
    latencies.sort((a, b) => a - b),
    share,
  );
}

function fixed(value: number, digits = value < 10 ? 1 : 0): string {
  return value.toFixed(digits);
}

async function print(rows: [string, string][]): Promise<void> {
  const processor = /model name\s*:\s*(.*)/.exec(await readFile('/proc/cpuinfo', 'utf8').catch(() => ''))?.[1] ?? '';
  console.log(
    `\n${availableParallelism()} cores ${processor}, Node ${process.version}, ${rounds} alternating rounds\n`,
  );
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);
}
