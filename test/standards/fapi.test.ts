/**
 * The FAPI 2.0 Security Profile, proof of possession (RFC 9449) and request objects (RFC 9101), over raw HTTP, as two
 * e-services with `profile: fapi2` meet them.
 */
import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  calculateJwkThumbprint,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  SignJWT,
  type CryptoKey,
  type JWK,
  type JWTPayload,
} from 'jose';
import type { HttpBrowser } from '../support/http-browser.ts';
import { answerOf, RawClient, send, userinfo, type Answer, type Changes } from '../support/raw-client.ts';
import { startStandards } from '../support/standards.ts';
import type { World } from '../support/world.ts';

interface Key {
  privateKey: CryptoKey;
  jwk: JWK;
  alg: string;
}
const makeKey = async (alg = 'ES256'): Promise<Key> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: await exportJWK(publicKey), alg };
};
const now = () => Math.floor(Date.now() / 1000);
const signed = (key: Key, header: object, claims: JWTPayload): Promise<string> => {
  const kept = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
  return new SignJWT(kept).setProtectedHeader({ alg: key.alg, ...header }).sign(key.privateKey);
};

const TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const NO_HEADER = { Authorization: undefined };
const refusal = ({ status, body }: Answer) => [status, body['error']];

let world: World;
let browser: HttpBrowser;
let rp: RawClient;
/** The keys of `one` and `two`, and that of tokens. */
let keys: { one: Key; two: Key; token: Key };

beforeAll(async () => {
  keys = { one: await makeKey(), two: await makeKey('PS256'), token: await makeKey() };
  const registered = (name: 'one' | 'two') => ({
    client_name: name,
    client_secret: undefined,
    profile: 'fapi2',
    jwks: { keys: [{ ...keys[name].jwk, kid: name, use: 'sig' }] },
    redirect_uris: [`https://${name}.example/callback`],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid email',
  });
  ({ world, browser, rp } = await startStandards({ clients: { one: registered('one'), two: registered('two') } }));
});
afterAll(() => world.close());

const assertion = (id: 'one' | 'two', changes: JWTPayload = {}, key = keys[id]): Promise<string> => {
  const claims = { iss: id, sub: id, aud: world.issuer, jti: randomUUID(), iat: now(), exp: now() + 60, ...changes };
  return signed(key, { kid: id }, claims);
};
const proofOf = (path: string, claims: JWTPayload & { key?: Key; header?: object } = {}): Promise<string> => {
  const { key = keys.token, header = {}, ...rest } = claims;
  const whole = { htm: 'POST', htu: `${world.issuer}${path}`, jti: randomUUID(), iat: now(), ...rest };
  return signed(key, { typ: 'dpop+jwt', jwk: key.jwk, ...header }, whole);
};
const ath = (token: string): string => createHash('sha256').update(token).digest('base64url');

/** A pushed request of a FAPI client. */
async function push(changes: Changes = {}, { id = 'one', jwt = '', dpop = '' } = {}): Promise<Answer> {
  const proof = { client_assertion_type: TYPE, client_assertion: jwt || (await assertion(id)) };
  return new RawClient(world, id).push({ ...proof, ...changes }, { ...NO_HEADER, ...(dpop ? { DPoP: dpop } : {}) });
}
const through = (uri: unknown, id = 'one', more: Record<string, string> = {}) =>
  browser.get(
    `${world.issuer}/auth?${new URLSearchParams({ client_id: id, request_uri: String(uri), ...more }).toString()}`,
  );
async function code(changes: Changes = {}, how: Parameters<typeof push>[1] = {}): Promise<string> {
  const { body } = await push(changes, how);
  return answerOf(await through(body['request_uri'], how.id)).get('code')!;
}
async function redeem(
  given: string,
  { id = 'one', dpop = undefined as string | undefined | null, changes = {} } = {},
): Promise<Answer> {
  const proof = { client_assertion_type: TYPE, client_assertion: await assertion(id), ...changes };
  const shown = dpop === null ? undefined : (dpop ?? (await proofOf('/token')));
  return new RawClient(world, id).redeem(given, proof, { ...NO_HEADER, DPoP: shown });
}
async function refresh(token: string, dpop: string | undefined, id: 'one' | 'two' = 'one'): Promise<Answer> {
  const proof = { client_assertion_type: TYPE, client_assertion: await assertion(id) };
  return new RawClient(world, id).refresh(token, proof, { ...NO_HEADER, DPoP: dpop });
}
const bound = async (token: string, how: Parameters<typeof proofOf>[1] = {}, scheme = 'DPoP') =>
  userinfo(world, token, {
    headers: {
      Authorization: `${scheme} ${token}`,
      DPoP: await proofOf('/me', { htm: 'GET', ath: ath(token), ...how }),
    },
  });

describe('FAPI 2.0 Security Profile', () => {
  test('5.3.2.1: a request is pushed with private_key_jwt, and the token is bound by DPoP', async () => {
    const { status, body } = await redeem(await code());
    expect(status).toBe(200);
    expect(body['token_type']).toBe('DPoP');
    expect((await bound(String(body['access_token']))).status).toBe(200);
  });

  test('5.3.2.1: without a proof of possession there is no token, and as a bearer it is worth nothing', async () => {
    expect((await redeem(await code(), { dpop: null })).status).toBe(400);
    const token = String((await redeem(await code())).body['access_token']);
    expect((await userinfo(world, token)).status).toBe(401);
  });

  test('5.3.2.1: a client without an assertion, or with its id alone, gets nothing', async () => {
    const none = { client_assertion_type: undefined, client_assertion: undefined };
    const given = await code();
    expect(refusal(await redeem(given, { changes: { ...none, client_id: 'one' } }))[0]).toBe(401);
    expect((await redeem(given)).status).toBe(200);
  });

  const WRONG: [string, JWTPayload][] = [
    ['the endpoint for its audience', { aud: 'PAR' }],
    ['the token endpoint for its audience', { aud: 'TOKEN' }],
    ['the issuer in a list', { aud: ['ISSUER'] }],
    ['no subject', { sub: undefined }],
    ['an end five minutes ago', { exp: -300 }],
    ['no end', { exp: undefined }],
    ['a start more than a minute ahead', { iat: 70, nbf: 70, exp: 130 }],
  ];
  test.each(WRONG)('5.3.2.1: an assertion with %s is invalid_client', async (_what, changes) => {
    const names: Record<string, string> = {
      PAR: `${world.issuer}/request`,
      TOKEN: `${world.issuer}/token`,
      ISSUER: world.issuer,
    };
    const claims = Object.fromEntries(
      Object.entries(changes).map(([name, value]) => {
        if (typeof value === 'number') return [name, now() + value];
        if (Array.isArray(value)) return [name, value.map((each) => names[String(each)])];
        return [name, name === 'aud' ? names[String(value)] : value];
      }),
    ) as JWTPayload;
    expect(refusal(await push({}, { jwt: await assertion('one', claims) }))).toEqual([401, 'invalid_client']);
  });

  test('5.3.2.1: an assertion and a proof from 8 to 10 seconds ahead are taken, as clocks are', async () => {
    const ahead = now() + 8;
    expect((await push({}, { jwt: await assertion('one', { iat: ahead, nbf: ahead, exp: ahead + 60 }) })).status).toBe(
      201,
    );
    const dpop = await proofOf('/token', { iat: now() + 10 });
    expect((await redeem(await code(), { dpop })).status).toBe(200);
  });

  test('5.3.2.1: refresh tokens are not changed at each use', async () => {
    const { body } = await redeem(await code());
    const again = await refresh(String(body['refresh_token']), await proofOf('/token'));
    expect(again.status).toBe(200);
    expect([undefined, body['refresh_token']]).toContain(again.body['refresh_token']);
  });

  test('5.3.2.2: a request that was not pushed gets no code', async () => {
    const page = await new RawClient(world, 'one').visit(browser);
    expect(page.leadsTo?.searchParams.has('code') ?? false).toBe(false);
  });

  test('5.3.2.2: redirect_uri is asked for, PKCE with S256 too, and no response type but code', async () => {
    const none = { code_challenge: undefined, code_challenge_method: undefined };
    for (const changes of [{ redirect_uri: undefined }, none, { code_challenge_method: 'plain' }])
      expect((await push(changes)).status).toBe(400);
    for (const type of ['token', 'code id_token']) expect((await push({ response_type: type })).status).toBe(400);
  });

  test('5.3.2.2: the answer has iss, and the state that was pushed, not one beside it', async () => {
    const { body } = await push({ state: 'pushed' });
    const answer = answerOf(await through(body['request_uri'], 'one', { state: 'other', nonce: 'other' }));
    expect([answer.get('iss'), answer.get('state')]).toEqual([world.issuer, 'pushed']);
    const without = await push({ state: undefined });
    expect(answerOf(await through(without.body['request_uri'], 'one', { state: 'other' })).has('state')).toBe(false);
  });

  test('5.3.2.2: a pushed request is good until the sign-in ends, and once', async () => {
    const { body } = await push();
    const stranger = world.browser();
    const query = new URLSearchParams({ client_id: 'one', request_uri: String(body['request_uri']) });
    for (const _visit of [1, 2])
      expect((await stranger.get(`${world.issuer}/auth?${query.toString()}`)).field('username')).toBeDefined();
    expect(answerOf(await through(body['request_uri'])).has('code')).toBe(true);
    expect((await through(body['request_uri'])).leadsTo?.searchParams.has('code') ?? false).toBe(false);
  });

  test('5.3.2.2: a pushed request and a code serve their own client', async () => {
    const { body } = await push();
    expect((await through(body['request_uri'], 'two')).leadsTo?.searchParams.has('code') ?? false).toBe(false);
    const other = await redeem(await code(), { id: 'two', changes: { redirect_uri: 'https://one.example/callback' } });
    expect(refusal(other)).toEqual([400, 'invalid_grant']);
  });

  test('5.3.2.2: a code serves once, and its token ends where it comes again', async () => {
    const given = await code();
    const first = await redeem(given);
    expect(refusal(await redeem(given))).toEqual([400, 'invalid_grant']);
    expect((await bound(String(first.body['access_token']))).status).toBe(401);
  });

  test('5.3.2.2: nonce and state may be long', async () => {
    const nonce = 'n'.repeat(64);
    const { body } = await redeem(await code({ nonce, state: 's'.repeat(384) }));
    expect(decodeJwt(String(body['id_token']))['nonce']).toBe(nonce);
  });

  test('5.4.1: PS256, ES256 or EdDSA sign; RS256 does not', async () => {
    expect((await push({}, { id: 'two' })).status).toBe(201);
    const jwk = (await crypto.subtle.exportKey('jwk', keys.two.privateKey)) as JWK;
    const { alg: _alg, key_ops: _ops, ...rest } = jwk as Record<string, unknown>;
    const privateKey = await crypto.subtle.importKey(
      'jwk',
      rest,
      { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
      false,
      ['sign'],
    );
    const jwt = await assertion('two', {}, { ...keys.two, privateKey, alg: 'RS256' });
    expect(refusal(await push({}, { id: 'two', jwt }))).toEqual([401, 'invalid_client']);
    const { id_token: token } = (await redeem(await code())).body;
    expect(decodeProtectedHeader(String(token)).alg).toBe('ES256');
  });

  test('5.4.1: discovery names the algorithms, DPoP and private_key_jwt', async () => {
    const { body } = await send(`${world.issuer}/.well-known/openid-configuration`);
    expect(body['dpop_signing_alg_values_supported']).toContain('ES256');
    expect(body['token_endpoint_auth_methods_supported']).toContain('private_key_jwt');
    expect(body['token_endpoint_auth_signing_alg_values_supported']).toEqual(
      expect.arrayContaining(['PS256', 'ES256']),
    );
  });
});

describe('Demonstrating Proof of Possession (RFC 9449)', () => {
  test.each<[string, (other: Key) => JWTPayload & { key?: Key; header?: object }]>([
    ['another method', () => ({ htm: 'GET' })],
    ['another address', () => ({ htu: 'https://evil.example/token' })],
    ['no address', () => ({ htu: undefined })],
    ['no id', () => ({ jti: undefined })],
    ['no time', () => ({ iat: undefined })],
    ['another type', () => ({ header: { typ: 'jwt' } })],
    ['the key of another in its header', (other) => ({ header: { jwk: other.jwk } })],
    ['no key in its header', () => ({ header: { jwk: undefined } })],
  ])('4.3: a proof with %s is invalid_dpop_proof', async (_what, changes) => {
    const dpop = await proofOf('/token', changes(await makeKey()));
    expect(refusal(await redeem(await code(), { dpop }))).toEqual([400, 'invalid_dpop_proof']);
  });

  test('4.3: a proof with the private key in its header is refused, and so are two proofs at once', async () => {
    const privately = (await crypto.subtle.exportKey('jwk', keys.token.privateKey)) as JWK;
    const { key_ops: _ops, ext: _ext, ...jwk } = privately as Record<string, unknown>;
    const dpop = await proofOf('/token', { header: { jwk } });
    expect(refusal(await redeem(await code(), { dpop }))).toEqual([400, 'invalid_dpop_proof']);
    const two = `${await proofOf('/token')}, ${await proofOf('/token')}`;
    expect(refusal(await redeem(await code(), { dpop: two }))).toEqual([400, 'invalid_dpop_proof']);
  });

  test('4.3: a proof may have nbf and exp, and come from 10 seconds ago', async () => {
    const dpop = await proofOf('/token', { iat: now() - 10, nbf: now() - 10, exp: now() + 60 });
    expect((await redeem(await code(), { dpop })).status).toBe(200);
  });

  test('5: a refresh token of a confidential client asks for a proof again, and its token is bound to that', async () => {
    const { body } = await redeem(await code());
    const token = String(body['refresh_token']);
    expect((await refresh(token, undefined)).status).toBe(400);
    const again = await refresh(token, await proofOf('/token'));
    expect(again.body['token_type']).toBe('DPoP');
    expect((await bound(String(again.body['access_token']))).status).toBe(200);
    expect(refusal(await refresh(token, await proofOf('/token'), 'two'))).toEqual([400, 'invalid_grant']);
  });

  test('6.1: introspection tells to which key a token is bound', async () => {
    const { body } = await redeem(await code());
    const proof = { client_assertion_type: TYPE, client_assertion: await assertion('one') };
    const told = await new RawClient(world, 'one').introspect(String(body['access_token']), proof, NO_HEADER);
    expect(told.body).toMatchObject({ cnf: { jkt: await calculateJwkThumbprint(keys.token.jwk) }, token_type: 'DPoP' });
  });

  test('7.1: the token is shown with a proof of its key and of itself; the scheme in any letters', async () => {
    const token = String((await redeem(await code())).body['access_token']);
    expect((await bound(token, {}, 'dpop')).status).toBe(200);
    for (const how of [{ key: await makeKey() }, { ath: undefined }, { ath: ath('other') }, { htm: 'POST' }]) {
      const answer = await bound(token, how);
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toMatch(/^DPoP .*error="(invalid_token|invalid_dpop_proof)"/);
    }
  });

  test('7.2: a bound token is not taken as a bearer', async () => {
    const token = String((await redeem(await code())).body['access_token']);
    expect((await userinfo(world, token)).status).toBe(401);
  });

  test('10: dpop_jkt binds the code to a key', async () => {
    const dpop_jkt = await calculateJwkThumbprint(keys.token.jwk);
    expect((await redeem(await code({ dpop_jkt }))).status).toBe(200);
    const other = await proofOf('/token', { key: await makeKey() });
    expect(refusal(await redeem(await code({ dpop_jkt }), { dpop: other }))).toEqual([400, 'invalid_grant']);
  });

  test('10.1: a proof at the pushed request binds the code too, and must fit dpop_jkt', async () => {
    const dpop = await proofOf('/request');
    const given = await code({}, { dpop });
    const other = await proofOf('/token', { key: await makeKey() });
    expect((await redeem(given, { dpop: other })).status).toBe(400);
    expect((await redeem(await code({}, { dpop: await proofOf('/request') }))).status).toBe(200);
    const strange = { dpop_jkt: await calculateJwkThumbprint((await makeKey()).jwk) };
    expect((await push(strange, { dpop: await proofOf('/request') })).status).toBe(400);
  });

  test('11.1: a proof serves once', async () => {
    const dpop = await proofOf('/token');
    expect((await redeem(await code(), { dpop })).status).toBe(200);
    expect(refusal(await redeem(await code(), { dpop }))).toEqual([400, 'invalid_dpop_proof']);
  });
});

describe('JWT-Secured Authorization Request (RFC 9101)', () => {
  const object = async (changes: JWTPayload = {}, header: object = {}, key = keys.two) => {
    const claims = {
      ...Object.fromEntries(new RawClient(world, 'two').request()),
      iss: 'two',
      aud: world.issuer,
      iat: now(),
      nbf: now(),
      exp: now() + 60,
      jti: randomUUID(),
      ...changes,
    };
    return signed(key, { kid: 'two', typ: 'oauth-authz-req+jwt', ...header }, claims);
  };
  const pushObject = async (request: string) => {
    const proof = { client_assertion_type: TYPE, client_assertion: await assertion('two') };
    const form = new URLSearchParams({ client_id: 'two', request, ...proof });
    return rp.post('/request', form);
  };

  test('4: a signed request is taken, and what it holds is what counts', async () => {
    const { status, body } = await pushObject(await object({ state: 'inside' }));
    expect(status).toBe(201);
    expect(answerOf(await through(body['request_uri'], 'two')).get('state')).toBe('inside');
  });

  test.each<[string, JWTPayload, object]>([
    ['for somebody else', { aud: 'https://evil.example' }, {}],
    ['of somebody else', { iss: 'one' }, {}],
    ['that has ended', { exp: 1_600_000_000 }, {}],
    ['with another client_id', { client_id: 'one' }, {}],
    ['with a request within', { request: 'x' }, {}],
    ['with a request_uri within', { request_uri: 'urn:x' }, {}],
  ])('4: one %s is refused', async (_what, changes, header) => {
    expect((await pushObject(await object(changes, header))).status).toBe(400);
  });

  test('6.2: one that another key signed, or nobody, is refused', async () => {
    expect((await pushObject(await object({}, {}, { ...keys.token, alg: 'ES256' }))).status).toBe(400);
    const [, claims] = (await object()).split('.');
    expect((await pushObject(`${btoa('{"alg":"none"}').replaceAll('=', '')}.${claims}.`)).status).toBe(400);
  });

  test('10.8: a request object is no client assertion', async () => {
    const jwt = await object({ sub: 'two' });
    expect((await push({}, { id: 'two', jwt })).status).toBe(401);
  });
});
