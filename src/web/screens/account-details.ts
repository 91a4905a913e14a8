/** Name, phone number and language: what e-services are told follows. */
import type { Language } from '../../config.ts';
import { markOf, nameFrom, phoneFrom } from '../../journeys/account-changes.ts';
import { inAccount } from '../account-pages.ts';
import { readForm } from '../form.ts';
import { pageOf, type FieldError } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function accountDetailsScreen(parts: ScreenParts): Screen {
  const own = { fresh: true, keeps: ['given', 'family', 'phone', 'language', 'mark'] };
  return {
    path: '/account/details',
    get: inAccount(
      parts,
      (ctx, { account, typed, render }) =>
        render('account-details', {
          given: account.givenName,
          family: account.familyName,
          phone: account.phoneNumber,
          mark: markOf(account),
          ...typed,
          chosen: typed['language'] ?? account.locale ?? pageOf(ctx).language,
        }),
      own,
    ),
    post: inAccount(
      parts,
      async (ctx, { account, from, url, refuse }) => {
        const typed = await readForm(ctx, {
          given: { max: 1000, required: true },
          family: { max: 1000, required: true },
          phone: { max: 1000, required: true },
          language: { max: 10, required: true },
          mark: { max: 100, required: true },
        });
        const [given, family, phone] = [nameFrom(typed.given), nameFrom(typed.family), phoneFrom(typed.phone)];
        const locale = parts.config.languages.find((offered: Language) => offered === typed.language) ?? account.locale;
        const again = { ...typed, chosen: locale };
        if (!given || !family || !phone) {
          const errors: FieldError[] = [
            ...(given ? [] : [{ field: 'given', key: 'account-details.name_too_long' }]),
            ...(family ? [] : [{ field: 'family', key: 'account-details.name_too_long' }]),
            ...(phone ? [] : [{ field: 'phone', key: 'account-details.phone_invalid' }]),
          ];
          return refuse('account-details', again, errors);
        }
        const wanted = { givenName: given.name, familyName: family.name, phoneNumber: phone.phone, locale };
        const changing = { account, shown: typed.mark, wanted, from };
        const done = await parts.accountChanges.changeDetails(changing, parts.clock());
        if ('refused' in done) {
          const { givenName, familyName, phoneNumber } = done.present;
          const saved = [givenName, familyName, phoneNumber].filter(Boolean).join(', ');
          return refuse('account-details', { ...again, saved, mark: markOf(done.present) }, [
            { field: 'given', key: 'account-details.changed_meanwhile' },
          ]);
        }
        goOn(ctx, url('/account', { changed: 'details', ...(locale && { lang: locale }) }));
      },
      own,
    ),
  };
}
