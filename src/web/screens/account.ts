/** The resident's own page: who they are, language, password, sign-out. */
import type { Language } from '../../config.ts';
import { readForm, readQuery } from '../form.ts';
import { inAccount } from '../account-pages.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function accountScreen(parts: ScreenParts): Screen {
  return {
    path: '/account',
    get: inAccount(parts, async (ctx, { account, render }) => {
      const name = [account.givenName, account.familyName].filter(Boolean).join(' ');
      await render('account', { email: account.email, name, changed: readQuery(ctx, 'changed', 20) });
    }),
    /** Chooses the language. */
    post: inAccount(parts, async (ctx, { account, url }) => {
      const { language } = await readForm(ctx, { language: { max: 10, required: true } });
      const chosen = parts.config.languages.find((offered: Language) => offered === language);
      if (chosen) await parts.accountChanges.chooseLanguage(account, chosen, parts.clock());
      goOn(ctx, url('/account', chosen && { lang: chosen }));
    }),
  };
}
