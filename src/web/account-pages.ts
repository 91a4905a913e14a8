/**
 * Owns what the resident's own pages have in common: the list of them, what opens them, and the way back to where the resident
 * came from.
 *
 * The provider's own session opens them; without one the resident signs in first, by an ordinary authorization request of the
 * built-in client, and comes back to the page that asked. A page that changes who holds the account also wants that sign-in to
 * be fresh: a session cookie alone, stolen or left open on a shared device, changes nothing there. A form that comes too late for
 * that stands there again afterwards (kept-forms.ts).
 */
import type { Context } from 'koa';
import { OWN_CLIENT_ID } from '../config/client-rules.ts';
import { whereFrom, type Whence } from '../journeys/allowances.ts';
import type { Account } from '../records/accounts.ts';
import { ownForms, readQuery } from './form.ts';
import type { Typed } from './kept-forms.ts';
import { pageOf, type AskedLater, type FieldError } from './page.ts';
import { goOn, serviceOf, type Screen, type ScreenParts } from './screen.ts';

/** In the order of the navigation; `title` is the text that heads the page, and its link. Those `within` another have no link there. */
const PAGES = [
  { path: '/account', title: 'account.title' },
  { path: '/account/details', title: 'account-details.title' },
  { path: '/account/email', title: 'account-email.title' },
  { path: '/account/password', title: 'account-password.title' },
  { path: '/account/factors', title: 'account-factors.title' },
  { path: '/account/passkey', title: 'account-passkey.title', within: '/account/factors' },
  { path: '/account/authenticator', title: 'account-authenticator.title', within: '/account/factors' },
  { path: '/account/recovery-codes', title: 'account-recovery-codes.title', within: '/account/factors' },
  { path: '/account/sessions', title: 'account-sessions.title' },
  { path: '/account/sign-ins', title: 'account-sign-ins.title' },
  { path: '/account/services', title: 'account-services.title' },
  { path: '/account/data', title: 'account-data.title' },
  { path: '/account/leave', title: 'account-leave.title' },
] as const satisfies readonly { path: string; title: string; within?: string }[];

type AccountPath = (typeof PAGES)[number]['path'];

/** For so many seconds a sign-in is fresh. */
export const FRESH = 600;

/** One request of a resident to a page of theirs. */
export interface Visit {
  account: Account;
  /** The session of this browser, by the uid that stays when its id changes. */
  sessionUid: string;
  /** For the audit. */
  from: Whence;
  /** How the resident signed in, by the names of RFC 8176. */
  amr: readonly string[];
  /** What the resident had typed here before they had to sign in once more. */
  typed: Typed;
  /** The address of one of these pages, with the way back to the e-service kept along. */
  url: (path: AccountPath, query?: Record<string, string>) => string;
  /** The page with its navigation. */
  render: (view: string, locals?: object) => Promise<void>;
  /** The same again with what was wrong with the input (422). */
  refuse: (view: string, locals: object, errors: FieldError[]) => Promise<void>;
  /** The same again with when to send it once more. */
  askLater: (view: string, locals: object, later: AskedLater) => Promise<void>;
}

/**
 * Wraps a screen of these. `fresh`: only within ten minutes of signing in; later the resident signs in once more. `keeps`: the
 * fields of its form that then stay as they were typed.
 */
export function inAccount(
  parts: ScreenParts,
  work: (ctx: Context, visit: Visit) => Promise<void>,
  { fresh = false, keeps }: { fresh?: boolean; keeps?: readonly string[] } = {},
): (ctx: Context) => Promise<void> {
  return async (ctx) => {
    const here = await parts.session.current(ctx);
    const now = Math.floor(parts.clock().getTime() / 1000);
    if (!here || (fresh && now - here.signedInAt > FRESH)) {
      if (keeps && ctx.method === 'POST') await parts.keptForms.keep(ctx, keeps);
      return goOn(ctx, signInUrl(parts, ctx, { again: here !== undefined }));
    }
    const { account, uid: sessionUid, amr } = here;
    ownForms(ctx, account.id);
    const typed = keeps && ctx.method === 'GET' ? parts.keptForms.takeBack(ctx) : {};
    const page = pageOf(ctx);
    page.preferLanguage(undefined, account.locale);
    const kept = known(parts, readQuery(ctx, 'client_id', 200), readQuery(ctx, 'sign_in', 64));
    const url: Visit['url'] = (path, query = {}) => withQuery(path, { ...kept, ...query });
    const at = PAGES.find(({ path }) => path === ctx.path);
    const over = at && 'within' in at ? at.within : undefined;
    const frame = {
      url,
      pages: PAGES.filter((each) => !('within' in each)).map(({ path, title }) => ({
        url: url(path),
        title: page.t(title),
        current: path === ctx.path,
        within: path === over,
      })),
      back: serviceOf(parts, kept.client_id, page.language),
      signIn: kept.sign_in && `/sign-in/${kept.sign_in}`,
      late: Object.keys(typed).length > 0,
    };
    await work(ctx, {
      account,
      sessionUid,
      from: whereFrom(parts.visitors.of(ctx)),
      amr,
      typed,
      url,
      render: (view, locals) => page.render(view, { ...locals, account: frame }),
      refuse: (view, locals, errors) => page.refuse(view, { ...locals, account: frame }, errors),
      askLater: (view, locals, later) => page.askLater(view, { ...locals, account: frame }, later),
    });
  };
}

/** The e-service that the resident came from, where it is registered, and the sign-in there that waits: nothing else becomes a link. */
function known(
  parts: ScreenParts,
  id: string | null | undefined,
  signIn: string | null | undefined,
): { client_id?: string; sign_in?: string } {
  if (!id || !parts.client(id)) return {};
  return { client_id: id, ...(signIn && /^[\w-]+$/.test(signIn) && { sign_in: signIn }) };
}

const withQuery = (path: string, query: Record<string, string>): string =>
  Object.keys(query).length ? `${path}?${new URLSearchParams(query).toString()}` : path;

function signInUrl(parts: ScreenParts, ctx: Context, { again }: { again: boolean }): string {
  const uiLocales = readQuery(ctx, 'ui_locales', 200);
  return withQuery('/auth', {
    client_id: OWN_CLIENT_ID,
    response_type: 'none',
    scope: 'openid',
    redirect_uri: `${parts.config.issuer}/account/signed-in`,
    state: withQuery(ctx.path, known(parts, readQuery(ctx, 'client_id', 200), readQuery(ctx, 'sign_in', 64))),
    ...(uiLocales && { ui_locales: uiLocales }),
    // Not max_age: whether it is fresh enough is decided here alone, by one clock.
    ...(again && { prompt: 'login' }),
  });
}

/** Where that sign-in ends. `state` names the page that asked: one of ours, or the first. */
export function signedInReturn(parts: ScreenParts): Screen {
  return {
    path: '/account/signed-in',
    get: (ctx) => {
      const [path, query] = (readQuery(ctx, 'state', 500) ?? '').split('?');
      const wanted = PAGES.find((page) => page.path === path)?.path ?? '/account';
      const given = new URLSearchParams(query);
      goOn(ctx, withQuery(wanted, known(parts, given.get('client_id'), given.get('sign_in'))));
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
