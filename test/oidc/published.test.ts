/** What the provider publishes of itself: discovery is true, keys may be kept as long as is said, and scripts of few sites read. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { JWKS_CACHE } from '../../src/oidc/keys.ts';
import { exchange } from '../support/wire.ts';
import { CLIENT_SECRET, startWorld, type World } from '../support/world.ts';

let world: World;
interface Discovery extends Record<string, unknown> {
  issuer: string;
  authorization_endpoint: string;
  token_endpoint: string;
  jwks_uri: string;
  grant_types_supported: string[];
  response_types_supported: string[];
  response_modes_supported: string[];
  code_challenge_methods_supported: string[];
  scopes_supported: string[];
  claims_supported: string[];
  token_endpoint_auth_methods_supported: string[];
  id_token_signing_alg_values_supported: string[];
  subject_types_supported: string[];
}

let document: Discovery;

const SITE = 'https://sivu.example';
beforeAll(async () => {
  world = await startWorld({
    clients: {
      sivu: {
        client_secret: undefined,
        client_name: 'Sivu',
        redirect_uris: [`${SITE}/callback`],
        token_endpoint_auth_method: 'none',
      },
      sovellus: {
        client_secret: undefined,
        client_name: 'Sovellus',
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback', 'fi.example.sovellus:/callback'],
        token_endpoint_auth_method: 'none',
      },
    },
  });
  document = (await (await fetch(`${world.issuer}/.well-known/openid-configuration`)).json()) as Discovery;
});
afterAll(() => world.close());

const BASIC = `Basic ${Buffer.from(`asiointi:${encodeURIComponent(CLIENT_SECRET)}`).toString('base64')}`;

async function token(fields: Record<string, string>): Promise<{ error: string }> {
  const body = new URLSearchParams(fields);
  return (await (
    await fetch(document.token_endpoint, { method: 'POST', body, headers: { Authorization: BASIC } })
  ).json()) as {
    error: string;
  };
}

/** The error with which the authorization endpoint sends back to the e-service; nothing where it goes on to sign in. */
async function asked(parameters: Record<string, string>): Promise<string | null> {
  const query = new URLSearchParams({
    client_id: 'asiointi',
    redirect_uri: 'https://asiointi.example/callback',
    response_type: 'code',
    scope: 'openid',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
    nonce: 'n',
    ...parameters,
  });
  const answer = await fetch(`${document.authorization_endpoint}?${query.toString()}`, { redirect: 'manual' });
  const to = new URL(answer.headers.get('location') ?? 'x:', world.issuer);
  if (to.origin === world.issuer) return null;
  return to.searchParams.get('error') ?? new URLSearchParams(to.hash.slice(1)).get('error') ?? String(answer.status);
}

describe('discovery', () => {
  test('names the issuer exactly, and every address is below it', () => {
    expect(document.issuer).toBe(world.issuer);
    for (const [name, value] of Object.entries(document))
      if (/_(endpoint|uri)$/.test(name)) expect(value).toMatch(new RegExp(`^${world.issuer}/`));
  });

  test('names every endpoint that is there, and no endpoint is there that it does not name', async () => {
    const named = (Object.entries(document) as [string, string][]).filter(([name]) =>
      /_endpoint$|^jwks_uri$/.test(name),
    );
    for (const [name, url] of named) {
      const [get, post] = await Promise.all([fetch(url, { redirect: 'manual' }), fetch(url, { method: 'POST' })]);
      expect([name, get.status === 404 && post.status === 404]).toEqual([name, false]);
    }
    const paths = new Set(named.map(([, url]) => new URL(url).pathname));
    const known = ['/reg', '/device', '/device/auth', '/backchannel', '/challenge', '/credential', '/nonce'];
    for (const path of known.filter((each) => !paths.has(each))) {
      for (const method of ['GET', 'POST', 'OPTIONS'])
        expect([path, method, (await fetch(world.issuer + path, { method })).status]).toEqual([path, method, 404]);
    }
  });

  test.each(
    ['authorization_code', 'refresh_token', 'client_credentials', 'password', 'implicit'].concat([
      'urn:ietf:params:oauth:grant-type:device_code',
      'urn:openid:params:grant-type:ciba',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
    ]),
  )('names the grant %s exactly when the token endpoint knows it', async (grant) => {
    const { error } = await token({ grant_type: grant });
    expect(error !== 'unsupported_grant_type').toBe(document.grant_types_supported.includes(grant));
  });

  test.each([
    'code',
    'none',
    'token',
    'id_token',
    'id_token token',
    'code id_token',
    'code token',
    'code id_token token',
  ])('names the response type %s exactly when an e-service can get it', async (type) => {
    const refused = await asked({ response_type: type, ...(type.includes('token') ? {} : { response_mode: 'query' }) });
    expect(refused === null).toBe(document.response_types_supported.includes(type));
  });

  test.each(['query', 'fragment', 'form_post', 'web_message', 'jwt', 'query.jwt', 'form_post.jwt'])(
    'names the response mode %s exactly when it is answered',
    async (mode) => {
      const went = (await asked({ response_mode: mode })) === null;
      expect(went).toBe(document.response_modes_supported.includes(mode));
    },
  );

  test.each(['S256', 'plain'])('names the PKCE method %s exactly when it is taken', async (method) => {
    const went = (await asked({ code_challenge_method: method })) === null;
    expect(went).toBe(document.code_challenge_methods_supported.includes(method));
  });

  test('says what request objects it takes, and takes no request_uri of others', async () => {
    const request = await asked({ request: 'x' });
    expect(request === 'request_not_supported').toBe(!document.request_parameter_supported);
    expect(document.request_uri_parameter_supported).toBe(false);
    const claims = await asked({ claims: '{"userinfo":{"email":null}}' });
    if (document.claims_parameter_supported) expect(claims).toBeNull();
  });

  test('names the signing algorithms that there are keys for', async () => {
    const { keys } = (await (await fetch(document.jwks_uri)).json()) as {
      keys: { alg: string; use: string; d?: string }[];
    };
    expect(new Set(keys.map(({ alg }) => alg))).toEqual(new Set(document.id_token_signing_alg_values_supported));
    expect(keys.every(({ use, d }) => use === 'sig' && d === undefined)).toBe(true);
  });

  test('names no way of client authentication that no e-service can have, and none of a symmetric kind for ID tokens', () => {
    const methods = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none'];
    expect([...document.token_endpoint_auth_methods_supported].sort()).toEqual(methods.sort());
    expect([...document.id_token_signing_alg_values_supported].sort()).toEqual(['ES256', 'RS256']);
    expect(document.subject_types_supported).toEqual(['public', 'pairwise']);
    expect(document.backchannel_logout_session_supported).toBe(true);
    expect(document.authorization_response_iss_parameter_supported).toBe(true);
  });

  test('names only scopes that can be asked for, and only claims that can come', async () => {
    for (const scope of document.scopes_supported) {
      const refused = await asked({ scope: `openid ${scope}` });
      expect([scope, refused]).toEqual([scope, null]);
    }
    expect(document.claims_supported).not.toContain('address');
  });

  test('says nothing of what is off', () => {
    const off =
      /registration_endpoint|device|ciba|backchannel_(auth|token|user)|encryption|mtls|tls_client|frontchannel|check_session|attest/;
    expect(Object.keys(document).filter((name) => off.test(name))).toEqual([]);
  });

  test('says of what is offered this and nothing more', () => {
    // The order of a list says nothing.
    const truths = Object.fromEntries(
      Object.entries(document)
        .filter(([name]) => !/_(endpoint|uri)$|^issuer$/.test(name))
        .map(([name, value]) => [name, Array.isArray(value) ? [...(value as string[])].sort() : value]),
    );
    const secrets = ['client_secret_basic', 'client_secret_jwt', 'client_secret_post', 'private_key_jwt'];
    const ours = ['ES256', 'RS256'];
    const clients = ['ES256', 'Ed25519', 'EdDSA', 'PS256', 'RS256'];
    const withSecret = ['ES256', 'Ed25519', 'EdDSA', 'HS256', 'PS256', 'RS256'];
    expect(truths).toEqual({
      acr_values_supported: ['urn:tunnus:mfa', 'urn:tunnus:password'],
      authorization_response_iss_parameter_supported: true,
      backchannel_logout_session_supported: true,
      backchannel_logout_supported: true,
      claim_types_supported: ['normal'],
      claims_parameter_supported: true,
      claims_supported: expect.any(Array),
      code_challenge_methods_supported: ['S256'],
      dpop_signing_alg_values_supported: ['ES256', 'Ed25519', 'EdDSA'],
      grant_types_supported: ['authorization_code', 'client_credentials', 'refresh_token'],
      id_token_signing_alg_values_supported: ours,
      introspection_endpoint_auth_methods_supported: secrets,
      introspection_endpoint_auth_signing_alg_values_supported: withSecret,
      introspection_signing_alg_values_supported: ours,
      request_object_signing_alg_values_supported: clients,
      request_parameter_supported: true,
      request_uri_parameter_supported: false,
      response_modes_supported: ['form_post', 'fragment', 'query'],
      response_types_supported: ['code'],
      revocation_endpoint_auth_methods_supported: [...secrets.slice(0, 3), 'none', 'private_key_jwt'],
      revocation_endpoint_auth_signing_alg_values_supported: withSecret,
      scopes_supported: ['email', 'legacy', 'offline_access', 'openid', 'phone', 'profile'],
      subject_types_supported: ['pairwise', 'public'],
      token_endpoint_auth_methods_supported: [...secrets.slice(0, 3), 'none', 'private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: withSecret,
      ui_locales_supported: ['en', 'fi', 'sv'],
      userinfo_signing_alg_values_supported: ours,
    });
  });

  test('is the same under the name of RFC 8414', async () => {
    const other = await fetch(`${world.issuer}/.well-known/oauth-authorization-server`);
    expect(await other.json()).toEqual(document);
  });
});

describe('the keys', () => {
  test('may be kept as long as a new one waits before it signs, and cost nothing when they are the same', async () => {
    const answer = await fetch(document.jwks_uri);
    expect(answer.headers.get('cache-control')).toBe(`public, max-age=${JWKS_CACHE / 1000}`);
    const etag = answer.headers.get('etag')!;
    // fetch adds `Cache-Control: no-cache` of its own.
    const again = await exchange(world.tunnus.port, { target: '/jwks', headers: { 'If-None-Match': etag } });
    expect([again!.status, String(again!.body)]).toEqual([304, '']);
    expect((await fetch(document.jwks_uri, { headers: { 'If-None-Match': '"other"' } })).status).toBe(200);
    expect((await fetch(document.token_endpoint, { method: 'POST' })).headers.get('cache-control')).toContain(
      'no-store',
    );
  });
});

describe('scripts of other sites', () => {
  const endpoints = () =>
    ['jwks_uri', 'token_endpoint', 'userinfo_endpoint', 'revocation_endpoint', 'pushed_authorization_request_endpoint']
      .map((name) => document[name] as string)
      .concat(`${world.issuer}/.well-known/openid-configuration`);
  const preflight = (url: string, origin: string) =>
    fetch(url, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,dpop',
      },
    });
  const opened = (answer: Response) => [...answer.headers.keys()].filter((name) => name.startsWith('access-control-'));

  test('a registered browser client reaches what a browser needs, without cookies', async () => {
    for (const url of endpoints()) {
      const answer = await preflight(url, SITE);
      expect([url, answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([url, 204, SITE]);
      expect(answer.headers.get('access-control-allow-headers')).toContain('dpop');
      expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
      expect(answer.headers.get('vary')).toContain('Origin');
    }
    const redirect_uri = `${SITE}/callback`;
    const body = new URLSearchParams({ client_id: 'sivu', grant_type: 'authorization_code', code: 'x', redirect_uri });
    const answer = await fetch(document.token_endpoint, { method: 'POST', body, headers: { Origin: SITE } });
    expect(answer.headers.get('access-control-allow-origin')).toBe(SITE);
    expect(await answer.json()).toMatchObject({ error: 'invalid_grant' });
  });

  test.each([
    ['a site that is not registered', 'https://evil.example'],
    ['the site of an e-service with a server', 'https://asiointi.example'],
    ["a native app's", 'http://127.0.0.1'],
    ['another port of a registered site', `${SITE}:8443`],
    ['none', 'null'],
  ])('%s: reads nothing', async (_name, origin) => {
    for (const url of endpoints()) {
      for (const answer of [
        await preflight(url, origin),
        await fetch(url, { headers: { Origin: origin } }),
        await fetch(url, { method: 'POST', headers: { Origin: origin } }),
      ]) {
        expect([url, opened(answer)]).toEqual([url, []]);
        expect(answer.headers.get('vary') ?? 'Origin').toContain('Origin');
      }
    }
  });

  test('a registered site does not read the answer to a client that is not its own', async () => {
    const body = new URLSearchParams({ grant_type: 'authorization_code', code: 'x' });
    const headers = { Origin: SITE, Authorization: BASIC };
    const answer = await fetch(document.token_endpoint, { method: 'POST', body, headers });
    expect([answer.status, opened(answer)]).toEqual([400, []]);
  });

  test('no site reads the pages, nor introspects', async () => {
    for (const path of ['/auth', '/session/end', '/account', '/signed-out', '/token/introspection', '/health/live']) {
      expect([path, opened(await preflight(world.issuer + path, SITE))]).toEqual([path, []]);
      expect([
        path,
        opened(await fetch(world.issuer + path, { headers: { Origin: SITE }, redirect: 'manual' })),
      ]).toEqual([path, []]);
    }
  });
});
