/**
 * The providers that are measured, each a process of its own: starting them, having a driver work on them, and what one piece
 * of work costs in time, processor time, statements and commits.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLIENT, PASSWORD, startPostgres, writeConfig } from './city.ts';
import type { Counted, Orders } from './driver.ts';
import { processorTime, startProcess, workersTime, type Running } from './processes.ts';
import { openWire, type Counts } from './wire.ts';

export const RESIDENTS = 500;
const PORTS = { tunnus: 43_117, crowd: 43_127, bare: 43_137, naive: 43_147 };
const SRC = join(import.meta.dirname, '..', 'src');

/** A provider that is measured, and the processes that its work is done in. */
export interface Measured extends Running {
  issuer: string;
  processes: number[];
}

const folder = await mkdtemp(join(tmpdir(), 'tunnus-bench-'));
const running = new Set<Measured>();
const children: ChildProcess[] = [];

/** A process of ours that takes orders. */
export function helper(name: 'driver' | 'hashes'): ChildProcess {
  const child = fork(join(import.meta.dirname, `${name}.ts`), { stdio: 'inherit', execArgv: ['--no-warnings'] });
  children.push(child);
  return child;
}

const driver = helper('driver');
export const postgres = await startPostgres(join(folder, 'postgres'));

/** Ends all that was started. */
export async function clearUp(): Promise<void> {
  for (const child of children) child.kill();
  for (const one of running) await one.stop();
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}

export async function tunnus(name: 'tunnus' | 'crowd', database: string): Promise<Measured> {
  const port = PORTS[name];
  await writeConfig(join(folder, name), port);
  // As `npm start` does.
  const started = await startProcess(['--max-semi-space-size=4', join(SRC, 'cli.ts'), 'serve'], {
    ready: `http://localhost:${port}/health/ready`,
    env: {
      TUNNUS_CONFIG: join(folder, name),
      DATABASE_URL: database,
      NODE_COMPILE_CACHE: join(SRC, '..', 'node_modules', '.cache', 'node'),
    },
  });
  return measured(started, port, [postgres.pid]);
}

export async function bare(name: 'bare' | 'naive', database?: string): Promise<Measured> {
  const port = PORTS[name];
  const args = [join(import.meta.dirname, 'bare.ts'), String(port), ...(database ? [database] : [])];
  const started = await startProcess(args, { ready: `http://localhost:${port}/.well-known/openid-configuration` });
  return measured(started, port, database ? [postgres.pid] : []);
}

function measured(started: Running, port: number, others: number[]): Measured {
  const one: Measured = {
    ...started,
    issuer: `http://localhost:${port}`,
    processes: [started.pid, ...others],
    stop: async () => {
      running.delete(one);
      await started.stop();
    },
  };
  running.add(one);
  return one;
}

type Wish = Partial<Orders> & { by?: ChildProcess };
export type Result = Counted & {
  perSecond: number;
  /** Milliseconds of processor time for one; of these, what libuv's threads took. */
  cpu: number;
  workers: number;
};

export async function drive(on: Measured, work: Orders['work'], { by = driver, ...wish }: Wish = {}): Promise<Result> {
  const orders: Orders = {
    ...CLIENT,
    issuer: on.issuer,
    password: PASSWORD,
    residents: RESIDENTS,
    work,
    atOnce: 4,
    ...wish,
  };
  // What it takes to begin is no part of what is measured.
  await ask<Counted>(by, { ...orders, count: 0 });
  const before = processorTime(...on.processes);
  const workersBefore = workersTime(on.pid);
  const counted = await ask<Counted>(by, orders);
  const cpu = (processorTime(...on.processes) - before) / counted.done;
  const workers = (workersTime(on.pid) - workersBefore) / counted.done;
  return { ...counted, perSecond: (counted.done * 1000) / counted.milliseconds, cpu, workers };
}

export async function ask<T extends object>(child: ChildProcess, orders: object): Promise<T> {
  child.send(orders);
  const [answer] = (await once(child, 'message')) as [T | { error: string }];
  if ('error' in answer) throw new Error(answer.error);
  return answer;
}

export interface Cost {
  signIn: Counts;
  refresh: Counts;
  introspection: Counts;
  request: Counts;
  machine?: Counts;
}

type Start = (database: string) => Promise<Measured>;
type Count = (work: Orders['work'], count?: number) => Promise<Counts>;

/** Statements and commits of one, on a wire that counts them; what runs in the background is less than one in two. */
async function onWire<T>(start: Start, database: string, count: (each: Count) => Promise<T>): Promise<T> {
  const wire = await openWire(database);
  const on = await start(wire.url);
  const result = await count(async (work, count = 20) => {
    await drive(on, work, { count: 2, atOnce: 1 });
    const before = wire.counts();
    await drive(on, work, { count, atOnce: 1 });
    const after = wire.counts();
    const per = (name: keyof Counts) => Math.round((after[name] - before[name]) / count);
    return { statements: per('statements'), commits: per('commits') };
  });
  await on.stop();
  await wire.close();
  return result;
}

export const counted = (start: Start, database: string): Promise<Cost> =>
  onWire(start, database, async (each) => ({
    signIn: await each('sign-in'),
    refresh: await each('refresh'),
    introspection: await each('introspection'),
    request: await each('authorization-request'),
    machine: await each('client-credentials').catch(() => undefined),
  }));

export const statementsOf = (
  start: Start,
  database: string,
  works: readonly Orders['work'][],
): Promise<Map<Orders['work'], number>> =>
  onWire(start, database, async (each) => {
    const found = new Map<Orders['work'], number>();
    for (const work of works) found.set(work, (await each(work)).statements);
    return found;
  });
