/** Behind the link that a new address gets: the account has it from then on. */
import { emailLinkScreen } from '../email-link-pages.ts';
import type { Screen, ScreenParts } from '../screen.ts';

export function confirmEmailScreen(parts: ScreenParts): Screen {
  return emailLinkScreen(parts, {
    name: 'confirm-email',
    purpose: 'confirm_email',
    async spend(ctx, knock) {
      const here = await parts.session.current(ctx);
      const done = await parts.emailChanges.confirm(knock, parts.clock());
      if (done.step !== 'done' || done.epoch === undefined) return done;
      // The resident's own browser stays signed in, if its session held until now.
      const { id: accountId, epoch } = done.account;
      if (here?.account.id === accountId && here.account.epoch === epoch)
        await parts.session.carryOn(ctx, { accountId, epoch: done.epoch });
      return done;
    },
  });
}
