/** Tells that the password is set, and leads on to signing in at the e-service that it all began at. */
import type { Context } from 'koa';
import { pageOf } from '../page.ts';
import { goOn, serviceOf, tokenOf, type Screen, type ScreenParts } from '../screen.ts';
import { goToSignIn } from '../sign-in-pages.ts';

export function passwordSetScreen(parts: ScreenParts): Screen {
  return {
    path: '/password-set/:token',
    get: async (ctx: Context) => {
      const token = tokenOf(ctx);
      const {
        page: state,
        account,
        link,
      } = await parts.passwordLink.opened({ token, visitor: parts.visitors.of(ctx) }, parts.clock());
      if (state !== 'link-used' || !link) return goOn(ctx, `/set-password/${encodeURIComponent(token)}`);
      const page = pageOf(ctx);
      page.preferLanguage(undefined, account?.locale ?? link.uiLocales);
      const signIn = goToSignIn(parts, { clientId: link.clientId, uid: link.interactionUid });
      await page.render('password-set', { signIn, service: serviceOf(parts, link.clientId, page.language) });
    },
  };
}
