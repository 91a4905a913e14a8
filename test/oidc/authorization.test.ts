/** What the authorization endpoint takes, by the standard that says so, and what it answers to everything else. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, UnsecuredJWT, type JWTPayload } from 'jose';
import { sql } from '../../src/platform/database.ts';
import { city, LOANS, PARKING, type City } from '../support/city.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import {
  assertion,
  authorizationUrl,
  authorized,
  basic,
  CHALLENGE,
  codeFrom,
  exchange,
  makeKey,
  PASSWORD,
  publicly,
  redirectUriOf,
  seconds,
  send,
  signedIn,
  type Answer,
} from '../support/protocol.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let keys: City['keys'];
let browser: HttpBrowser;

beforeAll(async () => {
  const { options, keys: made } = await city();
  keys = made;
  world = await startWorld(options);
  await world.account({ email: 'maija@example.com', givenName: 'Maija', password: PASSWORD, ids: { kartta: 'K-7' } });
  await world.account({ email: 'matti@example.com', password: PASSWORD });
  browser = await signedIn(world, 'portal', 'maija@example.com');
});
afterAll(() => world.close());

type Wishes = Record<string, string | undefined>;
const noPkce = { code_challenge: undefined, code_challenge_method: undefined };

const ask = (client: string, wishes: Wishes = {}, by = browser) =>
  authorized(by, authorizationUrl(world, client, wishes));
const page = async (client: string, wishes: Wishes, by = world.browser()) =>
  by.get(authorizationUrl(world, client, wishes), { follow: false });
const tokens = async (client: string, wishes: Wishes = {}, by = browser): Promise<Record<string, unknown>> => {
  const code = await codeFrom(by, authorizationUrl(world, client, wishes));
  return (await exchange(world, code, { client })).body;
};
const userinfo = async (access: unknown): Promise<Record<string, unknown>> =>
  (await send(`${world.issuer}/me`, { method: 'GET', headers: { authorization: `Bearer ${String(access)}` } })).body;
const idToken = (body: Record<string, unknown>): JWTPayload => decodeJwt(String(body['id_token']));

describe('discovery (OpenID Connect Discovery 1.0, 3)', () => {
  test('says what is offered and nothing else', async () => {
    const { body } = await send(`${world.issuer}/.well-known/openid-configuration`, { method: 'GET' });
    expect(body).toMatchObject({
      issuer: world.issuer,
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      claims_parameter_supported: true,
      request_parameter_supported: true,
      request_uri_parameter_supported: false,
      acr_values_supported: ['urn:tunnus:password', 'urn:tunnus:mfa'],
      subject_types_supported: ['public', 'pairwise'],
    });
    const listed = (name: string): string[] => [...(body[name] as string[])].sort();
    expect(listed('grant_types_supported')).toEqual(['authorization_code', 'client_credentials', 'refresh_token']);
    expect(listed('id_token_signing_alg_values_supported')).toEqual(['ES256', 'RS256']);
    for (const [name, value] of Object.entries(body)) {
      if (name.endsWith('_alg_values_supported')) expect(value).not.toContain('none');
    }
    expect(body['request_object_signing_alg_values_supported']).not.toContain('HS256');
    for (const name of ['registration_endpoint', 'device_authorization_endpoint', 'check_session_iframe'])
      expect(body).not.toHaveProperty(name);
  });
});

describe('PKCE (RFC 7636, 4.3 to 4.6; RFC 9700, 2.1.1)', () => {
  test.each<[string, Wishes]>([
    ['none', noPkce],
    ['plain', { code_challenge_method: 'plain' }],
    ['no method, which means plain', { code_challenge_method: undefined }],
    ['a method without a challenge', { code_challenge: undefined }],
    ['a challenge too short', { code_challenge: CHALLENGE.slice(1) }],
    ['a challenge too long', { code_challenge: CHALLENGE.repeat(3) }],
    ['a challenge with other characters', { code_challenge: `${CHALLENGE.slice(1)}!` }],
  ])('%s is invalid_request', async (_what, wishes) => {
    expect(await ask('portal', wishes)).toMatchObject({ error: 'invalid_request', state: 'a state' });
  });

  test('the verifier must fit', async () => {
    for (const code_verifier of [undefined, 'x'.repeat(43), 'short']) {
      const answer = await exchange(world, await codeFrom(browser, authorizationUrl(world, 'portal')), {
        client: 'portal',
        fields: { code_verifier },
      });
      expect(answer.status).toBe(400);
      expect(['invalid_grant', 'invalid_request']).toContain(answer.body['error']);
    }
  });

  test('a client that need not may leave it out, but not take a challenge back', async () => {
    const plain = authorizationUrl(world, 'lax', noPkce);
    const withNone = { client: 'lax', fields: { code_verifier: undefined } };
    expect((await exchange(world, await codeFrom(browser, plain), withNone)).status).toBe(200);
    // RFC 9700, 4.8.2: a verifier where there was no challenge is an injected code.
    expect((await exchange(world, await codeFrom(browser, plain), { client: 'lax' })).status).toBe(400);
    const bound = authorizationUrl(world, 'lax');
    expect((await exchange(world, await codeFrom(browser, bound), withNone)).status).toBe(400);
    expect(await ask('lax', { code_challenge_method: 'plain' })).toMatchObject({ error: 'invalid_request' });
  });
});

describe('the response (RFC 9207, 2)', () => {
  test.each<[string, string, Wishes, string]>([
    ['a code', 'portal', {}, 'code'],
    ['an error', 'portal', { prompt: 'none login' }, 'error'],
    ['an error that the sign-in ends in', 'stranger', { prompt: 'none' }, 'error'],
  ])('names the issuer with %s', async (...[, client, wishes, what]) => {
    const answer = await ask(client, wishes);
    expect(answer).toHaveProperty(what);
    expect(answer).toMatchObject({ iss: world.issuer, state: 'a state', to: redirectUriOf(world, client) });
  });

  test('posted as a form, too', async () => {
    const answer = await page('portal', { response_mode: 'form_post' }, browser.newTab());
    expect(answer.html).toContain(`value="${world.issuer}"`);
  });
});

describe('what is off (RFC 9700, 2.1.2 and 2.4)', () => {
  test.each([
    ['token', 'unsupported_response_type'],
    ['id_token', 'unsupported_response_type'],
    ['id_token token', 'unsupported_response_type'],
    ['code id_token', 'unsupported_response_type'],
    ['code token', 'unsupported_response_type'],
    ['none', 'invalid_request'],
    ['nonsense', 'unsupported_response_type'],
  ])('response_type=%s', async (response_type, error) => {
    expect(await ask('portal', { response_type, nonce: 'n' })).toMatchObject({ error });
  });

  test.each([
    ['registration', '{}', 'registration_not_supported'],
    ['request_uri', 'https://portal.example/request.jwt', 'request_uri_not_supported'],
    ['response_mode', 'fragment.jwt', 'unsupported_response_mode'],
  ])('%s', async (name, value, error) => {
    expect(await ask('portal', { [name]: value })).toMatchObject({ error });
  });
});

describe('the way back (RFC 6749, 3.1.2.4; RFC 9700, 4.1.3)', () => {
  test.each([
    'https://portal.example/callback/',
    'https://portal.example/callback?x=1',
    'https://portal.example.evil.example/callback',
    'https://portal.example/Callback',
    'http://portal.example/callback',
    'https://portal.example:443/callback',
    'javascript:alert(1)',
    '//evil.example',
  ])('%j is not registered: a page, no redirect', async (redirect_uri) => {
    for (const wishes of [{}, { response_type: 'token' }, { scope: 'nonsense' }, { prompt: 'none' }]) {
      const answer = await page('portal', { redirect_uri, ...wishes });
      expect(answer.status).toBe(400);
      expect(answer.leadsTo).toBeUndefined();
      expect(answer.html).not.toContain('evil.example/callback"');
    }
  });

  test('left out, nobody is led anywhere, also where one is registered (OpenID Connect Core 1.0, 3.1.2.1)', async () => {
    for (const wishes of [{}, { prompt: 'none' }, { response_type: 'nothing' }]) {
      const answer = await page('portal', { ...wishes, redirect_uri: undefined });
      expect([answer.status, answer.leadsTo]).toEqual([400, undefined]);
    }
  });

  test('a client that there is not leads nowhere', async () => {
    const url = authorizationUrl(world, 'portal', { client_id: 'nobody', redirect_uri: 'https://evil.example/' });
    const answer = await world.browser().get(url);
    expect([answer.status, answer.leadsTo]).toEqual([400, undefined]);
  });
});

describe('prompt, max_age and hints (OpenID Connect Core 1.0, 3.1.2.1)', () => {
  test('prompt=none answers without a page', async () => {
    expect(await ask('portal', { prompt: 'none' })).toHaveProperty('code');
    expect(await ask('portal', { prompt: 'none' }, world.browser())).toMatchObject({ error: 'login_required' });
    expect(await ask('portal', { prompt: 'none', max_age: '0' })).toMatchObject({ error: 'login_required' });
    expect(await ask('stranger', { prompt: 'none' })).toMatchObject({ error: 'consent_required' });
  });

  test.each(['login', 'select_account', 'login consent'])('prompt=%s shows the sign-in page', async (prompt) => {
    const tab = browser.newTab();
    const shown = await tab.get(authorizationUrl(world, 'portal', { prompt }));
    expect(shown.url.pathname).toMatch(/^\/sign-in\/[\w-]+$/);
  });

  test('prompt=select_account lets the resident choose, and goes on with whom they chose', async () => {
    const other = await signedIn(world, 'portal', 'maija@example.com');
    await other.get(authorizationUrl(world, 'portal', { prompt: 'select_account' }));
    await other.submit({ username: 'matti@example.com' });
    await other.submit({ 'current-password': PASSWORD });
    const asked = await other.submit();
    const code = asked.leadsTo!.searchParams.get('code')!;
    const { body } = await exchange(world, code, { client: 'portal' });
    expect(await userinfo(body['access_token'])).toMatchObject({ email: 'matti@example.com' });
  });

  test('unknown prompts are refused', async () => {
    expect(await ask('portal', { prompt: 'create' })).toMatchObject({ error: 'invalid_request' });
  });

  test('max_age asks again when the sign-in is older, and auth_time is told', async () => {
    expect(idToken(await tokens('portal', { max_age: '3600' }))).toHaveProperty('auth_time');
    for (const max_age of ['-1', 'soon', '1.5'])
      expect(await ask('portal', { max_age })).toMatchObject({ error: 'invalid_request' });
    await world.database.query(sql`update artifacts set payload = regexp_replace(payload, '"loginTs":[0-9]+',
      '"loginTs":' || (extract(epoch from now())::bigint - 100)) where model = 'Session'`);
    expect(await ask('portal', { max_age: '50', prompt: 'none' })).toMatchObject({ error: 'login_required' });
    expect(await ask('portal', { max_age: '200', prompt: 'none' })).toHaveProperty('code');
  });

  test('login_hint is filled in, whatever it is, and ui_locales chooses the language', async () => {
    const hint = '"><script>';
    const shown = await world
      .browser()
      .get(authorizationUrl(world, 'portal', { login_hint: hint, ui_locales: 'de sv fi' }));
    expect(shown.root.querySelector('input[autocomplete~=username]')?.getAttribute('value')).toBe(hint);
    expect(shown.html).not.toContain(hint);
    expect(shown.lang).toBe('sv');
  });

  test('id_token_hint: whoever it names, and nobody else', async () => {
    const { id_token: own } = await tokens('portal');
    const other = await signedIn(world, 'portal', 'matti@example.com');
    expect(await ask('portal', { id_token_hint: String(own), prompt: 'none' })).toHaveProperty('code');
    expect(await ask('portal', { id_token_hint: String(own), prompt: 'none' }, other)).toMatchObject({
      error: 'login_required',
    });
    expect(await ask('portal', { id_token_hint: 'nonsense' })).toMatchObject({ error: 'invalid_request' });
    expect(await ask('lax', { id_token_hint: String(own) })).toMatchObject({ error: 'invalid_request' });
  });
});

describe('acr and amr (OpenID Connect Core 1.0, 2 and 5.5.1.1)', () => {
  const essential = (acr: object) => ({ claims: JSON.stringify({ id_token: { acr: { essential: true, ...acr } } }) });

  test('the ID token says how it was, whatever was wished for', async () => {
    const honest = { acr: 'urn:tunnus:password', amr: ['pwd'] };
    expect(idToken(await tokens('portal'))).toMatchObject(honest);
    expect(idToken(await tokens('portal', { acr_values: 'urn:example:gold' }))).toMatchObject(honest);
  });

  test.each<[string, object]>([
    ['value', { value: 'urn:example:gold' }],
    ['values', { values: ['urn:example:gold', 'urn:example:silver'] }],
  ])('an essential %s that no sign-in reaches fails at once, also before the sign-in', async (_what, acr) => {
    for (const by of [browser, world.browser()])
      expect(await ask('portal', essential(acr), by)).toMatchObject({ error: 'unmet_authentication_requirements' });
  });

  test('one that is reached goes through', async () => {
    const acr = { values: ['urn:example:gold', 'urn:tunnus:password'] };
    expect(idToken(await tokens('portal', essential(acr)))).toMatchObject({ acr: 'urn:tunnus:password' });
    expect(await ask('portal', essential({ values: 'gold' }))).toMatchObject({ error: 'invalid_request' });
  });
});

describe('claims (OpenID Connect Core 1.0, 5.5)', () => {
  const claims = (wanted: object): Wishes => ({ scope: 'openid', claims: JSON.stringify(wanted) });

  test('gives single claims of the scopes that are registered, where they are wished for', async () => {
    const wanted = { id_token: { email: { essential: true } }, userinfo: { preferred_username: null, name: null } };
    const body = await tokens('portal', claims(wanted));
    expect(idToken(body)).toMatchObject({ email: 'maija@example.com' });
    expect(Object.keys(await userinfo(body['access_token'])).sort()).toEqual(['name', 'preferred_username', 'sub']);
  });

  test('never past them', async () => {
    const wanted = { phone_number: null, legacy_id: null, email: null, password_hash: null, epoch: null };
    const body = await tokens('portal', claims({ id_token: wanted, userinfo: wanted }));
    expect(Object.keys(await userinfo(body['access_token'])).sort()).toEqual(['email', 'sub']);
    expect(idToken(body)).not.toHaveProperty('phone_number');
    const bare = await tokens('bare', claims({ userinfo: { name: null, preferred_username: null } }));
    expect(Object.keys(await userinfo(bare['access_token']))).toEqual(['sub']);
  });

  test('legacy_id too, for an e-service that has its list', async () => {
    const { access_token: access } = await tokens('kartta', claims({ userinfo: { legacy_id: null } }));
    expect(await userinfo(access)).toMatchObject({ legacy_id: 'K-7' });
  });

  test('consent: ask puts them before the resident, once', async () => {
    const resident = await signedIn(world, 'portal', 'maija@example.com');
    const wishes = { scope: 'openid email', claims: JSON.stringify({ userinfo: { name: null, phone_number: null } }) };
    await resident.get(authorizationUrl(world, 'stranger', { ...wishes, scope: 'openid email', claims: undefined }));
    await resident.submit();
    expect(await ask('stranger', { ...wishes, prompt: 'none' }, resident)).toMatchObject({ error: 'consent_required' });
    await resident.get(authorizationUrl(world, 'stranger', wishes));
    const back = await resident.submit();
    const { body } = await exchange(world, back.leadsTo!.searchParams.get('code')!, { client: 'stranger' });
    expect(Object.keys(await userinfo(body['access_token'])).sort()).toEqual([
      'email',
      'email_verified',
      'name',
      'sub',
    ]);
    expect(await ask('stranger', { ...wishes, prompt: 'none' }, resident)).toHaveProperty('code');
  });

  test('consent: ask does not ask again about one claim of a scope that was agreed to', async () => {
    const resident = await signedIn(world, 'portal', 'maija@example.com');
    const claimed = { claims: JSON.stringify({ id_token: { email: null } }) };
    expect(await ask('stranger', { scope: 'openid email', ...claimed, prompt: 'none' }, resident)).toHaveProperty(
      'code',
    );
  });

  test('a sub that is wished for must be the one that signs in', async () => {
    const { sub } = idToken(await tokens('portal'));
    const wish = (value: string): Wishes => claims({ id_token: { sub: { value } } });
    expect(await ask('portal', { ...wish(sub!), prompt: 'none' })).toHaveProperty('code');
    expect(await ask('portal', { ...wish('somebody'), prompt: 'none' })).toMatchObject({ error: 'login_required' });
    const tab = world.browser();
    await tab.get(authorizationUrl(world, 'portal', wish('somebody')));
    await tab.submit({ username: 'maija@example.com' });
    const end = await tab.submit({ 'current-password': PASSWORD });
    expect(end.leadsTo?.searchParams.get('error')).toBe('login_required');
  });

  test.each(['nonsense', '[]', '{}', '{"userinfo":[]}', '{"id_token":{"email":true}}', '{"userinfo":{"name":["x"]}}'])(
    '%s is invalid_request',
    async (wanted) => {
      expect(await ask('portal', { claims: wanted })).toMatchObject({ error: 'invalid_request' });
    },
  );
});

describe('request objects (RFC 9101)', () => {
  const parameters = () => ({
    client_id: 'signed',
    redirect_uri: redirectUriOf(world, 'signed'),
    response_type: 'code',
    scope: 'openid email',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
    state: 'signed state',
  });
  const claims = (more: JWTPayload & { header?: object } = {}) => ({
    iss: 'signed',
    aud: world.issuer,
    ...parameters(),
    header: { typ: 'oauth-authz-req+jwt' },
    ...more,
  });
  const request = (jwt: string, beside: Wishes = {}) => ask('signed', { state: undefined, ...beside, request: jwt });

  test('4 and 6.3: what is signed counts, what stands beside does not', async () => {
    const jwt = await assertion(keys.keyed, claims());
    expect(await request(jwt, { state: 'beside', prompt: 'login', max_age: '0' })).toMatchObject({
      code: expect.any(String),
      state: 'signed state',
    });
  });

  test('a client that must sign is refused without', async () => {
    expect(await ask('signed')).toMatchObject({ error: 'invalid_request' });
  });

  test.each<[string, () => Promise<string>]>([
    ['no signature', async () => new UnsecuredJWT(claims()).encode()],
    ['the key of another', () => assertion(keys.fapi, claims())],
    ['a key that nobody has', async () => assertion(await makeKey(), claims())],
    ['the public key taken for a secret', () => assertion({ secret: JSON.stringify(keys.keyed.publicJwk) }, claims())],
    ['the client secret', () => assertion({ secret: 'an e-service secret of thirty-two characters' }, claims())],
    ['another audience', () => assertion(keys.keyed, claims({ aud: 'https://elsewhere.example' }))],
    ['another issuer', () => assertion(keys.keyed, claims({ iss: 'portal' }))],
    ['another client', () => assertion(keys.keyed, claims({ client_id: 'portal' }))],
    ['another response type', () => assertion(keys.keyed, claims({ response_type: 'id_token' }))],
    ['an end that has passed', () => assertion(keys.keyed, claims({ exp: seconds() - 60 }))],
    ['a birth in the future', () => assertion(keys.keyed, claims({ iat: seconds() + 90 }))],
    ['a beginning in the future', () => assertion(keys.keyed, claims({ nbf: seconds() + 90 }))],
    ['a request within', () => assertion(keys.keyed, claims({ request: 'x' }))],
    ['a reference within', () => assertion(keys.keyed, claims({ request_uri: 'https://signed.example/x' }))],
    ['another kind of token', () => assertion(keys.keyed, claims({ header: { typ: 'dpop+jwt' } }))],
    ['no JWT', async () => 'nonsense'],
  ])('refuses %s', async (_what, make) => {
    const answer = await request(await make());
    expect(['invalid_request_object', 'invalid_request']).toContain(answer['error']);
    expect(answer['to']).toBe(redirectUriOf(world, 'signed'));
  });

  test('a way back within that is not registered leads nowhere', async () => {
    const jwt = await assertion(keys.keyed, claims({ redirect_uri: 'https://evil.example/' }));
    const answer = await page('signed', { request: jwt });
    expect([answer.status, answer.leadsTo]).toEqual([400, undefined]);
  });

  test('5.2: never fetched by reference', async () => {
    for (const request_uri of ['https://signed.example/r', 'http://169.254.169.254/', 'urn:example:x'])
      expect(await ask('signed', { request_uri })).toMatchObject({ error: 'request_uri_not_supported' });
  });
});

describe('pushed requests (RFC 9126)', () => {
  const push = (
    client: string,
    wishes: Wishes = {},
    headers: Record<string, string> = basic(client),
  ): Promise<Answer> =>
    send(`${world.issuer}/request`, {
      headers,
      fields: Object.fromEntries([...authorizationUrl(world, client, wishes).searchParams]),
    });
  const pushed = async (client: string, wishes: Wishes = {}): Promise<string> =>
    String((await push(client, wishes)).body['request_uri']);
  const byUri = (client: string, request_uri: string, by = browser) =>
    authorized(
      by,
      new URL(`/auth?${new URLSearchParams({ client_id: client, request_uri }).toString()}`, world.issuer),
    );

  test('2.2: answered 201 with an address that works once, for a minute', async () => {
    const answer = await push('portal', { state: 'pushed' });
    expect(answer).toMatchObject({ status: 201, body: { expires_in: 60 } });
    const uri = String(answer.body['request_uri']);
    expect(uri).toMatch(/^urn:ietf:params:oauth:request_uri:[\w-]{20,}$/);
    expect(await byUri('portal', uri)).toMatchObject({ code: expect.any(String), state: 'pushed' });
    expect(await byUri('portal', uri)).not.toHaveProperty('code');
  });

  test('2.2: of twenty uses at the same time one gives a code', async () => {
    const uri = await pushed('portal');
    const answers = await Promise.all(Array.from({ length: 20 }, () => byUri('portal', uri, browser.newTab())));
    expect(answers.filter((answer) => answer['code'])).toHaveLength(1);
  });

  test('2.3: what would be refused later is refused at once', async () => {
    expect(await push('portal', { redirect_uri: 'https://evil.example/' })).toMatchObject({
      status: 400,
      body: { error: 'invalid_request' },
    });
    expect(await push('portal', { scope: 'openid phone' })).toMatchObject({ body: { error: 'invalid_scope' } });
    expect(await push('portal', { resource: 'https://api.example/other' })).toMatchObject({
      body: { error: 'invalid_target' },
    });
    expect(await push('portal', { request_uri: 'urn:ietf:params:oauth:request_uri:x' })).toMatchObject({ status: 400 });
    expect(await push('portal', {}, basic('portal', 'wrong'))).toMatchObject({
      status: 401,
      body: { error: 'invalid_client' },
    });
    expect(await push('portal', {}, basic('lax'))).toMatchObject({ status: 400 });
  });

  test('4: neither made up, nor of another client, nor expired, nor with more beside', async () => {
    for (const uri of [
      'urn:ietf:params:oauth:request_uri:x',
      'urn:ietf:params:oauth:request_uri:',
      await pushed('lax', noPkce),
    ])
      expect(await byUri('portal', uri)).not.toHaveProperty('code');
    const old = await pushed('portal');
    await world.database.query(sql`update artifacts set payload = regexp_replace(payload, '"exp":[0-9]+',
      '"exp":' || (extract(epoch from now())::bigint - 1)) where model = 'PushedAuthorizationRequest'`);
    expect(await byUri('portal', old)).not.toHaveProperty('code');
    expect(
      await ask('portal', {
        request_uri: await pushed('portal', { state: 'pushed' }),
        state: 'beside',
        response_type: undefined,
      }),
    ).toMatchObject({
      state: 'pushed',
    });
  });

  test('a client of profile fapi2 cannot ask otherwise', async () => {
    expect(await ask('fapi')).toMatchObject({ error: 'invalid_request' });
  });

  test('claims and several APIs come through whole', async () => {
    const wishes: Wishes = {
      scope: 'openid parking:read loans:read',
      claims: '{"id_token":{"email":null,"phone_number":null}}',
    };
    const fields: [string, string][] = [
      ...authorizationUrl(world, 'portal', wishes).searchParams,
      ['resource', PARKING],
      ['resource', LOANS],
    ];
    const { body } = await send(`${world.issuer}/request`, { headers: basic('portal'), fields });
    const answer = await byUri('portal', String(body['request_uri']));
    const token = await exchange(world, answer['code']!, { client: 'portal', fields: { resource: LOANS } });
    expect(token.body).toMatchObject({ scope: 'loans:read' });
    const claimed = idToken(token.body);
    expect(claimed).toMatchObject({ email: 'maija@example.com' });
    expect(claimed).not.toHaveProperty('phone_number');
  });
});

test('a code is its own client’s, for its own way back, and once (RFC 6749, 4.1.3)', async () => {
  const code = () => codeFrom(browser, authorizationUrl(world, 'portal'));
  const refused = { status: 400, body: { error: 'invalid_grant' } };
  expect(
    await exchange(world, await code(), { client: 'lax', fields: { redirect_uri: redirectUriOf(world, 'portal') } }),
  ).toMatchObject(refused);
  expect(
    await exchange(world, await code(), { client: 'portal', fields: { redirect_uri: 'https://portal.example/other' } }),
  ).toMatchObject(refused);
  expect(
    await exchange(world, await code(), publicly('app', { redirect_uri: redirectUriOf(world, 'portal') })),
  ).toMatchObject(refused);
  const once = await code();
  const { body } = await exchange(world, once, { client: 'portal' });
  expect(await exchange(world, once, { client: 'portal' })).toMatchObject(refused);
  expect(await userinfo(body['access_token'])).not.toHaveProperty('sub');
  const [row] = await world.database.query<{ detail: object }>(
    sql`select detail from audit where kind = 'token_reused'`,
  );
  expect(row).toEqual({ detail: { token: 'code' } });
  for (const secret of [once, String(body['access_token']), CHALLENGE]) expect(world.log.join()).not.toContain(secret);
});
