import { describe, expect, test } from '@jest/globals';
import * as swift from '@node-rs/argon2';
import argon2 from 'argon2';
import { Problem } from '../../src/platform/refusal.ts';
import { COST, engine } from '../../src/records/hashing.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import {
  hashPassword,
  passwordFaults,
  restingHash,
  verifyPassword,
  wrapWeakHash,
} from '../../src/records/passwords.ts';
import { sha512Crypt } from '../../src/records/sha512-crypt.ts';

const PASSWORD = 'Hyvää päivää 1';
const sealer = makeSealer(['a secret of thirty-two characters!']);

// Made by other programs: Python's hashlib, OpenSSL, bcrypt and argon2 themselves.
const OLD_HASHES = [
  '$argon2id$v=19$m=8192,p=2,t=3$ZWWwTH28SmQNe2inB3ql0w$beM5Yn5QWsXp2d70rTFC0fKL9RIgk8ge8/+O51jro8g',
  '$argon2id$v=19$m=8192,t=3,p=2$ZWWwTH28SmQNe2inB3ql0w$beM5Yn5QWsXp2d70rTFC0fKL9RIgk8ge8/+O51jro8g',
  '$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$UI3KZrE6YzKg8t3gLKdbtEWRi/HYkZ69/tSgJGWhEYw',
  '$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$l/1M02PtyE4765iV2SmBoGgomss0zvBocvrYILA3XV4',
  '$pbkdf2-sha256$1000$c2FsdHNhbHRzYWx0c2FsdA$TyehP4iQiyffQYVbMJI1xthv/4/DRWjNdGs1tMALEXk',
  'pbkdf2_sha256$1000$saltsalt$7F/C4ZaPS11rb8IY23IXs979kMf957OI9EH4XuSahrY=',
  '$2a$06$saltsaltsaltsaltsaltsukdaa3tOImfWikQBFNFLu1jRfGTaoyiu',
  '$2b$06$saltsaltsaltsaltsaltsukdaa3tOImfWikQBFNFLu1jRfGTaoyiu',
  '$2y$06$saltsaltsaltsaltsaltsukdaa3tOImfWikQBFNFLu1jRfGTaoyiu',
  '$6$saltsalt$jQP1Q/x23nl6vZfqnZrrI7ZB.DeiiwfqDhQER8ogZM5KGlwQchQoZucjzSU7HPfnH0yj7xQ6tK0v9h6J1EjmG/',
];
const WEAK_HASHES = [
  'md5$su$ola$9cdd9de39830464d6f216bc70c13232f',
  'sha1$su$ola$ef04de14693c1ba7103bb55a1b1fda67682f9c5f',
  'sha256$su$ola$98b8700875eb4b2b3f725305c798b781424f580fea4fd5da286dd775fc8064cf',
  'md5$$78b63c80931864d50159a108f5ee4900',
];

test('our own hash verifies, in whatever Unicode form the password is typed, and needs no other', async () => {
  const hash = await hashPassword(PASSWORD);
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  expect(await verifyPassword(hash, PASSWORD)).toEqual({ ok: true, rehash: false });
  expect(await verifyPassword(hash, PASSWORD.normalize('NFD'))).toEqual({ ok: true, rehash: false });
  expect(await verifyPassword(hash, PASSWORD.toLowerCase())).toEqual({ ok: false, rehash: false });
});

test('what either argon2 library made the other verifies, so that a machine without the swift one keeps every password', async () => {
  expect(engine).toBe('@node-rs/argon2');
  const everywhere = await argon2.hash(PASSWORD, COST);
  expect(await verifyPassword(everywhere, PASSWORD)).toEqual({ ok: true, rehash: false });
  expect(await verifyPassword(everywhere, `${PASSWORD}0`)).toEqual({ ok: false, rehash: false });
  const here = await hashPassword(PASSWORD);
  expect(await swift.verify(here, PASSWORD)).toBe(true);
  expect(await argon2.verify(here, PASSWORD)).toBe(true);
  expect(await argon2.verify(here, `${PASSWORD}0`)).toBe(false);
  expect(argon2.needsRehash(here, COST)).toBe(false);
});

test.each(OLD_HASHES)('an old hash verifies once and asks to be replaced: %s', async (hash) => {
  expect(restingHash(hash, sealer)).toEqual({ hash });
  expect(await verifyPassword(hash, PASSWORD)).toEqual({ ok: true, rehash: true });
  expect(await verifyPassword(hash, 'Hyvää päivää 2')).toEqual({ ok: false, rehash: false });
});

test.each(WEAK_HASHES)('a fast old hash is wrapped in argon2id and checked there: %s', async (weak) => {
  const wrapped = await wrapWeakHash(weak);
  expect(wrapped).not.toContain(weak.split('$').at(-1));
  expect(await verifyPassword(wrapped, PASSWORD)).toEqual({ ok: true, rehash: true });
  expect(await verifyPassword(wrapped, 'Hyvää päivää 2')).toEqual({ ok: false, rehash: false });
});

test('a fast hash that was not wrapped opens nothing', async () => {
  expect(await verifyPassword(WEAK_HASHES[0], PASSWORD)).toEqual({ ok: false, rehash: false });
});

test.each([
  ['$1$salt$abcdefghijklmnopqrstuv', '$1$'],
  ['$5$salt$abc', '$5$'],
  ['$argon2i$v=19$m=4096,t=3,p=1$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A', '$argon2i$'],
  ['{SSHA}abcdef', '{SSHA}'],
  ['Salasana123', 'unknown'],
  [`wrapped$md5$x$${OLD_HASHES[0]}`, 'wrapped$'],
  ['md5$salt$tooshort', 'md5$'],
])('a hash that we cannot check is named by its form alone: %s', (hash, form) => {
  expect(restingHash(hash, sealer)).toEqual({ unusable: form });
});

test.each([
  '$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHRzYWx0$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A',
  '$argon2id$v=19$m=65536,t=999999,p=1$c29tZXNhbHRzYWx0$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A',
  '$argon2id$v=19$m=8,t=1,p=9999999$c29tZXNhbHRzYWx0$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A',
  '$argon2id$v=19$m=8192,m=8192,p=1$c29tZXNhbHRzYWx0$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A',
  '$scrypt$ln=30,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$UI3KZrE6YzKg8t3gLKdbtEWRi/HYkZ69/tSgJGWhEYw',
  'pbkdf2_sha256$999999999$saltsalt$7F/C4ZaPS11rb8IY23IXs979kMf957OI9EH4XuSahrY=',
  '$2b$31$saltsaltsaltsaltsaltsukdaa3tOImfWikQBFNFLu1jRfGTaoyiu',
  `$6$rounds=999999999$salt$${'a'.repeat(86)}`,
  `md5$${'a'.repeat(2000)}$9cdd9de39830464d6f216bc70c13232f`,
])('a hash that asks for gigabytes or minutes is refused: %.60s', (hash) => {
  expect(restingHash(hash, sealer)).toHaveProperty('unusable');
});

test('SHA-512 crypt gives the published results', () => {
  const short = { salt: 'saltstring', rounds: 5000 };
  expect(sha512Crypt('Hello world!', short)).toBe(
    'svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1',
  );
  expect(sha512Crypt('Hello world!', { salt: 'saltstringsaltst', rounds: 10_000 })).toBe(
    'OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.',
  );
});

test('an unknown address costs about what a known one does', async () => {
  const hash = await hashPassword(PASSWORD);
  // Processor time, the least of many: what else the machine does makes it no less.
  const cost = async (stored?: string): Promise<number> => {
    const start = process.cpuUsage();
    await verifyPassword(stored, 'väärä salasana');
    const { user, system } = process.cpuUsage(start);
    return user + system;
  };
  let [unknown, known] = [Infinity, Infinity];
  for (let i = 0; i < 9; i++) [unknown, known] = [Math.min(unknown, await cost()), Math.min(known, await cost(hash))];
  expect(unknown / known).toBeGreaterThan(0.5);
  expect(unknown / known).toBeLessThan(2);
});

test('past a bounded queue a check is refused as busy at once, and the others still finish', async () => {
  const tries = await Promise.allSettled(Array.from({ length: 600 }, () => verifyPassword(undefined, 'x')));
  const refused = tries.filter((one) => one.status === 'rejected');
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.every((one) => one.reason instanceof Problem && one.reason.status === 503)).toBe(true);
  expect((refused[0]!.reason as Problem).retryAfter).toBeGreaterThan(0);
  expect(await verifyPassword(undefined, 'x')).toEqual({ ok: false, rehash: false });
});

describe('new passwords', () => {
  const resident = { minLength: 15, email: 'matti.virtanen@example.com', names: ['Matti', 'Virtanen'] };

  test('length counts code points', () => {
    expect(passwordFaults('kettu söi 5 pul', resident)).toEqual([]);
    expect(passwordFaults('kettu söi 5 pu', resident)).toEqual(['too_short']);
    expect(passwordFaults('🦊🐻🐺🐗🐴🦄🐝🐛', resident)).toEqual(['too_short']);
    expect(passwordFaults('kettu söi 5 pu'.padEnd(257, ' pulla'), resident)).toEqual(['too_long']);
    expect(passwordFaults('kettu söi 5 pu'.padEnd(256, ' pulla'), resident)).toEqual([]);
  });

  test.each([
    'salasanasalasana',
    'Matti.Virtanen@example.com',
    'MattiVirtanen123',
    'tunnustunnustunnus',
    'aaaaaaaaaaaaaaaaaaa',
    '123456789012345',
    'qwertyuiopåasdfghjkl',
    'abababababababab',
    'salasana12345678',
  ])('%s is too easy', (plain) => {
    expect(passwordFaults(plain, resident)).toEqual(['common']);
  });

  test('a passphrase with a common word in it is fine', () => {
    expect(passwordFaults('aurinko nousee kello viisi', resident)).toEqual([]);
  });
});
