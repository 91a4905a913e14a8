/** What the token endpoint asks of whom, and what it gives: client authentication, machines, the city's APIs. */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, UnsecuredJWT } from 'jose';
import { city, LOANS, PARKING, type City } from '../support/city.ts';
import { counted, withoutHeartbeats } from '../support/counting.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import {
  assertion,
  authorizationUrl,
  basic,
  codeFrom,
  dpopProof,
  exchange,
  makeKey,
  PASSWORD,
  publicly,
  redirectUriOf,
  seconds,
  send,
  signedIn,
  VERIFIER,
  type Answer,
} from '../support/protocol.ts';
import { CLIENT_SECRET, startWorld, type World } from '../support/world.ts';

let world: World;
let keys: City['keys'];
let browser: HttpBrowser;
let account: string;

beforeAll(async () => {
  withoutHeartbeats();
  const { options, keys: made } = await city();
  keys = made;
  world = await startWorld(options);
  account = await world.account({ email: 'maija@example.com', password: PASSWORD });
  browser = await signedIn(world, 'portal', 'maija@example.com');
});
afterAll(async () => {
  await world.close();
  jest.useRealTimers();
});

type Wishes = Record<string, string | undefined>;

const token = (fields: Wishes | [string, string][], headers = {}): Promise<Answer> =>
  send(`${world.issuer}/token`, { headers, fields });
const machine = (client: string, wishes: Wishes = {}): Promise<Answer> =>
  token({ grant_type: 'client_credentials', ...wishes }, basic(client));
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const asserted = (client_assertion: string, more: Wishes = {}): Promise<Answer> =>
  token({ grant_type: 'client_credentials', client_assertion, client_assertion_type: ASSERTION_TYPE, ...more });
const codeOf = (client: string, wishes: Wishes = {}): Promise<string> =>
  codeFrom(browser, authorizationUrl(world, client, wishes));
const refused = (error: string, status = 400) => ({ status, body: { error } });

const statements = async (work: () => Promise<unknown>): Promise<number> =>
  (await counted(world.database, work)).statements;

describe('client authentication (RFC 6749, 2.3)', () => {
  test('by secret, in the way that is registered or the other of the two', async () => {
    expect(await machine('loader')).toMatchObject({ status: 200 });
    const post = { grant_type: 'client_credentials', client_id: 'post', client_secret: CLIENT_SECRET };
    expect(await token(post)).toMatchObject({ status: 200 });
  });

  test.each<[string, { fields?: Wishes; by?: () => Record<string, string> }, ReturnType<typeof refused>]>([
    ['a wrong secret', { by: () => basic('loader', `${CLIENT_SECRET}x`) }, refused('invalid_client', 401)],
    ['an empty secret', { by: () => basic('loader', '') }, refused('invalid_request')],
    ['a client that there is not', { by: () => basic('nobody') }, refused('invalid_client', 401)],
    ['nobody at all', {}, refused('invalid_request')],
    ['a name without its secret', { fields: { client_id: 'loader' } }, refused('invalid_client', 401)],
    [
      'two ways at once',
      { fields: { client_secret: CLIENT_SECRET }, by: () => basic('loader') },
      refused('invalid_request'),
    ],
    ['another name beside', { fields: { client_id: 'reader' }, by: () => basic('loader') }, refused('invalid_request')],
    ['a secret where a key is registered', { by: () => basic('keyed') }, refused('invalid_client', 401)],
    ['credentials that are no base64', { by: () => ({ authorization: 'Basic !' }) }, refused('invalid_request')],
    ['a scheme that there is not', { by: () => ({ authorization: 'Digest x' }) }, refused('invalid_request')],
  ])('refuses %s', async (_what, { fields, by }, answer) => {
    const headers = by?.() ?? {};
    const got = await token({ grant_type: 'client_credentials', ...fields }, headers);
    expect(got).toMatchObject(answer);
    if (got.status === 401 && 'authorization' in headers)
      expect(got.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
    expect(world.log.join()).not.toContain(CLIENT_SECRET);
  });
});

describe('assertions (RFC 7523, 3)', () => {
  const claims = (client = 'keyed') => ({ iss: client, sub: client, aud: world.issuer });

  test('a key or a secret proves who it is, once', async () => {
    const byKey = await assertion(keys.keyed, claims());
    expect(await asserted(byKey)).toMatchObject({ status: 200 });
    expect(await asserted(byKey)).toMatchObject(refused('invalid_client', 401));
    const bySecret = await assertion({ secret: CLIENT_SECRET }, claims('hmac'));
    expect(await asserted(bySecret)).toMatchObject({ status: 200 });
    expect(await asserted(bySecret)).toMatchObject(refused('invalid_client', 401));
  });

  test('of twenty at the same time one is taken', async () => {
    const once = await assertion(keys.keyed, claims());
    const answers = await Promise.all(Array.from({ length: 20 }, () => asserted(once)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const answer of answers.filter(({ status }) => status !== 200))
      expect(answer).toMatchObject(refused('invalid_client', 401));
  });

  test('the endpoint itself and the token endpoint are audiences too', async () => {
    for (const aud of [`${world.issuer}/token`, [world.issuer, 'https://elsewhere.example']])
      expect(await asserted(await assertion(keys.keyed, { ...claims(), aud }))).toMatchObject({ status: 200 });
  });

  test.each<[string, () => Promise<string>]>([
    ['another audience', () => assertion(keys.keyed, { ...claims(), aud: 'https://elsewhere.example' })],
    ['no audience', () => assertion(keys.keyed, { ...claims(), aud: undefined })],
    ['another issuer', () => assertion(keys.keyed, { ...claims(), iss: 'loader' })],
    ['no id', () => assertion(keys.keyed, { ...claims(), jti: undefined })],
    ['no end', () => assertion(keys.keyed, { ...claims(), exp: undefined })],
    ['an end that has passed', () => assertion(keys.keyed, { ...claims(), exp: seconds() - 60 })],
    ['an end in two days', () => assertion(keys.keyed, { ...claims(), exp: seconds() + 172_800 })],
    ['a birth in the future', () => assertion(keys.keyed, { ...claims(), iat: seconds() + 90 })],
    ['a beginning in the future', () => assertion(keys.keyed, { ...claims(), nbf: seconds() + 90 })],
    ['the key of another', async () => assertion(keys.fapi, claims())],
    ['a key that nobody has', async () => assertion(await makeKey(), claims())],
    [
      'a key that it brings along',
      async () => {
        const own = await makeKey();
        return assertion(own, { ...claims(), header: { jwk: own.publicJwk } });
      },
    ],
    [
      'a key that it says where to find',
      async () => {
        const elsewhere = 'https://evil.example/keys';
        return assertion(await makeKey(), { ...claims(), header: { jku: elsewhere, x5u: elsewhere } });
      },
    ],
    ['an algorithm that is not offered', async () => assertion(await makeKey('ES384'), claims())],
    [
      'the public key taken for a secret',
      () => {
        const secret = JSON.stringify(keys.keyed.publicJwk);
        return assertion({ secret }, claims());
      },
    ],
    ['no signature', async () => new UnsecuredJWT({ ...claims(), jti: 'x', exp: seconds() + 60 }).encode()],
    ['a request object', () => assertion(keys.keyed, { ...claims(), header: { typ: 'oauth-authz-req+jwt' } })],
    ['what could be one', () => assertion(keys.keyed, { ...claims(), response_type: 'code' })],
  ])('refuses %s', async (_what, make) => {
    expect(await asserted(await make())).toMatchObject(refused('invalid_client', 401));
  });

  test('refuses what is no JWT, or of no type', async () => {
    expect(await asserted('a.b.c')).toMatchObject(refused('invalid_request'));
    expect(await asserted(await assertion(keys.keyed, claims()), { client_assertion_type: undefined })).toMatchObject(
      refused('invalid_request'),
    );
    expect(await asserted(await assertion(keys.keyed, claims()), { client_id: 'loader' })).toMatchObject(
      refused('invalid_request'),
    );
  });

  test('FAPI 2.0 Security Profile, 5.3.2.1: the issuer as the only audience', async () => {
    const ask = async (aud: string | string[]) =>
      token({
        grant_type: 'authorization_code',
        code: 'no code',
        redirect_uri: 'https://fapi.example/callback',
        client_assertion: await assertion(keys.fapi, { iss: 'fapi', sub: 'fapi', aud }),
        client_assertion_type: ASSERTION_TYPE,
      });
    expect(await ask(world.issuer)).toMatchObject(refused('invalid_grant'));
    expect(await ask(`${world.issuer}/token`)).toMatchObject(refused('invalid_client', 401));
    expect(await ask([world.issuer])).toMatchObject(refused('invalid_client', 401));
  });
});

describe('grants (RFC 6749, 5.2)', () => {
  test.each([
    ['password', 'unsupported_grant_type'],
    ['implicit', 'unsupported_grant_type'],
    ['urn:ietf:params:oauth:grant-type:device_code', 'unsupported_grant_type'],
    ['urn:ietf:params:oauth:grant-type:jwt-bearer', 'unsupported_grant_type'],
    ['', 'invalid_request'],
  ])('%j is %s', async (grant_type, error) => {
    const form = { grant_type, username: 'maija@example.com', password: PASSWORD };
    expect(await token(form, basic('portal'))).toMatchObject(refused(error));
  });

  test('one that the client is not registered for is unauthorized_client', async () => {
    expect(await machine('portal')).toMatchObject(refused('unauthorized_client'));
    const refresh = { grant_type: 'refresh_token', refresh_token: 'x' };
    expect(await token(refresh, basic('loader'))).toMatchObject(refused('unauthorized_client'));
  });
});

test('what was given out for one thing serves for no other', async () => {
  const { body } = await exchange(world, await codeOf('portal'), { client: 'portal' });
  const pushed = await send(`${world.issuer}/request`, {
    headers: basic('portal'),
    fields: [...authorizationUrl(world, 'portal').searchParams],
  });
  const given: Record<string, string> = {
    code: await codeOf('portal'),
    access: String(body['access_token']),
    refresh: String(body['refresh_token']),
    id: String(body['id_token']),
    request: String(pushed.body['request_uri']),
    'end of the request': String(pushed.body['request_uri']).split(':').pop()!,
    session: browser.jar.find('tunnus_session')!.value,
  };
  expect(Object.values(given).filter((value) => value === 'undefined')).toEqual([]);
  const redirect_uri = redirectUriOf(world, 'portal');
  const asCode = (code: string) =>
    token({ grant_type: 'authorization_code', code, redirect_uri, code_verifier: VERIFIER }, basic('portal'));
  const asRefresh = (refresh_token: string) => token({ grant_type: 'refresh_token', refresh_token }, basic('portal'));
  const asAccess = (value: string) =>
    send(`${world.issuer}/me`, { headers: { authorization: `Bearer ${value}` }, fields: {} });
  const asHint = async (id_token_hint: string) => {
    const address = `${world.issuer}/session/end?${new URLSearchParams({ id_token_hint }).toString()}`;
    return { status: (await fetch(address, { redirect: 'manual' })).status };
  };
  for (const [what, value] of Object.entries(given)) {
    const got = async (use: (value: string) => Promise<{ status: number }>) => (await use(value)).status;
    if (what !== 'code') expect([what, await got(asCode)]).toEqual([what, 400]);
    if (what !== 'refresh') expect([what, await got(asRefresh)]).toEqual([what, 400]);
    if (what !== 'access') expect([what, await got(asAccess)]).toEqual([what, 401]);
    if (what !== 'id') expect([what, await got(asHint)]).toEqual([what, 400]);
  }
  // All of it is still good for what it was given for.
  expect([(await asAccess(given['access']!)).status, (await asRefresh(given['refresh']!)).status]).toEqual([200, 200]);
  expect((await asCode(given['code']!)).status).toBe(200);
});

describe('a machine (RFC 6749, 4.4; RFC 9068)', () => {
  test('gets a signed token for its API at no cost of SQL', async () => {
    let answer: Answer | undefined;
    const cost = await statements(async () => void (answer = await machine('loader', { scope: 'parking:read' })));
    expect(cost).toBe(0);
    expect(answer).toMatchObject({
      status: 200,
      body: { token_type: 'Bearer', expires_in: 300, scope: 'parking:read' },
    });
    expect(answer!.body).not.toHaveProperty('refresh_token');
    expect(answer!.headers.get('cache-control')).toBe('no-store');
    const { payload, protectedHeader } = await jwtVerify(
      String(answer!.body['access_token']),
      createRemoteJWKSet(new URL(`${world.issuer}/jwks`)),
      { issuer: world.issuer, audience: PARKING, typ: 'at+jwt' },
    );
    expect(protectedHeader.alg).toBe('RS256');
    expect(payload).toMatchObject({ sub: 'loader', client_id: 'loader', scope: 'parking:read' });
    expect(Object.keys(payload).sort()).toEqual('aud client_id exp iat iss jti scope sub'.split(' '));
  });

  test('that names no scope means all that it has there', async () => {
    expect(await machine('loader')).toMatchObject({ body: { scope: 'parking:read parking:write' } });
    expect(await machine('reader', { resource: PARKING })).toMatchObject({ body: { scope: 'parking:read' } });
  });

  test.each<[string, [client: string, wishes: Wishes], string]>([
    ['an API that is not its own', ['loader', { resource: LOANS }], 'invalid_target'],
    ['an API that there is not', ['loader', { resource: 'https://api.example/other' }], 'invalid_target'],
    ['no address', ['loader', { resource: 'parking' }], 'invalid_target'],
    ['a fragment', ['loader', { resource: `${PARKING}#x` }], 'invalid_target'],
    ['none of several', ['reader', {}], 'invalid_target'],
    ['no API at all', ['loans-api', {}], 'invalid_target'],
    ['a scope past its own', ['reader', { resource: PARKING, scope: 'parking:write' }], 'invalid_scope'],
    ['a scope of residents', ['loader', { scope: 'openid' }], 'invalid_scope'],
    ['a scope with quotes', ['loader', { scope: '"' }], 'invalid_scope'],
  ])('is refused %s', async (_what, [client, wishes], error) => {
    expect(await machine(client, wishes)).toMatchObject(refused(error));
  });

  test('asks for one API at a time', async () => {
    const both: [string, string][] = [
      ['grant_type', 'client_credentials'],
      ['resource', PARKING],
      ['resource', LOANS],
    ];
    expect(await token(both, basic('reader'))).toMatchObject(refused('invalid_target'));
  });

  test('gets nothing at the userinfo endpoint', async () => {
    const { body } = await machine('loader');
    const headers = { authorization: `Bearer ${String(body['access_token'])}` };
    expect(await send(`${world.issuer}/me`, { method: 'GET', headers })).toMatchObject(refused('invalid_token', 401));
  });
});

describe('an API in the name of a resident (RFC 8707, RFC 9068)', () => {
  const both = { scope: 'openid email parking:read loans:read', resource: PARKING };

  test('a code gives a token for userinfo, and one for the API where it is asked for', async () => {
    const plain = await exchange(world, await codeOf('portal', both), { client: 'portal' });
    expect(plain.body).toMatchObject({ scope: 'openid email' });
    expect(String(plain.body['access_token'])).not.toContain('.');
    const { body } = await token(
      { grant_type: 'refresh_token', refresh_token: String(plain.body['refresh_token']), resource: PARKING },
      basic('portal'),
    );
    const payload = decodeJwt(String(body['access_token']));
    const { sub } = decodeJwt(String(plain.body['id_token']));
    expect(decodeProtectedHeader(String(body['access_token'])).typ).toBe('at+jwt');
    expect(payload).toMatchObject({
      iss: world.issuer,
      aud: PARKING,
      client_id: 'portal',
      scope: 'parking:read',
      sub,
      acr: 'urn:tunnus:password',
      amr: ['pwd'],
    });
    expect(payload['auth_time']).toBe(decodeJwt(String(plain.body['id_token']))['auth_time']);
    expect(sub).not.toBe(account);
    expect(payload.exp! - payload.iat!).toBe(300);
  });

  test('the resident sees by its name what the e-service may use', async () => {
    await codeOf('portal', both);
    const tab = browser.newTab();
    const page = await tab.get(`${world.issuer}/account/services`);
    expect(page.text).toContain('lupa käyttää puolestasi palvelua Pysäköinti');
  });

  test('an e-service that is not the city’s own gets there what the resident agreed to', async () => {
    const tab = await signedIn(world, 'portal', 'maija@example.com');
    const page = await tab.get(authorizationUrl(world, 'partner', { scope: 'openid parking:read', resource: PARKING }));
    expect(page.text).toContain('lupa käyttää puolestasi palvelua Pysäköinti');
    const back = await tab.submit();
    const code = back.leadsTo!.searchParams.get('code')!;
    const { body } = await exchange(world, code, { client: 'partner', fields: { resource: PARKING } });
    expect(decodeJwt(String(body['access_token']))).toMatchObject({ aud: PARKING, scope: 'parking:read' });
  });

  test('without openid the token is for the API at once', async () => {
    const code = await codeOf('portal', { scope: 'parking:read', resource: PARKING });
    const { body } = await exchange(world, code, { client: 'portal' });
    expect(decodeJwt(String(body['access_token']))).toMatchObject({ aud: PARKING, scope: 'parking:read' });
    expect(body).not.toHaveProperty('id_token');
  });

  test('a token for an API is refused at the userinfo endpoint, signed or not', async () => {
    for (const [resource, status] of [
      [PARKING, 401],
      [LOANS, 403],
    ] as const) {
      const code = await codeOf('portal', { ...both, resource });
      const { body } = await exchange(world, code, { client: 'portal', fields: { resource } });
      const headers = { authorization: `Bearer ${String(body['access_token'])}` };
      expect((await send(`${world.issuer}/me`, { method: 'GET', headers })).status).toBe(status);
    }
  });

  test('an API that was not asked for at the authorization endpoint is invalid_target later', async () => {
    const code = await codeOf('portal', both);
    const answer = await exchange(world, code, { client: 'portal', fields: { resource: LOANS } });
    expect(answer).toMatchObject(refused('invalid_target'));
  });
});

describe('introspection (RFC 7662)', () => {
  const lookUp = (value: unknown, headers: Record<string, string>, accept = 'application/json'): Promise<Answer> =>
    send(`${world.issuer}/token/introspection`, { headers: { ...headers, accept }, fields: { token: String(value) } });
  const opaque = async (): Promise<unknown> => {
    const code = await codeOf('portal', { scope: 'openid loans:read', resource: LOANS });
    return (await exchange(world, code, { client: 'portal', fields: { resource: LOANS } })).body['access_token'];
  };

  test('4: the API that a token is meant for learns whose it is, as the e-service knows the resident', async () => {
    const value = await opaque();
    const { body } = await lookUp(value, basic('loans-api'));
    const own = await lookUp(value, basic('portal'));
    expect(body).toMatchObject({
      active: true,
      aud: LOANS,
      client_id: 'portal',
      scope: 'loans:read',
      iss: world.issuer,
      token_type: 'Bearer',
    });
    expect(body['sub']).toBe(own.body['sub']);
    expect(body['sub']).not.toBe(account);
    expect(JSON.stringify(body)).not.toContain(String(value));
  });

  test('2.2: any other learns nothing, not even that there is such a token', async () => {
    const userinfo = (await exchange(world, await codeOf('portal'), { client: 'portal' })).body['access_token'];
    for (const client of ['loader', 'lax']) {
      expect((await lookUp(await opaque(), basic(client))).body).toEqual({ active: false });
    }
    expect((await lookUp(userinfo, basic('loans-api'))).body).toEqual({ active: false });
    expect((await lookUp('no token', basic('portal'))).body).toEqual({ active: false });
  });

  test('2.1: a caller that does not prove who it is learns nothing', async () => {
    expect((await lookUp('x', basic('portal', 'wrong'))).status).toBe(401);
    expect((await lookUp('x', {})).status).toBe(400);
  });

  test('RFC 9701, 4: signed for whoever is registered so and asks for it', async () => {
    const answer = await lookUp(await opaque(), basic('loans-api'), 'application/token-introspection+jwt');
    expect(decodeProtectedHeader(answer.text)).toMatchObject({ alg: 'ES256', typ: 'token-introspection+jwt' });
    expect(decodeJwt(answer.text)).toMatchObject({ aud: 'loans-api', token_introspection: { active: true } });
    const userinfo = (await exchange(world, await codeOf('portal'), { client: 'portal' })).body['access_token'];
    const another = await lookUp(userinfo, basic('loans-api'), 'application/token-introspection+jwt');
    expect(decodeJwt(another.text)['token_introspection']).toEqual({ active: false });
  });

  test('a signed token is checked by its signature, not here', async () => {
    const { body } = await machine('loader');
    expect(await lookUp(body['access_token'], basic('loader'))).toMatchObject(refused('unsupported_token_type'));
  });
});

describe('revocation (RFC 7009, 2.1)', () => {
  const revoke = (value: unknown, headers: Record<string, string>, fields: Wishes = {}): Promise<Answer> =>
    send(`${world.issuer}/token/revocation`, { headers, fields: { token: String(value), ...fields } });
  const given = async () => (await exchange(world, await codeOf('portal'), { client: 'portal' })).body;
  const userinfo = async (value: unknown): Promise<number> =>
    (await send(`${world.issuer}/me`, { method: 'GET', headers: { authorization: `Bearer ${String(value)}` } })).status;

  test('a refresh token takes all of its grant along', async () => {
    const { refresh_token: value, access_token: access } = await given();
    expect((await revoke(value, basic('portal'))).status).toBe(200);
    expect(await userinfo(access)).toBe(401);
    const again = { grant_type: 'refresh_token', refresh_token: String(value) };
    expect(await token(again, basic('portal'))).toMatchObject(refused('invalid_grant'));
  });

  test('what is unknown or already revoked is 200', async () => {
    const { access_token: access } = await given();
    for (const value of [access, access, 'no token'])
      expect((await revoke(value, basic('portal'), { token_type_hint: 'refresh_token' })).status).toBe(200);
  });

  test("another client's is refused and lives on", async () => {
    const { access_token: access, refresh_token: value } = await given();
    for (const other of [await revoke(access, basic('lax')), await revoke(value, {}, publicly('app').fields)])
      expect(other).toMatchObject(refused('invalid_request'));
    expect(await userinfo(access)).toBe(200);
  });
});

describe('programs get JSON', () => {
  test.each(['token', 'me', 'request', 'token/introspection', 'token/revocation'])(
    'also at /%s with Accept: text/html',
    async (path) => {
      const answer = await send(`${world.issuer}/${path}`, { headers: { accept: 'text/html' }, fields: {} });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.headers.get('content-type')).toContain('application/json');
      expect(answer.body).toHaveProperty('error');
    },
  );
});

test('what each grant and endpoint costs in SQL', async () => {
  const costs: Record<string, number> = {};
  const cost = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    let result: T;
    costs[step] = await statements(async () => void (result = await work()));
    return result!;
  };
  const wishes = { scope: 'openid parking:read', resource: PARKING };
  // The first gives out the sub.
  await exchange(world, await codeOf('portal', wishes), { client: 'portal' });
  const code = await cost('authorization, signed in', () => codeOf('portal', wishes));
  const { body } = await cost('code', () => exchange(world, code, { client: 'portal' }));
  const refresh = (more: Wishes = {}) =>
    token({ grant_type: 'refresh_token', refresh_token: String(body['refresh_token']), ...more }, basic('portal'));
  await cost('refresh', () => refresh());
  await cost('refresh for an API', () => refresh({ resource: PARKING }));
  const headers = { authorization: `Bearer ${String(body['access_token'])}` };
  await cost('userinfo', () => send(`${world.issuer}/me`, { method: 'GET', headers }));
  const asked = { headers: basic('portal'), fields: { token: String(body['access_token']) } };
  const pushed = Object.fromEntries(authorizationUrl(world, 'portal').searchParams);
  await cost('pushed request', () => send(`${world.issuer}/request`, { headers: basic('portal'), fields: pushed }));
  const key = await makeKey();
  const proved = { ...basic('portal'), dpop: await dpopProof(key, { htu: `${world.issuer}/token` }) };
  const other = await codeOf('portal');
  const bound = await cost('code with DPoP', () => exchange(world, other, { client: 'portal', headers: proved }));
  const access = String(bound.body['access_token']);
  const dpop = await dpopProof(key, { htu: `${world.issuer}/me`, htm: 'GET', token: access });
  const proving = { authorization: `DPoP ${access}`, dpop };
  await cost('userinfo with DPoP', () => send(`${world.issuer}/me`, { method: 'GET', headers: proving }));
  await cost('introspection', () => send(`${world.issuer}/token/introspection`, asked));
  await cost('revocation', () => send(`${world.issuer}/token/revocation`, asked));
  await cost('client credentials', () => machine('loader'));
  const proof = await assertion(keys.keyed, { iss: 'keyed', sub: 'keyed', aud: world.issuer });
  await cost('client credentials by assertion', () => asserted(proof));
  await cost('a wrong secret', () => token({ grant_type: 'client_credentials' }, basic('loader', 'wrong')));
  expect(costs).toEqual({
    'authorization, signed in': 2,
    'pushed request': 1,
    code: 2,
    'code with DPoP': 2,
    refresh: 2,
    // What is signed is kept nowhere.
    'refresh for an API': 1,
    userinfo: 1,
    // The id of the proof is kept.
    'userinfo with DPoP': 2,
    introspection: 1,
    revocation: 2,
    'client credentials': 0,
    'client credentials by assertion': 1,
    // Only a failure is counted.
    'a wrong secret': 1,
  });
});
