/**
 * Owns SHA-512 crypt (`$6$`): how Unix systems hash passwords, needed to check the ones in old lists. Never makes new ones.
 * After Ulrich Drepper's 'Unix crypt using SHA-256 and SHA-512', whose numbered steps the order follows; node has no crypt(3).
 */
import { createHash } from 'node:crypto';

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SIZE = 64;

const digestOf = (...parts: Buffer[]): Buffer => {
  const hash = createHash('sha512');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** The digest, repeated and cut to a length. */
const stretched = (digest: Buffer, length: number): Buffer => Buffer.alloc(length, digest);

/** The 86 characters of the hash: three bytes, far apart from one another, to four characters. */
function encoded(digest: Buffer): string {
  let text = '';
  const add = (value: number, characters: number): void => {
    for (let i = 0; i < characters; i++) text += ALPHABET[(value >> (6 * i)) & 63];
  };
  for (let i = 0, [a, b, c] = [0, 21, 42] as [number, number, number]; i < 21; i++) {
    add((digest[a]! << 16) | (digest[b]! << 8) | digest[c]!, 4);
    [a, b, c] = [b + 1, c + 1, a + 1];
  }
  add(digest[63]!, 2);
  return text;
}

export function sha512Crypt(plain: string, { salt, rounds }: { salt: string; rounds: number }): string {
  const password = Buffer.from(plain);
  const salted = Buffer.from(salt);
  const b = digestOf(password, salted, password);
  const parts = [password, salted, stretched(b, password.length)];
  for (let length = password.length; length > 0; length >>= 1) parts.push(length & 1 ? b : password);
  let digest = digestOf(...parts);

  const p = stretched(digestOf(...Array<Buffer>(password.length).fill(password)), password.length);
  const s = stretched(digestOf(...Array<Buffer>(16 + digest[0]!).fill(salted)), salted.length);
  for (let round = 0; round < rounds; round++) {
    const odd = round % 2 === 1;
    const middle = [...(round % 3 ? [s] : []), ...(round % 7 ? [p] : [])];
    digest = digestOf(odd ? p : digest, ...middle, odd ? digest : p);
  }
  return encoded(digest.subarray(0, SIZE));
}
