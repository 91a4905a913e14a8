import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as swift from '@node-rs/argon2';
import argon2 from 'argon2';
import { newPasswords } from '../../src/journeys/new-password.ts';
import { Problem } from '../../src/platform/refusal.ts';
import { COST, engine } from '../../src/records/hashing.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { breachedPasswords, inFile } from '../../src/records/breached-passwords.ts';
import { readHash } from '../../src/records/password-forms.ts';
import { hashingOf, hashPassword, restingHash, verifyPassword, wrapWeakHash } from '../../src/records/passwords.ts';
import { waitingLine } from '../../src/records/waiting-line.ts';
import { sha512Crypt } from '../../src/records/sha512-crypt.ts';
import { OLD_HASHES, OLD_PASSWORD, WEAK_HASHES } from '../support/old-hashes.ts';

const PASSWORD = OLD_PASSWORD;
const sealer = makeSealer(['a secret of thirty-two characters!']);

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

describe('while more wait than can be hashed', () => {
  const MINUTE = 60_000;
  const stranger = (whose: string) => ({ known: false, whose });
  /** Takes them in, one a second; who is turned away, and in which order the others come. */
  const queue = (askers: ({ known: boolean; whose: string } | undefined)[], { most = 99, start = 0 } = {}) => {
    const line = waitingLine();
    const order: number[] = [];
    const away: number[] = [];
    const turns = askers.map((asker, i) => {
      const turn = line.turnOf(asker, start + i * 1000);
      line.join({ turn, admit: () => order.push(i), turnAway: () => away.push(i) }, most);
      return turn;
    });
    while (line.admitNext());
    return { order, away, turns, line };
  };

  test('who is known comes first, work that can wait last, and otherwise who came first', () => {
    const known = { known: true, whose: 'a' };
    expect(queue([undefined, stranger('x'), stranger('y'), known, stranger('z')]).order).toEqual([3, 1, 2, 4, 0]);
  });

  test('one neighbourhood or one account takes no more than its turn, and a full line turns away its last', () => {
    const crowd = Array<{ known: boolean; whose: string }>(5).fill(stranger('guesser'));
    expect(queue([...crowd, stranger('resident')], { most: 4 })).toMatchObject({ order: [0, 5, 1, 2], away: [4, 3] });
    const mine = { known: true, whose: 'an attacker with an account' };
    expect(queue([mine, mine, mine, { known: true, whose: 'another' }], { most: 3 })).toMatchObject({
      order: [0, 3, 1],
      away: [2],
    });
  });

  test('what failed is remembered for an hour at most, what was right is not', () => {
    const { turns, line } = queue([...Array<{ known: boolean; whose: string }>(9).fill(stranger('guesser'))]);
    expect(line.turnOf(stranger('guesser'), 10_000).due).toBe(8000 + 60 * MINUTE);
    expect(line.turnOf(stranger('guesser'), 62 * MINUTE).due).toBe(62 * MINUTE);
    const right = queue([stranger('school'), stranger('school')]);
    for (const turn of right.turns) turn.giveBack();
    expect(right.line.turnOf(stranger('school'), 2000).due).toBe(2000);
    expect(turns[1]!.due).toBe(10 * MINUTE);
  });
});

describe('a pepper', () => {
  const cheap = { memory: 7_168, iterations: 1, parallelism: 1 };
  const [first, second] = ['the first pepper of thirty-two characters', 'the second pepper of thirty-two characters'];
  const hashing = (...pepper: string[]) => hashingOf({ argon2: cheap, pepper });

  test('stands in no hash: without it the right password opens nothing', async () => {
    const hash = await hashPassword(PASSWORD, hashing(first));
    expect(hash).toMatch(/^peppered\$[\w-]{8}\$argon2id\$v=19\$m=7168,t=1,p=1\$/);
    const verify = (...pepper: string[]) => verifyPassword(hash, PASSWORD, { hashing: hashing(...pepper) });
    expect(await verify(first)).toEqual({ ok: true, rehash: false });
    expect(await verify()).toEqual({ ok: false, rehash: false });
    expect(await verify(second)).toEqual({ ok: false, rehash: false });
    const { inner } = readHash(hash) as { inner: { phc: string } };
    expect(await argon2.verify(inner.phc, PASSWORD)).toBe(false);
  });

  test('changes by putting a new one first: old hashes verify and ask to be replaced, and so do those without any', async () => {
    const [old, bare] = [await hashPassword(PASSWORD, hashing(first)), await hashPassword(PASSWORD, hashing())];
    const both = { hashing: hashing(second, first) };
    expect(await verifyPassword(old, PASSWORD.normalize('NFD'), both)).toEqual({ ok: true, rehash: true });
    expect(await verifyPassword(bare, PASSWORD, both)).toEqual({ ok: true, rehash: true });
    expect(await verifyPassword(await hashPassword(PASSWORD, both.hashing), PASSWORD, both)).toEqual({
      ok: true,
      rehash: false,
    });
    expect(await verifyPassword(old, `${PASSWORD}0`, both)).toEqual({ ok: false, rehash: false });
  });

  test('is laid on alike whichever library hashes', async () => {
    const hash = await hashPassword(PASSWORD, hashing(first));
    const { inner } = readHash(hash) as { inner: { phc: string } };
    const typed = hashing(first).peppers[0]!.over(PASSWORD.normalize('NFC'));
    expect([await argon2.verify(inner.phc, typed), await swift.verify(inner.phc, typed)]).toEqual([true, true]);
    const other = hash.replace(inner.phc, await argon2.hash(typed, hashing().cost));
    expect(await verifyPassword(other, PASSWORD, { hashing: hashing(first) })).toEqual({ ok: true, rehash: false });
  });

  test('is no form that a list may bring', () => {
    expect(restingHash(`peppered$abcdefgh${OLD_HASHES[0]}`, sealer)).toEqual({ unusable: 'peppered$' });
  });
});

test('other parameters than those in use ask for a new hash, weaker and stronger ones', async () => {
  const weak = hashingOf({ argon2: { memory: 7_168, iterations: 1, parallelism: 1 }, pepper: [] });
  const hash = await hashPassword(PASSWORD, weak);
  expect(await verifyPassword(hash, PASSWORD, { hashing: weak })).toEqual({ ok: true, rehash: false });
  expect(await verifyPassword(hash, PASSWORD)).toEqual({ ok: true, rehash: true });
  expect(await verifyPassword(await hashPassword(PASSWORD), PASSWORD, { hashing: weak })).toEqual({
    ok: true,
    rehash: true,
  });
});

describe('new passwords', () => {
  const resident = { email: 'matti.virtanen@example.com', givenName: 'Matti', familyName: 'Virtanen' };
  const rules = newPasswords({
    config: {
      password: { minLength: 15, argon2: { memory: 0, iterations: 0, parallelism: 0 }, pepper: [], breached: {} },
    },
    names: () => ['Kotikaupungin Palvelu', 'Pysäköintitunnus'],
    breached: (plain) => Promise.resolve(plain.includes('vuotanut')),
  });
  const fault = (plain: string) => rules.fault(plain, resident);

  test('length counts code points, and every character is allowed', async () => {
    expect(await fault('kettu söi 5 pul')).toBeUndefined();
    expect(await fault('kettu söi 5 pu')).toBe('too_short');
    expect(await fault('kettu söi 5 pul'.normalize('NFD').slice(0, 15))).toBe('too_short');
    expect(await fault('🦊🐻🐺🐗🐴🦄🐝🐛')).toBe('too_short');
    expect(await fault('🦊🐻🐺🐗🐴🦄🐝🐛🐌🐞🐜🦂🦟🐢🐍')).toBeUndefined();
    expect(await fault('kettu söi 5 pu'.padEnd(257, ' pulla'))).toBe('too_long');
    expect(await fault('kettu söi 5 pu'.padEnd(256, ' pulla'))).toBeUndefined();
  });

  test.each([
    ['salasanasalasana', 'guessable'],
    ['Matti.Virtanen@example.com', 'personal'],
    ['MattiVirtanen123', 'personal'],
    ['virtanen virtanen', 'personal'],
    ['Pysäköintitunnus1', 'personal'],
    ['kotikaupungin palvelu', 'personal'],
    ['passwordpassword', 'common'],
    ['q1w2e3r4t5y6u7i8o9p0', 'common'],
    ['aaaaaaaaaaaaaaaaaaa', 'guessable'],
    ['1234567890Qwerty', 'common'],
    ['qwertyuiopåasdfghjkl', 'guessable'],
    ['abababababababab', 'guessable'],
    ['salasana12345678', 'guessable'],
    ['sommarsommar2026', 'guessable'],
    ['hejsanhejsan2026', 'guessable'],
    ['Välkommen2026!!!', 'guessable'],
    ['jääkiekko2026!!', 'guessable'],
    ['Welcome2026Welcome', 'guessable'],
    ['p@ssw0rdp@ssw0rd', 'guessable'],
    ['valokuva vuotanut kesäyö', 'breached'],
  ])('%s is refused: %s', async (plain, why) => {
    expect(await fault(plain)).toBe(why);
  });

  test.each([
    'aurinko nousee kello viisi',
    'katten sover på gröna taket',
    'kolme vihreää omenaa pöydällä',
    'gX9#kQ2!vTz7&bLw',
  ])('what is made of several words, or at random, is fine: %s', async (plain) => {
    expect(await fault(plain)).toBeUndefined();
  });

  test('the longest password is judged in moments, whatever it is made of, and holds nobody else up', async () => {
    const random = Array.from({ length: 256 }, (_, i) => String.fromCharCode(33 + ((i * 37) % 90))).join('');
    const worst = [random, ...['a', 'aB3$', 'p@ssw0rd', '4@', '1', 'ä̈'].map((one) => one.repeat(256).slice(0, 256))];
    await fault(random);
    const begun = performance.now();
    await Promise.all(worst.map(fault));
    const each = (performance.now() - begun) / worst.length;
    // Some 10 ms on a quiet machine; without the limits in the thread the same takes seconds.
    expect(each).toBeLessThan(250);
    const book = { ...resident, givenName: 'Matti '.repeat(20_000) };
    expect(await rules.fault('matti matti matti', book)).toBe('personal');
  });
});

describe('passwords known from breaches', () => {
  const sha1 = (plain: string) => createHash('sha1').update(plain).digest('hex').toUpperCase();
  const log: string[] = [];
  const parts = {
    log: makeLog({ destination: { write: (line: string) => log.push(line) } as unknown as NodeJS.WritableStream }),
  };
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  });
  let url: string;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tunnus-breached-'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/range/`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  beforeEach(() => {
    log.length = 0;
    asked.length = 0;
  });

  test('are found in a file in the order of hashes, the first, the last and any between, with line ends of either kind', async () => {
    const all = Array.from({ length: 1000 }, (_, i) => `vuotanut ${i}`);
    for (const [name, end, count] of [
      ['unix', '\n', ':12'],
      ['dos', '\r\n', ':123456789'],
      ['bare', '\n', ''],
    ] as const) {
      const file = join(folder, name);
      const lines = all.map(sha1).sort();
      await writeFile(file, lines.map((hash) => hash + count).join(end));
      const found = await Promise.all(lines.map((hash) => inFile(file, hash)));
      expect(found.every(Boolean)).toBe(true);
      const absent = await Promise.all(all.map((plain) => inFile(file, sha1(`${plain} ei`))));
      expect(absent.some(Boolean)).toBe(false);
      const breached = breachedPasswords({ ...parts, file });
      expect([await breached('vuotanut 7'), await breached('vuotamaton')]).toEqual([true, false]);
    }
  });

  test('a file that is empty, full of something else or gone refuses nobody, and the log says what is wrong', async () => {
    const [empty, other] = [join(folder, 'empty'), join(folder, 'other')];
    await writeFile(empty, '');
    await writeFile(other, 'x'.repeat(100_000));
    for (const file of [empty, other, join(folder, 'none')])
      expect(await breachedPasswords({ ...parts, file })('vuotanut 1')).toBe(false);
    expect(log).toHaveLength(1);
    expect(log[0]).toContain('the file of breached passwords could not be read');
  });

  test('are asked for at a range service by five digits of the hash, and padding is no hit', async () => {
    answer = (_, response) =>
      response.end(['0'.repeat(35), sha1('vuotanut 1').slice(5)].map((rest, i) => `${rest}:${i * 3}`).join('\r\n'));
    const breached = breachedPasswords({ ...parts, url });
    expect(await breached('vuotanut 1')).toBe(true);
    expect(asked[0]!.url).toBe(`/range/${sha1('vuotanut 1').slice(0, 5)}`);
    expect(asked[0]!.headers).toMatchObject({ 'add-padding': 'true' });
    expect(await breached('jokin muu')).toBe(false);
    answer = (_, response) => response.end(`${sha1('vuotanut 1').slice(5)}:0`);
    expect(await breached('vuotanut 1')).toBe(false);
  });

  test.each<[string, (response: ServerResponse) => void]>([
    ['hangs', () => undefined],
    ['fails', (response) => response.writeHead(500).end('oops')],
    ['leads elsewhere', (response) => response.writeHead(302, { location: '/elsewhere' }).end()],
    ['hangs up', (response) => response.destroy()],
    ['sends garbage', (response) => response.end('<html>'.repeat(100_000))],
    ['sends a part and hangs', (response) => void response.write('ABC')],
  ])('a service that %s refuses nobody and keeps nobody waiting', async (_, does) => {
    answer = (_request, response) => does(response);
    const begun = performance.now();
    expect(await breachedPasswords({ ...parts, url })('vuotanut 1')).toBe(false);
    expect(performance.now() - begun).toBeLessThan(3000);
    expect(log.join('')).not.toContain(sha1('vuotanut 1').slice(0, 5));
  });
});
