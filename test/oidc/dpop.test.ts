/** Proof of possession (RFC 9449): who may use a token, and which proof is none. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint, exportJWK, SignJWT } from 'jose';
import { randomUUID } from 'node:crypto';
import { startTunnus, type RunningTunnus } from '../../src/app.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { city } from '../support/city.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import {
  assertion,
  authorizationUrl,
  authorized,
  basic,
  codeFrom,
  dpopProof,
  exchange,
  makeKey,
  PASSWORD,
  publicly,
  seconds,
  send,
  signedIn,
  type Answer,
  type Key,
} from '../support/protocol.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let other: RunningTunnus;
let browser: HttpBrowser;
let key: Key;
let thumbprint: string;
let assertionKey: Key;

beforeAll(async () => {
  const { options, keys } = await city();
  assertionKey = keys.keyed;
  const portal = { ...options.clients!['portal'], dpop_bound_access_tokens: true };
  world = await startWorld({
    ...options,
    clients: { ...options.clients, bound: { ...portal, redirect_uris: ['https://bound.example/callback'] } },
  });
  other = await startTunnus({
    config: { ...world.config, listen: { ...world.config.listen, port: 0 } },
    clock: () => world.clock.now(),
    log: makeLog({ level: 'silent' }),
  });
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  browser = await signedIn(world, 'portal', 'maija@example.com');
  key = await makeKey();
  thumbprint = await calculateJwkThumbprint(key.publicJwk);
});
afterAll(async () => {
  await other.close();
  await world.close();
});

type Claims = Omit<Parameters<typeof dpopProof>[1], 'htu'> & { htu?: string };

const proof = (claims: Claims = {}, by = key): Promise<string> =>
  dpopProof(by, { htu: `${world.issuer}/token`, ...claims });
const code = (client = 'portal', wishes = {}): Promise<string> =>
  codeFrom(browser, authorizationUrl(world, client, wishes));
const withProof = async (dpop: string, client = 'portal', wishes = {}): Promise<Answer> =>
  exchange(world, await code(client, wishes), { client, headers: { ...basic(client), dpop } });
const bound = async (): Promise<Record<string, unknown>> => (await withProof(await proof())).body;
const userinfo = (token: unknown, headers: Record<string, string>, scheme = 'DPoP'): Promise<Answer> =>
  send(`${world.issuer}/me`, { method: 'GET', headers: { authorization: `${scheme} ${String(token)}`, ...headers } });
const me = async (token: unknown, claims: Claims = {}, by = key): Promise<Record<string, string>> => ({
  dpop: await proof({ htu: `${world.issuer}/me`, htm: 'GET', token: String(token), ...claims }, by),
});

const refresh = async (dpop: string, node: string, token: unknown): Promise<Answer> =>
  send(`${node}/token`, {
    headers: { ...basic('portal'), dpop },
    fields: { grant_type: 'refresh_token', refresh_token: String(token) },
  });

describe('at the token endpoint (5)', () => {
  test('a proof binds the token, and whoever looks it up sees to what (6.2)', async () => {
    const body = await bound();
    expect(body).toMatchObject({ token_type: 'DPoP' });
    const looked = await send(`${world.issuer}/token/introspection`, {
      headers: basic('portal'),
      fields: { token: String(body['access_token']) },
    });
    expect(looked.body).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt: thumbprint } });
  });

  test('dpop_bound_access_tokens: none without (5.2)', async () => {
    expect(await exchange(world, await code('bound'), { client: 'bound' })).toMatchObject({ status: 400 });
    expect(await withProof(await proof(), 'bound')).toMatchObject({ status: 200 });
  });

  test.each<[string, () => Promise<string>]>([
    ['another endpoint', () => proof({ htu: `${world.issuer}/me` })],
    ['another site', () => proof({ htu: 'https://elsewhere.example/token' })],
    ['no address', () => proof({ htu: 'token' })],
    ['another method', () => proof({ htm: 'GET' })],
    ['no id', () => proof({ jti: undefined as never })],
    ['an id that is no text', () => proof({ jti: 7 })],
    ['no time', () => proof({ iat: undefined as never })],
    ['a kind that is none', () => proof({ header: { typ: 'JWT' } })],
    ['no kind', () => proof({ header: { typ: undefined } })],
    ['the key of another in it', async () => proof({ header: { jwk: (await makeKey()).publicJwk } })],
    ['no key in it', () => proof({ header: { jwk: undefined } })],
    ['a private key in it', async () => proof({ header: { jwk: await exportJWK(key.privateKey) } })],
    ['an algorithm that is not offered', async () => proof({}, await makeKey('ES384'))],
    [
      'a secret for a key',
      () =>
        new SignJWT({ htu: `${world.issuer}/token`, htm: 'POST', jti: randomUUID(), iat: seconds() })
          .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: { kty: 'oct', k: 'AAAA' } as never })
          .sign(Buffer.alloc(32)),
    ],
    ['no JWT', async () => 'nonsense'],
    ['two proofs in one', async () => `${await proof()}, ${await proof()}`],
  ])('%s is invalid_dpop_proof (4.3)', async (_what, make) => {
    const answer = await withProof(await make());
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_dpop_proof' } });
  });

  test('query and fragment of the address do not count (4.3)', async () => {
    expect(await withProof(await proof({ htu: `${world.issuer}/token?x=1#y` }))).toMatchObject({ status: 200 });
  });
});

describe('time and nonce (8, 11.1)', () => {
  test('a proof of a clock that is behind is told to take a nonce, and with it is good', async () => {
    const age = -400;
    const refused = await withProof(await proof({ iat: seconds() + age }));
    expect(refused).toMatchObject({ status: 400, body: { error: 'use_dpop_nonce' } });
    const nonce = refused.headers.get('dpop-nonce')!;
    expect(nonce).toMatch(/^[\w-]{20,}$/);
    // Made by one node, taken by all.
    const again = await send(`${other.url}/token`, {
      headers: { ...basic('portal'), dpop: await proof({ iat: seconds() + age, nonce }) },
      fields: { grant_type: 'authorization_code', code: 'x', redirect_uri: 'https://portal.example/callback' },
    });
    expect(again).toMatchObject({ body: { error: 'invalid_grant' } });
  });

  test('one from more than a minute ahead is none, also with a nonce', async () => {
    const nonce = (await withProof(await proof())).headers.get('dpop-nonce')!;
    for (const more of [{}, { nonce }])
      expect(await withProof(await proof({ iat: seconds() + 90, ...more }))).toMatchObject({
        body: { error: 'invalid_dpop_proof' },
      });
  });

  test('a nonce that we never gave is not taken', async () => {
    expect(await withProof(await proof({ nonce: 'made-up' }))).toMatchObject({ body: { error: 'use_dpop_nonce' } });
  });
});

describe('a proof serves once (11.1)', () => {
  test('on whichever node, one after the other or at the same time', async () => {
    const { refresh_token: token } = await bound();
    const once = await proof();
    expect(await refresh(once, world.issuer, token)).toMatchObject({ status: 200 });
    expect(await refresh(once, other.url, token)).toMatchObject({ status: 400, body: { error: 'invalid_dpop_proof' } });
    const raced = await proof();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => refresh(raced, index % 2 ? world.issuer : other.url, token)),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('beside an assertion each is told for itself', async () => {
    const ask = async (dpop: string, client_assertion: string): Promise<unknown> => {
      const { body } = await send(`${world.issuer}/token`, {
        headers: { dpop },
        fields: {
          grant_type: 'client_credentials',
          client_assertion,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        },
      });
      return body['error'] ?? body['token_type'];
    };
    const claims = { iss: 'keyed', sub: 'keyed', aud: world.issuer };
    const [used, shown] = [await proof(), await assertion(assertionKey, claims)];
    expect(await ask(used, shown)).toBe('DPoP');
    expect(await ask(used, await assertion(assertionKey, claims))).toBe('invalid_dpop_proof');
    expect(await ask(await proof(), shown)).toBe('invalid_client');
  });

  test('and takes nothing along: the code that came with it is still good', async () => {
    const [used, unused] = [await proof(), await code()];
    expect(await withProof(used)).toMatchObject({ status: 200 });
    const again = { client: 'portal', headers: { ...basic('portal'), dpop: used } };
    expect(await exchange(world, unused, again)).toMatchObject({ body: { error: 'invalid_dpop_proof' } });
    expect(await exchange(world, unused, { client: 'portal' })).toMatchObject({ status: 200 });
  });
});

describe('at the userinfo endpoint (7)', () => {
  test('the token with a proof of its key, and in no other way', async () => {
    const { access_token: token } = await bound();
    expect(await userinfo(token, await me(token))).toMatchObject({ status: 200, body: { email: 'maija@example.com' } });
    const wrong: Answer[] = [
      await userinfo(token, {}, 'Bearer'),
      await userinfo(token, {}),
      await userinfo(token, await me(token), 'Bearer'),
      await userinfo(token, await me(token, {}, await makeKey())),
      await userinfo(token, await me('another token')),
      await userinfo(token, await me(token, { htm: 'POST' })),
      await userinfo(token, await me(token, { htu: `${world.issuer}/token` })),
    ];
    for (const answer of wrong) expect([400, 401]).toContain(answer.status);
    expect(wrong[3]!.headers.get('www-authenticate')).toMatch(/DPoP .*error="invalid_token".*algs="ES256/);
  });

  test('a proof serves once here too', async () => {
    const { access_token: token } = await bound();
    const once = await me(token);
    expect((await userinfo(token, once)).status).toBe(200);
    const again = await userinfo(token, once);
    expect(again).toMatchObject({ status: 401, body: { error: 'invalid_dpop_proof' } });
    expect(again.headers.get('www-authenticate')).toContain('DPoP error="invalid_dpop_proof"');
    expect(again.text).not.toContain('maija');
  });

  test('a bearer token needs none, and one beside it is refused', async () => {
    const { body } = await exchange(world, await code(), { client: 'portal' });
    expect((await userinfo(body['access_token'], {}, 'Bearer')).status).toBe(200);
    expect((await userinfo(body['access_token'], await me(body['access_token']))).status).toBe(401);
  });
});

describe('the code is bound before (10)', () => {
  test('dpop_jkt: no other key, and none at all, gets tokens for it', async () => {
    const wishes = { dpop_jkt: thumbprint };
    expect(await withProof(await proof({}, await makeKey()), 'portal', wishes)).toMatchObject({
      body: { error: 'invalid_grant' },
    });
    expect(await exchange(world, await code('portal', wishes), { client: 'portal' })).toMatchObject({
      body: { error: 'invalid_grant' },
    });
    expect(await withProof(await proof(), 'portal', wishes)).toMatchObject({ status: 200 });
  });

  test('10.1: the proof of a pushed request binds its code', async () => {
    const push = async (fields: Record<string, string>, headers = {}): Promise<Answer> =>
      send(`${world.issuer}/request`, {
        headers: { ...basic('portal'), dpop: await proof({ htu: `${world.issuer}/request` }), ...headers },
        fields: { ...Object.fromEntries(authorizationUrl(world, 'portal').searchParams), ...fields },
      });
    expect(await push({ dpop_jkt: 'another' })).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    const { body } = await push({});
    const query = new URLSearchParams({ client_id: 'portal', request_uri: String(body['request_uri']) });
    const answer = await authorized(browser, new URL(`/auth?${query.toString()}`, world.issuer));
    expect(await exchange(world, answer['code']!, { client: 'portal' })).toMatchObject({
      body: { error: 'invalid_grant' },
    });
  });
});

test("a public client's code needs no proof, but a token bound to its key stays bound", async () => {
  const { body } = await exchange(world, await code('app'), { ...publicly('app'), headers: { dpop: await proof() } });
  expect(body).toMatchObject({ token_type: 'DPoP' });
  expect((await userinfo(body['access_token'], {}, 'Bearer')).status).toBe(401);
});

// The clock stays ahead of the library's after this one.
test('a proof from the future serves once too, for as long as it would be taken (11.1)', async () => {
  const { refresh_token: token } = await bound();
  const early = await proof({ iat: seconds() + 55 });
  expect(await refresh(early, world.issuer, token)).toMatchObject({ status: 200 });
  world.clock.advance(310_000);
  expect(await refresh(early, world.issuer, token)).toMatchObject({ body: { error: 'invalid_dpop_proof' } });
});
