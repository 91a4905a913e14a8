/** For those who no longer have the address: what support needs to know to help. */
import { pageOf } from '../page.ts';
import type { Screen, ScreenParts } from '../screen.ts';
import { emailOf, inSignIn } from '../sign-in-pages.ts';

export function addressLostScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/address-lost',
    get: inSignIn(parts, (ctx, { service, underWay }) =>
      pageOf(ctx).render('address-lost', { service, uid: underWay.uid, email: emailOf(underWay) }),
    ),
  };
}
