/** OpenID Connect Core 1.0, as an OpenID Provider for the code flow has to keep it, over raw HTTP. */
import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import type { HttpBrowser } from '../support/http-browser.ts';
import { answerOf, parameters, RawClient, send, userinfo, type Answer } from '../support/raw-client.ts';
import { CLIENT_KEY, RESIDENT, startStandards, type StandardsWorld } from '../support/standards.ts';
import { CLIENT_SECRET, type World } from '../support/world.ts';

let city: StandardsWorld;
let world: World;
let browser: HttpBrowser;
let rp: RawClient;

beforeAll(async () => {
  city = await startStandards();
  ({ world, browser, rp } = city);
});
afterAll(() => world.close());

const stranger = () => world.browser();
const now = () => Math.floor(Date.now() / 1000);
const claimsOf = async (changes = {}, client = rp): Promise<JWTPayload> =>
  decodeJwt((await client.tokens(browser, changes)).id_token);

describe('OpenID Connect Core 1.0', () => {
  test('2: an ID token has iss, sub, aud, exp and iat, and its sub is at most 255 ASCII characters', async () => {
    const claims = await claimsOf();
    expect(claims).toMatchObject({ iss: world.issuer, aud: 'rp' });
    expect(claims.sub).toMatch(/^[\x21-\x7e]{1,255}$/);
    expect(Math.abs(claims.iat! - now())).toBeLessThan(10);
    expect(claims.exp).toBeGreaterThan(claims.iat!);
  });

  test('2: auth_time is there when max_age was asked for, and is the time of the sign-in', async () => {
    const { auth_time: at, iat } = await claimsOf({ max_age: '1000' });
    expect(Number.isInteger(at)).toBe(true);
    expect(at).toBeLessThanOrEqual(iat!);
    expect(Number(at)).toBeGreaterThan(now() - 300);
  });

  test('2: nonce comes back unchanged, and is not there where none was sent', async () => {
    const nonce = `n ${'x'.repeat(64)} ä/"`;
    expect((await claimsOf({ nonce })).nonce).toBe(nonce);
    expect(await claimsOf({ nonce: undefined })).not.toHaveProperty('nonce');
  });

  test('2: acr and amr say what was done and no more', async () => {
    expect(await claimsOf()).toMatchObject({ acr: 'urn:tunnus:password', amr: ['pwd'] });
  });

  test('2: an ID token is signed, RS256 unless registered otherwise, and never with none', async () => {
    expect(decodeProtectedHeader((await rp.tokens(browser)).id_token).alg).toBe('RS256');
    const other = await new RawClient(world, 'es256').tokens(browser);
    expect(decodeProtectedHeader(other.id_token).alg).toBe('ES256');
  });

  test('3.1.2.1: the authorization endpoint takes GET and POST', async () => {
    expect((await rp.authorize(browser)).get('code')).toBeTruthy();
    // An e-service's form comes from another site: SameSite=Lax cookies stay away, and the resident is still known.
    const posted = await browser.post(`${world.issuer}/auth`, [...rp.request()], { from: new URL(rp.redirectUri) });
    expect(answerOf(posted).get('code')).toBeTruthy();
  });

  test('3.1.2.1: scope holds openid; without it no ID token is given', async () => {
    const answer = await rp.authorize(browser, { scope: 'email' });
    const tokens = answer.has('code') ? (await rp.redeem(answer.get('code')!)).body : undefined;
    expect(tokens?.['id_token']).toBeUndefined();
    expect([undefined, null]).not.toContain(answer.get('error') ?? tokens);
  });

  test.each([
    ['response_type missing', { response_type: undefined }, 'invalid_request'],
    ['response_type unknown', { response_type: 'nothing' }, 'unsupported_response_type'],
    ['response_type=id_token', { response_type: 'id_token' }, 'unsupported_response_type'],
    ['response_type=none, which no e-service has', { response_type: 'none' }, 'invalid_request|unauthorized_client'],
    ['prompt=none beside another', { prompt: 'none login' }, 'invalid_request'],
    ['prompt unknown', { prompt: 'nothing' }, 'invalid_request'],
    ['max_age that is no number', { max_age: 'long' }, 'invalid_request'],
    ['max_age below zero', { max_age: '-1' }, 'invalid_request'],
    ['response_mode unknown', { response_mode: 'nothing' }, 'unsupported_response_mode|invalid_request'],
  ])('3.1.2.1: %s is answered with an error at the redirect URI', async (_what, changes, error) => {
    const answer = await rp.authorize(browser, changes);
    expect(answer.get('error')).toMatch(new RegExp(`^(${error})$`));
    expect(answer.get('state')).toBe('a state');
    expect(answer.has('code')).toBe(false);
  });

  test.each([
    ['another path', 'https://rp.example/other'],
    ['a query added', 'https://rp.example/callback?x=1'],
    ['a slash added', 'https://rp.example/callback/'],
    ['another host', 'https://evil.example/callback'],
    ['another scheme', 'http://rp.example/callback'],
    ['capitals in the path', 'https://rp.example/Callback'],
    ['a port named', 'https://rp.example:443/callback'],
    ['a fragment', 'https://rp.example/callback#x'],
    ['a path that leads back', 'https://rp.example/x/../callback'],
    ['a user name', 'https://rp@rp.example/callback'],
    ['nothing', ''],
  ])(
    '3.1.2.1: a redirect_uri that is not a registered one letter by letter is never gone to: %s',
    async (_what, uri) => {
      const page = await rp.visit(browser, { redirect_uri: uri });
      expect(page.leadsTo).toBeUndefined();
      expect(page.status).toBe(400);
      expect(page.h1).not.toBe('');
    },
  );

  test('3.1.2.1: a redirect_uri is required, and so is a client_id that is known: a page says so, no redirect', async () => {
    for (const changes of [{ redirect_uri: undefined }, { client_id: undefined }, { client_id: 'nobody' }]) {
      const page = await rp.visit(browser, changes);
      expect([page.status, page.leadsTo]).toEqual([400, undefined]);
    }
  });

  test('3.1.2.1: state comes back unchanged, however long and strange', async () => {
    const state = `${'s'.repeat(2000)} +&=%#ä"<>`;
    expect((await rp.authorize(browser, { state })).get('state')).toBe(state);
  });

  test('3.1.2.1: parameters that are not understood are ignored', async () => {
    expect((await rp.authorize(browser, { extra: 'foobar', foo: 'bar' })).get('code')).toBeTruthy();
  });

  test.each(['page', 'popup', 'touch', 'wap'])('3.1.2.1: display=%s is no error', async (display) => {
    expect((await rp.authorize(browser, { display })).get('code')).toBeTruthy();
  });

  test('3.1.2.1: prompt=none shows no page: a code where the resident is signed in, else login_required', async () => {
    expect((await rp.authorize(browser, { prompt: 'none' })).get('code')).toBeTruthy();
    const answer = await rp.authorize(stranger(), { prompt: 'none' });
    expect(answer.get('error')).toBe('login_required');
    expect(answer.get('state')).toBe('a state');
  });

  test('3.1.2.1: prompt=login asks again although the resident is signed in, and auth_time moves on', async () => {
    const tab = browser.newTab();
    const page = await rp.visit(tab, { prompt: 'login' });
    expect(page.field('username')).toBeDefined();
    await tab.submit({ username: RESIDENT.email });
    await tab.submit({ 'current-password': RESIDENT.password });
    expect(answerOf(tab.page).get('code')).toBeTruthy();
  });

  test('3.1.2.1: prompt=consent asks for consent also where it would not be asked', async () => {
    const tab = browser.newTab();
    const page = await rp.visit(tab, { prompt: 'consent' });
    expect(page.url.pathname).toMatch(/\/consent$/);
    await tab.submit();
    expect(answerOf(tab.page).get('code')).toBeTruthy();
  });

  test('3.1.2.1: max_age asks again once the sign-in is older, and not before', async () => {
    expect((await rp.authorize(browser, { max_age: '10000' })).get('code')).toBeTruthy();
    expect((await rp.visit(browser.newTab(), { max_age: '0' })).field('username')).toBeDefined();
    expect((await rp.authorize(browser, { max_age: '0', prompt: 'none' })).get('error')).toBe('login_required');
  });

  test('3.1.2.1: ui_locales chooses the language of the pages, and an unknown one is no error', async () => {
    expect((await rp.visit(stranger(), { ui_locales: 'sv fi' })).lang).toBe('sv');
    expect((await rp.visit(stranger(), { ui_locales: 'xx-YY en' })).lang).toBe('en');
    expect((await rp.visit(stranger(), { ui_locales: 'se' })).status).toBe(200);
  });

  test('3.1.2.1: id_token_hint of whoever is signed in goes on; of another, prompt=none is login_required', async () => {
    const hint = (await rp.tokens(browser)).id_token;
    expect((await rp.authorize(browser, { id_token_hint: hint, prompt: 'none' })).get('code')).toBeTruthy();
    const other = { email: 'other@example.com', password: RESIDENT.password };
    await world.account(other);
    const tab = world.browser();
    await rp.visit(tab);
    await tab.submit({ username: other.email });
    await tab.submit({ 'current-password': other.password });
    const answer = await rp.authorize(tab, { id_token_hint: hint, prompt: 'none' });
    expect(answer.get('error')).toBe('login_required');
  });

  test('3.1.2.1: an id_token_hint that we did not sign is an error', async () => {
    const [header, body] = (await rp.tokens(browser)).id_token.split('.');
    for (const hint of ['bad', `${header}.${body}.${'A'.repeat(342)}`])
      expect((await rp.authorize(browser, { id_token_hint: hint })).get('error')).toBe('invalid_request');
  });

  test('3.1.2.1: login_hint stands in the field of the address step', async () => {
    const page = await rp.visit(stranger(), { login_hint: 'somebody@example.com' });
    expect(page.field('username')?.getAttribute('value')).toBe('somebody@example.com');
  });

  test('3.1.2.1: acr_values are a wish: one that cannot be met is no error, and acr stays honest', async () => {
    expect((await claimsOf({ acr_values: 'urn:mace:incommon:iap:gold 2' })).acr).toBe('urn:tunnus:password');
  });

  test('3.1.2.1: claims_locales is no error', async () => {
    expect((await rp.authorize(browser, { claims_locales: 'fi sv' })).get('code')).toBeTruthy();
  });

  test('3.1.2.2: a parameter sent twice is an error', async () => {
    for (const name of ['state', 'nonce', 'scope', 'prompt', 'code_challenge']) {
      const page = await rp.visit(browser, { [name]: ['openid', 'openid'] });
      const error = page.leadsTo?.searchParams.get('error');
      expect([name, error]).toEqual([name, 'invalid_request']);
    }
    for (const name of ['client_id', 'redirect_uri']) {
      const page = await rp.visit(browser, { [name]: [rp.id, rp.id] });
      expect([name, page.status, page.leadsTo]).toEqual([name, 400, undefined]);
    }
  });

  test('3.1.2.3: the pages of a sign-in can stand in no frame', async () => {
    const { headers } = await rp.visit(stranger());
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(headers['x-frame-options']).toBe('DENY');
  });

  test("3.1.2.4: an e-service that is not the city's own gets nothing before the resident agreed", async () => {
    const foreign = new RawClient(world, 'stranger');
    expect((await foreign.authorize(browser, { prompt: 'none' })).get('error')).toBe('consent_required');
    const tab = browser.newTab();
    expect((await foreign.visit(tab)).url.pathname).toMatch(/\/consent$/);
    await tab.submit({}, { button: tab.page.main.querySelectorAll('button')[1]!.text.trim() });
    expect(answerOf(tab.page).get('error')).toBe('access_denied');
  });

  test('3.1.2.5: code and state are added to the query of the redirect URI, which keeps its own', async () => {
    const page = await rp.visit(browser, { redirect_uri: 'https://rp.example/with?a=1' });
    expect(page.leadsTo?.searchParams.get('a')).toBe('1');
    expect([...page.leadsTo!.searchParams.keys()].sort()).toEqual(['a', 'code', 'iss', 'state']);
    expect(page.leadsTo!.hash).toBe('');
  });

  test('3.1.2.6: an error names itself, brings state and iss, and no secret of the inside', async () => {
    const answer = await rp.authorize(stranger(), { prompt: 'none' });
    expect([...answer.keys()].sort()).toEqual(['error', 'error_description', 'iss', 'state']);
  });

  test.each([
    ['request', { request: 'eyJhbGciOiJub25lIn0.e30.' }, /^(request_not_supported|invalid_request_object)$/],
    ['request_uri', { request_uri: 'https://rp.example/request' }, /^(request_uri_not_supported|invalid_request_uri)$/],
    ['registration', { registration: '{}' }, /^registration_not_supported$/],
  ])('3.1.2.6: %s is refused where it is not supported', async (_name, changes, error) => {
    const page = await rp.visit(browser, changes);
    expect(page.leadsTo?.searchParams.get('error') ?? 'page').toMatch(error);
  });

  test('3.1.3.1: a token request without authentication, or with a wrong secret, is invalid_client', async () => {
    const code = await rp.code(browser);
    const wrong = `Basic ${Buffer.from('rp:wrong').toString('base64')}`;
    for (const Authorization of [undefined, wrong]) {
      const answer = await rp.redeem(code, { client_id: 'rp' }, { Authorization });
      expect([answer.status, answer.body['error']]).toEqual([401, 'invalid_client']);
    }
    expect((await rp.redeem(code)).status).toBe(200);
  });

  test('3.1.3.2: a code serves the client that it was given to, with the redirect_uri that it was given for', async () => {
    const code = await rp.code(browser);
    const other = await new RawClient(world, 'other').redeem(code, { redirect_uri: rp.redirectUri });
    expect([other.status, other.body['error']]).toEqual([400, 'invalid_grant']);
    for (const uri of ['https://rp.example/with?a=1', 'https://evil.example/']) {
      const answer = await rp.redeem(await rp.code(browser), { redirect_uri: uri });
      expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_grant']);
    }
    const without = await rp.redeem(await rp.code(browser), { redirect_uri: undefined });
    expect([without.status, without.body['error']]).toEqual([400, 'invalid_request']);
  });

  test('3.1.3.2: a code serves once; used again it is invalid_grant, and the token that it brought ends', async () => {
    const code = await rp.code(browser);
    const first = await rp.redeem(code);
    expect((await userinfo(world, String(first.body['access_token']))).status).toBe(200);
    const again = await rp.redeem(code);
    expect([again.status, again.body['error']]).toEqual([400, 'invalid_grant']);
    expect((await userinfo(world, String(first.body['access_token']))).status).toBe(401);
  });

  test('3.1.3.3: tokens come as JSON that no cache keeps, with token_type, expires_in and id_token', async () => {
    const answer = await rp.redeem(await rp.code(browser));
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(answer.headers.get('cache-control')).toMatch(/no-store/);
    expect(answer.body).toMatchObject({ token_type: 'Bearer', expires_in: 600 });
    expect(answer.body).toHaveProperty('id_token');
  });

  test('3.1.3.4: an error of the token endpoint is JSON with status 400 that no cache keeps', async () => {
    const answer = await rp.redeem('no code');
    expect([answer.status, answer.body['error']]).toEqual([400, 'invalid_grant']);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(answer.headers.get('cache-control')).toMatch(/no-store/);
  });

  test('3.1.3.6: at_hash, where it is there, is that of the access token', async () => {
    const tokens = await rp.tokens(browser);
    const half = createHash('sha256').update(tokens.access_token).digest().subarray(0, 16).toString('base64url');
    expect([undefined, half]).toContain(decodeJwt(tokens.id_token)['at_hash']);
  });

  test('5.1: claims have the types of the standard', async () => {
    const tokens = await rp.tokens(browser, { scope: 'openid email profile phone' });
    const { body } = await userinfo(world, tokens.access_token);
    expect(body).toMatchObject({
      email: RESIDENT.email,
      email_verified: false,
      name: 'Suvi Niemi',
      given_name: 'Suvi',
      family_name: 'Niemi',
      preferred_username: RESIDENT.email,
      locale: 'fi',
      phone_number: '+358500000000',
    });
    expect(Number.isInteger(body['updated_at'])).toBe(true);
  });

  test('5.3.1: userinfo takes GET and POST, and the token in the header or in the form', async () => {
    const { access_token: token } = await rp.tokens(browser);
    const answers = await Promise.all([
      userinfo(world, token),
      userinfo(world, token, { method: 'POST' }),
      send(`${world.issuer}/me`, { method: 'POST', body: parameters({ access_token: token }) }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  test('5.3.2: userinfo is JSON with the sub of the ID token, and holds no claim that is empty', async () => {
    const tokens = await rp.tokens(browser, { scope: 'openid profile' });
    const answer = await userinfo(world, tokens.access_token);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json(; ?charset=utf-8)?$/i);
    expect(answer.body['sub']).toBe(decodeJwt(tokens.id_token).sub);
    expect(Object.values(answer.body).filter((value) => value === null || value === '')).toEqual([]);
  });

  test('5.3.3: userinfo with a token that is not good is 401 with WWW-Authenticate', async () => {
    const answer = await userinfo(world, 'nothing');
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer .*error="invalid_token"/);
  });

  const BY_SCOPE: [string, string[]][] = [
    ['openid', []],
    ['openid email', ['email', 'email_verified']],
    ['openid phone', ['phone_number']],
    ['profile openid', ['family_name', 'given_name', 'locale', 'name', 'preferred_username', 'updated_at']],
  ];
  test.each(BY_SCOPE)('5.4: the scopes "%s" bring their claims and no others', async (scope, claims) => {
    const tokens = await rp.tokens(browser, { scope });
    const { sub: _sub, ...rest } = (await userinfo(world, tokens.access_token)).body;
    expect(Object.keys(rest).sort()).toEqual(claims);
  });

  test('5.4: where an access token is given, the claims of scopes are not in the ID token', async () => {
    const claims = await claimsOf({ scope: 'openid email profile phone' });
    expect(Object.keys(claims).filter((name) => /email|name|phone|locale/.test(name))).toEqual([]);
  });

  test('5.4: scopes that an e-service is not registered for bring nothing', async () => {
    const bare = new RawClient(world, 'bare');
    const answer = await bare.authorize(browser, { scope: 'openid email phone' });
    if (answer.has('error')) return expect(answer.get('error')).toBe('invalid_scope');
    const token = String((await bare.redeem(answer.get('code')!)).body['access_token']);
    return expect((await userinfo(world, token)).body).not.toHaveProperty('phone_number');
  });

  test('5.7: sub is the same at every sign-in, and another for another resident', async () => {
    expect((await claimsOf()).sub).toBe((await claimsOf()).sub);
    expect((await claimsOf()).sub).toBe((await claimsOf({}, new RawClient(world, 'other'))).sub);
  });

  test('8: a pairwise sub is one for each sector and tells nothing of the other', async () => {
    const sub = async (id: string) => (await claimsOf({}, new RawClient(world, id))).sub!;
    const [a, a2, b, open] = [
      await sub('pairwise-a'),
      await sub('pairwise-a2'),
      await sub('pairwise-b'),
      await sub('rp'),
    ];
    expect(a).toBe(a2);
    expect(new Set([a, b, open]).size).toBe(3);
    expect(a).not.toContain(city.accountId);
  });

  test('9: client_secret_post authenticates a client that is registered for it', async () => {
    const post = new RawClient(world, 'post');
    const secret = { client_id: 'post', client_secret: CLIENT_SECRET };
    const plain = { code_challenge: undefined, code_challenge_method: undefined };
    const code = await post.code(browser, plain);
    const answer = await post.redeem(code, { ...secret, code_verifier: undefined }, { Authorization: undefined });
    expect(answer.status).toBe(200);
  });

  const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
  type Method = 'secret-jwt' | 'key-jwt';
  async function assertion(
    id: Method,
    changes: JWTPayload = {},
    key?: Parameters<SignJWT['sign']>[0],
  ): Promise<string> {
    const payload = { iss: id, sub: id, aud: world.issuer, jti: randomUUID(), iat: now(), exp: now() + 60, ...changes };
    const kept = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
    const secret = new TextEncoder().encode(CLIENT_SECRET);
    return id === 'secret-jwt'
      ? new SignJWT(kept).setProtectedHeader({ alg: 'HS256' }).sign(key ?? secret)
      : new SignJWT(kept).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(key ?? CLIENT_KEY.privateKey);
  }
  async function redeemWith(id: Method, jwt: string): Promise<Answer> {
    const client = new RawClient(world, id);
    const proof = { client_assertion_type: ASSERTION, client_assertion: jwt };
    return client.redeem(await client.code(browser), proof, { Authorization: undefined });
  }

  test.each<Method>(['secret-jwt', 'key-jwt'])("9: %s authenticates by a JWT of the client's own", async (id) => {
    expect((await redeemWith(id, await assertion(id))).status).toBe(200);
  });

  test('9: the audience of a client assertion may be the token endpoint', async () => {
    expect((await redeemWith('key-jwt', await assertion('key-jwt', { aud: `${world.issuer}/token` }))).status).toBe(
      200,
    );
  });

  test.each<[string, JWTPayload]>([
    ['another issuer', { iss: 'rp' }],
    ['another subject', { sub: 'rp' }],
    ['another audience', { aud: 'https://evil.example' }],
    ['no audience', { aud: undefined }],
    ['no expiry', { exp: undefined }],
    ['an expiry in the past', { exp: 1_600_000_000 }],
    ['no jti', { jti: undefined }],
    ['a start in the future', { nbf: 4_000_000_000 }],
  ])('9: a client assertion with %s is invalid_client', async (_what, changes) => {
    for (const id of ['secret-jwt', 'key-jwt'] as const) {
      const answer = await redeemWith(id, await assertion(id, changes));
      expect([id, answer.status, answer.body['error']]).toEqual([id, 401, 'invalid_client']);
    }
  });

  test('9: a client assertion signed by another key, or shown twice, is invalid_client', async () => {
    const strange = await assertion('secret-jwt', {}, new TextEncoder().encode('x'.repeat(40)));
    expect((await redeemWith('secret-jwt', strange)).status).toBe(401);
    const twice = await assertion('key-jwt');
    expect((await redeemWith('key-jwt', twice)).status).toBe(200);
    expect((await redeemWith('key-jwt', twice)).status).toBe(401);
  });

  test('10.1: an ID token names its key, which the JWKS has, for signatures, with its public half alone', async () => {
    const { id_token: token } = await rp.tokens(browser);
    const { kid } = decodeProtectedHeader(token);
    expect(kid).toBeTruthy();
    const { body } = await send(`${world.issuer}/jwks`);
    const keys = body['keys'] as Record<string, string>[];
    expect(keys.find((key) => key['kid'] === kid)).toMatchObject({ use: 'sig', kty: 'RSA', alg: 'RS256' });
    expect(keys.filter((key) => 'd' in key || 'k' in key)).toEqual([]);
    const verified = await jwtVerify(token, createRemoteJWKSet(new URL(`${world.issuer}/jwks`)), { audience: 'rp' });
    expect(verified.payload.iss).toBe(world.issuer);
  });

  test('10.1: a signature that was touched does not verify', async () => {
    const [head, body, signature] = (await rp.tokens(browser)).id_token.split('.');
    const forged = `${head}.${body}.${signature!.startsWith('A') ? 'B' : 'A'}${signature!.slice(1)}`;
    await expect(jwtVerify(forged, createRemoteJWKSet(new URL(`${world.issuer}/jwks`)))).rejects.toThrow();
  });

  test('11: offline_access brings a refresh token', async () => {
    const tab = browser.newTab();
    await rp.visit(tab, { scope: 'openid offline_access', prompt: 'consent' });
    await tab.submit();
    const answer = await rp.redeem(answerOf(tab.page).get('code')!);
    expect(typeof answer.body['refresh_token']).toBe('string');
  });

  test('12.1: a refresh token serves the client that it was given to, which authenticates', async () => {
    const { refresh_token: token } = await rp.tokens(browser);
    const other = await new RawClient(world, 'other').refresh(token!);
    expect([other.status, other.body['error']]).toEqual([400, 'invalid_grant']);
    const nobody = await rp.refresh(token!, { client_id: 'rp' }, { Authorization: undefined });
    expect([nobody.status, nobody.body['error']]).toEqual([401, 'invalid_client']);
    expect((await rp.refresh(token!)).status).toBe(200);
  });

  test('12.2: the ID token of a refresh keeps iss, sub, aud and auth_time, and has an iat of its own', async () => {
    const first = await rp.tokens(browser, { max_age: '1000' });
    const answer = await rp.refresh(first.refresh_token!);
    const before = decodeJwt(first.id_token);
    const after = decodeJwt(String(answer.body['id_token']));
    for (const name of ['iss', 'sub', 'aud', 'auth_time', 'azp'])
      expect([name, after[name]]).toEqual([name, before[name]]);
    expect(after.iat).toBeGreaterThanOrEqual(before.iat!);
  });

  test('15.1: what every OpenID Provider must do is announced: RS256, code, the standard scope', async () => {
    const { body } = await send(`${world.issuer}/.well-known/openid-configuration`);
    expect(body['id_token_signing_alg_values_supported']).toContain('RS256');
    expect(body['response_types_supported']).toContain('code');
    expect(body['scopes_supported']).toContain('openid');
  });
});
