/** The kind of device that a browser says it is. */
import { expect, test } from '@jest/globals';
import { LANGUAGES, loadTexts } from '../../src/platform/i18n.ts';
import { deviceName, deviceOf } from '../../src/platform/user-agent.ts';
import { NASTY } from '../support/nasty.ts';

const WEBKIT = 'AppleWebKit/537.36 (KHTML, like Gecko)';
const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)';

test.each([
  [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`, 'Chrome, Windows'],
  [`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0`, 'Edge, macOS'],
  [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36 OPR/120.0`, 'Opera, Windows'],
  ['Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', 'Firefox, Linux'],
  [`${PHONE} Version/18.1 Mobile/15E148 Safari/604.1`, 'Safari, iOS'],
  [`${PHONE} CriOS/142.0 Mobile/15E148 Safari/604.1`, 'Chrome, iOS'],
  [
    `Mozilla/5.0 (Linux; Android 14; SM-S911B) ${WEBKIT} SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36`,
    'Samsung Internet, Android',
  ],
  [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`, 'Chrome, ChromeOS'],
  ['curl/8.5.0', 'other browser, other system'],
  ['', 'other browser, other system'],
  [undefined, 'other browser, other system'],
])('%.60s is %s', (userAgent, name) => {
  expect(deviceName(loadTexts('Europe/Helsinki').for('en'), deviceOf(userAgent))).toBe(name);
});

test('every language has a word for what is unknown', () => {
  const names = LANGUAGES.map((language) => deviceName(loadTexts('Europe/Helsinki').for(language), deviceOf('curl')));
  expect(new Set(names).size).toBe(LANGUAGES.length);
});

test('a hostile header is harmless: quick to read, and nothing of it comes out', () => {
  const attacks = [
    ...Object.values(NASTY),
    'constructor',
    '__proto__/1.0 (__proto__)',
    ...['Mozilla/5.0 ', '(', 'Windows NT ', 'Version/1 ', 'like Mac OS X ', ' ', '/', 'a'].map((one) =>
      one.repeat(20_000),
    ),
  ];
  const begun = process.cpuUsage();
  for (const attack of attacks)
    expect(deviceName((key) => key, deviceOf(attack))).toMatch(/^[\w. ]{2,24}, [\w.]{3,24}$/);
  const { user, system } = process.cpuUsage(begun);
  expect((user + system) / 1000 / attacks.length).toBeLessThan(20);
});
