/** Tells that the account is made, and leads on to signing in at the e-service that it all began at. */
import { pageOf } from '../page.ts';
import { goOn, serviceOf, tokenOf, type Screen, type ScreenParts } from '../screen.ts';
import { goToSignIn } from '../sign-in-pages.ts';

export function accountMadeScreen(parts: ScreenParts): Screen {
  return {
    path: '/account-made/:token',
    get: async (ctx) => {
      const token = tokenOf(ctx);
      const opened = await parts.registration.opened(token, parts.clock());
      if (opened.state !== 'used') return goOn(ctx, `/new-account/${encodeURIComponent(token)}`);
      const page = pageOf(ctx);
      page.preferLanguage(undefined, opened.locale);
      const account = await parts.session.account(opened.accountId);
      const step = account?.passwordState === 'none' ? 'passkey' : 'password';
      const signIn = goToSignIn(parts, { clientId: opened.clientId, uid: opened.interactionUid }, step);
      await page.render('account-made', { signIn, service: serviceOf(parts, opened.clientId, page.language) });
    },
  };
}
