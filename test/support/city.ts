/** E-services and APIs of every kind that the protocol tests speak for: what tunnus.yaml and clients/*.yaml say of them. */
import { makeKey, type Key } from './protocol.ts';
import type { WorldOptions } from './world.ts';

export const PARKING = 'https://api.example/parking';
export const LOANS = 'urn:city:loans';

export interface City {
  options: WorldOptions;
  /** The keys of `keyed` and `fapi`. */
  keys: { keyed: Key; fapi: Key };
}

const signsIn = (name: string) => ({ client_name: name, redirect_uris: [`https://${name}.example/callback`] });
const machine = { grant_types: ['client_credentials'] };

export async function city(): Promise<City> {
  const keys = { keyed: await makeKey(), fapi: await makeKey() };
  const jwksOf = ({ publicJwk }: Key) => ({ keys: [publicJwk] });
  return {
    keys,
    options: {
      settings: {
        resources: [
          { audience: PARKING, name: 'Pysäköinti', scopes: ['parking:read', 'parking:write'], lifetime: '5m' },
          { audience: LOANS, scopes: ['loans:read'], format: 'opaque', client: 'loans-api' },
        ],
      },
      clients: {
        portal: {
          ...signsIn('portal'),
          grant_types: ['authorization_code', 'refresh_token'],
          subject_type: 'pairwise',
          scope: 'openid email profile parking:read loans:read',
          resources: [PARKING, LOANS],
        },
        app: {
          ...signsIn('app'),
          client_secret: undefined,
          token_endpoint_auth_method: 'none',
          grant_types: ['authorization_code', 'refresh_token'],
          scope: 'openid email',
        },
        partner: { ...signsIn('partner'), consent: 'ask', scope: 'openid parking:read', resources: [PARKING] },
        lax: { ...signsIn('lax'), require_pkce: false },
        post: {
          ...machine,
          client_name: 'Post',
          token_endpoint_auth_method: 'client_secret_post',
          resources: [PARKING],
        },
        hmac: {
          ...machine,
          client_name: 'Hmac',
          token_endpoint_auth_method: 'client_secret_jwt',
          resources: [PARKING],
        },
        loader: {
          ...machine,
          client_name: 'Loader',
          scope: 'parking:read parking:write',
          resources: [PARKING],
        },
        reader: { ...machine, client_name: 'Reader', scope: 'parking:read', resources: [PARKING, LOANS] },
        'loans-api': { ...machine, client_name: 'Loans', introspection_signed_response_alg: 'ES256' },
        keyed: {
          ...signsIn('keyed'),
          client_secret: undefined,
          token_endpoint_auth_method: 'private_key_jwt',
          grant_types: ['authorization_code', 'client_credentials'],
          resources: [PARKING],
          jwks: jwksOf(keys.keyed),
        },
        signed: {
          ...signsIn('signed'),
          require_signed_request_object: true,
          jwks: jwksOf(keys.keyed),
        },
        fapi: {
          ...signsIn('fapi'),
          client_secret: undefined,
          profile: 'fapi2',
          grant_types: ['authorization_code', 'refresh_token'],
          jwks: jwksOf(keys.fapi),
        },
      },
    },
  };
}
