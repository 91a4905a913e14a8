/**
 * The words of pages and mails, and the choice of the language they are in.
 *
 * Texts stand in views/text/{fi,sv,en}.yaml, one section a screen, and are read once at start. Placeholders are written
 * `{name}` and are not escaped here: pug escapes in HTML, and a text mail needs none.
 * Owns no HTTP: who wishes for which language (query, cookie, header) is read by the caller.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import i18next from 'i18next';
import { parse } from 'yaml';

export const LANGUAGES = ['fi', 'sv', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

export type Values = Record<string, string | number>;
export type Translate = (key: string, values?: Values) => string;

/** Which case a span of time takes in its sentence: 'voimassa 24 tuntia' lasts, '24 tunnin kuluttua' comes after. */
export type SpanForm = 'lasting' | 'after';

export interface Texts {
  for(language: Language): Translate;
  has(key: string): boolean;
  duration(language: Language, milliseconds: number, form: SpanForm): string;
  /** A day as people write it there, by the city's clock. */
  day(language: Language, date: Date): string;
  /** The same with the time of day. */
  moment(language: Language, date: Date): string;
  /** Every key of a language, the plural forms of one text counting as one key. */
  keys(language: Language): string[];
}

const TEXT_FOLDER = fileURLToPath(new URL('../../views/text', import.meta.url));
const SPANS = {
  lasting: { minutes: 'duration.lasting.minutes', hours: 'duration.lasting.hours', days: 'duration.lasting.days' },
  after: { minutes: 'duration.after.minutes', hours: 'duration.after.hours', days: 'duration.after.days' },
} as const;
/** By whose habits a language writes days. */
const LOCALES: Readonly<Record<Language, string>> = { fi: 'fi', sv: 'sv-FI', en: 'en-GB' };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** 24. marraskuuta 2026. */
export const dayFormat = (language: Language, timeZone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat(LOCALES[language], { dateStyle: 'long', timeZone });

/** 24.11.2026 klo 12.00. */
const momentFormat = (language: Language, timeZone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat(LOCALES[language], { dateStyle: 'medium', timeStyle: 'short', timeZone });

/** `timeZone`: the city's, in which days and moments are told. */
export function loadTexts(timeZone: string): Texts {
  const trees = Object.fromEntries(
    LANGUAGES.map((language) => [
      language,
      parse(readFileSync(join(TEXT_FOLDER, `${language}.yaml`), 'utf8')) as object,
    ]),
  );
  const engine = i18next.createInstance();
  void engine.init({
    lng: LANGUAGES[0],
    // No language stands in for another: a text that lacks one is a fault that the house test finds.
    fallbackLng: false,
    initAsync: false,
    resources: Object.fromEntries(Object.entries(trees).map(([language, tree]) => [language, { translation: tree }])),
    interpolation: { escapeValue: false, prefix: '{', suffix: '}', skipOnVariables: true },
    // The name of a section may hold any text but a dot: 'https://…' in a value is no namespace.
    nsSeparator: false,
    returnNull: false,
  });
  const translators = new Map(LANGUAGES.map((language) => [language, engine.getFixedT(language)]));
  const keys = new Map(LANGUAGES.map((language) => [language, [...new Set(leafKeys(trees[language] as object))]]));
  const known = new Set(keys.get(LANGUAGES[0]));
  const days = new Map(LANGUAGES.map((language) => [language, dayFormat(language, timeZone)]));
  const moments = new Map(LANGUAGES.map((language) => [language, momentFormat(language, timeZone)]));

  /** What has no place to fill is the same each time. */
  const plain = new Map<string, string>();

  const translate = (language: Language, key: string, values?: Values): string => {
    const name = `${language} ${key}`;
    const same = values ? undefined : plain.get(name);
    if (same !== undefined) return same;
    if (!known.has(key)) throw new Error(`no text has the key ${key}`);
    const text = translators.get(language)!(key, values ?? {});
    if (!values) plain.set(name, text);
    return text;
  };
  return {
    for: (language) => (key, values) => translate(language, key, values),
    has: (key) => known.has(key),
    duration(language, milliseconds, form) {
      const { unit, count } = span(milliseconds);
      return translate(language, SPANS[form][unit], { count });
    },
    day: (language, date) => days.get(language)!.format(date),
    moment: (language, date) => moments.get(language)!.format(date),
    keys: (language) => keys.get(language) ?? [],
  };
}

/** The language of a page or mail: what the e-service asked for, then the resident's own choice, then the browser's. */
export function chooseLanguage(
  offer: readonly Language[],
  wishes: { uiLocales?: string; own?: string | null; cookie?: string; acceptLanguage?: string },
): Language {
  const ranked = [
    ...(wishes.uiLocales ?? '').split(' '),
    wishes.own ?? '',
    wishes.cookie ?? '',
    ...acceptedTags(wishes.acceptLanguage ?? ''),
  ];
  for (const tag of ranked) {
    const primary = tag.trim().toLowerCase().split('-')[0];
    const found = offer.find((language) => language === primary);
    if (found) return found;
  }
  return offer[0] ?? LANGUAGES[0];
}

/** Rounded up, so that nobody is told to come back too early. */
function span(milliseconds: number): { unit: keyof (typeof SPANS)[SpanForm]; count: number } {
  const minutes = Math.max(1, Math.ceil(milliseconds / MINUTE));
  if (minutes < 120 && minutes % 60 !== 0) return { unit: 'minutes', count: minutes };
  const hours = Math.ceil(milliseconds / HOUR);
  if (hours < 72 || milliseconds % DAY !== 0) return { unit: 'hours', count: Math.max(1, hours) };
  return { unit: 'days', count: milliseconds / DAY };
}

function acceptedTags(header: string): string[] {
  return header
    .slice(0, 1000)
    .split(',')
    .map((part) => {
      const [tag = '', ...parameters] = part.split(';');
      const quality = parameters.map((p) => /^\s*q=([0-9.]+)\s*$/i.exec(p)?.[1]).find((q) => q !== undefined);
      return { tag: tag.trim(), quality: quality === undefined ? 1 : Number(quality) };
    })
    .filter(({ quality }) => quality > 0)
    .sort((a, b) => b.quality - a.quality)
    .map(({ tag }) => tag);
}

function leafKeys(tree: object, prefix = ''): string[] {
  return Object.entries(tree).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null
      ? leafKeys(value as object, `${prefix}${name}.`)
      : [`${prefix}${name}`.replace(/_(zero|one|two|few|many|other)$/, '')],
  );
}
