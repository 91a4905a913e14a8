/** Another e-mail address: asks for it and mails a link there. Whether somebody else has it is told to its mailbox alone. */
import { inAccount } from '../account-pages.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import type { Screen, ScreenParts } from '../screen.ts';
import { tooMany } from '../sign-in-pages.ts';

export function accountEmailScreen(parts: ScreenParts): Screen {
  return {
    path: '/account/email',
    get: inAccount(parts, (_ctx, { account, render }) => render('account-email', { email: account.email }), {
      fresh: true,
    }),
    post: inAccount(
      parts,
      async (ctx, { account, from, render, refuse }) => {
        const { email: typed } = await readForm(ctx, { email: { max: 1000, required: true } });
        const { language } = pageOf(ctx);
        const asked = await parts.emailChanges.ask({ account, typed, language, from }, parts.clock());
        if (!('refused' in asked)) return render('account-email', { email: account.email, sent: asked.email });
        if (asked.refused === 'too_many_tries') return tooMany(ctx, asked.retryAfter);
        const key = asked.refused === 'same_email' ? 'account-email.same' : 'sign-in.email_invalid';
        return refuse('account-email', { email: account.email, typed }, [{ field: 'email', key }]);
      },
      { fresh: true },
    ),
  };
}
