/**
 * Another e-mail address: asks for it and mails a link there; shows which ones wait, and calls them off. Whether somebody else has
 * an address is told to its mailbox alone.
 */
import type { Account } from '../../records/accounts.ts';
import { inAccount } from '../account-pages.ts';
import { readForm, readQuery } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function accountEmailScreen(parts: ScreenParts): Screen {
  const localsOf = async (account: Account): Promise<object> => ({
    email: account.email,
    waiting: await parts.emailChanges.waiting(account, parts.clock()),
  });
  const own = { fresh: true, keeps: ['email'] };
  return {
    path: '/account/email',
    get: inAccount(
      parts,
      async (ctx, { account, typed: { email: typed }, render }) => {
        const calledOff = readQuery(ctx, 'changed', 20) === 'called-off';
        await render('account-email', { ...(await localsOf(account)), calledOff, typed });
      },
      own,
    ),
    post: inAccount(
      parts,
      async (ctx, { account, from, url, render, refuse, askLater }) => {
        const { email: typed, call_off: callOff } = await readForm(ctx, { email: { max: 1000 }, call_off: { max: 5 } });
        if (callOff) {
          const calledOff = await parts.emailChanges.callOff({ account, from }, parts.clock());
          return goOn(ctx, url('/account/email', calledOff ? { changed: 'called-off' } : {}));
        }
        const page = pageOf(ctx);
        const { language } = page;
        const asked = await parts.emailChanges.ask({ account, typed, language, from }, parts.clock());
        if (!('refused' in asked)) return render('account-email', { email: account.email, sent: asked.email });
        const again = { ...(await localsOf(account)), typed };
        if (asked.refused === 'too_many_tries') {
          const { retryAfter } = asked;
          const values = { time: page.duration(retryAfter * 1000, 'after') };
          const why = { status: 429, retryAfter };
          return askLater('account-email', again, { field: 'email', key: 'too-many.notice', values, why });
        }
        const key = asked.refused === 'same_email' ? 'account-email.same' : 'sign-in.email_invalid';
        return refuse('account-email', again, [{ field: 'email', key }]);
      },
      own,
    ),
  };
}
