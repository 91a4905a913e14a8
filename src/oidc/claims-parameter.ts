/**
 * Owns the `claims` parameter (OpenID Connect Core 1.0, 5.5): it picks among what an e-service may know anyway, and asks how sure
 * the sign-in must be. What goes past the scopes that it is registered for is left out, as an OP may do with any claim that
 * it does not give; what is within them `consent: ask` puts before the resident.
 */
import { errors, type Client, type ClaimsParameter, type KoaContextWithOIDC } from 'oidc-provider';
import { claimsOf } from './claims.ts';

/** Leaves in the request only what the e-service may ask for. Throws invalid_request where a wish is none. */
export function onlyRegisteredClaims(ctx: KoaContextWithOIDC, claims: ClaimsParameter, client: Client): void {
  // What is of the sign-in and not of the resident is always told.
  const allowed = claimsOf(['openid', ...(client.scope?.split(' ') ?? [])]).add('sid');
  const kept: Record<string, Record<string, unknown>> = {};
  for (const target of ['userinfo', 'id_token'] as const) {
    const wishes = Object.entries(claims[target] ?? {});
    if (wishes.some(([, wish]) => wish !== null && (typeof wish !== 'object' || Array.isArray(wish))))
      throw new errors.InvalidRequest(`claims.${target} members must be null or objects`);
    kept[target] = Object.fromEntries(wishes.filter(([name]) => allowed.has(name)));
  }
  const acr = kept['id_token']!['acr'] as { values?: unknown } | null | undefined;
  if (acr?.values !== undefined && !Array.isArray(acr.values))
    throw new errors.InvalidRequest('claims.id_token.acr.values must be a list');
  // The library reads the parameter again from here on.
  ctx.oidc.params!['claims'] = JSON.stringify(kept);
}
