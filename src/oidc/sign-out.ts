/**
 * Owns the provider's sign-out (OpenID Connect RP-Initiated Logout 1.0): when it asks first and when it goes on by itself.
 *
 * A good `id_token_hint` is one whose `sub` and `sid` are this session's; the library compares neither. Without one the
 * resident is asked, so that no other site can sign them out.
 */
import type { Middleware, ParameterizedContext } from 'koa';
import type Provider from 'oidc-provider';
import type { Client, KoaContextWithOIDC } from 'oidc-provider';

export interface SignOutPages {
  /** Asks. `xsrf` goes into the form, which is posted to `action`. */
  signOut(
    ctx: ParameterizedContext,
    ask: { xsrf: string; action: string; clientId?: string; returnTo?: string },
  ): Promise<void>;
}

type SubFor = (accountId: string, client: Client) => Promise<string | undefined> | string;

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
  return async (ctx, next) => {
    await provider(ctx, next);
    const oidc = (ctx as unknown as { oidc?: KoaContextWithOIDC['oidc'] }).oidc;
    if (oidc?.route !== 'end_session' || ctx.status !== 200) return;
    const libraryContext = ctx as unknown as KoaContextWithOIDC;
    const returnTo = oidc.params?.['post_logout_redirect_uri'] as string | undefined;

    if (!oidc.session?.accountId) {
      // Nobody is signed in: that is what was asked for.
      const target = new URL(returnTo ?? '/signed-out', oidc.issuer);
      const state = oidc.params?.['state'] as string | undefined;
      if (returnTo && state !== undefined) target.searchParams.set('state', state);
      ctx.status = 303;
      ctx.body = null;
      ctx.redirect(target.href);
      ctx.status = 303;
      return;
    }

    const action = oidc.urlFor('end_session_confirm');
    const xsrf = (oidc.session.state as { secret: string }).secret;
    if (await hintIsOwn(libraryContext, subFor)) {
      ctx.method = 'POST';
      ctx.path = new URL(action).pathname;
      ctx.req.headers['content-type'] = 'application/x-www-form-urlencoded';
      const form = Buffer.from(new URLSearchParams({ xsrf, logout: 'yes' }).toString());
      ctx.req.headers['content-length'] = String(form.length);
      // The library defines its own part of a context once: this is the same context with room for a second, and with the
      // form for a body.
      const req: unknown = Object.create(ctx.req, { readable: { value: true }, iterator: { value: () => [form] } });
      await provider(Object.create(ctx, { req: { value: req } }) as typeof ctx, next);
      return;
    }
    await pages.signOut(ctx, { xsrf, action, clientId: oidc.client?.clientId, returnTo });
  };
}
