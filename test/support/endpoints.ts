/**
 * The provider's endpoints with a request that each takes, and what each parameter's absence or nonsense must be answered with:
 * the error by the standard that names the parameter. Empty: it is taken all the same.
 */
import type { HttpBrowser } from './http-browser.ts';
import { PARKING, type City } from './city.ts';
import {
  assertion,
  authorizationUrl,
  basic,
  CHALLENGE,
  codeFrom,
  exchange,
  redirectUriOf,
  VERIFIER,
} from './protocol.ts';
import type { World } from './world.ts';

export interface Endpoint {
  name: string;
  path: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  /** A good request, made anew each time. */
  fields(): Promise<[string, string][]>;
  /** By parameter: the error where it is left out, and those where it holds nonsense. */
  errors: Record<string, { missing: string; spoilt: readonly string[] }>;
  /** Not invalid_request when given twice (RFC 8707, 2). */
  mayRepeat?: readonly string[];
}

const must = (missing: string, ...spoilt: string[]) => ({ missing, spoilt: ['invalid_request', ...spoilt] });
const may = (...spoilt: string[]) => ({ missing: '', spoilt: ['invalid_request', ...spoilt] });
const anything = { missing: '', spoilt: [''] };

const AUTHORIZATION = {
  response_type: must('invalid_request', 'unsupported_response_type'),
  scope: { missing: '', spoilt: ['invalid_scope', ''] },
  state: anything,
  nonce: anything,
  code_challenge: must('invalid_request'),
  code_challenge_method: must('invalid_request'),
  prompt: may(),
  max_age: may('login_required'),
  claims: may(),
  id_token_hint: may(),
  acr_values: anything,
  ui_locales: anything,
  login_hint: anything,
  resource: may('invalid_target'),
  request: may('invalid_request_object', 'invalid_redirect_uri'),
  response_mode: may('unsupported_response_mode'),
  dpop_jkt: anything,
};

export function endpoints(world: World, { browser, keys }: { browser: HttpBrowser; keys: City['keys'] }): Endpoint[] {
  const code = () => codeFrom(browser, authorizationUrl(world, 'portal'));
  const asPortal = basic('portal');
  const asked = (more: [string, string][]): [string, string][] => [
    ['client_id', 'portal'],
    ['redirect_uri', redirectUriOf(world, 'portal')],
    ['response_type', 'code'],
    ['scope', 'openid email'],
    ['code_challenge', CHALLENGE],
    ['code_challenge_method', 'S256'],
    ...more,
  ];
  const post = { method: 'POST' as const, headers: asPortal };
  let family: Promise<string> | undefined;
  const refreshToken = (): Promise<string> =>
    (family ??= code().then(async (given) =>
      String((await exchange(world, given, { client: 'portal' })).body['refresh_token']),
    ));

  return [
    {
      name: 'authorization (OpenID Connect Core 1.0, 3.1.2.1)',
      path: '/auth',
      method: 'GET',
      headers: {},
      fields: async () => asked([['prompt', 'none']]),
      errors: {
        ...AUTHORIZATION,
        scope: must('invalid_scope', 'invalid_scope'),
        prompt: { missing: '', spoilt: ['', 'invalid_request'] },
      },
      mayRepeat: ['resource'],
    },
    {
      name: 'pushed request (RFC 9126, 2.1)',
      path: '/request',
      ...post,
      fields: async () => asked([]),
      errors: { ...AUTHORIZATION, redirect_uri: must('invalid_request') },
      mayRepeat: ['resource'],
    },
    {
      name: 'token by code (RFC 6749, 4.1.3)',
      path: '/token',
      ...post,
      fields: async () => [
        ['grant_type', 'authorization_code'],
        ['code', await code()],
        ['redirect_uri', redirectUriOf(world, 'portal')],
        ['code_verifier', VERIFIER],
      ],
      errors: {
        grant_type: must('invalid_request', 'unsupported_grant_type'),
        code: must('invalid_request', 'invalid_grant'),
        redirect_uri: must('invalid_request', 'invalid_grant', ''),
        code_verifier: must('invalid_grant', 'invalid_grant'),
        resource: may('invalid_target'),
        client_id: may('invalid_client'),
        client_secret: may(''),
      },
      mayRepeat: ['resource'],
    },
    {
      name: 'token by refresh token (RFC 6749, 6)',
      path: '/token',
      ...post,
      fields: async () => [
        ['grant_type', 'refresh_token'],
        ['refresh_token', await refreshToken()],
      ],
      errors: {
        refresh_token: must('invalid_request', 'invalid_grant'),
        scope: may('invalid_scope', ''),
        resource: may('invalid_target', ''),
      },
      mayRepeat: ['resource'],
    },
    {
      name: 'token of a machine (RFC 6749, 4.4.2)',
      path: '/token',
      method: 'POST',
      headers: basic('loader'),
      fields: async () => [
        ['grant_type', 'client_credentials'],
        ['resource', PARKING],
      ],
      errors: { scope: may('invalid_scope', ''), resource: may('invalid_target', '') },
      mayRepeat: ['resource'],
    },
    {
      name: 'token by assertion (RFC 7523, 2.2)',
      path: '/token',
      method: 'POST',
      headers: {},
      fields: async () => [
        ['grant_type', 'client_credentials'],
        ['client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'],
        ['client_assertion', await assertion(keys.keyed, { iss: 'keyed', sub: 'keyed', aud: world.issuer })],
      ],
      errors: {
        client_assertion_type: must('invalid_request'),
        client_assertion: must('invalid_request', 'invalid_client'),
        client_id: may('invalid_client', ''),
      },
    },
    {
      name: 'introspection (RFC 7662, 2.1)',
      path: '/token/introspection',
      ...post,
      fields: async () => [['token', await refreshToken()]],
      errors: { token: must('invalid_request', '', 'unsupported_token_type'), token_type_hint: anything },
    },
    {
      name: 'revocation (RFC 7009, 2.1)',
      path: '/token/revocation',
      ...post,
      fields: async () => [['token', 'unknown']],
      errors: { token: must('invalid_request', '', 'unsupported_token_type'), token_type_hint: anything },
    },
    {
      name: 'userinfo (RFC 6750, 2.2)',
      path: '/me',
      method: 'POST',
      headers: {},
      fields: async () => [
        ['access_token', String((await exchange(world, await code(), { client: 'portal' })).body['access_token'])],
      ],
      errors: {
        access_token: must('invalid_token', 'invalid_token'),
        scope: may('insufficient_scope', 'invalid_scope', ''),
      },
    },
  ];
}

export interface Verdict {
  status: number;
  /** '' where the request was taken. */
  error: string;
  /** What was wrong with the form of the answer, whatever it says. */
  wrong: string[];
}

/** Sends a request as it is written and judges the form of the answer: its status, its type, where it leads. */
export async function verdictOf(
  world: World,
  endpoint: Endpoint,
  { encoded, cookie }: { encoded: string; cookie: string },
): Promise<Verdict> {
  const { method, path, headers } = endpoint;
  const target = method === 'GET' ? `${path}?${encoded}` : path;
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const response = await fetch(new URL(target, world.issuer), {
    method,
    redirect: 'manual',
    headers: { accept: '*/*', ...headers, ...(method === 'POST' ? form : { cookie }) },
    body: method === 'POST' ? encoded : undefined,
  });
  const text = await response.text();
  const wrong: string[] = [];
  if (response.status >= 500) wrong.push(`status ${response.status}`);
  const location = response.headers.get('location');
  if (method === 'GET') {
    const to = location ? new URL(location, world.issuer) : undefined;
    const registered = redirectUriOf(world, 'portal');
    const own = to?.origin === world.issuer && to.pathname.startsWith('/sign-in/');
    if (to && !own && to.origin + to.pathname !== registered) wrong.push(`leads to ${to.href}`);
    const answer = new URLSearchParams(to?.search || to?.hash.slice(1));
    if (to && !own && answer.get('iss') !== world.issuer) wrong.push('names no issuer');
    return { status: response.status, error: answer.get('error') ?? (to ? '' : 'a page'), wrong };
  }
  if (location) wrong.push(`leads to ${location}`);
  if (response.status >= 400 && !response.headers.get('content-type')?.includes('json')) wrong.push('is no JSON');
  const body = (response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : {}) as { error?: string };
  const ok = response.status < 300;
  if (ok !== (body.error === undefined)) wrong.push(`${response.status} with ${body.error ?? 'no error'}`);
  return { status: response.status, error: body.error ?? '', wrong };
}
