/**
 * Owns the provider's sign-out (OpenID Connect RP-Initiated Logout 1.0): when it asks first and when it goes on by itself.
 *
 * A good `id_token_hint` is one whose `sub` and `sid` are this session's; the library compares neither. Without one the
 * resident is asked, so that no other site can sign them out.
 */
import type { Middleware, ParameterizedContext } from 'koa';
import type Provider from 'oidc-provider';
import type { Client, KoaContextWithOIDC } from 'oidc-provider';
import { sql } from '../platform/database.ts';
import { logoutsOf, type Told } from '../records/logouts.ts';
import { current } from './unit-of-work.ts';

export interface SignOutPages {
  /** Asks. `xsrf` goes into the form, which is posted to `action`. */
  signOut(
    ctx: ParameterizedContext,
    ask: { xsrf: string; action: string; clientId?: string; returnTo?: string; uiLocales?: string },
  ): Promise<void>;
  /** Leads on to the page that says so. */
  signedOut(ctx: ParameterizedContext, clientId?: string): void;
}

type SubFor = (accountId: string, client: Client) => Promise<string> | string;

/** Has the hint been checked to be this session's own? */
async function hintIsOwn(ctx: KoaContextWithOIDC, subFor: SubFor): Promise<boolean> {
  const { oidc } = ctx;
  const payload = oidc.entities.IdTokenHint?.payload as { sub?: string; sid?: string } | undefined;
  const { client, session } = oidc;
  if (!payload || !client || !session?.accountId) return false;
  if (payload.sid === undefined || payload.sid !== session.sidFor(client.clientId)) return false;
  return (await subFor(session.accountId, client)) === payload.sub;
}

/** Every ID token carries `sid`, also for e-services without a back channel: a hint must tell whose session it is of. */
export function alwaysNameTheSession(provider: Provider): void {
  (provider.Client.prototype as { includeSid?: () => boolean }).includeSid = () => true;
}

/**
 * The library would call each e-service while the resident waits, and before anything has ended. Here that only orders it,
 * with the request's other writes. Those of a whole session are ordered anyway when its row goes; this also serves a form
 * without `logout`, which signs out of one e-service and leaves the session.
 */
export function queueLogouts(
  provider: Provider,
  { told, clock }: { told: () => readonly Told[]; clock: () => Date },
): void {
  async function order(this: Client, accountId: string): Promise<void> {
    const { session } = (current()!.ctx as unknown as KoaContextWithOIDC).oidc;
    const payload = JSON.stringify({ authorizations: { [this.clientId]: session!.authorizationFor(this.clientId) } });
    const ended = sql`(select ${accountId}::uuid as account_id, ${payload}::text as payload, false as ran_out)`;
    current()!.also(logoutsOf(ended, told(), clock()));
  }
  (provider.Client.prototype as { backchannelLogout?: typeof order }).backchannelLogout = order;
}

/**
 * The library gives a `sid` and a grant to each e-service that a sign-in was begun for. Only one that was answered has seen it,
 * and is told when the session ends (`logoutsOf` in records/logouts.ts).
 */
export function noteAnswered(provider: Provider): void {
  provider.on('authorization.success', ({ oidc }: KoaContextWithOIDC) => {
    Object.assign(oidc.session!.authorizationFor(oidc.client!.clientId), { answered: true });
  });
}

/** For the library's `logoutSource`: remembers what it wants asked; `signOutFlow` decides. */
export function logoutSource(ctx: KoaContextWithOIDC): void {
  ctx.body = '';
}

/**
 * Runs the provider's own middleware and, on the end-session path, answers what it leaves open.
 * `provider` must be callable twice: signing out without asking is the library's own confirmation, posted on the spot.
 */
export function signOutFlow(
  provider: Middleware,
  { pages, subFor }: { pages: SignOutPages; subFor: SubFor },
): Middleware {
  const lead = (ctx: ParameterizedContext, to: string): void => {
    ctx.body = null;
    ctx.redirect(to);
    ctx.status = 303;
  };

  /** Nobody is signed in (any more): that is what was asked for. */
  function over(ctx: ParameterizedContext, { params, client }: KoaContextWithOIDC['oidc']): void {
    const returnTo = params?.['post_logout_redirect_uri'] as string | undefined;
    if (!returnTo) return pages.signedOut(ctx, client?.clientId);
    const target = new URL(returnTo);
    const state = params?.['state'] as string | undefined;
    if (state !== undefined) target.searchParams.set('state', state);
    lead(ctx, target.href);
  }

  /** The library's own confirmation, posted on the spot. */
  async function confirm(ctx: ParameterizedContext, xsrf: string, action: string): Promise<void> {
    ctx.method = 'POST';
    ctx.path = new URL(action).pathname;
    ctx.req.headers['content-type'] = 'application/x-www-form-urlencoded';
    const form = Buffer.from(new URLSearchParams({ xsrf, logout: 'yes' }).toString());
    ctx.req.headers['content-length'] = String(form.length);
    // The library defines its own part of a context once: this is the same context with room for a second, and with the
    // form for a body.
    const req: unknown = Object.create(ctx.req, { readable: { value: true }, iterator: { value: () => [form] } });
    const again = Object.create(ctx, { req: { value: req } }) as typeof ctx;
    await provider(again, () => Promise.resolve());
    withOwnEnd(ctx, (again as unknown as KoaContextWithOIDC).oidc.client?.clientId);
  }

  /** Without an address to lead back to the library ends on a page of its own. */
  function withOwnEnd(ctx: ParameterizedContext, clientId?: string): void {
    if (ctx.status === 303 && new URL(ctx.response.get('Location'), 'http://x').pathname === '/session/end/success')
      pages.signedOut(ctx, clientId);
  }

  return async (ctx, next) => {
    await provider(ctx, next);
    const oidc = (ctx as unknown as { oidc?: KoaContextWithOIDC['oidc'] }).oidc;
    if (oidc?.route === 'end_session_confirm') return withOwnEnd(ctx, oidc.client?.clientId);
    if (oidc?.route !== 'end_session' || ctx.status !== 200) return;
    const libraryContext = ctx as unknown as KoaContextWithOIDC;
    const action = oidc.urlFor('end_session_confirm');
    const xsrf = (oidc.session?.state as { secret: string } | undefined)?.secret ?? '';
    if (await hintIsOwn(libraryContext, subFor)) return confirm(ctx, xsrf, action);
    if (!oidc.session?.accountId) return over(ctx, oidc);
    const given = (name: string) => oidc.params?.[name] as string | undefined;
    await pages.signOut(ctx, {
      xsrf,
      action,
      clientId: oidc.client?.clientId,
      returnTo: given('post_logout_redirect_uri'),
      uiLocales: given('ui_locales'),
    });
  };
}
