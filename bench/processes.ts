/** Starting what is measured as processes of their own, and reading what they cost from /proc: processor time and memory. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';

const TICK = 10; // milliseconds: Linux counts a hundred a second

export interface Running {
  pid: number;
  /** Milliseconds from the start to the first good answer. */
  readyAfter: number;
  stop(): Promise<void>;
}

/** Starts a Node program and waits until `ready` answers 200. */
export async function startProcess(
  args: readonly string[],
  { ready, env = {} }: { ready: string; env?: NodeJS.ProcessEnv },
): Promise<Running> {
  const begun = performance.now();
  const child = spawn(process.execPath, ['--no-warnings', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  while (!(await answers(ready))) {
    if (child.exitCode !== null) throw new Error(`${args.join(' ')} ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  return { pid: child.pid!, readyAfter: performance.now() - begun, stop: () => stopped(child) };
}

async function stopped(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    request(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    })
      .on('error', () => resolve(false))
      .end();
  });
}

interface Stat {
  parent: number;
  /** Of itself and of the children that it has seen end. */
  ticks: number;
}

function stats(): Map<number, Stat> {
  const all = new Map<number, Stat>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      const ticks = fields.slice(11, 15).reduce((sum, value) => sum + Number(value), 0);
      all.set(Number(name), { parent: Number(fields[1]), ticks });
    } catch {
      // It has just ended: its parent has its time.
    }
  }
  return all;
}

/** Processor time in milliseconds that these processes and all below them have used so far. */
export function processorTime(...roots: readonly number[]): number {
  const all = stats();
  const wanted = new Set(roots);
  const within = (pid: number): boolean => wanted.has(pid) || (all.has(pid) && within(all.get(pid)!.parent));
  let ticks = 0;
  for (const [pid, stat] of all) if (within(pid)) ticks += stat.ticks;
  return ticks * TICK;
}

/** Of these, milliseconds that libuv's threads have used: password hashes, and signatures by RSA while none runs. */
export function workersTime(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const of = (name: string) => readFileSync(`/proc/${pid}/task/${thread}/${name}`, 'latin1');
    if (of('comm').startsWith('libuv-worker')) nanoseconds += Number(of('schedstat').split(' ')[0]);
  }
  return nanoseconds / 1e6;
}

/** Megabytes in memory, now and at the most. */
export function memoryOf(pid: number): { now: number; most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const megabytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
  return { now: megabytes('VmRSS'), most: megabytes('VmHWM') };
}
