/**
 * Owns which metadata clients/*.yaml may have, each by itself: its name, what it may hold, and for the registered names that
 * are not taken, why. What must fit together is client-rules.ts's. Meanings stand in config/clients/*.yaml.sample.
 *
 * Names are those of the IANA registry 'OAuth Dynamic Client Registration Metadata' and some of our own.
 */
import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import type { ClientConfig } from '../config.ts';
import { LANGUAGES, type Language } from '../platform/i18n.ts';
import {
  ACR,
  emailAddress,
  isWebUri,
  list,
  oneOf,
  parseUri,
  secrets,
  text,
  value,
  WEB_URI_EXPECTED,
  webUri,
  whole,
  yesOrNo,
} from './values.ts';

/** What a client may sign with by its own key: assertions and request objects. */
export const CLIENT_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] as const;
/** With its secret, for client_secret_jwt. RFC 7518, 3.2 asks for a key as long as the hash: 32 bytes, as every secret has. */
export const SECRET_ALGORITHM = 'HS256';

export const SCOPES: readonly string[] = ['openid', 'email', 'profile', 'phone', 'legacy', 'offline_access'];
// RFC 6749, 3.3.
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/;
export const scopeToken = text('a name without spaces, quotes and backslashes', (given) => SCOPE_TOKEN.test(given));

/** An API, as tokens name it (RFC 8707, 2). */
export const resourceUri = text(`${WEB_URI_EXPECTED} without #fragment, or a urn:`, (given) => {
  const url = parseUri(given);
  return url !== undefined && (isWebUri(url) || url.protocol === 'urn:') && !given.includes('#');
});

// Web and native together; which of the two a URI may be is judged with application_type.
const redirectUri = text('a whole address without #fragment, wildcard or password', (given) => {
  return parseUri(given) !== undefined && !given.includes('#') && !given.includes('*');
});

const words = text('a text');

// Shown to residents: what can't be seen (line breaks, signs that turn the direction of writing round) imitates other words.
const name = text(
  'a name of 1 to 80 characters in one line, nothing invisible in it',
  (given) => given.trim() === given && /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,80}$/u.test(given),
);

const JWKS_EXPECTED = 'keys: with a list of public JSON Web Keys (kty RSA, EC or OKP, nothing private)';

/** One that can check a signature; of RSA, 2048 bits or more (RFC 7518, 3.3). */
export function isPublicKey(jwk: Readonly<Record<string, unknown>>): boolean {
  if (!['RSA', 'EC', 'OKP'].includes(jwk['kty'] as string) || 'd' in jwk) return false;
  try {
    const { modulusLength = Infinity } = createPublicKey({ key: jwk, format: 'jwk' }).asymmetricKeyDetails ?? {};
    return modulusLength >= 2048;
  } catch {
    return false;
  }
}

const jwk = value(
  'a public key that can be read (kty RSA of 2048 bits or more, EC or OKP, nothing private)',
  (given) => {
    const key = z.looseObject({}).safeParse(given);
    return key.success && isPublicKey(key.data) ? key.data : undefined;
  },
);

const jwks: z.ZodType<NonNullable<ClientConfig['jwks']>> = z.object(
  { keys: z.array(jwk, { error: JWKS_EXPECTED }).min(1, JWKS_EXPECTED) },
  { error: JWKS_EXPECTED },
);

export const CLIENT = {
  client_id: text('1 to 128 printable ASCII characters without spaces', (given) => /^[\x21-\x7e]{1,128}$/.test(given)),
  client_secret: secrets,
  client_name: name,
  ...(Object.fromEntries(LANGUAGES.map((language) => [`client_name#${language}`, name])) as Record<
    `client_name#${Language}`,
    typeof name
  >),
  application_type: oneOf('web', 'native'),
  redirect_uris: list(redirectUri, 'a list of addresses'),
  post_logout_redirect_uris: list(redirectUri, 'a list of addresses'),
  token_endpoint_auth_method: oneOf(
    'client_secret_basic',
    'client_secret_post',
    'client_secret_jwt',
    'private_key_jwt',
    'none',
  ),
  token_endpoint_auth_signing_alg: oneOf(...CLIENT_ALGORITHMS, SECRET_ALGORITHM),
  grant_types: list(
    oneOf('authorization_code', 'refresh_token', 'client_credentials'),
    'a list of authorization_code, refresh_token, client_credentials',
  ),
  response_types: list(oneOf('code'), 'code (and nothing else is offered)'),
  scope: text('names separated by single spaces', (given) => given.split(' ').every((name) => SCOPE_TOKEN.test(name))),
  resources: list(resourceUri, 'a list of addresses of APIs'),
  initiate_login_uri: webUri,
  client_uri: webUri,
  logo_uri: webUri,
  policy_uri: webUri,
  tos_uri: webUri,
  contacts: list(emailAddress, 'a list of e-mail addresses'),
  backchannel_logout_uri: webUri,
  backchannel_logout_session_required: yesOrNo,
  id_token_signed_response_alg: oneOf('RS256', 'ES256'),
  userinfo_signed_response_alg: oneOf('RS256', 'ES256'),
  introspection_signed_response_alg: oneOf('RS256', 'ES256'),
  request_object_signing_alg: oneOf(...CLIENT_ALGORITHMS),
  require_signed_request_object: yesOrNo,
  require_pushed_authorization_requests: yesOrNo,
  dpop_bound_access_tokens: yesOrNo,
  default_max_age: whole(0, 31_536_000),
  default_acr_values: list(words, 'a list of texts'),
  require_acr: oneOf(...Object.values(ACR)),
  require_auth_time: yesOrNo,
  jwks,
  jwks_uri: webUri,
  sector_identifier_uri: webUri,
  subject_type: oneOf('public', 'pairwise', 'legacy'),
  legacy_source: text('a name of small letters, digits, - and _', (given) => /^[a-z0-9][a-z0-9_-]{0,63}$/.test(given)),
  profile: oneOf('fapi2'),
  require_pkce: yesOrNo,
  consent: oneOf('skip', 'ask'),
  logout_on_expiry: yesOrNo,
} as const;

/** Names that other providers take, and what to do instead. */
const NOT_TAKEN: readonly (readonly [names: RegExp, instead: string])[] = [
  [/_encrypted_response_(alg|enc)$|^request_object_encryption_/, 'nothing is encrypted beyond TLS: take it out'],
  [/^authorization_signed_response_alg$/, 'answers carry iss (RFC 9207) and are not signed: take it out'],
  [/^request_uris$/, 'request objects are taken by value, or pushed (RFC 9126): take it out'],
  [/^(tls_client_|use_mtls)/, 'client certificates are not offered: take private_key_jwt and dpop_bound_access_tokens'],
  [/^authorization_details_types$/, 'rich authorization requests are not offered: take scope and resources'],
  [/^frontchannel_logout_/, 'browsers block front-channel sign-out: take backchannel_logout_uri'],
  [/^backchannel_(token|client|auth|user)/, 'signing in on another device (CIBA) is not offered: take it out'],
  [/^response_modes$/, 'each request says which it wants: take it out'],
  [/^client_secret_expires_at$/, 'a secret is valid while it stands here: take a list of two to change one'],
  [/^(client_id_issued_at|registration_|software_)/, 'nothing is registered over the network here: take it out'],
  [/_supported$/, 'a client has one value: take the name without _values_supported'],
];

/** Why a key that is not in CLIENT is a fault, where its name is known elsewhere. */
export const insteadOf = (key: string): string | undefined => NOT_TAKEN.find(([names]) => names.test(key))?.[1];
