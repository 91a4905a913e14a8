/** RP-Initiated Logout 1.0, section by section: what is believed, what is asked, and where the resident ends. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, importJWK, SignJWT, type JWTPayload } from 'jose';
import { signingKeys } from '../../src/desk.ts';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const OUT = 'https://asiointi.example/signed-out';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

let people = 0;
async function signedIn(browser: HttpBrowser, service = 'asiointi') {
  const email = `asukas${(people += 1)}@example.com`;
  await world.account({ email, password: PASSWORD });
  const errand = await (await world.relyingParty(service)).begin();
  await browser.get(errand.url);
  await browser.submit({ username: email });
  await browser.submit({ 'current-password': PASSWORD });
  return { email, hint: (await errand.finish(browser.page.leadsTo!)).id_token! };
}

const end = (parameters: Record<string, string> = {}) =>
  `${world.issuer}/session/end?${new URLSearchParams(parameters).toString()}`;
const stillIn = async (browser: HttpBrowser) =>
  (await browser.newTab().get(`${world.issuer}/account`)).url.pathname === '/account';
const ASKS = 'Kirjaudu ulos';

async function signed(claims: JWTPayload): Promise<string> {
  const { keys } = await signingKeys({ ...world.tunnus, config: world.config }).jwks(world.clock.now());
  const key = keys.find(({ alg }) => alg === 'RS256')!;
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: key.kid! }).sign(await importJWK(key, 'RS256'));
}

describe('section 2: the hint', () => {
  test('is taken when it has expired', async () => {
    const browser = world.browser();
    const { hint } = await signedIn(browser);
    const now = Math.floor(Date.now() / 1000);
    const old = await signed({ ...decodeJwt(hint), iat: now - 90_000, exp: now - 86_400 });
    await browser.get(end({ id_token_hint: old, post_logout_redirect_uri: OUT, state: 'å&=' }));
    expect(browser.page.leadsTo?.href).toBe(`${OUT}?${new URLSearchParams({ state: 'å&=' }).toString()}`);
    expect(await stillIn(browser)).toBe(false);
  });

  test.each<[string, (claims: JWTPayload) => JWTPayload]>([
    ['without sid', ({ sid: _sid, ...claims }) => claims],
    ['with the sid of another session', (claims) => ({ ...claims, sid: 'another' })],
    ['with the sub of somebody else', (claims) => ({ ...claims, sub: 'another' })],
  ])('%s is not enough: the resident is asked', async (_name, change) => {
    const browser = world.browser();
    const { hint } = await signedIn(browser);
    await browser.get(end({ id_token_hint: await signed(change(decodeJwt(hint))), post_logout_redirect_uri: OUT }));
    expect([browser.page.status, browser.page.h1]).toEqual([200, ASKS]);
    expect(browser.page.text).toContain('Asiointi');
    expect(await stillIn(browser)).toBe(true);
    await browser.submit();
    expect(browser.page.leadsTo?.href).toBe(OUT);
  });

  test.each<[string, (hint: string) => Promise<Record<string, string>> | Record<string, string>]>([
    ['that is no JWT', () => ({ id_token_hint: 'nothing' })],
    ['that was changed', (hint) => ({ id_token_hint: `${hint.slice(0, -8)}AAAAAAAA` })],
    [
      'of another issuer',
      async (hint) => ({ id_token_hint: await signed({ ...decodeJwt(hint), iss: 'https://evil.example' }) }),
    ],
    ['for nobody here', async (hint) => ({ id_token_hint: await signed({ ...decodeJwt(hint), aud: 'nobody' }) })],
    ['of another than client_id', (hint) => ({ id_token_hint: hint, client_id: 'kartta' })],
  ])('%s ends nothing and leads nowhere, but to a page where the resident can sign out', async (_name, given) => {
    const browser = world.browser();
    const { hint } = await signedIn(browser);
    await browser.get(end({ ...(await given(hint)), post_logout_redirect_uri: OUT }));
    expect(browser.page.status).toBe(400);
    expect(browser.page.title).toMatch(/^Virhe: Uloskirjautuminen ei onnistunut/);
    expect(browser.page.html).not.toContain('href="https://asiointi.example/signed-out');
    expect(await stillIn(browser)).toBe(true);
    await browser.follow('Kirjaudu ulos');
    await browser.submit();
    expect(browser.page.url.pathname).toBe('/signed-out');
    expect(await stillIn(browser)).toBe(false);
  });

  test('signed by a retired key is good as long as that is published', async () => {
    const browser = world.browser();
    const { hint } = await signedIn(browser);
    const keys = signingKeys({ ...world.tunnus, config: world.config });
    const day = 86_400_000;
    const at = (days: number) => new Date(world.clock.now().getTime() + days * day);
    await keys.rotate(at(85));
    await keys.rotate(at(91));
    expect((await keys.jwks(at(91))).keys.filter(({ d }) => d === 'retired')).toHaveLength(2);
    await world.database.query(sql`update signing_keys set active_at = active_at - interval '91 days',
      retires_at = retires_at - interval '91 days'`);
    await world.database.query(sql`select pg_notify('tunnus_keys', '')`);
    await browser.get(end({ id_token_hint: hint }));
    expect(browser.page.url.pathname).toBe('/signed-out');
    expect(await stillIn(browser)).toBe(false);
  });
});

describe('section 3: where it leads', () => {
  test.each([
    'https://asiointi.example/signed-out/',
    'https://asiointi.example/signed-out?x=y',
    'https://asiointi.example/Signed-out',
    'https://asiointi.example/signed-out#x',
    'https://asiointi.example:443/signed-out',
    'http://asiointi.example/signed-out',
    'https://asiointi.example/callback',
    'javascript:alert(1)',
    '',
  ])('never to an address that is not, letter by letter, registered: %s', async (address) => {
    const browser = world.browser();
    const { hint } = await signedIn(browser);
    await browser.get(end({ id_token_hint: hint, post_logout_redirect_uri: address }));
    if (address === '') return expect(browser.page.url.pathname).toBe('/signed-out');
    expect(browser.page.status).toBe(400);
    expect(browser.page.leadsTo).toBeUndefined();
    expect(browser.page.text).toContain('Asiointi');
    expect(await stillIn(browser)).toBe(true);
  });

  test('to no address where neither hint nor client_id says whose it is', async () => {
    const browser = world.browser();
    await signedIn(browser);
    await browser.get(end({ post_logout_redirect_uri: OUT, state: 'x' }));
    expect(browser.page.main.innerHTML).not.toContain('asiointi.example');
    await browser.submit();
    expect(browser.page.url.pathname).toBe('/signed-out');
    expect(browser.page.url.search).not.toContain('state');
  });

  test('an unknown client_id is told in words, and nothing is ended', async () => {
    const browser = world.browser();
    await signedIn(browser);
    await browser.get(end({ client_id: 'nobody', post_logout_redirect_uri: OUT }));
    expect(browser.page.status).toBe(400);
    expect(await stillIn(browser)).toBe(true);
  });

  test('asked in a language, the page after speaks it too, names the e-service and leads back', async () => {
    const browser = world.browser();
    await signedIn(browser, 'kartta');
    await browser.get(end({ client_id: 'kartta', ui_locales: 'en' }));
    expect([browser.page.h1, browser.page.lang]).toEqual(['Sign out', 'en']);
    await browser.submit();
    expect([browser.page.url.pathname, browser.page.lang]).toEqual(['/signed-out', 'en']);
    expect(browser.page.text).toContain('Kartta');
    expect(browser.page.link('Back to the service').href).toBe('https://kartta.example/');
  });

  test('when the session is gone already, at once: by hint, by client_id, and to our own page', async () => {
    const browser = world.browser();
    const { hint } = await signedIn(browser);
    await browser.get(end());
    await browser.submit();
    for (const given of [{ id_token_hint: hint }, { client_id: 'asiointi' }] as Record<string, string>[]) {
      await browser.get(end({ ...given, post_logout_redirect_uri: OUT, state: 's' }));
      expect(browser.page.leadsTo?.href).toBe(`${OUT}?state=s`);
    }
    await browser.get(end({ id_token_hint: hint }));
    expect(browser.page.text).toContain('Asiointi');
    expect(browser.page.link('Palaa palveluun').href).toBe('https://asiointi.example/');
  });

  test('no other site can post the confirmation', async () => {
    const browser = world.browser();
    await signedIn(browser);
    await browser.get(end());
    const { values } = browser.page.fill({}, {});
    const headers = { Cookie: browser.jar.headerFor(new URL(world.issuer), { withLax: true }) };
    const evil = new URL('https://evil.example/');
    const page = await browser.newTab().post(`${world.issuer}/session/end/confirm`, values, { from: evil, headers });
    expect(page.status).toBe(403);
    expect(await stillIn(browser)).toBe(true);
  });
});
