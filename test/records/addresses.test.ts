import { describe, expect, test } from '@jest/globals';
import { canonicalAddress, displayAddress, mixedScript, suggestion } from '../../src/records/addresses.ts';

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
