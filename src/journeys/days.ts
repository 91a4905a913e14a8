/** A day in words, for mails: in every language, since a mail's is chosen when it is written. */
import type { TextByLanguage } from '../config.ts';
import { daysIn, LANGUAGES } from '../platform/i18n.ts';

export function daysInWords(date: Date, timeZone: string): TextByLanguage {
  const days = daysIn(timeZone);
  return Object.fromEntries(LANGUAGES.map((language) => [language, days[language].format(date)])) as TextByLanguage;
}
