/**
 * Owns how easily a new password is guessed. The work is done in a thread of its own (password-strength-worker.ts), which is
 * started when somebody sets a password and ends when nobody has for a minute: its memory comes and goes with it.
 */
import { Worker } from 'node:worker_threads';
import { Problem } from '../platform/refusal.ts';
import type { StrengthAnswer, StrengthQuestion, Weakness } from './password-strength-worker.ts';

export type { Weakness } from './password-strength-worker.ts';

const IDLE = 60_000;
/** Milliseconds, with the start of the thread. */
const PATIENCE = 5_000;
const MOST_WAITING = 200;
/** Of what is known: whoever fills a name with a book must not make everybody wait. */
const MOST_KNOWN = 200;
const LONGEST_KNOWN = 60;

interface Asked {
  resolve: (weakness: Weakness | undefined) => void;
  reject: (error: Error) => void;
}

interface Thread {
  worker: Worker;
  waiting: Map<number, Asked>;
  idle?: NodeJS.Timeout;
}

let thread: Thread | undefined;
let asked = 0;

function started(): Thread {
  const worker = new Worker(new URL('./password-strength-worker.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 4 },
  });
  const begun: Thread = { worker, waiting: new Map() };
  worker.on('message', ({ id, weakness }: StrengthAnswer) => {
    begun.waiting.get(id)?.resolve(weakness);
    begun.waiting.delete(id);
    begun.idle?.refresh();
  });
  worker.once('error', (error: Error) => end(begun, error));
  worker.once('exit', () => end(begun, new Error('the thread ended')));
  // After the listeners, which hold the process anew.
  worker.unref();
  begun.idle = setTimeout(() => end(begun, new Error('nobody asked')), IDLE).unref();
  return begun;
}

function end(ended: Thread, cause: Error): void {
  clearTimeout(ended.idle);
  if (thread === ended) thread = undefined;
  for (const { reject } of ended.waiting.values()) reject(new Problem('busy', 503, { retryAfter: 2, cause }));
  ended.waiting.clear();
  void ended.worker.terminate();
}

/**
 * Why a password is easily guessed; undefined: it is not. `known` is what an attacker knows of the resident and the service.
 * Throws the Problem 'busy' where no answer comes in time: nobody sets a password that was not judged.
 */
export async function weaknessOf(plain: string, known: readonly string[]): Promise<Weakness | undefined> {
  const one = (thread ??= started());
  one.idle?.refresh();
  if (one.waiting.size >= MOST_WAITING) throw new Problem('busy', 503, { retryAfter: 2 });
  const question: StrengthQuestion = {
    id: ++asked,
    plain: plain.normalize('NFC'),
    known: [...new Set(known.map((word) => word.slice(0, LONGEST_KNOWN)))].slice(0, MOST_KNOWN),
  };
  let limit: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Weakness | undefined>((resolve, reject) => {
      one.waiting.set(question.id, { resolve, reject });
      limit = setTimeout(() => end(one, new Error('too slow')), PATIENCE);
      one.worker.postMessage(question);
    });
  } finally {
    clearTimeout(limit);
  }
}
