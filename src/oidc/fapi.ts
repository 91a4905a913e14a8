/**
 * Owns what the FAPI 2.0 Security Profile (final) asks of the provider for clients with `profile: fapi2` only. What their
 * metadata must be is config/client-rules.ts's; PAR, PKCE, DPoP, `iss` and 303 follow from it and from what holds for all.
 */
import { decodeJwt, type JWTPayload } from 'jose';
import { errors, type Client, type KoaContextWithOIDC } from 'oidc-provider';

/** 5.4.1. */
const ALGORITHMS = ['PS256', 'ES256', 'EdDSA', 'Ed25519'];
/** 5.3.2.1: a JWT from further ahead is refused; one from 10 seconds ahead must be taken. In seconds. */
const FURTHEST_AHEAD = 60;

export const isFapi = (client: Client | undefined): boolean => client?.['profile'] === 'fapi2';

/** For the library's `features.fapi`. */
export const fapi = {
  enabled: true,
  profile: (_ctx: KoaContextWithOIDC, client: Client | undefined) => (isFapi(client) ? ('2.0' as const) : undefined),
};

/** Client assertions: 5.3.2.1 (the issuer, as a string, is the only audience) and 5.4.1. Their time is judged for all alike. */
export async function assertJwtClientAuthClaimsAndHeader(
  ctx: KoaContextWithOIDC,
  claims: { aud?: unknown },
  header: { alg?: unknown },
): Promise<void> {
  if (!isFapi(ctx.oidc.client)) return;
  if (claims.aud !== ctx.oidc.issuer) throw new errors.InvalidClientAuth('aud must be the issuer alone, as a string');
  if (!ALGORITHMS.includes(String(header.alg))) throw new errors.InvalidClientAuth('alg is none of FAPI 2.0');
}

/**
 * The library takes a DPoP proof from five minutes ahead. This is its question before it looks at one (`features.dPoP`):
 * no nonce is asked for, and a proof from too far ahead goes no further, whosever it is.
 */
export function requireNonce(ctx: KoaContextWithOIDC): boolean {
  if (isAhead(claimsOf(ctx.get('DPoP')).iat)) throw new errors.InvalidDpopProof('iat is too far in the future');
  return false;
}

function claimsOf(jwt: string): JWTPayload {
  try {
    return decodeJwt(jwt);
  } catch {
    // What is no JWT the library refuses itself.
    return {};
  }
}

export const isAhead = (iat: unknown): boolean => typeof iat === 'number' && iat > Date.now() / 1000 + FURTHEST_AHEAD;
