/** OpenID Connect Discovery 1.0 and RFC 8414: what the provider says of itself, and that it is true. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { RawClient, send, type Answer } from '../support/raw-client.ts';
import { startStandards, type StandardsWorld } from '../support/standards.ts';
import type { World } from '../support/world.ts';

let city: StandardsWorld;
let world: World;
let answer: Answer;
let metadata: Record<string, unknown>;

beforeAll(async () => {
  city = await startStandards();
  ({ world } = city);
  answer = await send(`${world.issuer}/.well-known/openid-configuration`);
  metadata = answer.body;
});
afterAll(() => world.close());

const listOf = (name: string): string[] => (metadata[name] ?? []) as string[];
const ENDPOINTS = [
  'authorization_endpoint',
  'token_endpoint',
  'userinfo_endpoint',
  'jwks_uri',
  'end_session_endpoint',
  'revocation_endpoint',
  'introspection_endpoint',
  'pushed_authorization_request_endpoint',
];

describe('OpenID Connect Discovery 1.0', () => {
  test('3: all that is required stands there', () => {
    const required = [
      'issuer',
      'authorization_endpoint',
      'token_endpoint',
      'jwks_uri',
      'response_types_supported',
      'subject_types_supported',
      'id_token_signing_alg_values_supported',
    ];
    expect(required.filter((name) => metadata[name] === undefined)).toEqual([]);
    expect(listOf('subject_types_supported').toSorted()).toEqual(['pairwise', 'public']);
    expect(listOf('id_token_signing_alg_values_supported')).toContain('RS256');
    expect(listOf('id_token_signing_alg_values_supported')).not.toContain('none');
  });

  test.each(ENDPOINTS)('3: %s is below the issuer and answers', async (name) => {
    const url = String(metadata[name]);
    expect(url.startsWith(`${world.issuer}/`)).toBe(true);
    const method = /token_endpoint|revocation|introspection|pushed/.test(name) ? 'POST' : 'GET';
    const form = method === 'POST' ? { body: new URLSearchParams() } : {};
    expect([404, 405, 500]).not.toContain((await send(url, { method, ...form })).status);
  });

  test('3: the claims and scopes that are named are those that there are', async () => {
    expect(listOf('scopes_supported')).toEqual(
      expect.arrayContaining(['openid', 'email', 'profile', 'phone', 'offline_access']),
    );
    const tokens = await city.rp.tokens(city.browser, { scope: 'openid email profile phone' });
    const info = await send(`${world.issuer}/me`, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
    expect(Object.keys(info.body).filter((name) => !listOf('claims_supported').includes(name))).toEqual([]);
  });

  test('3: each signing algorithm that is named has a key', async () => {
    const { body } = await send(String(metadata['jwks_uri']));
    const kinds = (body['keys'] as { alg: string }[]).map(({ alg }) => alg);
    expect(listOf('id_token_signing_alg_values_supported').filter((alg) => !kinds.includes(alg))).toEqual([]);
  });

  test('3: each way of authenticating that is named is one of a registered client', () => {
    const ways = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'none'];
    expect(listOf('token_endpoint_auth_methods_supported').toSorted()).toEqual(ways.sort());
  });

  test('3: what is off is not announced: implicit, password and device grant, unsigned and encrypted answers', () => {
    const text = answer.text;
    for (const word of ['implicit', 'password"', 'device_code', '"plain"', 'RSA-OAEP'])
      expect([word, text.includes(`"${word}`)]).toEqual([word, false]);
    expect(listOf('response_types_supported').filter((type) => /token/.test(type))).toEqual([]);
    const signatures = Object.keys(metadata).filter((name) => name.endsWith('_signing_alg_values_supported'));
    expect(signatures.filter((name) => listOf(name).includes('none'))).toEqual([]);
    expect(listOf('id_token_signing_alg_values_supported')).not.toContain('HS256');
    expect(metadata).not.toHaveProperty('registration_endpoint');
  });

  test('3: the languages of the pages are named', () => {
    expect(listOf('ui_locales_supported')).toEqual(['fi', 'sv', 'en']);
  });

  test('4.1: the document is found below the issuer by GET', () => {
    expect(answer.status).toBe(200);
  });

  test('4.2: it is JSON, and lists that have nothing are left out', () => {
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(Object.values(metadata).filter((value) => Array.isArray(value) && value.length === 0)).toEqual([]);
  });

  test('4.3: issuer is the address under which it was found, and the iss of ID tokens', async () => {
    expect(metadata['issuer']).toBe(world.issuer);
    expect(decodeJwt((await city.rp.tokens(city.browser)).id_token).iss).toBe(metadata['issuer']);
  });

  test('4.3: whatever Host says, the addresses are those of the issuer', async () => {
    const other = await send(`http://localhost:${world.tunnus.port}/.well-known/openid-configuration`);
    expect(other.body).toEqual(metadata);
  });
});

describe('OAuth 2.0 Authorization Server Metadata (RFC 8414)', () => {
  test('2: issuer has no query and no fragment', () => {
    const url = new URL(String(metadata['issuer']));
    expect([url.search, url.hash]).toEqual(['', '']);
  });

  test('2: code_challenge_methods_supported is S256 alone', () => {
    expect(metadata['code_challenge_methods_supported']).toEqual(['S256']);
  });

  test('2: grant_types_supported names those that a client can be registered for', () => {
    expect(listOf('grant_types_supported')).toEqual(expect.arrayContaining(['authorization_code', 'refresh_token']));
    expect(listOf('grant_types_supported')).not.toContain('implicit');
  });

  test('3.2: signing algorithms of clients are named, and none is not among them', () => {
    const algorithms = listOf('token_endpoint_auth_signing_alg_values_supported');
    expect(algorithms).toEqual(expect.arrayContaining(['ES256', 'HS256']));
    expect(algorithms).not.toContain('none');
  });
});

describe('CORS', () => {
  const asked = (url: string, origin: string) =>
    send(url, {
      method: 'OPTIONS',
      headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' },
    });

  test('discovery and JWKS can be read from the origin of a registered browser client, and from no other', async () => {
    for (const path of ['/.well-known/openid-configuration', '/jwks']) {
      const read = async (origin: string) =>
        (await send(`${world.issuer}${path}`, { headers: { Origin: origin } })).headers.get(
          'access-control-allow-origin',
        );
      expect([path, await read('https://app.example')]).toEqual([path, 'https://app.example']);
      expect([path, await read('https://anybody.example')]).toEqual([path, null]);
    }
  });

  test('the token endpoint answers a browser client from its own origin only', async () => {
    const app = new RawClient(world, 'app');
    const from = async (origin: string) => {
      const code = await app.code(city.browser);
      return app.redeem(code, { client_id: 'app' }, { Authorization: undefined, Origin: origin });
    };
    expect((await from('https://app.example')).headers.get('access-control-allow-origin')).toBe('https://app.example');
    const foreign = await from('https://evil.example');
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
    expect(foreign.status).toBeGreaterThanOrEqual(400);
    expect((await asked(`${world.issuer}/token`, 'https://app.example')).status).toBeLessThan(300);
  });

  test('a confidential client is none of a browser: its answers stay closed to scripts', async () => {
    const { rp, browser } = city;
    const answered = await rp.redeem(await rp.code(browser), {}, { Origin: 'https://rp.example' });
    expect(answered.headers.get('access-control-allow-origin')).toBeNull();
  });

  test('pages are open to no other origin', async () => {
    const page = await send(`${world.issuer}/account`, { headers: { Origin: 'https://evil.example' } });
    expect(page.headers.get('access-control-allow-origin')).toBeNull();
  });

  test('an ID token names its key by kid', async () => {
    expect(decodeProtectedHeader((await city.rp.tokens(city.browser)).id_token).kid).toBeTruthy();
  });
});
