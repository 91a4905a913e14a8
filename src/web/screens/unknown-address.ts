/** Tells that the address is not known, and leads to trying another one. */
import { suggestion } from '../../records/addresses.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { emailOf, inSignIn } from '../sign-in-pages.ts';

export function unknownAddressScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/unknown-address',
    get: inSignIn(parts, async (ctx, { service, underWay }) => {
      const email = emailOf(underWay);
      // Another page of this sign-in may have gone on with another address: the first step asks again.
      if (!email) return goOn(ctx, `/sign-in/${underWay.uid}`);
      const open = parts.config.signIn.registration === 'open';
      const locals = { service, uid: underWay.uid, email, suggestion: suggestion(email), open };
      await pageOf(ctx).render('unknown-address', locals);
    }),
  };
}
