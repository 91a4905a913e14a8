/**
 * Owns what the provider publishes of itself: that discovery says the truth and nothing more, how long the keys may be kept,
 * and which sites' scripts may call it (CORS).
 *
 * The library lets every site's scripts read discovery, keys and errors, and answers every preflight. Here only the origins of
 * registered browser clients get CORS headers; that the origin is the calling client's own is checked by `clientBasedCORS`.
 * No answer allows credentials: no cookie ever goes along.
 */
import { createHash } from 'node:crypto';
import type { Middleware } from 'koa';
import { JWKS_CACHE } from './keys.ts';

interface Discovery {
  response_types_supported: string[];
  token_endpoint_auth_methods_supported: string[];
  token_endpoint_auth_signing_alg_values_supported: string[];
  [name: string]: unknown;
}

/** What the library says otherwise, or leaves to be guessed (RFC 8414, 2: then `client_secret_basic` alone revokes). */
function truthful(document: Discovery): Discovery {
  const methods = document.token_endpoint_auth_methods_supported;
  const algorithms = document.token_endpoint_auth_signing_alg_values_supported;
  return {
    ...document,
    // `none` is for our own pages: no e-service can be registered for it.
    response_types_supported: ['code'],
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: algorithms,
    // Who does not authenticate looks nothing up (`mayLookUp`).
    introspection_endpoint_auth_methods_supported: methods.filter((method) => method !== 'none'),
    introspection_endpoint_auth_signing_alg_values_supported: algorithms,
  };
}

const routeOf = (ctx: object): string | undefined => (ctx as { oidc?: { route?: string } }).oidc?.route;

/** Wraps the provider. `origins` are those of registered browser clients, as they are now. */
export function published(provider: Middleware, origins: () => ReadonlySet<string>): Middleware {
  return async (ctx, next) => {
    await provider(ctx, next);
    const route = routeOf(ctx);
    // Only clients that authenticate may introspect: no browser has business there.
    const allowed = ctx.response.get('Access-Control-Allow-Origin') && origins().has(ctx.get('Origin'));
    if (!allowed || route?.endsWith('introspection')) {
      const open = Object.keys(ctx.response.headers).filter((name) => name.startsWith('access-control-'));
      for (const name of open) ctx.remove(name);
    }
    if (ctx.status !== 200) return;
    if (route === 'discovery') {
      ctx.body = truthful(ctx.body as Discovery);
    }
    if (route === 'jwks') {
      ctx.set('Cache-Control', `public, max-age=${JWKS_CACHE / 1000}`);
      ctx.etag = createHash('sha256').update(JSON.stringify(ctx.body)).digest('base64url');
      if (ctx.fresh) ctx.status = 304;
    }
  };
}
