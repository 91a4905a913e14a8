/** What clients/*.yaml may say, what is told where they are wrong, and that a reload is all or nothing. */
import { describe, expect, test } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeFaults, readClients } from '../../src/config.ts';
import { CLIENT } from '../../src/config/client-keys.ts';
import { clientFile, configFolder, configOf, faultsOf, ISSUER, SECRET } from './config-folder.ts';

const SAMPLES = fileURLToPath(new URL('../../config/clients/', import.meta.url));
const ADDRESS = 'a whole address without #fragment, wildcard or password';
const SETTINGS = { keys: { algorithms: ['RS256', 'ES256'], rotation: 1 }, resources: [] } as const;
const JWKS = 'keys: with a list of public JSON Web Keys (kty RSA, EC or OKP, nothing private)';
const JWK = 'a public key that can be read (kty RSA of 2048 bits or more, EC or OKP, nothing private)';
const WEAK_KEY = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
const WEB = 'a whole https: address (http: only on localhost)';

const wrong = (yaml: string): string[] => faultsOf({ 'tunnus.yaml': ISSUER, 'clients/a.yaml': yaml });
const client = (more = '') => configOf({ 'tunnus.yaml': ISSUER, 'clients/a.yaml': clientFile(more) }).clients[0]!;

describe('the samples', () => {
  const samples = readdirSync(SAMPLES).filter((name) => name.endsWith('.sample'));

  test('are none of them active', () => {
    expect(samples.length).toBeGreaterThan(2);
    expect(readClients({ folder: join(SAMPLES, '..'), ...SETTINGS }, {})).toEqual({ clients: [], faults: [] });
  });

  test.each(samples)('%s is right when its name ends in .yaml', (name) => {
    const folder = configFolder({ 'clients/sample.yaml': readFileSync(join(SAMPLES, name), 'utf8') });
    const { clients, faults } = readClients(
      { folder, ...SETTINGS },
      { LIBRARY_CLIENT_SECRET: SECRET, PARKING_LOADER_SECRET: SECRET },
    );
    expect(faults).toEqual([]);
    expect(clients).toHaveLength(1);
  });
});

test('the sample of a server-side e-service is the manual of every key', () => {
  const manual = readFileSync(join(SAMPLES, 'server-side.yaml.sample'), 'utf8');
  const told = new Set([...manual.matchAll(/^(?:# )?([a-z_]+)(?:#\w+)?:/gm)].map((match) => match[1]));
  const others = ['application_type'];
  const keys = Object.keys(CLIENT).filter((key) => !key.includes('#') && !others.includes(key));
  expect(keys.filter((key) => !told.has(key))).toEqual([]);
});

describe('a right client', () => {
  test('needs an id, a name and its addresses', () => {
    const yaml = 'client_id: map\nclient_name: Kartta\nredirect_uris: [http://localhost:8080/in]\n';
    const [map] = configOf({ 'tunnus.yaml': ISSUER, 'clients/a.yaml': yaml }).clients;
    expect(map).toMatchObject({
      client_id: 'map',
      client_name: { fi: 'Kartta', sv: 'Kartta', en: 'Kartta' },
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      scope: 'openid email profile',
      subject_type: 'public',
      require_pkce: true,
      consent: 'skip',
      backchannel_logout_session_required: true,
      logout_on_expiry: false,
    });
  });

  test('with a secret authenticates by client_secret_basic', () => {
    expect(client()).toMatchObject({ client_secret: [SECRET], token_endpoint_auth_method: 'client_secret_basic' });
  });

  test('may have two secrets while one is being changed', () => {
    const yaml = clientFile().replace(/client_secret: .*/, `client_secret: [${SECRET}-new, ${SECRET}]`);
    const [library] = configOf({ 'tunnus.yaml': ISSUER, 'clients/a.yaml': yaml }).clients;
    expect(library!.client_secret).toEqual([`${SECRET}-new`, SECRET]);
  });

  test('has its name by language', () => {
    expect(client('client_name#sv: Biblioteket\n').client_name).toEqual({
      fi: 'Kirjasto',
      sv: 'Biblioteket',
      en: 'Kirjasto',
    });
  });

  test.each([
    'initiate_login_uri: http://localhost:4000/sign-in',
    'initiate_login_uri: http://127.0.0.1/sign-in\nbackchannel_logout_uri: http://[::1]:4000/out',
    'application_type: native\npost_logout_redirect_uris: [fi.example.app:/out, http://127.0.0.1/out]',
    'grant_types: [authorization_code, refresh_token]\nscope: openid offline_access',
    'subject_type: legacy\nlegacy_source: library\nscope: openid legacy',
    'require_pkce: false',
    'token_endpoint_auth_method: client_secret_post',
  ])('may have %j', (more) => {
    expect(client(more).client_id).toBe('library');
  });

  test('may share its user list with another', () => {
    const more = 'subject_type: legacy\nlegacy_source: library\n';
    const files = { 'clients/a.yaml': clientFile(more), 'clients/b.yaml': clientFile(more, 'archive') };
    expect(faultsOf({ 'tunnus.yaml': ISSUER, ...files })).toEqual([]);
  });

  test('is read from files that end in .yaml and are not hidden', () => {
    const files = {
      'clients/.a.yaml': 'x',
      'clients/a.yaml~': 'x',
      'clients/a.yaml.sample': 'x',
      'clients/README': 'x',
    };
    expect(configOf({ 'tunnus.yaml': ISSUER, ...files }).clients).toEqual([]);
  });
});

describe('a machine', () => {
  const machine = (more = '') =>
    `client_id: loader\nclient_name: Lataaja\nclient_secret: ${SECRET}\ngrant_types: [client_credentials]\n${more}`;

  test('needs no address, and asks for what APIs offer', () => {
    const yaml = machine('resources: ["https://api.example.fi/parking"]\nscope: parking:read parking:write\n');
    const api = 'resources: [{ audience: "https://api.example.fi/parking", scopes: [parking:read, parking:write] }]\n';
    const [loader] = configOf({ 'tunnus.yaml': ISSUER + api, 'clients/a.yaml': yaml }).clients;
    expect(loader).toMatchObject({
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      scope: 'parking:read parking:write',
      resources: ['https://api.example.fi/parking'],
    });
    const [bare] = configOf({ 'tunnus.yaml': ISSUER, 'clients/a.yaml': machine() }).clients;
    expect(bare).toMatchObject({ scope: '', resources: [] });
  });

  test.each([
    [
      'redirect_uris: ["https://a.fi/"]',
      'redirect_uris is for sign-ins, expected authorization_code in grant_types or no redirect_uris',
    ],
    ['consent: ask', 'consent is for sign-ins, expected authorization_code in grant_types or no consent'],
    [
      'scope: openid',
      'scope is "openid", expected none of openid, email, profile, phone, legacy, offline_access without sign-ins',
    ],
  ])('with %j is told', (more, message) => {
    expect(wrong(machine(more))).toEqual([`clients/a.yaml:5: ${message}`]);
  });

  test('that can keep no secret is told', () => {
    expect(wrong(machine().replace(/client_secret: .*/, 'token_endpoint_auth_method: none'))).toEqual([
      'clients/a.yaml:4: grant_types has client_credentials for a client that does not authenticate, expected a secret or key',
    ]);
  });
});

describe('profile: fapi2', () => {
  const fapi = (more = '') =>
    clientFile(`profile: fapi2\njwks_uri: https://kirjasto.example.fi/keys\n${more}`).replace(/client_secret: .*/, '#');

  test('sets what the FAPI 2.0 Security Profile asks of a client', () => {
    const [library] = configOf({ 'tunnus.yaml': ISSUER, 'clients/a.yaml': fapi() }).clients;
    expect(library).toMatchObject({
      token_endpoint_auth_method: 'private_key_jwt',
      require_pushed_authorization_requests: true,
      dpop_bound_access_tokens: true,
      require_pkce: true,
      id_token_signed_response_alg: 'ES256',
    });
  });

  test.each([
    ['require_pkce: false', 'require_pkce is false beside profile fapi2, expected true'],
    ['dpop_bound_access_tokens: false', 'dpop_bound_access_tokens is false beside profile fapi2, expected true'],
    [
      'require_pushed_authorization_requests: false',
      'require_pushed_authorization_requests is false beside profile fapi2, expected true',
    ],
    [
      'id_token_signed_response_alg: RS256',
      'id_token_signed_response_alg is RS256 beside profile fapi2, expected ES256',
    ],
    [
      'userinfo_signed_response_alg: RS256',
      'userinfo_signed_response_alg is RS256 beside profile fapi2, expected ES256',
    ],
    [
      'token_endpoint_auth_signing_alg: RS256',
      'token_endpoint_auth_signing_alg is RS256 beside profile fapi2, expected PS256, ES256, EdDSA or Ed25519',
    ],
    [
      'request_object_signing_alg: RS256',
      'request_object_signing_alg is RS256 beside profile fapi2, expected PS256, ES256, EdDSA or Ed25519',
    ],
    [
      'token_endpoint_auth_method: none',
      'token_endpoint_auth_method is none beside profile fapi2, expected private_key_jwt',
    ],
  ])('and %j takes none of it back', (more, message) => {
    expect(wrong(fapi(more))).toEqual([`clients/a.yaml:7: ${message}`]);
  });

  test('needs keys of the e-service, and an algorithm of ours that it allows', () => {
    expect(wrong(fapi().replace(/jwks_uri: .*/, ''))).toEqual([
      'clients/a.yaml:5: token_endpoint_auth_method is private_key_jwt without keys, expected jwks or jwks_uri',
    ]);
    const settings = `${ISSUER}keys: { algorithms: [RS256] }`;
    expect(faultsOf({ 'tunnus.yaml': settings, 'clients/a.yaml': fapi() })).toEqual([
      'clients/a.yaml:5: id_token_signed_response_alg is "ES256", expected one of keys.algorithms (RS256)',
    ]);
  });
});

describe('metadata that other providers take', () => {
  test.each([
    ['request_uris: [x]', 'request objects are taken by value, or pushed (RFC 9126): take it out'],
    [
      'tls_client_auth_subject_dn: x',
      'client certificates are not offered: take private_key_jwt and dpop_bound_access_tokens',
    ],
    ['id_token_encrypted_response_alg: RSA-OAEP', 'nothing is encrypted beyond TLS: take it out'],
    ['authorization_signed_response_alg: RS256', 'answers carry iss (RFC 9207) and are not signed: take it out'],
    ['authorization_details_types: [x]', 'rich authorization requests are not offered: take scope and resources'],
    ['frontchannel_logout_uri: https://a.fi/', 'browsers block front-channel sign-out: take backchannel_logout_uri'],
    ['backchannel_token_delivery_mode: poll', 'signing in on another device (CIBA) is not offered: take it out'],
    ['software_statement: x', 'nothing is registered over the network here: take it out'],
  ])('%j is a fault with a hint', (more, hint) => {
    expect(wrong(clientFile(more))).toEqual([`clients/a.yaml:5: ${more.split(':')[0]} is not taken, ${hint}`]);
  });
});

describe('a fault is told with file, line, what is wrong and what is expected', () => {
  test.each([
    ['client_nam#sv: x', 'client_nam#sv is not known, did you mean client_name#sv?'],
    ['redirect_uri: x', 'redirect_uri is not known, did you mean redirect_uris?'],
    ['client_name#de: x', 'client_name#de is not known, did you mean client_name?'],
    [
      'post_logout_redirect_uris: ["https://a.fi/#x"]',
      `post_logout_redirect_uris[0] is "https://a.fi/#x", expected ${ADDRESS}`,
    ],
    [
      'post_logout_redirect_uris: ["https://*.a.fi/"]',
      `post_logout_redirect_uris[0] is "https://*.a.fi/", expected ${ADDRESS}`,
    ],
    ['post_logout_redirect_uris: [/out]', `post_logout_redirect_uris[0] is "/out", expected ${ADDRESS}`],
    [
      'post_logout_redirect_uris: ["https://a.fi/ä"]',
      `post_logout_redirect_uris[0] is "https://a.fi/ä", expected ${ADDRESS}`,
    ],
    [
      'post_logout_redirect_uris: [http://a.fi/]',
      `post_logout_redirect_uris[0] is "http://a.fi/", expected ${WEB}, or application_type: native`,
    ],
    [
      'post_logout_redirect_uris: ["javascript:alert(1)"]',
      `post_logout_redirect_uris[0] is "javascript:alert(1)", expected ${WEB}, or application_type: native`,
    ],
    [
      '{application_type: native, post_logout_redirect_uris: [myapp:/out]}',
      `post_logout_redirect_uris[0] is "myapp:/out", expected a scheme of the app's own like "fi.example.app:/signed-in", an https: address, or http://127.0.0.1/…`,
    ],
    [
      'post_logout_redirect_uris: https://a.fi/',
      'post_logout_redirect_uris is "https://a.fi/", expected a list of addresses',
    ],
    ['initiate_login_uri: http://a.fi/', `initiate_login_uri is "http://a.fi/", expected ${WEB}`],
    [
      'grant_types: [implicit]',
      'grant_types[0] is "implicit", expected authorization_code, refresh_token or client_credentials',
    ],
    ['grant_types: [refresh_token]', 'grant_types lacks authorization_code, expected it beside refresh_token'],
    ['response_types: [id_token]', 'response_types[0] is "id_token", expected code'],
    [
      'scope: email',
      'scope is "email", expected openid and any of email, profile, phone, legacy, offline_access, separated by spaces',
    ],
    ['scope: openid legacy', 'scope has legacy without legacy_source, expected the name of the user list'],
    ['scope: openid offline_access', 'scope has offline_access without refresh_token, expected it in grant_types'],
    ['subject_type: legacy', 'subject_type is legacy without legacy_source, expected the name of the user list'],
    ['subject_type: hidden', 'subject_type is "hidden", expected public, pairwise or legacy'],
    ['id_token_signed_response_alg: none', 'id_token_signed_response_alg is "none", expected RS256 or ES256'],
    [
      'token_endpoint_auth_method: none',
      'client_secret stands beside token_endpoint_auth_method none, which uses none, expected one of the two',
    ],
    ['require_pkce: "no"', 'require_pkce is "no", expected true or false'],
    ['logout_on_expiry: true', 'logout_on_expiry is true, expected false (true comes with a later version)'],
    ['default_max_age: -1', 'default_max_age is -1, expected a whole number from 0 to 31536000'],
    ['jwks: abc', `jwks is "abc", expected ${JWKS}`],
    ['jwks: { key: abc }', `jwks.keys is a section, expected ${JWKS}`],
    ['jwks: { keys: [] }', `jwks.keys is a list, expected ${JWKS}`],
    ['jwks: { keys: [{ kty: oct, k: abc }] }', `jwks.keys[0] is a section, expected ${JWK}`],
    ['jwks: { keys: [{ kty: EC, d: abc }] }', `jwks.keys[0] is a section, expected ${JWK}`],
    ['jwks: { keys: [{ kty: EC, crv: P-256, x: abc, y: abc }] }', `jwks.keys[0] is a section, expected ${JWK}`],
    [`jwks: { keys: [${JSON.stringify(WEAK_KEY)}] }`, `jwks.keys[0] is a section, expected ${JWK}`],
    [
      'resources: ["https://a.fi/#x"]',
      `resources[0] is "https://a.fi/#x", expected ${WEB} without #fragment, or a urn:`,
    ],
    [
      'token_endpoint_auth_signing_alg: ES256',
      'token_endpoint_auth_signing_alg is ES256 beside token_endpoint_auth_method client_secret_basic, expected it only with client_secret_jwt or private_key_jwt',
    ],
    [
      'token_endpoint_auth_method: client_secret_jwt\ntoken_endpoint_auth_signing_alg: ES256',
      'token_endpoint_auth_signing_alg is ES256 beside token_endpoint_auth_method client_secret_jwt, expected HS256',
    ],
    [
      'token_endpoint_auth_signing_alg: HS512',
      'token_endpoint_auth_signing_alg is "HS512", expected RS256, PS256, ES256, EdDSA, Ed25519 or HS256',
    ],
    [
      'require_signed_request_object: true',
      'require_signed_request_object is true without keys, expected jwks or jwks_uri',
    ],
    [
      'request_object_signing_alg: ES256',
      'request_object_signing_alg is ES256 without keys, expected jwks or jwks_uri',
    ],
    [
      'scope: openid parking:read',
      'scope is "openid parking:read", expected openid and any of email, profile, phone, legacy, offline_access, separated by spaces; scopes of APIs only with resources',
    ],
  ])('%j', (more, message) => {
    const lines = more.startsWith('{')
      ? more
          .slice(1, -1)
          .split(/, (?=post)/)
          .join('\n')
      : more;
    const faults = wrong(clientFile(lines));
    expect(faults.map((fault) => fault.replace(/^clients\/a\.yaml:\d+: /, ''))).toEqual([message]);
    expect(faults[0]).toMatch(/^clients\/a\.yaml:[3567]: /);
  });

  test('what is missing', () => {
    expect(wrong('')).toEqual([
      'clients/a.yaml:1: client_id is missing, expected the name of the e-service',
      'clients/a.yaml:1: client_name is missing, expected the name of the e-service as residents know it',
      'clients/a.yaml:1: redirect_uris is missing, expected the addresses of the e-service',
    ]);
  });

  test.each([
    [
      /client_secret: .*/,
      'client_secret: short',
      /^clients\/a\.yaml:3: client_secret is 5 characters long, expected 32 or more /,
    ],
    [
      /client_secret: .*/,
      `client_secret: ${'abc'.repeat(12)}`,
      /^clients\/a\.yaml:3: client_secret is 36 characters long, expected at least 8 different characters, /,
    ],
    [/client_secret: .*/, 'client_secret:', /^clients\/a\.yaml:3: client_secret is empty, expected 32 or more /],
    [
      /client_secret: .*/,
      'client_secret: ${NOT_SET}',
      /^clients\/a\.yaml:3: the environment variable NOT_SET is not set or empty, /,
    ],
    [
      /client_secret: .*/,
      'token_endpoint_auth_method: client_secret_post',
      /:3: token_endpoint_auth_method is client_secret_post without client_secret, expected a secret$/,
    ],
    [
      /client_secret: .*/,
      'token_endpoint_auth_method: private_key_jwt',
      /:3: token_endpoint_auth_method is private_key_jwt without keys, expected jwks or jwks_uri$/,
    ],
    [
      /client_secret: .*/,
      'require_pkce: false',
      /:3: require_pkce is false for a client that does not authenticate, expected true$/,
    ],
    [
      /client_id: .*/,
      'client_id: account',
      /:1: client_id "account" is taken by this service itself, expected another$/,
    ],
    [
      /client_id: .*/,
      'client_id: 12',
      /:1: client_id is 12, expected 1 to 128 printable ASCII characters without spaces$/,
    ],
  ])('%s becomes %j', (line, other, message) => {
    const faults = wrong(clientFile().replace(line, other));
    expect(faults).toEqual([expect.stringMatching(message)]);
  });

  test('whatever is wrong in the whole set is told at once', () => {
    const files = {
      'tunnus.yaml': ISSUER,
      'clients/a.yaml': clientFile('tls_client_auth_san_dns: a.fi\nclient_ur: x\nclient_uri: http://a.fi/\n'),
      'clients/b.yaml': clientFile('id_token_signed_response_alg: HS256\n').replace(SECRET, 'short'),
      'clients/c.yaml': clientFile('redirect_uri: x\n', 'map').replace('https:', 'ftp:'),
    };
    expect(faultsOf(files).map((fault) => fault.replace(/ (is|as) .*/, ''))).toEqual([
      'clients/a.yaml:5: tls_client_auth_san_dns',
      'clients/a.yaml:6: client_ur',
      'clients/a.yaml:7: client_uri',
      'clients/b.yaml:1: client_id',
      'clients/b.yaml:3: client_secret',
      'clients/b.yaml:5: id_token_signed_response_alg',
      'clients/c.yaml:4: redirect_uris[0]',
      'clients/c.yaml:5: redirect_uri',
    ]);
  });

  test('an id that stands in two files names both', () => {
    const files = { 'tunnus.yaml': ISSUER, 'clients/a.yaml': clientFile(), 'clients/b.yaml': clientFile() };
    const [fault, ...others] = faultsOf(files);
    expect(fault).toMatch(
      /^clients\/b\.yaml:1: client_id is "library" as in .*clients\/a\.yaml, expected an id of its own$/,
    );
    expect(others).toEqual([]);
  });

  test('an algorithm that there are no keys for', () => {
    const settings = `${ISSUER}keys: { algorithms: [RS256] }`;
    const yaml = clientFile('id_token_signed_response_alg: ES256');
    expect(faultsOf({ 'tunnus.yaml': settings, 'clients/a.yaml': yaml })).toEqual([
      'clients/a.yaml:5: id_token_signed_response_alg is "ES256", expected one of keys.algorithms (RS256)',
    ]);
  });

  test('a file that would be passed over in silence', () => {
    expect(faultsOf({ 'tunnus.yaml': ISSUER, 'clients/a.yml': clientFile() })).toEqual([
      'clients/a.yml:1: the name ends in .yml, expected .yaml',
    ]);
  });
});

test('a reload takes all of the new set, or none of it', () => {
  const folder = configFolder({ 'clients/a.yaml': clientFile() });
  writeFileSync(join(folder, 'clients/b.yaml'), clientFile('', 'archive'));
  expect(readClients({ folder, ...SETTINGS }, {}).clients?.map((each) => each.client_id)).toEqual([
    'library',
    'archive',
  ]);

  writeFileSync(join(folder, 'clients/c.yaml'), 'client_id: c');
  const { clients, faults } = readClients({ folder, ...SETTINGS }, {});
  expect(clients).toBeUndefined();
  expect(describeFaults(faults)).toContain(join(folder, 'clients/c.yaml:1: '));
});
