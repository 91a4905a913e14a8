/**
 * Owns making and checking passwords: our argon2id, every old form of hash that lists bring (password-forms.ts), and which
 * new passwords are refused. Keeps nothing; hashes rest in accounts.ts's table. A check without a hash costs like one with.
 */
import { createHash, pbkdf2, scrypt, timingSafeEqual, type BinaryLike, type ScryptOptions } from 'node:crypto';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { Sealer } from '../platform/secrets.ts';
import { admitted, COST, hash, verify, verifyForeign } from './hashing.ts';
import { claimedForm, readHash, type Digest, type HashForm } from './password-forms.ts';
import type { SlowCheck } from './slow-hash-worker.ts';

export const LONGEST = 256;

export function hashPassword(plain: string): Promise<string> {
  return admitted(() => hash(plain.normalize('NFC')));
}

const digested = (algorithm: Digest, salt: string, plain: string): string =>
  createHash(algorithm).update(salt).update(plain).digest('hex');

const SEALED = 'sealed:';
const SEALED_HASH = 'old-hash';

/**
 * A list's hash as it may rest in the database at once. A fast one is sealed until `wrapWeakHash` has had its time: a
 * million of them take hours, and nobody shall wait for that, nor read them meanwhile.
 */
export function restingHash(text: string, sealer: Sealer): { hash: string } | { unusable: string } {
  const form = readHash(text);
  if (!form || form.form === 'wrapped') return { unusable: claimedForm(text) };
  return { hash: form.form === 'weak' ? SEALED + sealer.seal(text, SEALED_HASH) : text };
}

/** What was sealed; undefined where no secret that is in use sealed it. */
export function unsealed(stored: string, sealer: Sealer): string | undefined {
  return stored.startsWith(SEALED) ? sealer.open(stored.slice(SEALED.length), SEALED_HASH) : undefined;
}

/** A fast old hash, wrapped in argon2id, so that none rests readable; undefined for hashes that need no wrapping. */
export async function wrapWeakHash(text: string): Promise<string | undefined> {
  const weak = readHash(text);
  if (weak?.form !== 'weak') return undefined;
  return `wrapped$${weak.algorithm}$${weak.salt}$${await admitted(() => hash(weak.hex))}`;
}

export interface Verdict {
  ok: boolean;
  /** The stored hash is not of our own kind: hash anew, now that the password is at hand. */
  rehash: boolean;
}

// Made once, of nothing: checking against it always fails and costs what a real check does.
const DECOY = `$argon2id$v=19$m=${COST.memoryCost},p=${COST.parallelism},t=${COST.timeCost}$${Buffer.alloc(16, 'decoy').toString('base64').replace(/=+$/, '')}$${'A'.repeat(43)}`;

/** Checks a password. Without a stored hash (no such account, no password yet) it fails at the same cost. */
export async function verifyPassword(stored: string | undefined, plain: string, sealer?: Sealer): Promise<Verdict> {
  const fits = plain.length <= 4 * LONGEST;
  const form = stored !== undefined && fits ? readHash(stored) : undefined;
  const weak = stored !== undefined && fits && sealer ? readHash(unsealed(stored, sealer) ?? '') : undefined;
  const ours = form !== undefined && isOurs(form);
  return admitted(async () => {
    if (!form || form.form === 'weak') {
      await verify(DECOY, plain.slice(0, LONGEST));
      const ok = weak?.form === 'weak' && candidates(plain, false).some((typed) => opensWeak(weak, typed));
      return { ok, rehash: ok };
    }
    const ok = await check(form, stored!, candidates(plain, ours));
    return { ok, rehash: ok && !ours };
  });
}

function opensWeak({ algorithm, salt, hex }: HashForm & { form: 'weak' }, plain: string): boolean {
  return timingSafeEqual(Buffer.from(digested(algorithm, salt, plain)), Buffer.from(hex));
}

function isOurs(form: HashForm): boolean {
  if (form.form !== 'argon2id' || form.version !== 19) return false;
  return form.memory === COST.memoryCost && form.time === COST.timeCost && form.lanes === COST.parallelism;
}

/** Ours were made of NFC. How an old system took what was typed nobody knows: as it came, or in NFC. */
function candidates(plain: string, ours: boolean): string[] {
  const normal = plain.normalize('NFC');
  return ours || normal === plain ? [normal] : [normal, plain];
}

async function check(form: HashForm, stored: string, plains: string[]): Promise<boolean> {
  if (form.form === 'slow') return slowCheck({ stored, candidates: plains });
  // A hash that its algorithm cannot work on opens nothing. What was thrown may quote it, and goes nowhere.
  for (const plain of plains) if (await matches(form, plain).catch(() => false)) return true;
  return false;
}

const scryptAsync = promisify<BinaryLike, BinaryLike, number, ScryptOptions, Buffer>(scrypt);
const pbkdf2Async = promisify(pbkdf2);

async function matches(form: HashForm, plain: string): Promise<boolean> {
  switch (form.form) {
    case 'argon2id':
      return isOurs(form) ? verify(form.phc, plain) : verifyForeign(form.phc, plain);
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

/** What is wrong with a new password. */
export type PasswordFault = 'too_short' | 'too_long' | 'common';

const COMMON_WORDS = (
  'tunnus salasana sanasala password passord lösenord losenord kirjaudu qwertyuiop qwerty asdfghjklöä asdfgh zxcvbnm iloveyou ' +
  'welcome letmein dragon football monkey sunshine princess admin suomi finland perkele vittu rakastan kissa koira aurinko ' +
  'jääkiekko kesä talvi syksy kevät hejsan sommar vinter älskling kaupunki helsinki espoo vantaa tampere turku oulu'
).split(' ');
const RUNS = ['01234567890123456789', 'abcdefghijklmnopqrstuvwxyzåäö', 'qwertyuiopåasdfghjklöäzxcvbnm'];

/**
 * Why a new password is refused; empty: it is not. No rules of composition (NIST SP 800-63B-4): only length, and that it is
 * more than common words, the resident's own name and address, and runs of keys.
 */
export function passwordFaults(
  plain: string,
  { minLength, email, names }: { minLength: number; email: string; names: readonly string[] },
): PasswordFault[] {
  const length = [...plain.normalize('NFC')].length;
  if (length < minLength) return ['too_short'];
  if (length > LONGEST) return ['too_long'];
  const own = [
    ...email.split('@'),
    ...email.split(/[@._+-]/),
    ...names.flatMap((name) => [name, ...name.split(/[\s-]/)]),
  ];
  const words = [...own.map((word) => word.toLowerCase()).filter((word) => word.length > 3), ...COMMON_WORDS];
  let rest = plain.normalize('NFC').toLowerCase();
  for (const word of words.sort((a, b) => b.length - a.length)) rest = rest.replaceAll(word, '');
  rest = rest.replace(/[\s!?.,_@-]/g, '');
  const run = RUNS.some((keys) => keys.includes(rest) || [...keys].reverse().join('').includes(rest));
  return rest.length < 5 || new Set(rest).size < 4 || run ? ['common'] : [];
}
