/**
 * Owns the pages that the provider itself comes to: asking before sign-out, and errors that no e-service can be told.
 * None of the library's own pages is ever seen.
 */
import type { ProviderPages } from '../oidc/provider.ts';
import { pageOf } from './page.ts';
import { goOn, serviceOf, type ScreenParts } from './screen.ts';
import { problemPage } from './server.ts';
import { offerWayOn } from './sign-in-pages.ts';

export function providerPages(parts: () => ScreenParts): ProviderPages {
  return {
    async signOut(ctx, { xsrf, action, clientId, returnTo }) {
      const page = pageOf(ctx);
      if (returnTo) page.allowFormTarget(returnTo);
      const service = serviceOf(parts(), clientId, page.language);
      await page.render('sign-out', {
        service,
        xsrf,
        action: new URL(action).pathname,
        stay: service?.url ?? '/account',
      });
    },

    async formPost(ctx, { action, fields, uiLocales }) {
      const page = pageOf(ctx);
      page.preferLanguage(uiLocales);
      page.allowFormTarget(action);
      const named = Object.entries(fields).map(([name, value]) => ({ name, value: String(value) }));
      await page.render('form-post', { action, fields: named }, { status: 'error' in fields ? ctx.status : 200 });
    },

    async problem(context, { status, lost, route }) {
      const ctx = context;
      if (lost && route === 'end_session_confirm') return goOn(ctx, '/signed-out');
      const uid = /^\/auth\/([\w-]+)$/.exec(ctx.path)?.[1];
      if (lost && uid) {
        const opened = await parts().gate.open(ctx, uid);
        if (opened && 'uid' in opened) return goOn(ctx, `/sign-in/${uid}`);
        return offerWayOn(ctx, parts(), opened);
      }
      await problemPage(ctx, { code: status >= 500 ? 'fault' : 'service_error', status });
    },
  };
}
