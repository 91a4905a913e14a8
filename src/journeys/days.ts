/** A day in words, for mails: in every language, since a mail's is chosen when it is written. */
import type { TextByLanguage } from '../config.ts';
import { dayFormat, LANGUAGES } from '../platform/i18n.ts';

export function daysInWords(date: Date, timeZone: string): TextByLanguage {
  const days = LANGUAGES.map((language) => [language, dayFormat(language, timeZone).format(date)]);
  return Object.fromEntries(days) as TextByLanguage;
}
