/**
 * Owns the forms of password hashes that we can check: what they look like and how much work one may ask for.
 * A list is a stranger's text: a hash that asks for 4 GB or for minutes is refused before anybody signs in with it.
 */

/** `weak` ones are wrapped in argon2id before they rest anywhere; `slow` ones are checked in a thread of their own. */
export type HashForm =
  | ArgonForm
  | { form: 'peppered'; pepper: string; inner: ArgonForm }
  | { form: 'wrapped'; algorithm: Digest; salt: string; phc: string }
  | { form: 'weak'; algorithm: Digest; salt: string; hex: string }
  | { form: 'scrypt'; N: number; r: number; p: number; salt: Buffer; hash: Buffer }
  | { form: 'pbkdf2'; digest: 'sha1' | 'sha256' | 'sha512'; iterations: number; salt: Buffer; hash: Buffer }
  | { form: 'slow' };

export interface ArgonForm {
  form: 'argon2id';
  version: number;
  memory: number;
  time: number;
  lanes: number;
  phc: string;
}

export type Digest = 'md5' | 'sha1' | 'sha256';

const MOST = { argonMemory: 131_072, argonWork: 1 << 20, scryptLog: 17, scryptWork: 1 << 21, iterations: 3_000_000 };
const MOST_BCRYPT_COST = 14;
const MOST_CRYPT_ROUNDS = 200_000;
const B64 = '[A-Za-z0-9+/.]+={0,2}';

const ARGON2ID = new RegExp(`^\\$argon2id\\$v=(16|19)\\$([mtp]=\\d{1,9}(?:,[mtp]=\\d{1,9}){2})\\$(${B64})\\$(${B64})$`);
const SCRYPT = new RegExp(`^\\$scrypt\\$ln=(\\d{1,2}),r=(\\d{1,4}),p=(\\d{1,4})\\$(${B64})\\$(${B64})$`);
const PBKDF2 = new RegExp(
  `^\\$pbkdf2(?:-(sha1|sha256|sha512))?\\$(?:i=)?(\\d{1,9})(?:,l=\\d{1,3})?\\$(${B64})\\$(${B64})$`,
);
const DJANGO = new RegExp(`^pbkdf2_sha256\\$(\\d{1,9})\\$([^$]{1,255})\\$(${B64})$`);
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const SHA512_CRYPT = /^\$6\$(?:rounds=(\d{1,9})\$)?[^$]{0,16}\$[./A-Za-z0-9]{86}$/;
const WEAK = /^(md5|sha1|sha256)\$(.{0,255})\$([0-9a-fA-F]+)$/;
const HEX_LENGTH: Record<Digest, number> = { md5: 32, sha1: 40, sha256: 64 };

/** Base64 in the dialects of PHC strings (no padding) and of passlib ('.' for '+'). */
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll('.', '+'), 'base64');
const sized = (hash: Buffer): boolean => hash.length >= 16 && hash.length <= 64;

/** Reads a hash; undefined: not a form that we can check, or one that asks for too much. */
export function readHash(text: string): HashForm | undefined {
  if (text.length > 1000) return undefined;
  return (
    readWrapped(text) ??
    readPeppered(text) ??
    readArgon(text) ??
    readScrypt(text) ??
    readPbkdf2(text) ??
    readSlow(text) ??
    readWeak(text)
  );
}

function readWrapped(text: string): HashForm | undefined {
  const end = text.lastIndexOf('$$argon2id$');
  const [, algorithm, salt] = (end > 0 && /^wrapped\$(md5|sha1|sha256)\$(.*)$/.exec(text.slice(0, end))) || [];
  const inner = algorithm === undefined ? undefined : readArgon(text.slice(end + 1));
  return inner && { form: 'wrapped', algorithm: algorithm as Digest, salt: salt!, phc: inner.phc };
}

/** `peppered$ID$argon2id$…`: argon2id of the password under the pepper that is called so. */
function readPeppered(text: string): HashForm | undefined {
  const [, pepper, phc] = /^peppered\$([\w-]{8})(\$argon2id\$.*)$/.exec(text) ?? [];
  const inner = phc === undefined ? undefined : readArgon(phc);
  return inner && { form: 'peppered', pepper: pepper!, inner };
}

function readArgon(text: string): ArgonForm | undefined {
  const [found, version, parameters, salt, hash] = ARGON2ID.exec(text) ?? [];
  if (!found) return undefined;
  // Writers differ in the order of m, t and p.
  const given = Object.fromEntries(parameters!.split(',').map((part) => [part[0]!, Number(part.slice(2))]));
  const { m: memory = 0, t: time = 0, p: lanes = 0 } = given;
  const bearable = memory <= MOST.argonMemory && memory * time <= MOST.argonWork;
  const sound = time >= 1 && lanes >= 1 && memory >= 8 * lanes && sized(bytes(hash!));
  const saltSize = bytes(salt!).length;
  if (!bearable || !sound || saltSize < 8 || saltSize > 64) return undefined;
  // What reads it next takes one dialect of base64 only.
  const [plainSalt, plainHash] = [salt!, hash!].map((part) => bytes(part).toString('base64').replace(/=+$/, ''));
  const phc = `$argon2id$v=${version}$m=${memory},t=${time},p=${lanes}$${plainSalt}$${plainHash}`;
  return { form: 'argon2id', version: Number(version), memory, time, lanes, phc };
}

function readScrypt(text: string): HashForm | undefined {
  const [found, ln, rText, pText, salt, hash] = SCRYPT.exec(text) ?? [];
  if (!found) return undefined;
  const [log, r, p] = [Number(ln), Number(rText), Number(pText)];
  if (log < 1 || log > MOST.scryptLog || r < 1 || p < 1 || 2 ** log * r * p > MOST.scryptWork) return undefined;
  if (log >= 16 * r) return undefined; // RFC 7914, 2: N is less than 2^(128 * r / 8)
  return sized(bytes(hash!))
    ? { form: 'scrypt', N: 2 ** log, r, p, salt: bytes(salt!), hash: bytes(hash!) }
    : undefined;
}

function readPbkdf2(text: string): HashForm | undefined {
  const [phc, digest = 'sha1', count, salt, hash] = PBKDF2.exec(text) ?? [];
  const [django, djangoCount, djangoSalt, djangoHash] = DJANGO.exec(text) ?? [];
  const iterations = Number(count ?? djangoCount);
  if ((!phc && !django) || iterations < 1 || iterations > MOST.iterations) return undefined;
  const form = django
    ? { digest: 'sha256' as const, salt: Buffer.from(djangoSalt!), hash: bytes(djangoHash!) }
    : { digest: digest as 'sha1' | 'sha256' | 'sha512', salt: bytes(salt!), hash: bytes(hash!) };
  return sized(form.hash) ? { form: 'pbkdf2', iterations, ...form } : undefined;
}

function readSlow(text: string): HashForm | undefined {
  const cost = BCRYPT.exec(text)?.[1];
  if (cost) return Number(cost) >= 4 && Number(cost) <= MOST_BCRYPT_COST ? { form: 'slow' } : undefined;
  const crypt = SHA512_CRYPT.exec(text);
  return crypt && Number(crypt[1] ?? 5000) <= MOST_CRYPT_ROUNDS ? { form: 'slow' } : undefined;
}

function readWeak(text: string): HashForm | undefined {
  const [found, algorithm, salt, hex] = WEAK.exec(text) ?? [];
  if (!found || hex!.length !== HEX_LENGTH[algorithm as Digest]) return undefined;
  return { form: 'weak', algorithm: algorithm as Digest, salt: salt!, hex: hex!.toLowerCase() };
}

/** The name of the form that a hash claims to be of, for reports; never a part of the hash itself. */
export function claimedForm(text: string): string {
  return /^(\$[a-z0-9-]{1,20}\$|[a-z0-9_]{1,20}\$|\{[A-Z0-9-]{1,20}\})/i.exec(text)?.[0] ?? 'unknown';
}
