/** Leaving: the account is erased after two weeks, unless its resident signs in again. */
import { WAIT } from '../../journeys/leave.ts';
import { inAccount } from '../account-pages.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function accountLeaveScreen(parts: ScreenParts): Screen {
  const locals = (email: string) => ({ email, days: WAIT / 86_400_000 });
  return {
    path: '/account/leave',
    get: inAccount(parts, (_ctx, { account, render }) => render('account-leave', locals(account.email)), {
      fresh: true,
    }),
    post: inAccount(
      parts,
      async (ctx, { account, from, url, refuse }) => {
        const { sure } = await readForm(ctx, { sure: { max: 10 } });
        if (sure !== 'yes') {
          const error = { field: 'sure', key: 'account-leave.not_sure' };
          return refuse('account-leave', locals(account.email), [error]);
        }
        const asked = await parts.leaving.ask({ account, from }, parts.clock());
        if ('refused' in asked) return goOn(ctx, url('/account'));
        // Nobody is signed in any more, so there is no other page to lead to.
        await pageOf(ctx).render('left', { email: account.email, leavesAt: asked.leavesAt, once: true });
      },
      { fresh: true },
    ),
  };
}
