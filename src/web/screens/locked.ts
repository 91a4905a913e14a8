/** Tells that the account is locked, and leads to support. */
import { pageOf } from '../page.ts';
import type { Screen, ScreenParts } from '../screen.ts';
import { inSignIn } from '../sign-in-pages.ts';

export function lockedScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/locked',
    get: inSignIn(parts, (ctx, { service, underWay }) =>
      pageOf(ctx).render('locked', { service, uid: underWay.uid }, { status: 403 }),
    ),
  };
}
