/**
 * The thread in which old hashes that only JavaScript can check are checked, so that no other request waits for them.
 * Started by passwords.ts, once for each check; answers with true or false.
 */
import { timingSafeEqual } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import bcrypt from 'bcryptjs';
import { sha512Crypt } from './sha512-crypt.ts';

export interface SlowCheck {
  stored: string;
  candidates: string[];
}

const { stored, candidates } = workerData as SlowCheck;

function matches(plain: string): boolean {
  if (!stored.startsWith('$6$')) return bcrypt.compareSync(plain, stored);
  const [, rounds, salt, hash] = /^\$6\$(?:rounds=(\d+)\$)?([^$]*)\$(.*)$/.exec(stored)!;
  const made = sha512Crypt(plain, { salt: salt!.slice(0, 16), rounds: Math.max(1000, Number(rounds ?? 5000)) });
  return made.length === hash!.length && timingSafeEqual(Buffer.from(made), Buffer.from(hash!));
}

parentPort!.postMessage(candidates.some(matches));
