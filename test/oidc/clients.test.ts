/** How e-services look to the library, tried on the library itself. */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider, { type ClientMetadata } from 'oidc-provider';
import type { ClientConfig } from '../../src/config.ts';
import { acceptsSecret, proveClients } from '../../src/oidc/client-secrets.ts';
import {
  accountClient,
  CLIENT_OPTIONS,
  libraryMetadata,
  sectorOf,
  sectorOfClient,
  validateClients,
} from '../../src/oidc/clients.ts';
import { makeLog } from '../../src/platform/telemetry.ts';

// The library warns that its own keys and its store in memory are for tries only, as here.
for (const method of ['warn', 'info'] as const) jest.spyOn(console, method).mockImplementation(() => undefined);

const SECRETS = ['the-new-secret-of-at-least-32-characters', 'the-old-secret-of-at-least-32-characters'];
const SETTINGS = { keys: { algorithms: ['RS256', 'ES256'], rotation: 1 }, languages: ['sv', 'fi'] } as const;

function client(more: Partial<ClientConfig> = {}): ClientConfig {
  return {
    file: 'clients/library.yaml',
    lines: { redirect_uris: 7 },
    client_id: 'library',
    client_secret: SECRETS,
    client_name: { fi: 'Kirjasto', sv: 'Biblioteket', en: 'Library' },
    application_type: 'web',
    redirect_uris: ['https://kirjasto.example.fi/in'],
    post_logout_redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    scope: 'openid email profile',
    resources: [],
    require_signed_request_object: false,
    require_pushed_authorization_requests: false,
    dpop_bound_access_tokens: false,
    backchannel_logout_session_required: true,
    require_auth_time: false,
    subject_type: 'public',
    require_pkce: true,
    consent: 'skip',
    logout_on_expiry: false,
    ...more,
  };
}

const sub = async (): Promise<string> => 'unused';
const claims = { openid: ['sub'], email: ['email'], profile: ['name'], legacy: ['legacy_id'] };

function providerFor(issuer: string, clients: ClientMetadata[] = []): Provider {
  const provider = new Provider(issuer, {
    ...CLIENT_OPTIONS,
    clients,
    claims,
    subjectTypes: ['public', 'pairwise'],
    responseTypes: ['code', 'none'],
    pairwiseIdentifier: sub,
    pkce: { required: (_ctx, { require_pkce }) => require_pkce !== false },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client!.clientId, accountId: oidc.account!.accountId });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
  });
  proveClients(provider, { clock: () => new Date(), log: makeLog({ level: 'silent' }) });
  return provider;
}

const provider = providerFor('https://tunnus.example.fi');
const faultsOf = (more: Partial<ClientConfig>) => validateClients([client(more)], SETTINGS, provider);

async function translated(more: Partial<ClientConfig> = {}) {
  const found = await providerFor('https://tunnus.example.fi', [libraryMetadata(client(more), SETTINGS)]).Client.find(
    'library',
  );
  return found!;
}

describe('the library takes', () => {
  const native = { application_type: 'native', token_endpoint_auth_method: 'none', client_secret: undefined } as const;
  test.each<[string, Partial<ClientConfig>]>([
    ['a server-side client', {}],
    ['a single page', { token_endpoint_auth_method: 'none', client_secret: undefined }],
    [
      'an app',
      { ...native, redirect_uris: ['fi.example.app:/in', 'http://127.0.0.1/in', 'https://app.example.fi/in'] },
    ],
    ['pairwise subjects for an app', { ...native, subject_type: 'pairwise', redirect_uris: ['fi.example.app:/in'] }],
    [
      'pairwise subjects on several hosts',
      { subject_type: 'pairwise', redirect_uris: ['https://a.fi/', 'https://b.fi/'] },
    ],
    [
      'old ids on several hosts',
      { subject_type: 'legacy', legacy_source: 'x', redirect_uris: ['https://a.fi/', 'https://b.fi/'] },
    ],
    ['a sign-in address on localhost', { initiate_login_uri: 'http://localhost:4000/sign-in' }],
    ['a sign-out address on localhost', { backchannel_logout_uri: 'http://localhost:4000/out' }],
    ['refresh tokens', { grant_types: ['authorization_code', 'refresh_token'], scope: 'openid offline_access' }],
    ['the client of our own pages', accountClient('http://localhost:3000')],
  ])('%s', async (_what, more) => {
    expect(await faultsOf(more)).toEqual([]);
  });
});

test('what only the library finds wrong is told with file and line', async () => {
  const more = { application_type: 'native', redirect_uris: ['http://127.0.0.2/in'] } as const;
  expect(await faultsOf(more)).toEqual([
    {
      file: 'clients/library.yaml',
      line: 7,
      message:
        'redirect_uris for native clients using http as a protocol can only use loopback addresses as hostnames, expected metadata that the provider can serve',
    },
  ]);
});

describe('the translation', () => {
  test('keeps what is ours where the pages and the policy look for it', async () => {
    const found = await translated({
      subject_type: 'legacy',
      legacy_source: 'old-library',
      consent: 'ask',
      require_pkce: false,
    });
    expect(found['subject_type_own']).toBe('legacy');
    expect(found.subjectType).toBe('pairwise');
    expect(found['legacy_source']).toBe('old-library');
    expect(found['consent']).toBe('ask');
    expect(found['require_pkce']).toBe(false);
    expect(found['logout_on_expiry']).toBe(false);
    expect(sectorOfClient(found)).toBe('legacy:old-library');
  });

  test('names the client in the first language and signs with the first algorithm', async () => {
    const found = await translated();
    expect(found.clientName).toBe('Biblioteket');
    expect(found.idTokenSignedResponseAlg).toBe('RS256');
    const metadata = libraryMetadata(client(), { ...SETTINGS, keys: { algorithms: ['ES256'], rotation: 1 } });
    expect(metadata.id_token_signed_response_alg).toBe('ES256');
  });

  test('lets the library change nothing of the configuration', () => {
    const config = client();
    (libraryMetadata(config, SETTINGS).redirect_uris as string[]).push('https://elsewhere.example');
    expect(config.redirect_uris).toEqual(['https://kirjasto.example.fi/in']);
  });

  test('gives what JSON can carry, so that the library knows a changed client by its hash', () => {
    const metadata = libraryMetadata(client(), SETTINGS);
    expect(JSON.parse(JSON.stringify(metadata))).toEqual(metadata);
    expect(metadata).not.toHaveProperty('file');
    expect(metadata).not.toHaveProperty('initiate_login_uri');
  });
});

describe('the sector, within which a sub is unique', () => {
  test.each<[string, Partial<ClientConfig>, string]>([
    ['is the host of the first redirect URI', { redirect_uris: ['https://a.fi:8443/x', 'https://b.fi/'] }, 'a.fi:8443'],
    ['or that of sector_identifier_uri', { sector_identifier_uri: 'https://s.fi/list.json' }, 's.fi'],
    [
      'is the app itself where a scheme has no host',
      { application_type: 'native', redirect_uris: ['fi.a:/in'] },
      'client:library',
    ],
    ['nor is 127.0.0.1 one', { application_type: 'native', redirect_uris: ['http://127.0.0.1/in'] }, 'client:library'],
    ['is the user list where old ids are given out', { subject_type: 'legacy', legacy_source: 'old' }, 'legacy:old'],
  ])('%s', (_what, more, sector) => {
    expect(sectorOf(client({ subject_type: 'pairwise', ...more }))).toBe(sector);
  });
});

describe('while a secret is being changed', () => {
  test('both are accepted, by the library too, and nothing else is', async () => {
    const found = await translated();
    for (const accepts of [
      (secret: string) => found.compareClientSecret(secret),
      (secret: string) => acceptsSecret(client(), secret),
    ]) {
      expect(SECRETS.map(accepts)).toEqual([true, true]);
      expect(['', 'the-new-secret', `${SECRETS[0]} `].map(accepts)).toEqual([false, false, false]);
    }
  });

  test('a client without a secret accepts none', async () => {
    const found = await translated({ token_endpoint_auth_method: 'none', client_secret: undefined });
    expect(found.compareClientSecret('')).toBe(false);
    expect(acceptsSecret({}, '')).toBe(false);
  });
});

describe('the client of our own pages', () => {
  let server: Server;
  let issuer: string;

  beforeAll(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await new Promise((listening) => server.once('listening', listening));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const own = providerFor(issuer, [libraryMetadata(accountClient(issuer), SETTINGS)]);
    const answer = own.callback();
    server.on('request', (request, response) => {
      if (request.url?.startsWith('/interaction/')) {
        void own.interactionFinished(request, response, { login: { accountId: 'resident' } });
      } else void answer(request, response);
    });
  });
  afterAll(() => new Promise((closed) => server.close(closed)));

  const ask = (responseType: string): string =>
    `${issuer}/auth?${new URLSearchParams({
      client_id: 'account',
      response_type: responseType,
      scope: 'openid',
      state: 'here',
      redirect_uri: `${issuer}/account/signed-in`,
    }).toString()}`;

  test('signs the resident in and brings back neither code nor token', async () => {
    const cookies = new Map<string, string>();
    let url = ask('none');
    for (let step = 0; step < 3; step++) {
      const answer = await fetch(url, { redirect: 'manual', headers: { cookie: [...cookies.values()].join('; ') } });
      for (const line of answer.headers.getSetCookie()) cookies.set(line.split('=')[0]!, line.split(';')[0]!);
      expect(answer.status).toBe(303);
      url = new URL(answer.headers.get('location')!, issuer).href;
    }
    expect(url).toBe(`${issuer}/account/signed-in?state=here&iss=${encodeURIComponent(issuer)}`);
    expect(cookies.has('_session')).toBe(true);
  });

  test('gets no code', async () => {
    const answer = await fetch(ask('code'), { redirect: 'manual' });
    expect(answer.headers.get('location')).toContain('error=invalid_request');
  });
});
