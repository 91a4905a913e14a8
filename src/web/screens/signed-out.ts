/** Tells that the resident is signed out, where no e-service asked to have them back. */
import { readQuery } from '../form.ts';
import { pageOf } from '../page.ts';
import { serviceOf, type Screen, type ScreenParts } from '../screen.ts';

export function signedOutScreen(parts: ScreenParts): Screen {
  return {
    path: '/signed-out',
    get: (ctx) => {
      const page = pageOf(ctx);
      const service = serviceOf(parts, readQuery(ctx, 'client_id', 200), page.language);
      return page.render('signed-out', { service });
    },
  };
}
