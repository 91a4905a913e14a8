/** What people and programs are told when a request cannot be carried out: in their language, with a way on and a number. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exchange } from '../support/wire.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

const GOOD = {
  client_id: 'asiointi',
  redirect_uri: 'https://asiointi.example/callback',
  response_type: 'code',
  scope: 'openid',
  code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
  code_challenge_method: 'S256',
};
const at = (path: string, parameters: Record<string, string>) =>
  `${path}?${new URLSearchParams(parameters).toString()}`;

const SERVICE = 'Kirjautuminen ei onnistunut';
const cases: [string, () => Promise<string> | string, { status: number; h1: string; service?: boolean }][] = [
  [
    'an unknown e-service',
    () => at('/auth', { ...GOOD, client_id: 'nobody' }),
    { status: 400, h1: 'Palvelua ei tunnistettu' },
  ],
  ['no e-service at all', () => '/auth', { status: 400, h1: SERVICE }],
  [
    'a redirect_uri that is not registered',
    () => at('/auth', { ...GOOD, redirect_uri: 'https://evil.example/' }),
    { status: 400, h1: SERVICE, service: true },
  ],
  [
    'a pushed request that is not there (any more)',
    () => at('/auth', { client_id: 'asiointi', request_uri: 'urn:ietf:params:oauth:request_uri:nothing' }),
    { status: 400, h1: 'Kirjautuminen keskeytyi', service: true },
  ],
  ['a sign-in that is not there', () => '/sign-in/nothing', { status: 404, h1: 'Kirjautuminen keskeytyi' }],
  [
    'the way back of a sign-in that is not there',
    () => '/auth/nothing',
    { status: 404, h1: 'Kirjautuminen keskeytyi' },
  ],
  [
    'a bad sign-out',
    () => at('/session/end', { id_token_hint: 'x' }),
    { status: 400, h1: 'Uloskirjautuminen ei onnistunut' },
  ],
  [
    'a sign-out to an address that is not registered',
    () => at('/session/end', { client_id: 'asiointi', post_logout_redirect_uri: 'https://evil.example/' }),
    { status: 400, h1: 'Uloskirjautuminen ei onnistunut', service: true },
  ],
  ['a page that is not there', () => '/nothing', { status: 404, h1: 'Sivua ei löydy' }],
];

describe('people', () => {
  test.each(cases)('%s: what happened, what to do, whom to name', async (_name, path, expected) => {
    const page = await world.browser().get(world.issuer + (await path()));
    expect([page.status, page.h1]).toEqual([expected.status, expected.h1]);
    expect(page.lang).toBe('fi');
    expect(page.text.includes('Palvelu: Asiointi')).toBe(Boolean(expected.service));
    if (expected.service) expect(page.link('Palaa palveluun').href).toContain('https://asiointi.example/login');
    expect(page.html).toContain('tuki@kaupunki.example');
    expect(page.main.innerHTML).not.toContain('evil.example');
    // The number is drawn by chance.
    const words = page.text.replace(/Viitenumero: \S+/, '');
    expect(words).not.toMatch(/invalid_|oidc|client|redirect_uri|stack/i);
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
    expect(page.headers['cache-control']).toContain('no-store');
  });

  test.each(cases.filter(([, , { h1 }]) => h1 !== 'Kirjautuminen keskeytyi'))(
    '%s: the number on the page is in the log, with the reason',
    async (_name, path) => {
      const page = await world.browser().get(world.issuer + (await path()));
      const reference = /Viitenumero: ([\w-]+)/.exec(page.text)![1]!;
      const lines = world.log
        .filter((line) => line.includes(reference))
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(lines.find(({ msg }) => msg === 'request')).toMatchObject({ status: page.status });
      expect(lines.some(({ refused, detail }) => refused ?? detail)).toBe(true);
    },
  );

  test('in the language that the e-service asked for, else in the reader’s own', async () => {
    const url = world.issuer + at('/auth', { ...GOOD, redirect_uri: 'https://evil.example/', ui_locales: 'sv' });
    expect((await world.browser().get(url)).lang).toBe('sv');
    expect((await world.browser({ language: 'en' }).get(`${world.issuer}/auth`)).lang).toBe('en');
  });

  test('a method that a page does not have', async () => {
    for (const method of ['DELETE', 'PUT', 'TRACE', 'PROPFIND']) {
      for (const path of ['/account', '/signed-out']) {
        const answer = await exchange(world.tunnus.port, { method, target: path, headers: { Accept: 'text/html' } });
        expect([method, path, answer!.status]).toEqual([method, path, 405]);
        expect(answer!.headers.get('allow')?.join()).toContain('GET');
        expect(answer!.body).toContain('<h1>');
      }
    }
    // TRACE would give a script the cookies that it must not see.
    for (const path of ['/', '/auth', '/token', '/me', '/assets/page.css', '/health/live']) {
      const answer = await exchange(world.tunnus.port, {
        method: 'TRACE',
        target: path,
        headers: { Cookie: 'a=secret' },
      });
      expect([path, answer!.status >= 400, answer!.body.includes('secret')]).toEqual([path, true, false]);
    }
  });

  test('nothing is served but our pages and the few files that they load', async () => {
    const paths = [
      ...[
        '/.git/config',
        '/.env',
        '/package.json',
        '/src/cli.ts',
        '/config/tunnus.yaml',
        '/sql/schema.sql',
        '/metrics',
      ],
      ...['/assets', '/assets/', '/assets/../page.js', '/assets/%2e%2e/server.ts', '/assets/page.css.map', '/views/'],
      ...['/admin', '/debug', '/server-status', '/index.html', '/swagger.json', '/.well-known/', '/account/..;/x'],
    ];
    for (const target of paths) {
      const answer = await exchange(world.tunnus.port, { target });
      expect([target, answer!.status]).toEqual([target, 404]);
    }
  });

  test('every answer, of whatever kind, forbids to guess its type, to frame it and to run anything in it', async () => {
    const answers: [number, Parameters<typeof exchange>[1]][] = [
      [200, { target: '/signed-out' }],
      [303, { target: '/account' }],
      [404, { target: '/nothing' }],
      [200, { target: '/assets/page.css' }],
      [200, { target: '/assets/logo' }],
      [200, { target: '/.well-known/openid-configuration' }],
      [200, { target: '/.well-known/security.txt' }],
      [200, { target: '/jwks' }],
      [200, { target: '/health/ready' }],
      [401, { target: '/me' }],
      [400, { method: 'POST', target: '/token', headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }],
      [405, { method: 'DELETE', target: '/account' }],
      [431, { headers: { Cookie: `x=${'y'.repeat(40_000)}` } }],
    ];
    for (const [status, request] of answers) {
      const answer = await exchange(world.tunnus.port, request);
      const header = (name: string): string => answer!.headers.get(name)?.[0] ?? '';
      expect([request, answer!.status]).toEqual([request, status]);
      expect([request, header('x-content-type-options')]).toEqual([request, 'nosniff']);
      expect([request, header('referrer-policy')]).toEqual([request, 'no-referrer']);
      expect([request, header('content-security-policy')]).toEqual([
        request,
        expect.stringMatching(/^default-src 'none'.*frame-ancestors 'none'/),
      ]);
      if (!answer!.body) continue;
      expect([request, header('content-type')]).toEqual([
        request,
        expect.stringMatching(
          /^(text\/(html|css|plain); charset=utf-8|application\/(jwk-set\+)?json; charset=utf-8|image\/svg\+xml)$/,
        ),
      ]);
    }
  });

  test('cookies that are too many: in every language, with a number that is in the log', async () => {
    const answer = await exchange(world.tunnus.port, { headers: { Cookie: `x=${'y'.repeat(40_000)}` } });
    expect(answer!.status).toBe(431);
    const text = answer!.body;
    for (const word of ['evästeet', 'kakorna', 'cookies']) expect(text).toContain(word);
    const reference = /Reference number: ([\w-]+)/.exec(text)![1]!;
    expect(world.log.some((line) => line.includes(reference))).toBe(true);
  });
});

describe('programs', () => {
  test.each([
    ['GET', at('/session/end', { id_token_hint: 'x' }), 400, 'invalid_request'],
    ['POST', '/token', 400, 'invalid_request'],
    ['POST', '/request', 400, 'invalid_request'],
    ['GET', '/me', 401, 'invalid_token'],
  ])('%s %s: the OAuth error as JSON', async (...[method, path, status, error]) => {
    const headers = { Accept: 'application/json', 'Content-Type': 'application/x-www-form-urlencoded' };
    const answer = await fetch(world.issuer + path, { method, headers, redirect: 'manual' });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/json; charset=utf-8']);
    expect(await answer.json()).toMatchObject({ error, error_description: expect.any(String) });
  });

  test.each([
    ['/token', 'grant_type=authorization_code'],
    ['/request', 'client_id=asiointi'],
    ['/token/introspection', 'token=x'],
    ['/token/revocation', 'token=x'],
    ['/me', 'access_token=x'],
  ])('%s: what was refused is in the log, with the reason and the number of the request', async (path, body) => {
    const before = world.log.length;
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    expect((await fetch(world.issuer + path, { method: 'POST', headers, body })).status).toBeGreaterThanOrEqual(400);
    const lines = world.log.slice(before).map((line) => JSON.parse(line) as Record<string, unknown>);
    const request = lines.find((line) => line['msg'] === 'request' && line['path'] === path)!;
    const refusal = lines.find((line) => line['requestId'] === request['requestId'] && line['refused'])!;
    expect(refusal).toMatchObject({ refused: expect.any(String), event: expect.stringMatching(/\.error$/) });
  });

  test('what can be told to the e-service is told to it, with its state and our name', async () => {
    const errors: [string, Record<string, string>][] = [
      ['unsupported_response_type', { response_type: 'none code' }],
      ['invalid_request', { code_challenge: '', code_challenge_method: '' }],
      ['login_required', { prompt: 'none' }],
      ['invalid_request_uri', { request_uri: 'urn:ietf:params:oauth:request_uri:nothing' }],
    ];
    for (const [error, more] of errors) {
      const answer = await fetch(world.issuer + at('/auth', { ...GOOD, state: 'å', response_mode: 'query', ...more }), {
        redirect: 'manual',
      });
      const to = new URL(answer.headers.get('location')!);
      expect(to.origin + to.pathname).toBe(GOOD.redirect_uri);
      expect(Object.fromEntries(to.searchParams)).toMatchObject({ error, state: 'å', iss: world.issuer });
    }
  });
});
