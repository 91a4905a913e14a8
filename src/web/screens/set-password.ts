/**
 * The page behind a mailed link. GET changes nothing about it, however often a mail scanner fetches it; POST spends the link.
 * It needs no cookie of any sign-in: the link works on any device.
 */
import type { Context } from 'koa';
import type { Opened } from '../../journeys/password-link.ts';
import { metrics } from '../../platform/telemetry.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, passwordError, serviceOf, tokenOf, type Screen, type ScreenParts } from '../screen.ts';
import { goToSignIn, tooMany } from '../sign-in-pages.ts';

const STATUS: Readonly<Record<string, number>> = {
  'link-unknown': 404,
  'link-expired': 410,
  'link-used': 410,
  locked: 403,
};

/**
 * A browser that goes there as a person would make it (Fetch Metadata): mail scanners fetch without these headers, or as a
 * HEAD; what is fetched ahead was not looked at yet. Sec-Fetch-User is not asked for, since Safari does not send it.
 */
function isNavigation(ctx: Context): boolean {
  const ahead = ctx.get('Sec-Purpose') || ctx.get('Purpose') || ctx.get('X-Moz');
  return (
    ctx.method === 'GET' &&
    ctx.get('Sec-Fetch-Mode') === 'navigate' &&
    ctx.get('Sec-Fetch-Dest') === 'document' &&
    ahead === ''
  );
}

export function setPasswordScreen(parts: ScreenParts): Screen {
  const show = async (ctx: Context, { page: view, account, link, wait }: Opened): Promise<void> => {
    if (wait) return tooMany(ctx, wait);
    const page = pageOf(ctx);
    page.preferLanguage(undefined, account?.locale ?? link?.uiLocales);
    const signIn = goToSignIn(parts, { clientId: link?.clientId, uid: link?.interactionUid });
    const service = serviceOf(parts, link?.clientId, page.language);
    const locals = {
      email: account?.email,
      minLength: parts.config.password.minLength,
      signIn,
      service,
      token: tokenOf(ctx),
    };
    await page.render(view, locals, { status: STATUS[view] ?? 200 });
  };
  return {
    path: '/set-password/:token',
    get: async (ctx) => {
      const opening = { token: tokenOf(ctx), visitor: parts.visitors.of(ctx), byPerson: isNavigation(ctx) };
      await show(ctx, await parts.passwordLink.opened(opening, parts.clock()));
    },
    post: async (ctx) => {
      const { password } = await readForm(ctx, { password: { max: 4096, required: true } });
      const token = tokenOf(ctx);
      const visitor = parts.visitors.of(ctx);
      const set = await parts.passwordLink.setPassword({ token, password, visitor }, parts.clock());
      const client = parts.client(set.link?.clientId)?.client_id ?? 'none';
      const outcome = 'refused' in set ? set.refused : set.page.replaceAll('-', '_');
      metrics.signIns.inc({ step: 'set_password', outcome, client });
      if ('refused' in set) {
        const page = pageOf(ctx);
        page.preferLanguage(undefined, set.account.locale ?? set.link.uiLocales);
        const { minLength } = parts.config.password;
        const error = passwordError('password', set.refused, minLength);
        const service = serviceOf(parts, set.link.clientId, page.language);
        return page.refuse('set-password', { service, email: set.account.email, minLength }, [error]);
      }
      if (set.page === 'password-set') return goOn(ctx, `/password-set/${token}`);
      await show(ctx, set);
    },
  };
}
