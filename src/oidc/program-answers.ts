/**
 * Owns what the token endpoint answers otherwise than the library would: the error that the standard names. That programs always
 * get JSON is provider.ts's (`renderError`), discovery published.ts's.
 */
import type { Middleware } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';

/** To be used by each new Provider (`provider.use`). */
export const programAnswers: Middleware = async (ctx, next) => {
  await next();
  const { oidc } = ctx as unknown as { oidc?: KoaContextWithOIDC['oidc'] };
  const body = ctx.body as Record<string, unknown> | undefined;
  if (oidc?.route !== 'token' || ctx.status !== 400 || body?.['error'] !== 'invalid_request') return;
  const wanted = oidc.params?.['grant_type'];
  // RFC 6749, 5.2; the library says invalid_request.
  if (typeof wanted === 'string' && oidc.client?.grantTypeAllowed(wanted) === false)
    ctx.body = { ...body, error: 'unauthorized_client' };
};
