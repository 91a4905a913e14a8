import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { generateKeyPair, SignJWT, exportJWK } from 'jose';
import type { JWTPayload } from 'jose';
import Provider from 'oidc-provider';
import { Browser } from '../../src/demo/browser.ts';
import type { Page } from '../../src/demo/browser-page.ts';
import { startEService } from '../../src/demo/e-service.ts';
import type { EService } from '../../src/demo/e-service.ts';
import { asiointiHistory, karttaHistory } from '../../src/demo/history.ts';
import { findFreePorts, listen, stopListening } from '../../src/demo/ports.ts';

// A bare provider that lets everybody in as Suvi: the e-services are to work with any, not with Tunnus alone.
const claims = { sub: 'U10140', preferred_username: 'suvi@example.com', email: 'suvi@example.com', name: 'Suvi Niemi' };
const secret = 'a secret that only the test knows';

let issuer: string;
let server: Server;
let asiointi: EService;
let kartta: EService;
let sign: (payload: JWTPayload) => Promise<string>;

beforeAll(async () => {
  const ports = await findFreePorts();
  issuer = `http://localhost:${ports.tunnus}`;
  asiointi = await startEService({ ...registration('asiointi'), port: ports.asiointi, history: asiointiHistory });
  kartta = await startEService({ ...registration('kartta'), port: ports.kartta, history: karttaHistory });
  const keys = await generateKeyPair('RS256', { extractable: true });
  sign = (payload) =>
    new SignJWT(payload)
      .setProtectedHeader({ alg: 'RS256', kid: 'one' })
      .setIssuedAt()
      .setExpirationTime('2m')
      .sign(keys.privateKey);
  const provider = makeProvider({ kid: 'one', use: 'sig', alg: 'RS256', ...(await exportJWK(keys.privateKey)) });
  server = createServer((request, response) => {
    const isAsked = request.url?.startsWith('/interaction/');
    const login = { accountId: claims.sub };
    void (isAsked
      ? provider.interactionFinished(request, response, { login })
      : provider.callback()(request, response));
  });
  await listen(server, ports.tunnus);
});

afterAll(async () => {
  await Promise.all([asiointi?.close(), kartta?.close(), server && stopListening(server)]);
});

describe('an e-service', () => {
  test('shows its sign-in button in the language that was chosen, and the other e-service follows', async () => {
    const browser = new Browser();
    expect((await browser.open(asiointi.url)).links.map(({ text }) => text)).toContain('Kirjaudu sisään');
    expect((await browser.open(`${asiointi.url}/?lang=sv`)).language).toBe('sv');
    const page = await browser.open(kartta.url);
    expect(page.language).toBe('sv');
    expect(page.links.map(({ text }) => text)).toContain('Logga in');
  });

  test('passes the chosen language on', async () => {
    const browser = new Browser();
    await browser.open(`${asiointi.url}/?lang=sv`);
    await browser.open(`${asiointi.url}/login`);
    expect(browser.trail.find((url) => url.startsWith(`${issuer}/auth?`))).toContain('ui_locales=sv');
  });

  test('has the username at its top as a link to the settings, and the history of the old user id', async () => {
    const page = await signedIn(new Browser());
    expect(page.links).toContainEqual({ text: claims.email, href: `${issuer}/account?client_id=asiointi` });
    expect(page.text).toContain('Aiempi asiointisi');
    expect(page.text).toContain('U10140');
    expect(page.text).not.toContain('Sinulla ei ole aiempaa asiointia');
  });

  test('says when nobody was asked for a password, and shows no history for an id that is not its own', async () => {
    const browser = new Browser();
    await signedIn(browser);
    const page = await browser.open(`${kartta.url}/login`);
    expect(page.text).toContain('olit jo kirjautunut');
    expect(page.text).toContain('Sinulla ei ole aiempaa asiointia');
  });

  test('lets the resident back in by the back button, and nobody in by a foreign answer', async () => {
    const browser = new Browser();
    await signedIn(browser);
    const callback = browser.trail.find((url) => url.startsWith(`${asiointi.url}/callback`))!;
    expect((await browser.open(callback)).url).toBe(`${asiointi.url}/`);
    const stranger = await new Browser().open(callback);
    expect(stranger.status).toBe(400);
    expect(stranger.heading).toBe('Kirjautuminen keskeytyi');
  });

  test('begins a sign-in that the provider asks for, never one of another issuer or to another site', async () => {
    const target = encodeURIComponent('https://elsewhere.example/');
    const page = await new Browser().open(
      `${asiointi.url}/login?iss=${encodeURIComponent(issuer)}&target_link_uri=${target}`,
    );
    expect(page.url).toBe(`${asiointi.url}/`);
    expect(page.text).toContain('Suvi Niemi');
    const foreign = await new Browser().open(`${asiointi.url}/login?iss=https://elsewhere.example`);
    expect(foreign.status).toBe(400);
  });

  test('signs out here and at the provider, and comes back', async () => {
    const browser = new Browser();
    const page = await browser.submit(await signedIn(browser), {}, 'Kirjaudu ulos');
    const hint = browser.trail.find((url) => url.startsWith(`${issuer}/session/end`))!;
    expect(new URL(hint).searchParams.get('post_logout_redirect_uri')).toBe(`${asiointi.url}/signed-out`);
    expect(hint).toContain('id_token_hint=');
    expect(page.url).toContain(issuer);
    expect((await browser.open(asiointi.url)).text).not.toContain('Suvi Niemi');
  });

  test('ends a session when the provider says so, and believes only a true logout token', async () => {
    const browser = new Browser();
    await signedIn(browser);
    const good = { iss: issuer, aud: 'asiointi', sub: claims.sub, jti: 'one', events: { [logoutEvent]: {} } };
    const bad = [
      { ...good, nonce: 'x' },
      { ...good, aud: 'kartta' },
      { ...good, events: {} },
      { ...good, iss: asiointi.url },
    ];
    for (const payload of bad) expect(await tellLogout(await sign(payload))).toBe(400);
    expect(await tellLogout('no token')).toBe(400);
    expect((await browser.open(asiointi.url)).text).toContain('Suvi Niemi');
    expect(await tellLogout(await sign(good))).toBe(200);
    expect((await browser.open(asiointi.url)).text).not.toContain('Suvi Niemi');
  });

  test('says calmly that signing in does not work while the provider is away', async () => {
    const { asiointi: port, tunnus: nobody } = await findFreePorts();
    const alone = await startEService({
      ...registration('asiointi'),
      port,
      issuer: `http://localhost:${nobody}`,
      history: asiointiHistory,
    });
    try {
      const page = await new Browser().open(`${alone.url}/login`);
      expect(page.status).toBe(503);
      expect(page.heading).toBe('Kirjautuminen ei onnistu juuri nyt');
    } finally {
      await alone.close();
    }
  });

  test('has a history that is always the same for one old id', () => {
    expect(asiointiHistory('U10140')).toEqual(asiointiHistory('U10140'));
    expect(asiointiHistory('U10140')).not.toEqual(asiointiHistory('U10133'));
    expect(asiointiHistory('kt-15201')).toEqual([]);
  });
});

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';

async function signedIn(browser: Browser): Promise<Page> {
  const page = await browser.open(`${asiointi.url}/login`);
  expect(page.url).toBe(`${asiointi.url}/`);
  return page;
}

async function tellLogout(token: string): Promise<number> {
  const body = new URLSearchParams({ logout_token: token });
  return (await fetch(`${asiointi.url}/backchannel-logout`, { method: 'POST', body })).status;
}

function registration(name: 'asiointi' | 'kartta') {
  return { name, issuer, clientId: name, clientSecret: secret, scope: 'openid email profile legacy' };
}

function makeProvider(key: object): Provider {
  // It would tell at length that this is no way to run it in production.
  for (const level of ['warn', 'info'] as const) jest.spyOn(console, level).mockImplementation(() => undefined);
  return new Provider(issuer, {
    clients: [asiointi, kartta].map(({ url }, i) => ({
      client_id: ['asiointi', 'kartta'][i]!,
      client_secret: secret,
      redirect_uris: [`${url}/callback`],
      post_logout_redirect_uris: [`${url}/signed-out`],
      require_auth_time: true,
    })),
    jwks: { keys: [key] },
    cookies: { keys: ['test'] },
    features: { devInteractions: { enabled: false } },
    scopes: ['openid', 'email', 'profile', 'legacy'],
    claims: { openid: ['sub'], email: ['email'], profile: ['name', 'preferred_username'] },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    findAccount: () => ({ accountId: claims.sub, claims: () => claims }),
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({ accountId: claims.sub, clientId: oidc.client!.clientId });
      grant.addOIDCScope('openid email profile legacy');
      await grant.save();
      return grant;
    },
  });
}
