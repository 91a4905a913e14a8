/**
 * Owns the kinds of value that a configuration key can hold: how each is written and what it becomes.
 * A schema's message is only what is expected (shape.ts tells what is wrong). Owns no key.
 */
import { z } from 'zod';
import type { TextByLanguage } from '../config.ts';
import { LANGUAGES, type Language } from '../platform/i18n.ts';

/** How sure a sign-in is: a password alone, or two steps (a passkey that verifies its user is both at once). */
export const ACR = { password: 'urn:tunnus:password', mfa: 'urn:tunnus:mfa' } as const;
export type Acr = (typeof ACR)[keyof typeof ACR];

/** A value that `parse` understands; it answers undefined to any other. */
export function value<T>(expected: string, parse: (given: unknown) => T | undefined): z.ZodType<T> {
  return z.unknown().transform((given, context): T => {
    const parsed = parse(given);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

/** A text that passes; `test` looks at it trimmed of nothing. */
export const text = (
  expected: string,
  test: (given: string) => boolean = (given) => given.trim() !== '',
): z.ZodType<string> => value(expected, (given) => (typeof given === 'string' && test(given) ? given : undefined));

export const oneOf = <const T extends string>(...choices: readonly T[]): z.ZodType<T> =>
  value(choices.join(', ').replace(/, ([^,]*)$/, ' or $1'), (given) => choices.find((choice) => choice === given));

export const list = <T>(item: z.ZodType<T>, expected: string): z.ZodType<T[]> =>
  z
    .array(item, { error: expected })
    .min(1, expected)
    .refine((items) => new Set(items).size === items.length, { error: `${expected}, each once` });

/** A value or a list of them. */
export const oneOrMore = <T>(item: z.ZodType<T>, expected: string): z.ZodType<T[]> =>
  z.preprocess((given): unknown[] => (Array.isArray(given) ? given : [given]), list(item, expected));

/** What came from the environment is text, `true` too. */
export const yesOrNo = value('true or false', (given) => {
  if (given === true || given === 'true') return true;
  return given === false || given === 'false' ? false : undefined;
});

export const whole = (least: number, most: number): z.ZodType<number> =>
  value(`a whole number from ${least} to ${most}`, (given) => {
    const number = typeof given === 'string' && /^\d{1,9}$/.test(given) ? Number(given) : given;
    return typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most
      ? number
      : undefined;
  });

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export function milliseconds(written: string): number | undefined {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(written) ?? [];
  return count && unit ? Number(count) * UNITS[unit as keyof typeof UNITS] : undefined;
}

/** Becomes milliseconds. */
export const duration = (least: string, most: string): z.ZodType<number> =>
  value(`a time from ${least} to ${most}, written like 30m, 24h or 14d`, (given) => {
    const time = typeof given === 'string' ? milliseconds(given) : undefined;
    return time !== undefined && time >= milliseconds(least)! && time <= milliseconds(most)! ? time : undefined;
  });

export const SECRET_LENGTH = 32;
// RFC 6749, appendix A.2: what a client secret may be made of. The own secrets follow it, so that one rule holds.
const SECRET = new RegExp(`^[\\x20-\\x7e]{${SECRET_LENGTH},1024}$`);
const SECRET_EXPECTED = `${SECRET_LENGTH} or more printable ASCII characters in quotes, for example from \`openssl rand -base64 48\``;

// One key held down, or a few, is long but no secret; a random text of this length has ten or more.
const FEWEST_CHARACTERS = 8;
const VARIETY_EXPECTED = `at least ${FEWEST_CHARACTERS} different characters, for example from \`openssl rand -base64 48\``;

/** One, or two while it is being changed. Never shown in a fault. */
export const secrets = oneOrMore(
  text(SECRET_EXPECTED, (given) => SECRET.test(given)).refine(
    (given) => new Set(given).size >= FEWEST_CHARACTERS,
    VARIETY_EXPECTED,
  ),
  'a secret or a list of them',
).meta({ hidden: 'secret' });

const EMAIL = /^[^\s@<>"(),:;\\[\]]+@[^\s@<>"(),:;\\[\]]+$/;

export const emailAddress = text('an e-mail address', (given) => EMAIL.test(given));

/** A header of every mail: no line break may get in. */
export const mailbox = text(
  'an address, or a name and an address like "City of Example <no-reply@example.fi>"',
  (given) => {
    const [, address] = /^[^<>\p{Cc}]*<([^<>]+)>$/u.exec(given) ?? [];
    return EMAIL.test(address ?? given);
  },
);

const TEXTS_EXPECTED = `a text, or a section with a text for some of ${LANGUAGES.join(', ')}`;

/** A text for all languages, or one for each; what is missing falls back to the first of LANGUAGES that is there. */
export const textByLanguage: z.ZodType<TextByLanguage> = value(TEXTS_EXPECTED, (given) => {
  const texts = typeof given === 'string' ? { [LANGUAGES[0]]: given } : given;
  if (typeof texts !== 'object' || texts === null) return undefined;
  const known = Object.entries(texts).every(([key, words]) => {
    return LANGUAGES.includes(key as Language) && typeof words === 'string' && words.trim() !== '';
  });
  return known && Object.keys(texts).length ? everyLanguage(texts) : undefined;
});

export function everyLanguage(texts: Partial<Record<Language, string>>): TextByLanguage {
  const fallback = LANGUAGES.map((language) => texts[language]).find((words) => words !== undefined) ?? '';
  return Object.fromEntries(LANGUAGES.map((language) => [language, texts[language] ?? fallback])) as Record<
    Language,
    string
  >;
}

export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127(\.\d{1,3}){3}$/.test(hostname)
  );
}

/** As it is written, so that it can be compared character by character. */
export function parseUri(given: unknown): URL | undefined {
  // Printable ASCII only: anything else is percent-encoded by the one who sends it, and would never match.
  if (typeof given !== 'string' || !/^[\x21-\x7e]+$/.test(given) || !URL.canParse(given)) return undefined;
  const url = new URL(given);
  return url.username || url.password ? undefined : url;
}

export const isWebUri = (url: URL): boolean => {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
};

export const WEB_URI_EXPECTED = 'a whole https: address (http: only on localhost)';

export const webUri = text(WEB_URI_EXPECTED, (given) => {
  const url = parseUri(given);
  return url !== undefined && isWebUri(url);
});
