/** The resident's own page: who they are, and what needs their attention. */
import { inAccount } from '../account-pages.ts';
import { readQuery } from '../form.ts';
import type { Screen, ScreenParts } from '../screen.ts';

export function accountScreen(parts: ScreenParts): Screen {
  return {
    path: '/account',
    get: inAccount(parts, async (ctx, { account, render }) => {
      const { email, phoneNumber: phone, signedInAt } = account;
      const name = [account.givenName, account.familyName].filter(Boolean).join(' ');
      const attention = await parts.signInHistory.attention(account);
      const [newEmail] = await parts.emailChanges.waiting(account, parts.clock());
      const changed = readQuery(ctx, 'changed', 20);
      await render('account', { email, name, phone, signedInAt, attention, newEmail, changed });
    }),
  };
}
