import { domainToASCII } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sql } from '../../src/platform/database.ts';
import { canonicalAddress, displayAddress, mixedScript, suggestion } from '../../src/records/addresses.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

describe('what is one address', () => {
  test.each([
    ['Matti.Virtanen@Example.COM', 'matti.virtanen@example.com'],
    ['  matti@example.com\u00a0\n', 'matti@example.com'],
    ['\ufeffmatti@example.com\u200b', 'matti@example.com'],
    ['ma\u0308rta@example.com', 'märta@example.com'],
    ['MÄRTA@example.com', 'märta@example.com'],
    ['matti@Väinö.example', 'matti@xn--vin-qla6g.example'],
    ['matti@XN--VIN-QLA6G.example', 'matti@xn--vin-qla6g.example'],
    ['matti@example．com', 'matti@example.com'],
    ['matti@BÜCHER.Example', 'matti@xn--bcher-kva.example'],
    ['STRAẞE@example.com', 'straße@example.com'],
    ['matti@straße.example', 'matti@xn--strae-oqa.example'],
    ['ΟΔΟΣ@example.com', 'οδοσ@example.com'],
    ["o'brien+tag@example.com", "o'brien+tag@example.com"],
  ])('%j is %s', (typed, canonical) => {
    expect(canonicalAddress(typed)).toBe(canonical);
    expect(canonicalAddress(canonical)).toBe(canonical);
  });

  test.each([
    '',
    '-',
    '@',
    'matti',
    'matti@',
    '@example.com',
    'a@b',
    'matti@@example.com',
    'matti@example,com',
    'ei sähköpostia',
    'matti virtanen@example.com',
    'mailto:matti@example.com',
    'matti@example..com',
    '.matti@example.com',
    'matti.@example.com',
    'ma..tti@example.com',
    '"a@b"@example.com',
    'matti(työ)@example.com',
    '"matti"@example.com',
    'matti@[127.0.0.1]',
    'matti@127.0.0.1',
    'matti@0x7f.1',
    'matti@example.com.',
    'matti@-example.com',
    'matti@ex%61mple.com',
    'matti@exam\u00adple.com',
    'ma\u200btti@example.com',
    'ma\0tti@example.com',
    'matti@example.com\r\nBcc: all@example.com',
    'a,b@example.com',
    'a<b>@example.com',
    `${'a'.repeat(65)}@example.com`,
    `matti@${'a'.repeat(64)}.example`,
    `matti@${'abcdefgh.'.repeat(30)}example`,
    'x'.repeat(1_000_000),
  ])('%j is none', (typed) => {
    expect(canonicalAddress(typed)).toBeUndefined();
  });

  test('a Kelvin sign or full-width letter never passes for the plain letter, nor makes an address of its own', () => {
    expect(canonicalAddress('\u212aari@example.com')).toBeUndefined();
    expect(canonicalAddress('ｋari@example.com')).toBeUndefined();
  });

  test('dotless and dotted i stay what they are', () => {
    expect(canonicalAddress('ırma@example.com')).not.toBe(canonicalAddress('irma@example.com'));
    expect(canonicalAddress('İrma@example.com')).not.toBe(canonicalAddress('irma@example.com'));
  });

  test('the written form is kept for display, without what copying brought along', () => {
    expect(displayAddress('  Matti.Virtanen@Example.COM ')).toBe('Matti.Virtanen@Example.COM');
  });
});

describe('whatever is typed', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase();
  });
  afterAll(() => db.drop());

  // Letters that some mapping of Unicode would turn into others, beside plain ones.
  const letter = fc.constantFrom(
    ...'aAiIkKsSäÄåÅöÖßẞıİſσςΣéÉ',
    'a\u0308', 'i\u0307', '\u212a', '\u212b', '\u00c5', 'ｋ', 'Ａ', 'ﬁ', 'ǆ', 'а', 'о', 'ο', '.', '-', '_', '+', '1',
  ); // prettier-ignore
  const part = fc.array(letter, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
  const typed = fc.oneof(
    fc.tuple(part, part).map(([local, label]) => `${local}@${label}.example`),
    fc.tuple(fc.string({ unit: 'grapheme' }), part).map(([local, label]) => `${local}@${label}.fi`),
  );
  const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

  test('its canonical form is its own canonical form, whatever the case, the composition and the space around', () => {
    fc.assert(
      fc.property(typed, (address) => {
        const canonical = canonicalAddress(address);
        if (canonical === undefined) return;
        expect(canonicalAddress(canonical)).toBe(canonical);
        expect(canonicalAddress(`  ${address.normalize('NFD')}\u00a0`)).toBe(canonical);
        expect(canonical).toBe(canonical.normalize('NFC'));
      }),
      { numRuns },
    );
  });

  test('the short way for plain addresses gives what the long one does', () => {
    const plain = fc.stringMatching(/^[A-Za-z0-9.+_'%-]{1,8}@[A-Za-z0-9.%_-]{1,12}\.[a-z0-9]{1,3}$/);
    fc.assert(
      fc.property(plain, (address) => {
        const [local, domain] = address.split('@') as [string, string];
        const canonical = canonicalAddress(address);
        // A letter beyond ASCII in front takes the long way; it changes nothing of the rest.
        const long = canonicalAddress(`ä${local}@${domain}`);
        if (!local.startsWith('.')) expect(canonical && `ä${canonical}`).toBe(long);
        if (canonical) expect(canonical).toBe(`${local.toLowerCase()}@${domainToASCII(domain)}`);
      }),
      { numRuns },
    );
  });

  test('two forms are one in the database exactly when they are one here', async () => {
    const keys = fc.sample(typed, { numRuns: 600, seed: 7 }).map(canonicalAddress);
    const known = [...new Set(keys.filter((key) => key !== undefined))];
    await db.database.query(sql`
      insert into accounts (email, email_key, created_at, updated_at)
      select key, key, now(), now() from unnest(${known}::text[]) as key`);
    const kept = await db.database.query<{ key: string; same: boolean }>(sql`
      select email_key as key, email_key = normalize(lower(email_key), NFC) as same from accounts`);
    expect(kept.map(({ key }) => key).sort()).toEqual([...known].sort());
    expect(kept.filter(({ same }) => !same)).toEqual([]);
  });
});

describe('what imitates another address', () => {
  test.each(['mаtti@example.com', 'сосо@example.com', 'matti@exаmple.com', 'ırma@example.com', 'mαtti@example.com'])(
    '%j does',
    (typed) => {
      expect(mixedScript(canonicalAddress(typed)!)).toBe(true);
    },
  );

  test.each([
    'matti@example.com',
    'märta.öhman@example.com',
    'пример@example.com',
    'matti@пример.example',
    'señor@example.com',
  ])('%j does not', (typed) => {
    expect(mixedScript(canonicalAddress(typed)!)).toBe(false);
  });
});

describe('did you mean', () => {
  test.each([
    ['Matti.Virtanen@gmial.com', 'Matti.Virtanen@gmail.com'],
    ['matti@gmail.con', 'matti@gmail.com'],
    ['matti@gmail.co', 'matti@gmail.com'],
    ['matti@hotmial.com', 'matti@hotmail.com'],
    ['matti@outlok.com', 'matti@outlook.com'],
    ['matti@luuku.com', 'matti@luukku.com'],
    ['matti@columbus.fi', 'matti@kolumbus.fi'],
    ['matti@saunalathi.fi', 'matti@saunalahti.fi'],
    ['matti@icluod.com', 'matti@icloud.com'],
  ])('%s: %s', (typed, meant) => {
    expect(suggestion(typed)).toBe(meant);
  });

  test.each([
    'matti@gmail.com',
    'matti@mail.com',
    'matti@live.fi',
    'matti@lieto.fi',
    'matti@example.com',
    'matti@me.fi',
    'no address',
  ])('%s: nothing', (typed) => {
    expect(suggestion(typed)).toBeUndefined();
  });
});
