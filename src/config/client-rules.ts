/**
 * Owns what must fit together within one file of clients/*.yaml: faults that no key has by itself, and what
 * `profile: fapi2` forbids. What is wrong by itself has been told and is not looked at here.
 */
import type { AuthMethod, ClientConfig } from '../config.ts';
import { LANGUAGES } from '../platform/i18n.ts';
import type { CLIENT } from './client-keys.ts';
import { CLIENT_ALGORITHMS, SCOPES, SECRET_ALGORITHM } from './client-keys.ts';
import type { Checked, Partly } from './shape.ts';
import { isLoopback, WEB_URI_EXPECTED } from './values.ts';

export type Values = Partly<typeof CLIENT>;
type Judged = Checked<typeof CLIENT>;

/** The client of our own pages (src/oidc/clients.ts). */
export const OWN_CLIENT_ID = 'account';

export function authMethodOf(values: Values): AuthMethod {
  if (values.token_endpoint_auth_method) return values.token_endpoint_auth_method;
  if (values.profile === 'fapi2') return 'private_key_jwt';
  return values.client_secret ? 'client_secret_basic' : 'none';
}

/** Does it send residents here, or is it a machine alone? */
export const signsIn = ({ grant_types }: Values): boolean => grant_types?.includes('authorization_code') ?? true;

const wrong = ({ given, values }: Judged, key: keyof Values): boolean => given(key) && values[key] === undefined;

export function together(checked: Judged): void {
  names(checked);
  addresses(checked);
  authentication(checked);
  grants(checked);
  scopes(checked);
  requestObjects(checked);
  if (checked.values.profile === 'fapi2') fapi2(checked);
}

function names({ values, fault, given }: Judged): void {
  if (!given('client_id')) fault([], 'client_id is missing, expected the name of the e-service');
  if (values.client_id === OWN_CLIENT_ID)
    fault(['client_id'], `client_id "${OWN_CLIENT_ID}" is taken by this service itself, expected another`);
  if (!LANGUAGES.some((language) => given(`client_name#${language}`)) && !given('client_name')) {
    fault([], 'client_name is missing, expected the name of the e-service as residents know it');
  }
}

function addresses({ values, fault, given }: Judged): void {
  if (signsIn(values) && !given('redirect_uris'))
    fault([], 'redirect_uris is missing, expected the addresses of the e-service');
  for (const key of ['redirect_uris', 'post_logout_redirect_uris'] as const) {
    values[key]?.forEach((uri, index) => {
      const expected = redirectFault(uri, values.application_type ?? 'web');
      if (expected) fault([key, index], `${key}[${index}] is "${uri}", expected ${expected}`);
    });
  }
  if (values.backchannel_logout_session_required && !given('backchannel_logout_uri')) {
    const key = 'backchannel_logout_session_required';
    fault([key], `${key} is true without backchannel_logout_uri, expected that address`);
  }
}

/** What is expected of the URI instead, if anything. */
function redirectFault(uri: string, type: ClientConfig['application_type']): string | undefined {
  const url = new URL(uri);
  const loopback = isLoopback(url.hostname);
  if (url.protocol === 'https:' && (type === 'web' || !loopback)) return undefined;
  if (url.protocol === 'http:' && loopback) return undefined;
  if (type === 'web') return `${WEB_URI_EXPECTED}, or application_type: native`;
  // RFC 8252, 7.1: a private-use scheme is a domain name turned round, so that two apps do not take the same one.
  if (/^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/.test(url.protocol)) return undefined;
  return 'a scheme of the app\'s own like "fi.example.app:/signed-in", an https: address, or http://127.0.0.1/…';
}

function authentication(checked: Judged): void {
  const { values, fault, given } = checked;
  if (given('jwks') && given('jwks_uri')) fault(['jwks_uri'], 'jwks_uri stands beside jwks, expected one of the two');
  if (wrong(checked, 'token_endpoint_auth_method') || wrong(checked, 'client_secret')) return;
  const method = authMethodOf(values);
  const at = given('token_endpoint_auth_method') ? ['token_endpoint_auth_method'] : ['profile'];
  const usesSecret = method.startsWith('client_secret');
  if (usesSecret && !given('client_secret'))
    fault(at, `token_endpoint_auth_method is ${method} without client_secret, expected a secret`);
  if (!usesSecret && given('client_secret')) {
    fault(
      ['client_secret'],
      `client_secret stands beside token_endpoint_auth_method ${method}, which uses none, expected one of the two`,
    );
  }
  if (method === 'private_key_jwt' && !hasKeys(checked))
    fault(at, 'token_endpoint_auth_method is private_key_jwt without keys, expected jwks or jwks_uri');
  if (values.require_pkce === false && method === 'none') {
    fault(['require_pkce'], 'require_pkce is false for a client that does not authenticate, expected true');
  }
  assertionAlgorithm(checked, method);
}

const hasKeys = ({ given }: Judged): boolean => given('jwks') || given('jwks_uri');

function assertionAlgorithm({ values, fault }: Judged, method: AuthMethod): void {
  const key = 'token_endpoint_auth_signing_alg';
  const wanted = values[key];
  if (!wanted) return;
  const offered: Readonly<Partial<Record<AuthMethod, readonly string[]>>> = {
    client_secret_jwt: [SECRET_ALGORITHM],
    private_key_jwt: CLIENT_ALGORITHMS,
  };
  if (offered[method]?.includes(wanted)) return;
  const expected = offered[method]?.join(', ') ?? 'it only with client_secret_jwt or private_key_jwt';
  fault([key], `${key} is ${wanted} beside token_endpoint_auth_method ${method}, expected ${expected}`);
}

/** What only a sign-in gives a meaning to. */
const OF_SIGN_INS = [
  'redirect_uris',
  'post_logout_redirect_uris',
  'response_types',
  'initiate_login_uri',
  'backchannel_logout_uri',
  'subject_type',
  'legacy_source',
  'require_pkce',
  'consent',
  'require_pushed_authorization_requests',
  'require_signed_request_object',
] as const;

function grants(checked: Judged): void {
  const { values, fault, given } = checked;
  const wanted = values.grant_types;
  if (!wanted) return;
  if (wanted.includes('refresh_token') && !signsIn(values))
    return fault(['grant_types'], 'grant_types lacks authorization_code, expected it beside refresh_token');
  // RFC 6749, 4.4: only who can keep a secret or key.
  if (wanted.includes('client_credentials') && !wrong(checked, 'client_secret') && authMethodOf(values) === 'none') {
    fault(
      ['grant_types'],
      'grant_types has client_credentials for a client that does not authenticate, expected a secret or key',
    );
  }
  if (signsIn(values)) return;
  for (const key of OF_SIGN_INS) {
    if (given(key)) fault([key], `${key} is for sign-ins, expected authorization_code in grant_types or no ${key}`);
  }
}

function scopes(checked: Judged): void {
  const { values, fault, given } = checked;
  const asked = values.scope?.split(' ') ?? [];
  const foreign = asked.filter((scope) => !SCOPES.includes(scope));
  const ofResidents = SCOPES.slice(1).join(', ');
  if (values.subject_type === 'legacy' && !given('legacy_source')) {
    fault(['subject_type'], 'subject_type is legacy without legacy_source, expected the name of the user list');
  }
  if (!asked.length || wrong(checked, 'grant_types')) return;
  if (!signsIn(values)) {
    if (foreign.length < asked.length)
      fault(['scope'], `scope is "${values.scope}", expected none of openid, ${ofResidents} without sign-ins`);
  } else if (!asked.includes('openid') || (foreign.length && !given('resources'))) {
    const apis = foreign.length && !given('resources') ? '; scopes of APIs only with resources' : '';
    fault(
      ['scope'],
      `scope is "${values.scope}", expected openid and any of ${ofResidents}, separated by spaces${apis}`,
    );
  }
  if (asked.includes('legacy') && !given('legacy_source')) {
    fault(['scope'], 'scope has legacy without legacy_source, expected the name of the user list');
  }
  if (asked.includes('offline_access') && signsIn(values) && !values.grant_types?.includes('refresh_token')) {
    fault(['scope'], 'scope has offline_access without refresh_token, expected it in grant_types');
  }
}

function requestObjects(checked: Judged): void {
  const { values, fault } = checked;
  if (hasKeys(checked)) return;
  for (const key of ['request_object_signing_alg', 'require_signed_request_object'] as const) {
    if (values[key]) fault([key], `${key} is ${values[key]} without keys, expected jwks or jwks_uri`);
  }
}

/** FAPI 2.0 Security Profile (final), 5.3.2 and 5.4.1: what it asks for is set by itself and cannot be taken back. */
function fapi2({ values, fault }: Judged): void {
  const method = authMethodOf(values);
  if (method !== 'private_key_jwt')
    fault(
      ['token_endpoint_auth_method'],
      `token_endpoint_auth_method is ${method} beside profile fapi2, expected private_key_jwt`,
    );
  for (const key of ['require_pkce', 'require_pushed_authorization_requests', 'dpop_bound_access_tokens'] as const) {
    if (values[key] === false) fault([key], `${key} is false beside profile fapi2, expected true`);
  }
  for (const key of [
    'id_token_signed_response_alg',
    'userinfo_signed_response_alg',
    'introspection_signed_response_alg',
  ] as const) {
    if (values[key] === 'RS256') fault([key], `${key} is RS256 beside profile fapi2, expected ES256`);
  }
  for (const key of ['token_endpoint_auth_signing_alg', 'request_object_signing_alg'] as const) {
    if (values[key] === 'RS256')
      fault([key], `${key} is RS256 beside profile fapi2, expected PS256, ES256, EdDSA or Ed25519`);
  }
}
