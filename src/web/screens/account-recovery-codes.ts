/** Recovery codes: how many are left, and ten new ones, which are shown once. */
import { inAccount } from '../account-pages.ts';
import { readForm, readQuery } from '../form.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function accountRecoveryCodesScreen(parts: ScreenParts): Screen {
  const { factorChanges } = parts;
  return {
    path: '/account/recovery-codes',
    get: inAccount(
      parts,
      async (ctx, { account, url, render }) => {
        if (account.factors.length === 0) return goOn(ctx, url('/account/factors'));
        const { codes: left } = await factorChanges.factors(account);
        const sealed = factorChanges.drawRecoveryCodes(account);
        await render('account-recovery-codes', { left, sealed, first: readQuery(ctx, 'first', 5) === 'yes' });
      },
      { fresh: true },
    ),
    post: inAccount(
      parts,
      async (ctx, { account, from, url, render }) => {
        const { sealed } = await readForm(ctx, { sealed: { max: 1000, required: true } });
        const made = await factorChanges.makeRecoveryCodes({ account, from, sealed }, parts.clock());
        if ('refused' in made) return goOn(ctx, url('/account/factors', { changed: 'meanwhile' }));
        const { epoch } = made;
        if (epoch !== undefined) await parts.session.carryOn(ctx, { accountId: account.id, epoch });
        await render('account-recovery-codes', { codes: made.codes, once: true });
      },
      { fresh: true },
    ),
  };
}
