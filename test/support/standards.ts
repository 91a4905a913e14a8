/** The city in which the standards are checked: a resident with every claim, and an e-service of each kind. */
import { generateKeyPairSync } from 'node:crypto';
import type { JWK } from 'jose';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from './http-browser.ts';
import { RawClient, signedIn } from './raw-client.ts';
import { startWorld, type World, type WorldOptions } from './world.ts';

export const RESIDENT = { email: 'suvi@example.com', password: 'kolme punaista venettä laiturissa' };

/** The key of the client that authenticates with private_key_jwt. */
export const CLIENT_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicKey = CLIENT_KEY.publicKey.export({ format: 'jwk' }) as JWK;

const every = {
  scope: 'openid email profile phone offline_access',
  grant_types: ['authorization_code', 'refresh_token'],
};
const CLIENTS = {
  rp: {
    ...every,
    client_name: 'RP',
    redirect_uris: ['https://rp.example/callback', 'https://rp.example/with?a=1'],
    post_logout_redirect_uris: ['https://rp.example/signed-out'],
    initiate_login_uri: 'https://rp.example/login',
  },
  other: { ...every, client_name: 'Other', redirect_uris: ['https://other.example/callback'] },
  post: {
    ...every,
    client_name: 'Post',
    token_endpoint_auth_method: 'client_secret_post',
    require_pkce: false,
    redirect_uris: ['https://post.example/callback'],
  },
  'secret-jwt': {
    ...every,
    client_name: 'Secret JWT',
    token_endpoint_auth_method: 'client_secret_jwt',
    redirect_uris: ['https://secret-jwt.example/callback'],
  },
  'key-jwt': {
    ...every,
    client_name: 'Key JWT',
    client_secret: undefined,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [{ ...publicKey, kid: 'one', alg: 'ES256', use: 'sig' }] },
    redirect_uris: ['https://key-jwt.example/callback'],
  },
  app: {
    ...every,
    client_name: 'App',
    client_secret: undefined,
    token_endpoint_auth_method: 'none',
    redirect_uris: ['https://app.example/callback'],
  },
  native: {
    ...every,
    client_name: 'Native',
    client_secret: undefined,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    redirect_uris: ['http://127.0.0.1/callback', 'fi.example.app:/callback'],
  },
  es256: { client_name: 'ES256', id_token_signed_response_alg: 'ES256', redirect_uris: ['https://es256.example/cb'] },
  'pairwise-a': { client_name: 'A', subject_type: 'pairwise', redirect_uris: ['https://a.example/cb'] },
  'pairwise-a2': { client_name: 'A2', subject_type: 'pairwise', redirect_uris: ['https://a.example/cb2'] },
  'pairwise-b': { client_name: 'B', subject_type: 'pairwise', redirect_uris: ['https://b.example/cb'] },
};

export interface StandardsWorld {
  world: World;
  /** Where the resident is signed in. */
  browser: HttpBrowser;
  rp: RawClient;
  accountId: string;
}

export async function startStandards(options: WorldOptions = {}): Promise<StandardsWorld> {
  const world = await startWorld({ ...options, clients: { ...CLIENTS, ...options.clients } });
  const accountId = await world.account({ ...RESIDENT, givenName: 'Suvi' });
  await world.database.query(sql`
    update accounts set family_name = 'Niemi', phone_number = '+358500000000', locale = 'fi' where id = ${accountId}`);
  const browser = await signedIn(world, RESIDENT);
  return { world, browser, rp: new RawClient(world, 'rp'), accountId };
}
