/** Changing the password: asks for the current one, ends every other session. */
import { inAccount } from '../account-pages.ts';
import { readForm } from '../form.ts';
import { goOn, passwordError, type Screen, type ScreenParts } from '../screen.ts';
import { tooMany } from '../sign-in-pages.ts';

export function accountPasswordScreen(parts: ScreenParts): Screen {
  const { minLength } = parts.config.password;
  return {
    path: '/account/password',
    get: inAccount(
      parts,
      (_ctx, { account, render }) => render('account-password', { email: account.email, minLength }),
      {
        fresh: true,
      },
    ),
    post: inAccount(
      parts,
      async (ctx, { account, url, refuse }) => {
        const { current, next } = await readForm(ctx, {
          current: { max: 4096, required: true },
          next: { max: 4096, required: true },
        });
        const visitor = parts.visitors.of(ctx, account.emailKey);
        const changed = await parts.accountChanges.changePassword({ account, current, next, visitor }, parts.clock());
        if ('refused' in changed) {
          if (changed.refused === 'too_many_tries') return tooMany(ctx, changed.retryAfter);
          const error =
            changed.refused === 'wrong_password'
              ? { field: 'current', key: 'account-password.wrong' }
              : passwordError('next', changed.refused, minLength);
          return refuse('account-password', { email: account.email, minLength }, [error]);
        }
        await parts.session.carryOn(ctx, { accountId: account.id, epoch: changed.epoch });
        goOn(ctx, url('/account', { changed: 'password' }));
      },
      { fresh: true },
    ),
  };
}
