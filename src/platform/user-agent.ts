/**
 * What kind of device a browser says it is: the family of the browser and the system under it, from a closed list each, so
 * that nothing of what a stranger writes into the header goes any further. It tells devices apart for the resident's own
 * eyes; it proves nothing, since anybody can say it.
 */
import Bowser from 'bowser';
import type { Translate } from './i18n.ts';

export const BROWSERS = {
  chrome: 'Chrome',
  edge: 'Edge',
  firefox: 'Firefox',
  opera: 'Opera',
  safari: 'Safari',
  samsung: 'Samsung Internet',
  other: undefined,
} as const;

export const SYSTEMS = {
  android: 'Android',
  chromeos: 'ChromeOS',
  ios: 'iOS',
  linux: 'Linux',
  macos: 'macOS',
  windows: 'Windows',
  other: undefined,
} as const;

export interface DeviceKind {
  browser: keyof typeof BROWSERS;
  system: keyof typeof SYSTEMS;
}

const BROWSER_OF: Readonly<Record<string, DeviceKind['browser']>> = {
  Chrome: 'chrome',
  Chromium: 'chrome',
  'Microsoft Edge': 'edge',
  Firefox: 'firefox',
  Opera: 'opera',
  Safari: 'safari',
  'Samsung Internet for Android': 'samsung',
};
const SYSTEM_OF: Readonly<Record<string, DeviceKind['system']>> = {
  Android: 'android',
  'Chrome OS': 'chromeos',
  iOS: 'ios',
  Linux: 'linux',
  macOS: 'macos',
  Windows: 'windows',
};

/** Real ones have some 200 characters; what is longer is not looked at, so that no shape of it costs much. */
const LONGEST = 400;

/** Reading one takes hundreds of expressions, and a city's browsers are of some hundred kinds. */
const known = new Map<string, DeviceKind>();
const MOST_KNOWN = 500;

/** From a User-Agent header as it came; 'other' for what is unknown, missing or no browser's. */
export function deviceOf(userAgent: string | undefined): DeviceKind {
  const said = (userAgent || '-').slice(0, LONGEST);
  let kind = known.get(said);
  if (!kind) {
    const { browser, os } = Bowser.parse(said);
    kind = { browser: pick(BROWSER_OF, browser.name), system: pick(SYSTEM_OF, os.name) };
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(said, kind);
  }
  return kind;
}

const pick = <T>(kinds: Readonly<Record<string, T>>, name = ''): T | 'other' =>
  Object.hasOwn(kinds, name) ? kinds[name]! : 'other';

/** As residents say it: 'Firefox, Windows'. */
export function deviceName(t: Translate, { browser, system }: DeviceKind): string {
  return `${BROWSERS[browser] ?? t('device.other_browser')}, ${SYSTEMS[system] ?? t('device.other_system')}`;
}
