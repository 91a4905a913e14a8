/**
 * FAPI 2.0 Security Profile (final), as a client with `profile: fapi2` meets it through a certified library and, for what
 * such a library would never send, by hand. Tests are named after the section that they hold to.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTPayload } from 'jose';
import * as client from 'openid-client';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const REDIRECT_URI = 'https://etuudet.example/callback';

let world: World;
let keys: { ec: CryptoKey; rsa: CryptoKey };
let etuudet: client.Configuration;

beforeAll(async () => {
  const [ec, rsa] = await Promise.all([generateKeyPair('ES256'), generateKeyPair('PS256', { extractable: true })]);
  keys = { ec: ec.privateKey, rsa: rsa.privateKey };
  const jwks = {
    keys: [
      { ...(await exportJWK(ec.publicKey)), kid: 'ec' },
      { ...(await exportJWK(rsa.publicKey)), kid: 'rsa' },
    ],
  };
  const metadata = { client_name: 'Etuudet', client_secret: undefined, profile: 'fapi2', jwks };
  const grant_types = ['authorization_code', 'refresh_token'];
  world = await startWorld({ clients: { etuudet: { ...metadata, grant_types, redirect_uris: [REDIRECT_URI] } } });
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  etuudet = await client.discovery(
    new URL(world.issuer),
    'etuudet',
    { id_token_signed_response_alg: 'ES256' },
    client.PrivateKeyJwt({ key: keys.ec, kid: 'ec' }),
    { execute: [client.allowInsecureRequests] },
  );
});
afterAll(() => world.close());

async function pushed(more: Record<string, string> = {}, options: { DPoP?: client.DPoPHandle } = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const parameters = {
    redirect_uri: REDIRECT_URI,
    scope: 'openid email',
    state: client.randomState(),
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...more,
  };
  const url = await client.buildAuthorizationUrlWithPAR(etuudet, parameters, options);
  return { url, checks: { pkceCodeVerifier: verifier, expectedState: parameters.state } };
}

async function signedIn(url: URL): Promise<URL> {
  const browser = world.browser();
  await browser.get(url);
  await browser.submit({ username: 'maija@example.com' });
  await browser.submit({ 'current-password': PASSWORD });
  // 5.3.2.2: whoever redirects after a password was posted says 303, never 307.
  const redirects = browser.steps.map(({ status }) => status).filter((status) => status >= 300 && status < 400);
  expect(new Set(redirects)).toEqual(new Set([303]));
  return browser.page.leadsTo!;
}

async function dpop(): Promise<client.DPoPHandle> {
  return client.getDPoPHandle(etuudet, await client.randomDPoPKeyPair('ES256'));
}

test('a certified library signs in, with pushed request, private_key_jwt, PKCE and DPoP', async () => {
  const DPoP = await dpop();
  const { url, checks } = await pushed({}, { DPoP });
  // RFC 9126, 4: the browser carries nothing but the reference.
  expect([...url.searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
  const callback = await signedIn(url);
  // 5.3.2.2: iss in the answer (RFC 9207); openid-client compares it.
  expect(callback.searchParams.get('iss')).toBe(world.issuer);
  const tokens = await client.authorizationCodeGrant(etuudet, callback, checks, undefined, { DPoP });
  // 5.3.2.1: only sender-constrained tokens.
  expect(tokens.token_type).toBe('dpop');
  expect(JSON.parse(atob(tokens.id_token!.split('.')[0]!))).toMatchObject({ alg: 'ES256' });
  const { sub } = tokens.claims()!;
  const claims = await client.fetchUserInfo(etuudet, tokens.access_token, sub, { DPoP });
  expect(claims.email).toBe('maija@example.com');

  const bearer = await fetch(`${world.issuer}/me`, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  expect(bearer.status).toBe(401);
  await expect(client.fetchUserInfo(etuudet, tokens.access_token, sub, { DPoP: await dpop() })).rejects.toMatchObject({
    status: 401,
  });

  // 5.3.2.1: refresh tokens are not rotated.
  const again = await client.refreshTokenGrant(etuudet, tokens.refresh_token!, undefined, { DPoP });
  expect(again.refresh_token ?? tokens.refresh_token).toBe(tokens.refresh_token);
  expect(again.token_type).toBe('dpop');
});

describe('5.3.2.2: the authorization endpoint', () => {
  const answerTo = async (parameters: Record<string, string>) => {
    const browser = world.browser();
    await browser.get(`${world.issuer}/auth?${new URLSearchParams(parameters).toString()}`, { follow: false });
    return browser.page;
  };

  test('takes no request that was not pushed, and leads nowhere with it', async () => {
    const page = await answerTo({
      client_id: 'etuudet',
      redirect_uri: REDIRECT_URI,
      response_type: 'code',
      scope: 'openid',
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
    });
    const leadsTo = page.leadsTo;
    // To the registered address with an error, or to our own page: never with a code.
    expect(leadsTo?.searchParams.get('code') ?? null).toBeNull();
    if (leadsTo) expect(leadsTo.href.startsWith(REDIRECT_URI)).toBe(true);
    expect(leadsTo?.searchParams.get('error') ?? page.status).toBeTruthy();
  });

  test('takes a pushed request once', async () => {
    const { url } = await pushed();
    await signedIn(url);
    const browser = world.browser();
    await browser.get(url);
    expect(browser.page.status).toBe(400);
  });
});

describe('5.3.2.2: the pushed request', () => {
  test.each<[string, Record<string, string>]>([
    ['without PKCE', { code_challenge: '', code_challenge_method: '' }],
    ['with plain PKCE', { code_challenge_method: 'plain' }],
    ['without redirect_uri, also where one is registered', { redirect_uri: '' }],
    ['with another redirect_uri', { redirect_uri: 'https://evil.example/callback' }],
    ['with another response_type', { response_type: 'code id_token' }],
    ['with a reference instead of itself', { request_uri: 'urn:ietf:params:oauth:request_uri:x' }],
  ])('%s is refused', async (_what, more) => {
    await expect(pushed(more)).rejects.toMatchObject({ status: 400 });
  });
});

describe('the token endpoint', () => {
  test('5.3.2.1: gives nothing without a proof of a key', async () => {
    const { url, checks } = await pushed();
    const callback = await signedIn(url);
    await expect(client.authorizationCodeGrant(etuudet, callback, checks)).rejects.toMatchObject({ status: 400 });
  });

  test('RFC 9449, 10: gives nothing to another key than the one that asked', async () => {
    const { url, checks } = await pushed({}, { DPoP: await dpop() });
    const callback = await signedIn(url);
    await expect(
      client.authorizationCodeGrant(etuudet, callback, checks, undefined, { DPoP: await dpop() }),
    ).rejects.toMatchObject({ status: 400 });
  });
});

describe('client assertions', () => {
  const seconds = () => Math.floor(Date.now() / 1000);
  const claims = (): JWTPayload => ({
    iss: 'etuudet',
    sub: 'etuudet',
    aud: world.issuer,
    jti: client.randomState(),
    iat: seconds(),
    exp: seconds() + 60,
  });
  const push = async (payload: JWTPayload, { key = keys.ec, alg = 'ES256', kid = 'ec', proof = '' } = {}) => {
    const assertion = await new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(key);
    const response = await fetch(`${world.issuer}/request`, {
      method: 'POST',
      headers: proof ? { dpop: proof } : {},
      body: new URLSearchParams({
        client_id: 'etuudet',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
        redirect_uri: REDIRECT_URI,
        response_type: 'code',
        scope: 'openid',
        code_challenge: 'x'.repeat(43),
        code_challenge_method: 'S256',
      }),
    });
    return response.status === 201 ? 'taken' : ((await response.json()) as { error: string }).error;
  };

  test.each<[string, () => Promise<string>, string]>([
    ['as it should be', () => push(claims()), 'taken'],
    ['by PS256', () => push(claims(), { key: keys.rsa, alg: 'PS256', kid: 'rsa' }), 'taken'],
    // 5.3.2.1: clocks differ.
    ['from 10 seconds ahead', () => push({ ...claims(), iat: seconds() + 10, nbf: seconds() + 10 }), 'taken'],
    ['from 65 seconds ahead', () => push({ ...claims(), iat: seconds() + 65, exp: seconds() + 120 }), 'invalid_client'],
    ['not valid before 65 seconds have gone', () => push({ ...claims(), nbf: seconds() + 65 }), 'invalid_client'],
    ['that is no longer valid', () => push({ ...claims(), exp: seconds() - 30 }), 'invalid_client'],
    // 5.3.2.1: the issuer, as a string, and nothing else.
    ['for the endpoint', () => push({ ...claims(), aud: `${world.issuer}/request` }), 'invalid_client'],
    ['for the issuer in a list', () => push({ ...claims(), aud: [world.issuer] }), 'invalid_client'],
    ['of somebody else', () => push({ ...claims(), iss: 'asiointi' }), 'invalid_client'],
    ['by another key', () => push(claims(), { key: keys.rsa, alg: 'PS256', kid: 'ec' }), 'invalid_client'],
  ])('%s', async (_what, answer, expected) => {
    expect(await answer()).toBe(expected);
  });

  test('5.4.1: by RS256 with a key that also signs PS256 is refused', async () => {
    const rsa = await crypto.subtle.exportKey('jwk', keys.rsa);
    const { alg: _alg, ...jwk } = rsa;
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign']);
    expect(await push(claims(), { key, alg: 'RS256', kid: 'rsa' })).toBe('invalid_client');
  });

  test.each([
    [10, 'taken'],
    [65, 'invalid_dpop_proof'],
  ])('5.3.2.1: a DPoP proof from %i seconds ahead is %s', async (ahead, expected) => {
    const { privateKey, publicKey } = await generateKeyPair('ES256');
    const proof = await new SignJWT({ htm: 'POST', htu: `${world.issuer}/request`, jti: client.randomState() })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) })
      .setIssuedAt(seconds() + ahead)
      .sign(privateKey);
    expect(await push(claims(), { proof })).toBe(expected);
  });

  test('twice is refused', async () => {
    const same = claims();
    expect(await push(same)).toBe('taken');
    expect(await push(same)).toBe('invalid_client');
  });
});
