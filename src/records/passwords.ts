/**
 * Owns making and checking passwords: our argon2id, with a pepper where there is one, and every old form of hash that lists
 * bring (password-forms.ts). Keeps nothing; hashes rest in accounts.ts's table. A check without a hash costs like one with.
 *
 * A pepper is a secret outside the database, without which its hashes cannot be guessed at (NIST SP 800-63B-4, 3.1.1.2: an
 * additional keyed hash). It is laid on by HMAC before argon2id, so that either library can check what the other made; the
 * stored hash names it by an id that tells nothing else.
 */
import {
  createHash,
  createHmac,
  pbkdf2,
  scrypt,
  timingSafeEqual,
  type BinaryLike,
  type ScryptOptions,
} from 'node:crypto';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { Sealer } from '../platform/secrets.ts';
import { admitted, COST, hash, verify, verifyForeign, type Cost } from './hashing.ts';
import { sealHash, unsealed } from './old-hashes.ts';
import { claimedForm, readHash, type ArgonForm, type Digest, type HashForm } from './password-forms.ts';
import type { SlowCheck } from './slow-hash-worker.ts';
import type { Asker } from './waiting-line.ts';

export const LONGEST = 256;

/** How new passwords are hashed; a stored one that is hashed otherwise is hashed anew when its resident signs in. */
export interface Hashing {
  cost: Cost;
  /** The first is laid on, all verify. None: no pepper. */
  peppers: readonly Pepper[];
}

interface Pepper {
  id: string;
  over(plain: string): string;
}

/** From what the configuration says; memory in KiB. */
export function hashingOf({
  argon2: { memory, iterations, parallelism },
  pepper,
}: {
  argon2: { memory: number; iterations: number; parallelism: number };
  pepper: readonly string[];
}): Hashing {
  const keyed = (secret: string, text: string): Buffer =>
    createHmac('sha256', secret).update(`tunnus ${text}`).digest();
  return {
    cost: { memoryCost: memory, timeCost: iterations, parallelism },
    peppers: pepper.map((secret) => ({
      id: keyed(secret, 'pepper id:').toString('base64url').slice(0, 8),
      over: (plain) => keyed(secret, `pepper:${plain}`).toString('base64'),
    })),
  };
}

const STANDARD: Hashing = { cost: COST, peppers: [] };

/** @param accountId whose it is: by then they have shown a mailed link, a session or the old password. Left out: it can wait. */
export async function hashPassword(
  plain: string,
  { cost, peppers: [pepper] }: Hashing = STANDARD,
  accountId?: string,
): Promise<string> {
  const normal = plain.normalize('NFC');
  const asker = accountId === undefined ? undefined : { known: true, whose: accountId };
  const phc = await admitted(() => hash(pepper ? pepper.over(normal) : normal, cost), { asker });
  return pepper ? `peppered$${pepper.id}${phc}` : phc;
}

const digested = (algorithm: Digest, salt: string, plain: string): string =>
  createHash(algorithm).update(salt).update(plain).digest('hex');

/**
 * A list's hash as it may rest in the database at once. A fast one is sealed until `wrapWeakHash` has had its time: a
 * million of them take hours, and nobody shall wait for that, nor read them meanwhile.
 */
export function restingHash(text: string, sealer: Sealer): { hash: string } | { unusable: string } {
  const form = readHash(text);
  if (!form || form.form === 'wrapped' || form.form === 'peppered') return { unusable: claimedForm(text) };
  return { hash: form.form === 'weak' ? sealHash(text, sealer) : text };
}

/** A fast old hash, wrapped in argon2id, so that none rests readable; undefined for hashes that need no wrapping. */
export async function wrapWeakHash(text: string): Promise<string | undefined> {
  const weak = readHash(text);
  if (weak?.form !== 'weak') return undefined;
  return `wrapped$${weak.algorithm}$${weak.salt}$${await admitted(() => hash(weak.hex))}`;
}

/** Whether a hash that rests in an account can be checked: any known form, but never a fast one as it stands. */
export function isCheckable(text: string): boolean {
  const known = readHash(text);
  return known !== undefined && known.form !== 'weak';
}

export interface Verdict {
  ok: boolean;
  /** The stored hash is not of our own kind: hash anew, now that the password is at hand. */
  rehash: boolean;
}

/** Made of nothing: checking against it always fails and costs what a real check does. */
function decoy({ memoryCost, timeCost, parallelism }: Cost): string {
  const salt = Buffer.alloc(16, 'decoy').toString('base64').replace(/=+$/, '');
  return `$argon2id$v=19$m=${memoryCost},p=${parallelism},t=${timeCost}$${salt}$${'A'.repeat(43)}`;
}

interface Checking {
  sealer?: Sealer;
  hashing?: Hashing;
  asker?: Asker;
  /** Is waited for before a password that is wrong is said to be; gets how long the check itself took, in milliseconds. */
  refused?: (took: number) => Promise<void>;
}

/** Checks a password. Without a stored hash (no such account, no password yet) it fails at the same cost. */
export async function verifyPassword(
  stored: string | undefined,
  plain: string,
  { sealer, hashing = STANDARD, asker, refused }: Checking = {},
): Promise<Verdict> {
  const fits = plain.length <= 4 * LONGEST;
  const form = stored !== undefined && fits ? readHash(stored) : undefined;
  const weak = stored !== undefined && fits && sealer ? readHash(unsealed(stored, sealer) ?? '') : undefined;
  const pepper = form?.form === 'peppered' ? hashing.peppers.find(({ id }) => id === form.pepper) : undefined;
  const work = async (): Promise<Verdict> => {
    if (form?.form === 'peppered' && pepper) {
      const ok = await verify(form.inner.phc, pepper.over(plain.normalize('NFC'))).catch(() => false);
      return { ok, rehash: ok && !(pepper === hashing.peppers[0] && costs(form.inner, hashing.cost)) };
    }
    if (!form || form.form === 'weak' || form.form === 'peppered') {
      await verify(decoy(hashing.cost), plain.slice(0, LONGEST));
      const ok = weak?.form === 'weak' && candidates(plain, false).some((typed) => opensWeak(weak, typed));
      return { ok, rehash: ok };
    }
    const ours = form.form === 'argon2id' && costs(form, hashing.cost);
    const ok = await check(form, stored!, { plains: candidates(plain, ours), ours });
    return { ok, rehash: ok && !(ours && hashing.peppers.length === 0) };
  };
  let took = 0;
  const timed = async (): Promise<Verdict> => {
    const began = performance.now();
    const verdict = await work();
    took = performance.now() - began;
    return verdict;
  };
  const verdict = await admitted(timed, { asker, failed: ({ ok }) => !ok });
  if (!verdict.ok) await refused?.(took);
  return verdict;
}

function opensWeak({ algorithm, salt, hex }: HashForm & { form: 'weak' }, plain: string): boolean {
  return timingSafeEqual(Buffer.from(digested(algorithm, salt, plain)), Buffer.from(hex));
}

function costs({ version, memory, time, lanes }: ArgonForm, cost: Cost): boolean {
  return version === 19 && memory === cost.memoryCost && time === cost.timeCost && lanes === cost.parallelism;
}

/** Ours were made of NFC. How an old system took what was typed nobody knows: as it came, or in NFC. */
function candidates(plain: string, ours: boolean): string[] {
  const normal = plain.normalize('NFC');
  return ours || normal === plain ? [normal] : [normal, plain];
}

async function check(
  form: HashForm,
  stored: string,
  { plains, ours }: { plains: string[]; ours: boolean },
): Promise<boolean> {
  if (form.form === 'slow') return slowCheck({ stored, candidates: plains });
  // A hash that its algorithm cannot work on opens nothing. What was thrown may quote it, and goes nowhere.
  for (const plain of plains) if (await matches(form, plain, ours).catch(() => false)) return true;
  return false;
}

const scryptAsync = promisify<BinaryLike, BinaryLike, number, ScryptOptions, Buffer>(scrypt);
const pbkdf2Async = promisify(pbkdf2);

async function matches(form: HashForm, plain: string, ours: boolean): Promise<boolean> {
  switch (form.form) {
    case 'argon2id':
      return ours ? verify(form.phc, plain) : verifyForeign(form.phc, plain);
    case 'wrapped':
      return verifyForeign(form.phc, digested(form.algorithm, form.salt, plain));
    case 'scrypt': {
      const { N, r, p, salt, hash } = form;
      const maxmem = 128 * r * (N + p + 2); // all that it takes; readHash has bounded it
      return timingSafeEqual(await scryptAsync(plain, salt, hash.length, { N, r, p, maxmem }), hash);
    }
    case 'pbkdf2': {
      const { iterations, digest, salt, hash } = form;
      return timingSafeEqual(await pbkdf2Async(plain, salt, iterations, hash.length, digest), hash);
    }
    default:
      throw new Error(`a hash of the form ${form.form} is not checked here`);
  }
}

function slowCheck(work: SlowCheck): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./slow-hash-worker.ts', import.meta.url), { workerData: work });
    thread.once('message', resolve).once('error', reject);
  });
}
