/** Changing the password: asks for the current one, ends every other session. Who has none is mailed a link that sets one. */
import { inAccount, type Visit } from '../account-pages.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, passwordError, type Screen, type ScreenParts } from '../screen.ts';
import { tooMany } from '../sign-in-pages.ts';

export function accountPasswordScreen(parts: ScreenParts): Screen {
  const { minLength } = parts.config.password;
  const localsOf = ({ account }: Visit): object => ({
    email: account.email,
    minLength,
    none: account.passwordState === 'none',
  });
  return {
    path: '/account/password',
    get: inAccount(parts, (_ctx, visit) => visit.render('account-password', localsOf(visit)), { fresh: true }),
    post: inAccount(
      parts,
      async (ctx, visit) => {
        const { account, from, url, render, refuse } = visit;
        const { current, next } = await readForm(ctx, { current: { max: 4096 }, next: { max: 4096 } });
        if (account.passwordState === 'none') {
          // Where the allowance is spent, the links of before still work.
          await parts.accountChanges.askPassword({ account, language: pageOf(ctx).language, from }, parts.clock());
          return render('account-password', { ...localsOf(visit), sent: true });
        }
        const visitor = parts.visitors.of(ctx, account.emailKey);
        const changed = await parts.accountChanges.changePassword({ account, current, next, visitor }, parts.clock());
        if ('refused' in changed) {
          if (changed.refused === 'too_many_tries') return tooMany(ctx, changed.retryAfter);
          const error =
            changed.refused === 'wrong_password'
              ? { field: 'current', key: 'account-password.wrong' }
              : passwordError('next', changed.refused, minLength);
          return refuse('account-password', localsOf(visit), [error]);
        }
        // The session goes on with the half of the double click that came first, if its answer arrived: no page can lean on it.
        if (changed.epoch === undefined) return render('account-password', { changed: true });
        await parts.session.carryOn(ctx, { accountId: account.id, epoch: changed.epoch });
        goOn(ctx, url('/account', { changed: 'password' }));
      },
      { fresh: true },
    ),
  };
}
