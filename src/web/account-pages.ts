/**
 * Owns what the resident's own pages have in common: the provider's own session opens them; without one the resident signs
 * in first, by an ordinary authorization request of the built-in client, and comes back to the page that asked.
 */
import type { Context } from 'koa';
import type { Account } from '../records/accounts.ts';
import { readQuery } from './form.ts';
import { pageOf } from './page.ts';
import { goOn, type Screen, type ScreenParts } from './screen.ts';

const PAGES = ['/account', '/account/password', '/account/services'];

export function inAccount(
  parts: ScreenParts,
  work: (ctx: Context, account: Account) => Promise<void>,
): (ctx: Context) => Promise<void> {
  return async (ctx) => {
    const account = await parts.session.current(ctx);
    if (!account) return goOn(ctx, signInUrl(parts, ctx));
    pageOf(ctx).preferLanguage(undefined, account.locale);
    await work(ctx, account);
  };
}

function signInUrl({ config }: ScreenParts, ctx: Context): string {
  const query = new URLSearchParams({
    client_id: 'account',
    response_type: 'none',
    scope: 'openid',
    redirect_uri: `${config.issuer}/account/signed-in`,
    state: PAGES.includes(ctx.path) ? ctx.path : '/account',
  });
  const uiLocales = readQuery(ctx, 'ui_locales', 200);
  if (uiLocales) query.set('ui_locales', uiLocales);
  return `/auth?${query.toString()}`;
}

/** Where that sign-in ends. `state` names the page that asked: one of ours, or the first. */
export function signedInReturn(): Screen {
  return {
    path: '/account/signed-in',
    get: (ctx) => {
      const wanted = readQuery(ctx, 'state', 100);
      goOn(ctx, wanted && PAGES.includes(wanted) ? wanted : '/account');
      return Promise.resolve();
    },
  };
}

/** Who types the bare address wants their own page. */
export function frontDoor(): Screen {
  return {
    path: '/',
    get: (ctx) => {
      goOn(ctx, '/account');
      return Promise.resolve();
    },
  };
}

/** Password managers look here (W3C, A Well-Known URL for Changing Passwords). */
export function changePasswordReturn(): Screen {
  return {
    path: '/.well-known/change-password',
    get: (ctx) => {
      goOn(ctx, '/account/password');
      return Promise.resolve();
    },
  };
}
