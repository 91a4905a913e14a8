/** How e-services prove themselves by keys: assertions by secret and by key, and keys that change behind `jwks_uri`. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { startWorld, type World } from '../support/world.ts';

// The library can guard its fetches in Node itself, not in jest's own world of modules, and says so.
jest.spyOn(console, 'warn').mockImplementation(() => undefined);

const SECRETS = [
  'the new secret of thirty-two characters, or more',
  'the old secret of thirty-two characters, or more',
];
const MINUTE = 60_000;

interface Pair {
  jwk: JWK;
  privateKey: CryptoKey;
}

async function pair(kid: string): Promise<Pair> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  return { jwk: { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'ES256' }, privateKey };
}

let world: World;
let keys: Server;
/** What the e-service's own server answers with its keys, and how often it was asked. */
let answer: (response: ServerResponse) => void;
let asked = 0;
let [first, second] = [] as unknown as [Pair, Pair];

beforeAll(async () => {
  [first, second] = await Promise.all([pair('1'), pair('2')]);
  keys = createServer((_request, response) => {
    asked += 1;
    answer(response);
  });
  await new Promise<void>((listening) => void keys.listen(0, '127.0.0.1', listening));
  const jwks_uri = `http://127.0.0.1:${(keys.address() as AddressInfo).port}/jwks.json`;
  const common = { redirect_uris: ['https://x.example/callback'], client_secret: undefined };
  world = await startWorld({
    clients: {
      keyed: { ...common, client_name: 'Keyed', token_endpoint_auth_method: 'private_key_jwt', jwks_uri },
      inline: {
        ...common,
        client_name: 'Inline',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [first.jwk] },
      },
      secret: {
        ...common,
        client_name: 'Secret',
        token_endpoint_auth_method: 'client_secret_jwt',
        client_secret: SECRETS,
      },
    },
  });
});
afterAll(async () => {
  keys.closeAllConnections();
  await new Promise((closed) => keys.close(closed));
  await world.close();
});

const serving = (...pairs: Pair[]) => {
  answer = (response) => response.end(JSON.stringify({ keys: pairs.map(({ jwk }) => jwk) }));
};

/** Asks with a code that there is not: `invalid_grant` says that the client was believed, `invalid_client` that not. */
async function believed(clientId: string, assertion: string): Promise<string> {
  const response = await fetch(`${world.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: 'x',
      redirect_uri: 'https://x.example/callback',
      client_id: clientId,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }),
  });
  const { error } = (await response.json()) as { error: string };
  expect(response.status).toBe(error === 'invalid_client' ? 401 : 400);
  return error;
}

let proofs = 0;
function assertion(clientId: string, key: CryptoKey | Uint8Array, header: { alg: string; kid?: string }) {
  return new SignJWT()
    .setProtectedHeader(header)
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(world.issuer)
    .setJti(`proof-${(proofs += 1)}`)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(key);
}

const byKey = async (clientId: string, { privateKey, jwk }: Pair) =>
  believed(clientId, await assertion(clientId, privateKey, { alg: 'ES256', kid: jwk.kid }));

describe('by a secret that signs (client_secret_jwt)', () => {
  test.each(SECRETS)('both are good while one is being changed: %s', async (secret) => {
    const key = new TextEncoder().encode(secret);
    expect(await believed('secret', await assertion('secret', key, { alg: 'HS256' }))).toBe('invalid_grant');
  });

  test('no other is, nor another algorithm than HS256', async () => {
    const wrong = new TextEncoder().encode('no secret of it, with thirty-two characters');
    expect(await believed('secret', await assertion('secret', wrong, { alg: 'HS256' }))).toBe('invalid_client');
    const right = new TextEncoder().encode(SECRETS[0]!.padEnd(64, ' '));
    expect(await believed('secret', await assertion('secret', right, { alg: 'HS512' }))).toBe('invalid_client');
  });
});

test('by a key that stands in the file', async () => {
  expect(await byKey('inline', first)).toBe('invalid_grant');
  expect(await byKey('inline', { ...second, jwk: first.jwk })).toBe('invalid_client');
});

describe('by a key behind jwks_uri', () => {
  beforeEach(async () => {
    world.clock.advance(2 * 60 * MINUTE);
    serving(first);
    expect(await byKey('keyed', first)).toBe('invalid_grant');
    asked = 0;
  });
  afterEach(() => void (world.log.length = 0));

  test('is fetched once and kept for five minutes', async () => {
    expect(await byKey('keyed', first)).toBe('invalid_grant');
    world.clock.advance(4 * MINUTE);
    expect(await byKey('keyed', first)).toBe('invalid_grant');
    expect(asked).toBe(0);
    world.clock.advance(2 * MINUTE);
    expect(await byKey('keyed', first)).toBe('invalid_grant');
    expect(asked).toBe(1);
  });

  test('a new key is found at once, whatever Cache-Control says', async () => {
    answer = (response) => {
      response.setHeader('cache-control', 'max-age=86400');
      response.end(JSON.stringify({ keys: [first.jwk, second.jwk] }));
    };
    world.clock.advance(MINUTE);
    expect(await byKey('keyed', second)).toBe('invalid_grant');
    expect(asked).toBe(1);
  });

  test('a key that was taken out is good for five minutes at most', async () => {
    serving(second);
    world.clock.advance(6 * MINUTE);
    expect(await byKey('keyed', first)).toBe('invalid_client');
    expect(await byKey('keyed', second)).toBe('invalid_grant');
  });

  test('who invents keys does not make us fetch for each', async () => {
    world.clock.advance(MINUTE);
    for (let tries = 0; tries < 5; tries++) expect(await byKey('keyed', second)).toBe('invalid_client');
    expect(asked).toBe(1);
  });

  test.each<[string, () => void]>([
    ['answers with a fault', () => (answer = (response) => response.writeHead(500).end())],
    ['leads elsewhere', () => (answer = (response) => response.writeHead(302, { location: '/other' }).end())],
    ['gives no keys', () => (answer = (response) => response.end('no keys'))],
    ['hangs up', () => (answer = (response) => response.destroy())],
  ])('where it %s the last keys are good for an hour, and the log says so', async (_what, break_) => {
    break_();
    world.clock.advance(6 * MINUTE);
    expect(await byKey('keyed', first)).toBe('invalid_grant');
    expect(await byKey('keyed', second)).toBe('invalid_client');
    const [line] = world.log.filter((each) => each.includes('keys of an e-service were not fetched'));
    expect(JSON.parse(line!)).toMatchObject({ clientId: 'keyed', jwksUri: expect.stringContaining('/jwks.json') });
    world.clock.advance(60 * MINUTE);
    expect(await byKey('keyed', first)).toBe('invalid_client');
  });
});

test('an e-service whose keys never come is told so within the time limit', async () => {
  world.clock.advance(2 * 60 * MINUTE);
  answer = () => undefined;
  const begun = performance.now();
  expect(await byKey('keyed', first)).toBe('invalid_client');
  expect(performance.now() - begun).toBeLessThan(5000);
});
