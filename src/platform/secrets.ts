/**
 * Random tokens, hashes, and the sealing of what must not stand readable in the database or in a cookie. It knows no
 * purpose by itself: callers name one, and what was sealed or digested for one purpose means nothing for another.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hash,
  hkdfSync,
  randomBytes,
  randomFillSync,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';

const POOL = Buffer.alloc(4096);
let used = POOL.length;

/** From a pool that the system fills now and then: asking it for each token costs more than the token. */
export function randomToken(bytes = 32): string {
  if (used + bytes > POOL.length) {
    randomFillSync(POOL);
    used = 0;
  }
  const token = POOL.toString('base64url', used, used + bytes);
  // What was given out stands nowhere else.
  POOL.fill(0, used, (used += bytes));
  return token;
}

export function sha256(value: string | Buffer): Buffer {
  return hash('sha256', value, 'buffer');
}

/** Compares the hashes, so that neither content nor length shows in the time. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(sha256(a), sha256(b));
}

export interface Sealer {
  seal(plain: string, purpose: string): string;
  /** undefined when it was not sealed by one of the secrets for this purpose, or was changed since. */
  open(sealed: string, purpose: string): string | undefined;
  /** Which of the secrets sealed it: 0 is the first. Undefined where `open` gives nothing. */
  sealedWith(sealed: string, purpose: string): number | undefined;
  /** Keyed hash, by the digest key, or, without one, by the first secret. */
  digest(value: string, purpose: string): Buffer;
  /** The same by every key that may have digested it: one, where there is a digest key. */
  digests(value: string, purpose: string): Buffer[];
  /** For signing cookies: the first signs, all verify. */
  readonly cookieKeys: string[];
}

const PREFIX = 'v1.';
const CIPHER = 'aes-256-gcm';
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;

/**
 * The first secret seals, all open. Digests are made with a key of their own where they must outlive a change of the secrets.
 */
export function makeSealer(secrets: readonly string[], digestKey?: string): Sealer {
  const [first] = secrets;
  if (first === undefined) throw new Error('a sealer needs a secret');

  const digestKeys = digestKey === undefined ? secrets : [digestKey];
  const digestBy = (secret: string, value: string, purpose: string): Buffer =>
    createHmac('sha256', derive(secret, `digest:${purpose}`))
      .update(value)
      .digest();

  function opened(sealed: string, purpose: string): { plain: string; secret: number } | undefined {
    if (!sealed.startsWith(PREFIX)) return undefined;
    const text = sealed.slice(PREFIX.length);
    const bytes = Buffer.from(text, 'base64url');
    // base64url has several spellings of the same bytes: only one of them was sealed
    if (bytes.length < NONCE_LENGTH + TAG_LENGTH || bytes.toString('base64url') !== text) return undefined;
    for (const [secret, each] of secrets.entries()) {
      const plain = decrypted(bytes, derive(each, `seal:${purpose}`));
      if (plain !== undefined) return { plain, secret };
    }
    return undefined;
  }

  return {
    seal(plain, purpose) {
      const nonce = randomBytes(NONCE_LENGTH);
      const cipher = createCipheriv(CIPHER, derive(first, `seal:${purpose}`), nonce);
      const parts = [nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()];
      return PREFIX + Buffer.concat(parts).toString('base64url');
    },
    open: (sealed, purpose) => opened(sealed, purpose)?.plain,
    sealedWith: (sealed, purpose) => opened(sealed, purpose)?.secret,
    digest: (value, purpose) => digestBy(digestKeys[0]!, value, purpose),
    digests: (value, purpose) => digestKeys.map((key) => digestBy(key, value, purpose)),
    cookieKeys: secrets.map((secret) => derive(secret, 'cookie').export().toString('base64url')),
  };
}

const derived = new Map<string, KeyObject>();
const MOST_DERIVED = 256;

/** Remembered, since a list of a million has a million things to seal; not for ever, since some purposes name one thing. */
function derive(secret: string, info: string): KeyObject {
  const name = `${info}\n${secret}`;
  let key = derived.get(name);
  if (!key) {
    if (derived.size >= MOST_DERIVED) derived.clear();
    key = createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', `tunnus:${info}`, 32)));
    derived.set(name, key);
  }
  return key;
}

function decrypted(bytes: Buffer, key: KeyObject): string | undefined {
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_LENGTH), { authTagLength: TAG_LENGTH });
  decipher.setAuthTag(bytes.subarray(-TAG_LENGTH));
  try {
    const body = decipher.update(bytes.subarray(NONCE_LENGTH, -TAG_LENGTH));
    return Buffer.concat([body, decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}
