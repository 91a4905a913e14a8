/** OAuth 2.0 and its parts (RFC 6749, 6750, 7009, 7636, 7662, 9126, 9207, 9700), over raw HTTP. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import {
  answerOf,
  CHALLENGE,
  parameters,
  RawClient,
  send,
  userinfo,
  VERIFIER,
  type Answer,
} from '../support/raw-client.ts';
import { RESIDENT, startStandards } from '../support/standards.ts';
import { CLIENT_SECRET, type World } from '../support/world.ts';

let world: World;
let browser: HttpBrowser;
let rp: RawClient;
let post: RawClient;
let app: RawClient;

beforeAll(async () => {
  ({ world, browser, rp } = await startStandards());
  post = new RawClient(world, 'post');
  app = new RawClient(world, 'app');
});
afterAll(() => world.close());

const NO_HEADER = { Authorization: undefined };
const refusal = ({ status, body }: Answer) => [status, body['error']];
const get = (path: string, query: Record<string, string> = {}) =>
  send(`${world.issuer}${path}?${new URLSearchParams(query).toString()}`);

describe('The OAuth 2.0 Authorization Framework (RFC 6749)', () => {
  test('2.3: a request that authenticates in two ways is refused', async () => {
    const both = { client_id: 'rp', client_secret: CLIENT_SECRET };
    expect(refusal(await rp.redeem(await rp.code(browser), both))).toEqual([400, 'invalid_request']);
  });

  test('2.3.1: id and secret are form-encoded in Basic, and a secret is taken in the body, never in the URL', async () => {
    expect((await rp.redeem(await rp.code(browser))).status).toBe(200);
    const code = await post.code(browser, { code_challenge: undefined, code_challenge_method: undefined });
    const form = { grant_type: 'authorization_code', code, redirect_uri: post.redirectUri };
    const secret = { client_id: 'post', client_secret: CLIENT_SECRET };
    const inUrl = await post.post(`/token?${new URLSearchParams(secret).toString()}`, parameters(form));
    expect(refusal(inUrl)[0]).toBeGreaterThanOrEqual(400);
    expect((await post.post('/token', parameters({ ...form, ...secret }))).status).toBe(200);
  });

  test('3.1: a parameter without a value counts as left out, and an unknown one as nothing', async () => {
    const answer = await rp.authorize(browser, { prompt: '', max_age: '', display: '', foo: 'bar' });
    expect(answer.get('code')).toBeTruthy();
  });

  test('3.1.2: the redirect URI keeps its own query and never has a fragment', async () => {
    const page = await rp.visit(browser, { redirect_uri: 'https://rp.example/with?a=1' });
    expect(page.leadsTo!.href).toMatch(/^https:\/\/rp\.example\/with\?a=1&[^#]+$/);
  });

  test('3.2: the token endpoint takes POST only', async () => {
    for (const method of ['GET', 'PUT', 'DELETE'])
      expect([404, 405]).toContain((await send(`${world.issuer}/token`, { method })).status);
  });

  test('3.2: parameters of the token request must not come twice, nor as JSON', async () => {
    const code = await rp.code(browser);
    expect(refusal(await rp.redeem(code, { code: [code, code] }))).toEqual([400, 'invalid_request']);
    const json = await send(`${world.issuer}/token`, {
      method: 'POST',
      headers: { Authorization: rp.basic, 'Content-Type': 'application/json' },
      body: JSON.stringify({ grant_type: 'authorization_code', code, redirect_uri: rp.redirectUri }),
    });
    expect(refusal(json)).toEqual([400, 'invalid_request']);
  });

  test('4.1.2: a code lives a minute', async () => {
    const code = await rp.code(browser);
    const [row] = await world.database.query<{ seconds: number }>(sql`
      select extract(epoch from max(expires_at) - now())::int as seconds from artifacts where model = 'AuthorizationCode'`);
    expect(code).toBeTruthy();
    expect(row!.seconds).toBeLessThanOrEqual(61);
  });

  test('4.1.2.1: an error goes to the redirect URI only where that is good, and always has error and state', async () => {
    const answer = await rp.authorize(browser, { response_type: 'nothing' });
    expect([answer.get('error'), answer.get('state')]).toEqual(['unsupported_response_type', 'a state']);
    const page = await rp.visit(browser, { response_type: 'nothing', redirect_uri: 'https://evil.example/' });
    expect([page.status, page.leadsTo]).toEqual([400, undefined]);
  });

  test('4.1.3: the token request of another client, or with another redirect_uri, is invalid_grant', async () => {
    const code = await rp.code(browser);
    const other = new RawClient(world, 'other');
    expect(refusal(await other.redeem(code, { redirect_uri: rp.redirectUri }))).toEqual([400, 'invalid_grant']);
    const moved = await rp.redeem(await rp.code(browser), { redirect_uri: 'https://rp.example/with?a=1' });
    expect(refusal(moved)).toEqual([400, 'invalid_grant']);
  });

  test('4.3: there is no password grant', async () => {
    const answer = await rp.post(
      '/token',
      parameters({ grant_type: 'password', username: RESIDENT.email, password: 'x' }),
      {
        Authorization: rp.basic,
      },
    );
    expect(refusal(answer)).toEqual([400, 'unsupported_grant_type']);
  });

  test('5.1: tokens come with Cache-Control: no-store', async () => {
    expect((await rp.redeem(await rp.code(browser))).headers.get('cache-control')).toMatch(/no-store/);
  });

  test('5.2: invalid_client by Basic is 401 with WWW-Authenticate: Basic', async () => {
    const answer = await rp.redeem('x', {}, { Authorization: `Basic ${Buffer.from('rp:wrong').toString('base64')}` });
    expect(refusal(answer)).toEqual([401, 'invalid_client']);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /);
  });

  test.each([
    ['grant_type missing', { grant_type: undefined }, 'invalid_request'],
    ['grant_type unknown', { grant_type: 'nothing' }, 'unsupported_grant_type'],
    ['implicit as a grant', { grant_type: 'implicit' }, 'unsupported_grant_type'],
    ['code missing', { code: undefined }, 'invalid_request'],
    ['code unknown', { code: 'nothing' }, 'invalid_grant'],
    ['code too long', { code: 'x'.repeat(10_000) }, 'invalid_grant'],
  ])('5.2: %s is told by its error', async (_what, changes, error) => {
    expect(refusal(await rp.redeem('x', changes))).toEqual([400, error]);
  });

  test('5.2: a grant that the client is not registered for is refused', async () => {
    const kartta = new RawClient(world, 'kartta');
    // The library says invalid_request where unauthorized_client would be the closer word.
    expect(refusal(await kartta.refresh('x'))).toEqual([
      400,
      expect.stringMatching(/^(unauthorized_client|invalid_request)$/),
    ]);
  });

  test('6: a refresh may narrow the scope and never widen it', async () => {
    const { refresh_token: token } = await rp.tokens(browser, { scope: 'openid email' });
    expect((await rp.refresh(token!, { scope: 'openid' })).body['scope']).toBe('openid');
    expect(refusal(await rp.refresh(token!, { scope: 'openid email phone' }))).toEqual([400, 'invalid_scope']);
    expect((await rp.refresh(token!)).body['scope']).toBe('openid email');
  });

  test('10.10: codes and tokens are too long to guess', async () => {
    const code = await rp.code(browser);
    const { body } = await rp.redeem(code);
    for (const secret of [code, body['access_token'], body['refresh_token']])
      expect(String(secret).length).toBeGreaterThanOrEqual(43);
  });
});

describe('Bearer Token Usage (RFC 6750)', () => {
  test('2: a token in two places is invalid_request', async () => {
    const { access_token: token } = await rp.tokens(browser);
    const twice = await userinfo(world, token, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}` },
      body: parameters({ access_token: token }),
    });
    expect(refusal(twice)).toEqual([400, 'invalid_request']);
  });

  test('2.3: a token in the URL is not taken', async () => {
    const { access_token: token } = await rp.tokens(browser);
    expect((await get('/me', { access_token: token })).status).toBeGreaterThanOrEqual(400);
  });

  test('3: a request without a token is answered with the challenge alone, in status 400 or 401', async () => {
    const answer = await get('/me');
    expect([400, 401]).toContain(answer.status);
    expect(answer.headers.get('www-authenticate') ?? 'Bearer').toMatch(/^Bearer/);
  });

  test('3.1: a token that is unknown, ended or of another kind is 401 invalid_token with the challenge', async () => {
    const tokens = await rp.tokens(browser);
    await rp.revoke(tokens.access_token);
    for (const token of ['nothing', tokens.access_token, tokens.refresh_token!, tokens.id_token]) {
      const answer = await userinfo(world, token);
      expect(refusal(answer)).toEqual([401, 'invalid_token']);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer .*error="invalid_token"/);
    }
  });
});

describe('Token Revocation (RFC 7009)', () => {
  test('2.1: a revoked access token is dead', async () => {
    const { access_token: token } = await rp.tokens(browser);
    expect((await rp.revoke(token)).status).toBe(200);
    expect((await userinfo(world, token)).status).toBe(401);
  });

  test('2.1: a revoked refresh token takes the access tokens of its grant along', async () => {
    const tokens = await rp.tokens(browser);
    expect((await rp.revoke(tokens.refresh_token!)).status).toBe(200);
    expect(refusal(await rp.refresh(tokens.refresh_token!))).toEqual([400, 'invalid_grant']);
    expect((await userinfo(world, tokens.access_token)).status).toBe(401);
  });

  test('2.1: the client authenticates, and ends no token of another', async () => {
    const { access_token: token } = await rp.tokens(browser);
    expect(refusal(await rp.revoke(token, { client_id: 'rp' }, NO_HEADER))).toEqual([401, 'invalid_client']);
    await new RawClient(world, 'other').revoke(token);
    expect((await userinfo(world, token)).status).toBe(200);
  });

  test('2.1: a wrong or unknown token_type_hint is no hindrance', async () => {
    for (const hint of ['refresh_token', 'nothing']) {
      const { access_token: token } = await rp.tokens(browser);
      expect((await rp.revoke(token, { token_type_hint: hint })).status).toBe(200);
      expect((await userinfo(world, token)).status).toBe(401);
    }
  });

  test('2.1: token is required, and POST', async () => {
    expect(refusal(await rp.revoke('x', { token: undefined }))).toEqual([400, 'invalid_request']);
    expect([404, 405]).toContain((await get('/token/revocation', { token: 'x' })).status);
  });

  test('2.2: a token that there is not is answered like one that there was', async () => {
    const { access_token: token } = await rp.tokens(browser);
    const [known, unknown] = [await rp.revoke(token), await rp.revoke('nothing')];
    expect([unknown.status, unknown.text]).toEqual([known.status, known.text]);
  });

  test('5: a public client revokes its own by its client_id', async () => {
    const code = await app.code(browser);
    const { body } = await app.redeem(code, { client_id: 'app' }, NO_HEADER);
    expect((await app.revoke(String(body['access_token']), { client_id: 'app' }, NO_HEADER)).status).toBe(200);
    expect((await userinfo(world, String(body['access_token']))).status).toBe(401);
  });
});

describe('Proof Key for Code Exchange (RFC 7636)', () => {
  test('4.1: a verifier has 43 to 128 characters of the unreserved ones', async () => {
    for (const verifier of ['a'.repeat(42), 'a'.repeat(129), `${'a'.repeat(43)}ä`, `${'a'.repeat(43)} `]) {
      const answer = await rp.redeem(await rp.code(browser), { code_verifier: verifier });
      expect([verifier.length, answer.status]).toEqual([verifier.length, 400]);
    }
  });

  test('4.2: the challenge is S256; plain, named or not, is refused', async () => {
    for (const changes of [{ code_challenge_method: 'plain' }, { code_challenge_method: undefined }]) {
      const answer = await rp.authorize(browser, { code_challenge: VERIFIER, ...changes });
      expect(answer.get('error')).toBe('invalid_request');
    }
  });

  test('4.4.1: without a challenge the request is refused; with require_pkce: false it is taken', async () => {
    const none = { code_challenge: undefined, code_challenge_method: undefined };
    expect((await rp.authorize(browser, none)).get('error')).toBe('invalid_request');
    expect((await app.authorize(browser, none)).get('error')).toBe('invalid_request');
    expect((await post.authorize(browser, none)).get('code')).toBeTruthy();
  });

  test('4.4.1: a challenge that is no digest is refused', async () => {
    for (const challenge of ['short', 'x'.repeat(129), `${CHALLENGE.slice(0, 42)}!`])
      expect((await rp.authorize(browser, { code_challenge: challenge })).get('error')).toBe('invalid_request');
  });

  test('4.6: a verifier that does not fit, or none, is invalid_grant', async () => {
    for (const verifier of ['x'.repeat(43), undefined])
      expect(refusal(await rp.redeem(await rp.code(browser), { code_verifier: verifier }))).toEqual([
        400,
        'invalid_grant',
      ]);
  });
});

describe('Token Introspection (RFC 7662)', () => {
  test('2.1: POST and an authenticated client', async () => {
    const { access_token: token } = await rp.tokens(browser);
    expect(refusal(await rp.introspect(token, { client_id: 'rp' }, NO_HEADER))).toEqual([401, 'invalid_client']);
    expect([404, 405]).toContain((await get('/token/introspection', { token })).status);
    expect(refusal(await rp.introspect('x', { token: undefined }))).toEqual([400, 'invalid_request']);
  });

  test('2.2: a live token is active, with what is known of it', async () => {
    const { access_token: token } = await rp.tokens(browser, { scope: 'openid email' });
    const { body, headers } = await rp.introspect(token, { token_type_hint: 'refresh_token' });
    expect(body).toMatchObject({
      active: true,
      client_id: 'rp',
      scope: 'openid email',
      token_type: 'Bearer',
      iss: world.issuer,
    });
    expect(Number(body['exp'])).toBeGreaterThan(Number(body['iat']));
    expect(headers.get('content-type')).toMatch(/^application\/json/);
  });

  test('2.2: a token that is dead, unknown or of another client is {"active":false} and nothing more', async () => {
    const { access_token: dead } = await rp.tokens(browser);
    await rp.revoke(dead);
    const { access_token: live } = await rp.tokens(browser);
    const answers = [
      await rp.introspect(dead),
      await rp.introspect('nothing'),
      await new RawClient(world, 'other').introspect(live),
    ];
    expect(answers.map(({ status, body }) => ({ status, body }))).toEqual(
      answers.map(() => ({ status: 200, body: { active: false } })),
    );
  });

  test('4: a client that does not authenticate learns nothing', async () => {
    const code = await app.code(browser);
    const { body } = await app.redeem(code, { client_id: 'app' }, NO_HEADER);
    const answer = await app.introspect(String(body['access_token']), { client_id: 'app' }, NO_HEADER);
    expect(answer.body['active'] ?? false).toBe(false);
  });
});

describe('Pushed Authorization Requests (RFC 9126)', () => {
  const through = (uri: unknown, id = 'rp') =>
    browser.get(`${world.issuer}/auth?${new URLSearchParams({ client_id: id, request_uri: String(uri) }).toString()}`);

  test('2.1: the client authenticates, and sends no request_uri', async () => {
    expect(refusal(await rp.push({}, NO_HEADER))).toEqual([401, 'invalid_client']);
    const nested = await rp.push({ request_uri: 'urn:ietf:params:oauth:request_uri:x' });
    expect(nested.status).toBe(400);
  });

  test('2.1: what the authorization endpoint would refuse is refused at once', async () => {
    const wrong = [
      [{ redirect_uri: 'https://evil.example/' }, 'invalid_request|invalid_redirect_uri'],
      [{ response_type: 'nothing' }, 'unsupported_response_type'],
      [{ code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
      [{ redirect_uri: undefined }, 'invalid_request'],
    ] as const;
    for (const [changes, error] of wrong) {
      const answer = await rp.push(changes);
      expect([answer.status, answer.body['error']]).toEqual([400, expect.stringMatching(new RegExp(`^(${error})$`))]);
    }
  });

  test('2.2: 201 with a request_uri that cannot be guessed and expires_in, kept by no cache', async () => {
    const { status, body, headers } = await rp.push();
    expect(status).toBe(201);
    expect(body['request_uri']).toMatch(/^urn:ietf:params:oauth:request_uri:[\w-]{40,}$/);
    expect(body['expires_in']).toBe(60);
    expect(headers.get('cache-control')).toMatch(/no-store/);
  });

  test('2.3: only POST', async () => {
    for (const method of ['GET', 'PUT'])
      expect([404, 405]).toContain((await send(`${world.issuer}/request`, { method })).status);
  });

  test('4: the request_uri leads on with the client_id, and brings all that was pushed', async () => {
    const { body } = await rp.push({ state: 'pushed' });
    const answer = answerOf(await through(body['request_uri']));
    expect([answer.has('code'), answer.get('state')]).toEqual([true, 'pushed']);
  });

  test('4: parameters beside the request_uri change nothing of what was pushed', async () => {
    const { body } = await rp.push({ state: 'pushed' });
    const query = { client_id: 'rp', request_uri: String(body['request_uri']), state: 'other', scope: 'openid phone' };
    const answer = answerOf(await browser.get(`${world.issuer}/auth?${new URLSearchParams(query).toString()}`));
    expect(answer.get('state')).toBe('pushed');
  });

  test('4: a request_uri serves once and its own client', async () => {
    const { body } = await rp.push();
    const foreign = await through(body['request_uri'], 'other');
    expect(foreign.leadsTo?.searchParams.has('code') ?? false).toBe(false);
    expect(foreign.leadsTo?.host).not.toBe('rp.example');
    const again = await rp.push();
    await through(again.body['request_uri']);
    const second = await through(again.body['request_uri']);
    expect(second.leadsTo?.searchParams.has('code') ?? false).toBe(false);
  });

  test('4: a request_uri that there is not is an error page', async () => {
    const page = await through('urn:ietf:params:oauth:request_uri:nothing');
    expect([page.status, page.leadsTo]).toEqual([400, undefined]);
  });

  test('5: discovery names the endpoint', async () => {
    const { body } = await get('/.well-known/openid-configuration');
    expect(body['pushed_authorization_request_endpoint']).toBe(`${world.issuer}/request`);
  });
});

describe('Authorization Server Issuer Identification (RFC 9207)', () => {
  test('2: iss comes with every answer, good or bad, and is the issuer', async () => {
    expect((await rp.authorize(browser)).get('iss')).toBe(world.issuer);
    expect((await rp.authorize(world.browser(), { prompt: 'none' })).get('iss')).toBe(world.issuer);
    expect((await rp.authorize(browser, { response_type: 'nothing' })).get('iss')).toBe(world.issuer);
  });

  test('3: discovery says so', async () => {
    const { body } = await get('/.well-known/openid-configuration');
    expect(body['authorization_response_iss_parameter_supported']).toBe(true);
  });
});

describe('Best Current Practice for OAuth 2.0 Security (RFC 9700)', () => {
  test('2.1: redirect URIs match letter by letter, but for the port of a native app on the loopback', async () => {
    const native = new RawClient(world, 'native');
    const page = await native.visit(world.browser(), { redirect_uri: 'http://127.0.0.1:51004/callback' });
    expect(page.status).toBe(200);
    const others = [
      ...['http://127.0.0.1:51004/other', 'http://localhost:51004/callback', 'fi.example.app:/other'],
      ...['http://127.0.0.1:80@evil.example/callback', 'http://127.0.0.1.evil.example:51004/callback'],
      ...['https://127.0.0.1:51004/callback', 'http://127.0.0.1:51004/callback?x=1', 'http://2130706433/callback'],
    ];
    for (const uri of others)
      expect([uri, (await native.visit(browser, { redirect_uri: uri })).status]).toEqual([uri, 400]);
  });

  test('2.1: a request without a good redirect URI leads nowhere: no open redirector', async () => {
    for (const changes of [{ client_id: 'nobody' }, { redirect_uri: 'https://evil.example/' }])
      expect((await rp.visit(browser, changes)).leadsTo).toBeUndefined();
  });

  test('2.1.1: a code that was asked for without a challenge takes no verifier (PKCE downgrade)', async () => {
    const code = await post.code(browser, { code_challenge: undefined, code_challenge_method: undefined });
    const secret = { client_id: 'post', client_secret: CLIENT_SECRET };
    expect(refusal(await post.redeem(code, { ...secret, code_verifier: VERIFIER }, NO_HEADER))).toEqual([
      400,
      'invalid_grant',
    ]);
  });

  test('2.1.2: no access token comes through the browser', async () => {
    for (const type of ['token', 'id_token token', 'code token', 'code id_token', 'code id_token token']) {
      const page = await rp.visit(browser, { response_type: type });
      expect([type, page.leadsTo?.href.includes('access_token=') ?? false]).toEqual([type, false]);
      expect([type, page.leadsTo?.href.includes('error=') ?? true]).toEqual([type, true]);
    }
  });

  test("2.2.2: a public client's refresh token is changed at each use, a confidential one's is not", async () => {
    const first = await app.redeem(await app.code(browser), { client_id: 'app' }, NO_HEADER);
    const second = await app.refresh(String(first.body['refresh_token']), { client_id: 'app' }, NO_HEADER);
    expect(second.status).toBe(200);
    expect(second.body['refresh_token']).not.toBe(first.body['refresh_token']);
    const { refresh_token: token } = await rp.tokens(browser);
    expect([undefined, token]).toContain((await rp.refresh(token!)).body['refresh_token']);
  });

  test('2.6: no script of another site reaches the authorization endpoint', async () => {
    const { url } = await rp.visit(world.browser());
    for (const Origin of ['https://rp.example', 'https://evil.example', 'null']) {
      const answer = await fetch(url, { headers: { Origin }, redirect: 'manual' });
      expect([Origin, answer.headers.get('access-control-allow-origin')]).toEqual([Origin, null]);
      const asked = await fetch(`${world.issuer}/auth`, {
        method: 'OPTIONS',
        headers: { Origin, 'Access-Control-Request-Method': 'GET' },
      });
      expect([Origin, asked.headers.get('access-control-allow-origin')]).toEqual([Origin, null]);
    }
  });

  test('4.2.4: pages leave no referrer and load nothing from elsewhere', async () => {
    const { headers } = await rp.visit(world.browser());
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers['content-security-policy']).toContain("default-src 'none'");
  });

  test('4.12: after a form with a password the browser is led on by 303', async () => {
    const fresh = world.browser();
    await rp.visit(fresh);
    await fresh.submit({ username: RESIDENT.email });
    await fresh.submit({ 'current-password': RESIDENT.password });
    const posts = fresh.steps.filter(({ method, headers }) => method === 'POST' && headers.location);
    expect(posts.map(({ status }) => status)).toEqual(posts.map(() => 303));
    expect(posts.length).toBe(2);
  });

  test('4.16: no page of a sign-in can stand in a frame', async () => {
    expect((await rp.visit(world.browser())).headers['content-security-policy']).toContain("frame-ancestors 'none'");
  });
});
