/** Tells that the request is on its way to support, and where support will answer. */
import { pageOf } from '../page.ts';
import { inRequest } from '../request-pages.ts';
import type { Screen, ScreenParts } from '../screen.ts';

export function requestSentScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/request-sent',
    get: inRequest(parts, 'sent', (ctx, { service, uid, request }) =>
      pageOf(ctx).render('request-sent', { service, uid, email: request.newEmail }),
    ),
  };
}
