/**
 * Owns what a client's own JWTs must hold beyond what the library asks of them: the assertion by which it proves who it is
 * (RFC 7523) and the request object (RFC 9101). Neither is ever taken for the other. What FAPI 2.0 asks more is fapi.ts's.
 */
import { errors, type Client, type KoaContextWithOIDC } from 'oidc-provider';
import { CLIENT_ALGORITHMS, SECRET_ALGORITHM } from '../config/client-keys.ts';
import { assertJwtClientAuthClaimsAndHeader, isAhead, isFapi } from './fapi.ts';

type Claims = Record<string, unknown>;
/** What the library hands over. */
type Given = [ctx: KoaContextWithOIDC, claims: Claims, header: Claims, client: Client];

/** What a client may sign with. No `none`, and for requests no secret that this service knows too. */
export const CLIENT_JWA = {
  clientAuthSigningAlgValues: [...CLIENT_ALGORITHMS, SECRET_ALGORITHM] as const,
  requestObjectSigningAlgValues: [...CLIENT_ALGORITHMS] as const,
};

const REQUEST_OBJECT = 'oauth-authz-req+jwt';
/** How far ahead an assertion may end, in seconds: its id is kept that long (RFC 7523, 3 (4)). */
const LONGEST = 24 * 3600;

/** RFC 7523, 3. Throws invalid_client. */
export async function clientAssertion(...[ctx, claims, header]: Given): Promise<void> {
  const refuse = (why: string): never => {
    throw new errors.InvalidClientAuth(why);
  };
  if (isAhead(claims['iat'])) refuse('the assertion was issued in the future');
  if ((claims['exp'] as number) > Date.now() / 1000 + LONGEST) refuse('the assertion ends too late');
  // A request object passes through browsers, and could be shown here by whoever saw it: RFC 9101, 10.8.
  if (header['typ'] === REQUEST_OBJECT || 'response_type' in claims) refuse('a request object is no assertion');
  await assertJwtClientAuthClaimsAndHeader(ctx, claims, header);
}

/** RFC 9101, 4 and 10.8. Pushed parameters come here too, as the library's own unsigned JWT. Throws invalid_request_object. */
export async function requestObject(...[, claims, header, client]: Given): Promise<void> {
  const refuse = (why: string): never => {
    throw new errors.InvalidRequestObject(why);
  };
  const typ = header['typ'];
  if (typ !== undefined && !(typeof typ === 'string' && [REQUEST_OBJECT, 'jwt'].includes(typ.toLowerCase())))
    refuse("Request Object 'typ' is that of another kind of token");
  if (isAhead(claims['iat'])) refuse('Request Object was issued in the future');
  if (!isFapi(client)) return;
  const [from, to] = [claims['nbf'], claims['exp']];
  if (typeof from !== 'number' || typeof to !== 'number' || to <= from || to - from > 3600)
    refuse("Request Object must hold 'nbf' and 'exp', at most an hour apart");
}
