/** Somebody else is signed in on this browser: asks before one person's session becomes another's. */
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { inSignIn, parkedLogin } from '../sign-in-pages.ts';

export function otherPersonScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/other-person',
    get: inSignIn(parts, async (ctx, { service, underWay }) => {
      const login = parkedLogin(underWay);
      const here = underWay.session && (await parts.session.account(underWay.session.accountId));
      const next = login && (await parts.session.account(login.accountId));
      if (!here || !next) return goOn(ctx, `/sign-in/${underWay.uid}`);
      const stay = service.url ?? '/account';
      await pageOf(ctx).render('other-person', { service, here: here.email, next: next.email, stay });
    }),
    post: inSignIn(parts, async (ctx, { underWay }) => {
      await readForm(ctx, {});
      const login = parkedLogin(underWay);
      if (!login) return goOn(ctx, `/sign-in/${underWay.uid}`);
      await parts.gate.finish(ctx, underWay, { login, replaceSession: true });
    }),
  };
}
