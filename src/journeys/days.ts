/** A day in words, for mails: in every language, since a mail's is chosen when it is written. */
import type { TextByLanguage } from '../config.ts';
import { LANGUAGES } from '../platform/i18n.ts';

export function daysInWords(date: Date, timeZone: string): TextByLanguage {
  const days = LANGUAGES.map((language) => {
    const format = new Intl.DateTimeFormat(language === 'en' ? 'en-GB' : language, { dateStyle: 'long', timeZone });
    return [language, format.format(date)];
  });
  return Object.fromEntries(days) as TextByLanguage;
}
