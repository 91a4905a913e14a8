/**
 * Owns the pages that the provider itself comes to: asking before sign-out, and errors that no e-service can be told.
 * None of the library's own pages is ever seen.
 */
import type { ProviderError, ProviderPages } from '../oidc/provider.ts';
import { pageOf } from './page.ts';
import { goOn, serviceOf, type ScreenParts } from './screen.ts';
import { problemPage } from './server.ts';
import { offerWayOn } from './sign-in-pages.ts';

export function providerPages(parts: () => ScreenParts): ProviderPages {
  return {
    async signOut(ctx, { xsrf, action, clientId, returnTo, uiLocales }) {
      const page = pageOf(ctx);
      page.preferLanguage(uiLocales);
      if (returnTo) page.allowFormTarget(returnTo);
      const service = serviceOf(parts(), clientId, page.language);
      await page.render('sign-out', {
        service,
        xsrf,
        // What comes after speaks the same language.
        action: `${new URL(action).pathname}?ui_locales=${page.language}`,
        stay: service?.url ?? '/account',
      });
    },

    signedOut(ctx, clientId) {
      const query = new URLSearchParams({ ui_locales: pageOf(ctx).language });
      if (parts().client(clientId)) query.set('client_id', clientId!);
      goOn(ctx, `/signed-out?${query.toString()}`);
    },

    async formPost(ctx, { action, fields, uiLocales }) {
      const page = pageOf(ctx);
      page.preferLanguage(uiLocales);
      page.allowFormTarget(action);
      const named = Object.entries(fields).map(([name, value]) => ({ name, value: String(value) }));
      await page.render('form-post', { action, fields: named }, { status: 'error' in fields ? ctx.status : 200 });
    },

    async problem(context, error) {
      const ctx = context;
      const { route, lost } = error;
      if (lost && route === 'end_session_confirm') return goOn(ctx, '/signed-out');
      const uid = /^\/auth\/([\w-]+)$/.exec(ctx.path)?.[1];
      if (lost && uid) {
        const opened = await parts().gate.open(ctx, uid);
        if (opened && 'uid' in opened) return goOn(ctx, `/sign-in/${uid}`);
        return offerWayOn(ctx, parts(), opened);
      }
      const page = pageOf(ctx);
      page.preferLanguage(error.uiLocales);
      const service = serviceOf(parts(), error.clientId, page.language);
      const signOut = route?.startsWith('end_session') ? '/session/end' : undefined;
      await problemPage(ctx, { code: codeOf(error), status: error.status }, { service, signOut });
    },
  };
}

function codeOf({ status, route, error }: ProviderError): string {
  if (status >= 500) return 'fault';
  if (route?.startsWith('end_session')) return 'sign_out_error';
  // A pushed request that was used or has expired: who reloads an old page began too long ago.
  if (error === 'invalid_request_uri') return 'sign_in_lost';
  return error === 'invalid_client' ? 'unknown_service' : 'service_error';
}
