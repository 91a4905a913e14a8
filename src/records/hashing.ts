/**
 * Owns the work of argon2id: which of two libraries does it, how many hashes run at once, and that they give way to all else.
 *
 * A hash keeps a core busy for tens of milliseconds on libuv's threads. As many run as there are cores, fewer while the
 * event loop lags, and a bounded number wait (waiting-line.ts says in which order); past that an honest 'busy' beats a queue.
 * Where the system lets threads have priorities of their own (Linux) the hashes take only what tokens and pages leave. Knows no
 * password and no account.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, constants, setPriority } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import argon2 from 'argon2';
import { Problem } from '../platform/refusal.ts';
import { metrics } from '../platform/telemetry.ts';
import { traced } from '../platform/tracing.ts';
import { waitingLine, type Asker } from './waiting-line.ts';

/** What one hash takes, by the libraries' own names; memory in KiB. */
export interface Cost {
  memoryCost: number;
  timeCost: number;
  parallelism: number;
}

/** OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, two passes, one lane. */
export const COST: Cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

// The same hash in half the time, where there is a binary for this machine; an optional dependency.
const swift = await import('@node-rs/argon2').catch(() => undefined);
const ARGON2ID = 2;

/** Which library does our own hashes, for `tunnus check`. */
export const engine = swift ? '@node-rs/argon2' : 'argon2';

/** A PHC string. */
export function hash(plain: string, cost: Cost = COST): Promise<string> {
  return swift ? swift.hash(plain, { ...cost, algorithm: ARGON2ID }) : argon2.hash(plain, cost);
}

/** Checks against a PHC string that one of the two libraries made here. */
export function verify(phc: string, plain: string): Promise<boolean> {
  return swift ? swift.verify(phc, plain) : argon2.verify(phc, plain);
}

/** Checks against an argon2id PHC string of anybody's. */
export function verifyForeign(phc: string, plain: string): Promise<boolean> {
  return argon2.verify(phc, plain);
}

const CORES = availableParallelism();
/** For each that runs: well under a second's worth. */
const WAITING_EACH = 40;
/** Of the event loop, in milliseconds: above the first one hash less runs, below the second one more. */
const LAGGING = 20;
const CALM = 5;
const LOOK_EVERY = 100;
const RESOLUTION = 5;

let limit = CORES;
let running = 0;
const line = waitingLine();

const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
let lookedAt = 0;

function adapt(): void {
  const now = performance.now();
  if (now - lookedAt < LOOK_EVERY) return;
  lookedAt = now;
  const lag = delay.percentile(90) / 1e6 - RESOLUTION;
  delay.reset();
  if (lag > LAGGING) limit = Math.max(1, limit - 1);
  else if (lag < CALM) limit = Math.min(CORES, limit + 1);
}

const mostWaiting = (): number => WAITING_EACH * limit;

function busy(): Problem {
  metrics.hashesRefused.inc();
  return new Problem('busy', 503, { retryAfter: 2 });
}

/** Throws the Problem 'busy' where nobody need begin what would end so: before anything is asked of the database. */
export function mayComeIn(asker: Asker): void {
  if (running >= limit && !line.hasRoomFor(asker, mostWaiting(), performance.now())) throw busy();
}

export interface Admission<T> {
  /** Left out for work that can wait. */
  asker?: Asker;
  /** Whether what came out was a failure of the asker's. */
  failed?: (result: T) => boolean;
}

/** Lets only so many work at once, and the others wait. Throws the Problem 'busy' where too many do. */
export async function admitted<T>(
  work: () => Promise<T>,
  { asker, failed = () => false }: Admission<T> = {},
): Promise<T> {
  const turn = line.turnOf(asker, performance.now());
  if (running >= limit) {
    await new Promise<void>((admit, reject) => {
      const turnAway = (): void => {
        turn.giveBack();
        reject(busy());
      };
      line.join({ turn, admit, turnAway }, mostWaiting());
    });
  } else if (running++ === 0) delay.enable();
  let guilty = false;
  try {
    const result = await traced('hash', {}, work);
    guilty = failed(result);
    return result;
  } finally {
    if (!guilty) turn.giveBack();
    giveWay();
    adapt();
    running--;
    while (running < limit && line.admitNext()) running++;
    if (running === 0) delay.disable();
  }
}

/** Whether libuv's threads are taken by hashes now: what else they could do would wait. */
export const hashesRun = (): boolean => running > 0;

/** For a scrape. */
export function countHashes(): void {
  for (const [state, count] of Object.entries({ running, waiting: line.length, limit }))
    metrics.hashes.set({ state }, count);
}

let gaveWay = false;

/** Lowers libuv's threads, which exist once the first hash is done. Reading the clock of a lagging loop stays the other guard. */
function giveWay(): void {
  if (gaveWay) return;
  gaveWay = true;
  try {
    for (const thread of readdirSync('/proc/self/task'))
      if (readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').startsWith('libuv-worker'))
        setPriority(Number(thread), constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // No Linux, or not allowed: the limit alone keeps the balance.
  }
}
