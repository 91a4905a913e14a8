import { describe, expect, test } from '@jest/globals';
import { chooseLanguage, LANGUAGES, loadTexts } from '../../src/platform/i18n.ts';

const texts = loadTexts('Europe/Helsinki');
const HOUR = 3_600_000;

describe('the language of a page', () => {
  const offer = ['fi', 'sv', 'en'] as const;

  test('is what the e-service asked for, then the resident’s own choice, then the browser’s, then the first', () => {
    const all = { uiLocales: 'sv', own: 'en', cookie: 'fi', acceptLanguage: 'fi' };
    expect(chooseLanguage(offer, all)).toBe('sv');
    expect(chooseLanguage(offer, { ...all, uiLocales: undefined })).toBe('en');
    expect(chooseLanguage(offer, { cookie: 'sv', acceptLanguage: 'en' })).toBe('sv');
    expect(chooseLanguage(offer, { acceptLanguage: 'en' })).toBe('en');
    expect(chooseLanguage(['sv', 'fi'], {})).toBe('sv');
  });

  test('is found by the language of a regional tag, and never one that the city does not offer', () => {
    expect(chooseLanguage(offer, { uiLocales: 'de sv-FI en' })).toBe('sv');
    expect(chooseLanguage(['fi'], { uiLocales: 'sv', acceptLanguage: 'en' })).toBe('fi');
  });

  test('follows the weights of Accept-Language, and survives nonsense in it', () => {
    expect(chooseLanguage(offer, { acceptLanguage: 'fi;q=0.2, en;q=0.9, sv;q=0' })).toBe('en');
    expect(chooseLanguage(offer, { acceptLanguage: ';;,,q=\u0000;q=x' })).toBe('fi');
    expect(chooseLanguage(offer, { acceptLanguage: 'x'.repeat(100_000) })).toBe('fi');
  });
});

describe('the texts', () => {
  test('are the same keys in every language', () => {
    for (const language of LANGUAGES) expect(texts.keys(language).sort()).toEqual(texts.keys('fi').sort());
  });

  test('use the same placeholders in every language', () => {
    const placeholders = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!).sort();
    for (const key of texts.keys('fi').filter((name) => !name.startsWith('duration.'))) {
      const [fi, sv, en] = LANGUAGES.map((language) => placeholders(texts.for(language)(key)));
      expect({ key, placeholders: sv }).toEqual({ key, placeholders: fi });
      expect({ key, placeholders: en }).toEqual({ key, placeholders: fi });
    }
  });

  test('take what a stranger typed as it is: no placeholder and no reference in it is followed', () => {
    const email = '$t(common.password){email}<b>@x.fi';
    expect(texts.for('en')('link-sent.notice', { email })).toBe(
      `We have sent a link to ${email}. Use it to set a new password.`,
    );
  });

  test('that do not exist are a fault', () => {
    expect(() => texts.for('fi')('no.such')).toThrow('no.such');
    expect(texts.has('no.such')).toBe(false);
  });
});

describe('a span of time', () => {
  test('stands in the case that its Finnish sentence asks for', () => {
    expect(texts.duration('fi', 24 * HOUR, 'lasting')).toBe('24 tuntia');
    expect(texts.duration('fi', HOUR, 'lasting')).toBe('1 tunnin');
    expect(texts.duration('fi', 24 * HOUR, 'after')).toBe('24 tunnin');
    expect(texts.duration('fi', 12 * 60_000, 'after')).toBe('12 minuutin');
    expect(texts.duration('sv', HOUR, 'lasting')).toBe('1 timme');
    expect(texts.duration('en', 7 * 24 * HOUR, 'lasting')).toBe('7 days');
  });

  test('is rounded up, so that nobody comes back too early', () => {
    expect(texts.duration('en', 1, 'after')).toBe('1 minute');
    expect(texts.duration('en', 61_000, 'after')).toBe('2 minutes');
    expect(texts.duration('en', 2 * HOUR + 1, 'after')).toBe('3 hours');
  });
});

describe('a day and a moment', () => {
  test('are those of the city, also where the clocks change', () => {
    const told = (timeZone: string, at: string) => {
      const city = loadTexts(timeZone);
      return [city.day('en', new Date(at)), city.moment('en', new Date(at))];
    };
    // The hour from 3 to 4 comes twice in Helsinki on 25 October 2026, and not at all on 29 March.
    expect(told('Europe/Helsinki', '2026-10-25T00:30:00Z')[1]).toBe('25 Oct 2026, 03:30');
    expect(told('Europe/Helsinki', '2026-10-25T01:30:00Z')[1]).toBe('25 Oct 2026, 03:30');
    expect(told('Europe/Helsinki', '2026-03-29T01:00:00Z')[1]).toBe('29 Mar 2026, 04:00');
    expect(told('Europe/Helsinki', '2028-02-28T22:00:00Z')).toEqual(['29 February 2028', '29 Feb 2028, 00:00']);
    expect(told('America/New_York', '2028-03-01T04:59:00Z')).toEqual(['29 February 2028', '29 Feb 2028, 23:59']);
  });
});
