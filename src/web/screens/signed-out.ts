/** Tells that the resident is signed out, where no e-service asked to have them back. */
import { readQuery } from '../form.ts';
import { pageOf } from '../page.ts';
import { serviceOf, type Screen, type ScreenParts } from '../screen.ts';

export function signedOutScreen(parts: ScreenParts): Screen {
  return {
    path: '/signed-out',
    get: (ctx) => {
      const page = pageOf(ctx);
      const clientId = readQuery(ctx, 'client_id', 200);
      const service = serviceOf(parts, clientId, page.language);
      // To its front page: its `initiate_login_uri` would begin to sign in again.
      const url = parts.client(clientId)?.client_uri;
      return page.render('signed-out', { service: service && { ...service, url } });
    },
  };
}
