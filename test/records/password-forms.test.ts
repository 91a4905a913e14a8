/** Hashes that the import calls good can be checked: none of them turns a resident's sign-in into a fault. */
import { scryptSync } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { makeSealer } from '../../src/platform/secrets.ts';
import { isCheckable, restingHash, verifyPassword } from '../../src/records/passwords.ts';

const PASSWORD = 'Hyvää päivää 1';
const ARGON = '$argon2id$v=19$m=8192,t=3,p=2$';
const SALT = 'ZWWwTH28SmQNe2inB3ql0w';
const HASH = 'beM5Yn5QWsXp2d70rTFC0fKL9RIgk8ge8/+O51jro8g';
const sealer = makeSealer(['a secret of thirty-two characters!']);
const salt = Buffer.from('saltsaltsaltsalt');

test.each([
  ['with padding', `${ARGON}${SALT}==$${HASH}=`],
  ["with '.' for '+'", `${ARGON}${SALT}$${HASH.replace('+', '.')}`],
  ['with padding of the salt alone', `${ARGON}${SALT}==$${HASH}`],
  ['with zeros before its numbers', `$argon2id$v=19$m=08192,t=03,p=2$${SALT}$${HASH}`],
])('an argon2id hash in the base64 of another writer is checked: %s', async (_how, hash) => {
  expect(restingHash(hash, sealer)).toEqual({ hash });
  expect(await verifyPassword(hash, PASSWORD)).toEqual({ ok: true, rehash: true });
  expect(await verifyPassword(hash, 'Hyvää päivää 2')).toEqual({ ok: false, rehash: false });
});

test.each([
  { ln: 1, r: 1024, p: 1024 },
  { ln: 17, r: 8, p: 2 },
  { ln: 15, r: 1, p: 64 },
])('scrypt of any cost that is taken has the memory that it needs: %j', async ({ ln, r, p }) => {
  const made = scryptSync(PASSWORD, salt, 32, { N: 2 ** ln, r, p, maxmem: 2 ** 30 });
  const hash = `$scrypt$ln=${ln},r=${r},p=${p}$${salt.toString('base64')}$${made.toString('base64')}`;
  expect(restingHash(hash, sealer)).toEqual({ hash });
  expect(await verifyPassword(hash, PASSWORD)).toEqual({ ok: true, rehash: true });
});

test('a wrapped hash asks for no more work than any other', () => {
  const wrapped = (memory: number): string =>
    `wrapped$md5$salt$$argon2id$v=19$m=${memory},t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
  expect(isCheckable(wrapped(19_456))).toBe(true);
  expect(isCheckable(wrapped(4_000_000))).toBe(false);
});

test('scrypt that is beyond its own definition is refused', () => {
  const hash = `$scrypt$ln=16,r=1,p=1$${salt.toString('base64')}$${Buffer.alloc(32).toString('base64')}`;
  expect(restingHash(hash, sealer)).toEqual({ unusable: '$scrypt$' });
});

test('a stored hash that cannot be worked on opens nothing, and is no fault', async () => {
  expect(await verifyPassword('wrapped$md5$salt$$argon2id$broken', PASSWORD)).toEqual({ ok: false, rehash: false });
});
