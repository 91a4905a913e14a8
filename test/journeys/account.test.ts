/** The resident's own pages, and signing out. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const NEXT = 'neljä punaista venettä laiturissa';

let world: World;
let asiointi: RelyingParty;

beforeAll(async () => {
  world = await startWorld();
  asiointi = await world.relyingParty();
});
afterAll(() => world.close());

let people = 0;
async function resident() {
  const email = `asukas${(people += 1)}@example.com`;
  const id = await world.account({ email, password: PASSWORD, givenName: 'Maija' });
  return { email, id };
}

async function fill(browser: HttpBrowser, email: string, password = PASSWORD) {
  await browser.submit({ username: email });
  return browser.submit({ 'current-password': password });
}

async function signedIn(browser: HttpBrowser, email: string) {
  const errand = await asiointi.begin({ scope: 'openid email offline_access' });
  await browser.get(errand.url);
  await fill(browser, email);
  return errand.finish(browser.page.leadsTo!);
}

describe('/account', () => {
  test('signs the resident in first and comes back to the page that asked', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await browser.get(`${world.issuer}/`);
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    await browser.get(`${world.issuer}/account/password`);
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    await fill(browser, email);
    expect(browser.page.url.pathname).toBe('/account/password');
    await browser.get(`${world.issuer}/account`);
    expect(browser.page.text).toContain(email);
    expect(browser.page.text).toContain('Maija');
  });

  test('keeps the way back to the e-service that the resident came from, through the sign-in and all pages', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await browser.get(`${world.issuer}/account/password?client_id=asiointi`);
    await fill(browser, email);
    expect(browser.page.url.pathname).toBe('/account/password');
    await browser.follow('Käyttämäsi palvelut');
    const back = browser.page.link('Takaisin palveluun: Asiointi');
    expect(`${back.origin}${back.pathname}`).toBe('https://asiointi.example/login');
    for (const id of ['no-such-service', 'account', 'https://evil.example', '"><script>'])
      expect((await browser.get(`${world.issuer}/account?client_id=${encodeURIComponent(id)}`)).text).not.toContain(
        'Takaisin palveluun',
      );
  });

  test('comes back from a sign-in to pages of its own only', async () => {
    const back = async (state: string) => {
      const url = `${world.issuer}/account/signed-in?${new URLSearchParams({ state }).toString()}`;
      return (await fetch(url, { redirect: 'manual' })).headers.get('location');
    };
    expect(await back('/account/services?client_id=asiointi')).toBe('/account/services?client_id=asiointi');
    expect(await back('/account/services?client_id=nobody&next=https://evil.example')).toBe('/account/services');
    for (const state of ['https://evil.example/', '//evil.example', '/\\evil.example', '/account/nothing', '', '?'])
      expect(await back(state)).toBe('/account');
  });

  test('asks who is there once more before a page that changes who holds the account, and comes back to it', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await browser.get(`${world.issuer}/account`);
    await fill(browser, email);
    expect((await browser.get(`${world.issuer}/account/password`)).h1).toBe('Vaihda salasana');
    world.clock.advance(11 * 60_000);
    expect((await browser.get(`${world.issuer}/account`)).h1).toBe('Omat asetukset');
    const stolen = browser.jar.headerFor(new URL(world.issuer), { withLax: true });
    await browser.get(`${world.issuer}/account/password?client_id=asiointi`);
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    expect(browser.page.text).toContain('Varmistamme, että se olet sinä.');
    expect(browser.page.field('username')?.getAttribute('value')).toBe(email);
    await fill(browser, email);
    expect(browser.page.url.href).toBe(`${world.issuer}/account/password?client_id=asiointi`);
    expect(browser.page.h1).toBe('Vaihda salasana');
    // What somebody else had of the session did not become fresh along with it.
    const thief = await fetch(`${world.issuer}/account`, { headers: { cookie: stolen }, redirect: 'manual' });
    expect(thief.headers.get('location')).toMatch(/^\/auth\?/);
  });

  test('is found through discovery, and password managers find the password page', async () => {
    const discovery = (await (await fetch(`${world.issuer}/.well-known/openid-configuration`)).json()) as Record<
      string,
      string
    >;
    expect(discovery['account_management_uri']).toBe(`${world.issuer}/account`);
    const answer = await fetch(`${world.issuer}/.well-known/change-password`, { redirect: 'manual' });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/account/password']);
    expect((await fetch(`${world.issuer}/.well-known/no-such-thing`)).status).toBe(404);
  });

  test('keeps the language that the resident chooses, for pages and for mails', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await browser.get(`${world.issuer}/account/details`);
    await fill(browser, email);
    await browser.submit({ language: 'sv' });
    expect(browser.page.lang).toBe('sv');
    const elsewhere = world.browser({ language: 'en' });
    await elsewhere.get((await asiointi.begin()).url);
    await elsewhere.submit({ username: email });
    await elsewhere.submit({}, { button: 'Forgot your password?' });
    expect((await world.mailbox.next({ to: email })).language).toBe('sv');
  });

  test('speaks the language of the switch on all of its pages, until the resident chooses another one', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await browser.get(`${world.issuer}/account/details`);
    await fill(browser, email);
    await browser.submit({ language: 'fi' });
    await browser.get(`${world.issuer}/account?lang=en`);
    for (const page of ['Change password', 'Name, phone and language']) {
      await browser.follow(page);
      expect([browser.page.lang, browser.page.h1]).toEqual(['en', page]);
    }
    await browser.get(`${browser.page.url.href}?lang=en`);
    await browser.submit({ language: 'sv' });
    for (const path of ['/account', '/account/details']) {
      await browser.get(`${world.issuer}${path}`);
      expect(browser.page.lang).toBe('sv');
    }
  });

  test('changes the password with the current one, and ends every other session and grant, not this one', async () => {
    const { email } = await resident();
    const other = world.browser();
    const tokens = await signedIn(other, email);
    const browser = world.browser();
    await browser.get(`${world.issuer}/account/password`);
    await fill(browser, email);

    const wrong = await browser.submit({ 'current-password': 'not this one at all', 'new-password': NEXT });
    expect(wrong.status).toBe(422);
    expect(wrong.faultOf('current-password')).toBeDefined();
    const short = await browser.submit({ 'current-password': PASSWORD, 'new-password': 'lyhyt' });
    expect(short.faultOf('new-password')).toContain('15');
    await browser.submit({ 'current-password': PASSWORD, 'new-password': NEXT });
    expect(browser.page.url.pathname).toBe('/account');
    expect((await browser.get(`${world.issuer}/account`)).text).toContain(email);
    expect((await world.mailbox.next({ to: email })).links).toEqual([]);

    expect((await other.get(`${world.issuer}/account`)).h1).toBe('Kirjaudu sisään');
    await expect(client.refreshTokenGrant(asiointi.config, tokens.refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    await expect(client.fetchUserInfo(asiointi.config, tokens.access_token, client.skipSubjectCheck)).rejects.toThrow();
  });

  test('a session cookie from before the change is worth nothing', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await browser.get(`${world.issuer}/account/password`);
    await fill(browser, email);
    const stolen = browser.jar.headerFor(new URL(world.issuer), { withLax: true });
    await browser.submit({ 'current-password': PASSWORD, 'new-password': NEXT });
    const thief = await fetch(`${world.issuer}/account`, { headers: { cookie: stolen }, redirect: 'manual' });
    expect(thief.headers.get('location')).toMatch(/^\/auth\?/);
  });

  test('a lock ends the session at once', async () => {
    const { email, id } = await resident();
    const browser = world.browser();
    await browser.get(`${world.issuer}/account`);
    await fill(browser, email);
    await world.database.query(sql`update accounts set locked_at = now(), epoch = epoch + 1 where id = ${id}`);
    expect((await browser.get(`${world.issuer}/account`)).h1).toBe('Kirjaudu sisään');
  });
});

describe('signing out', () => {
  const end = (tokens: client.TokenEndpointResponse, parameters: Record<string, string> = {}) =>
    client.buildEndSessionUrl(asiointi.config, {
      post_logout_redirect_uri: 'https://asiointi.example/signed-out',
      state: 'back',
      ...(tokens.id_token ? { id_token_hint: tokens.id_token } : {}),
      ...parameters,
    });

  test("with the session's own hint goes on without asking, back to the e-service", async () => {
    const { email } = await resident();
    const browser = world.browser();
    const tokens = await signedIn(browser, email);
    await browser.get(end(tokens));
    expect(browser.page.leadsTo?.href).toBe('https://asiointi.example/signed-out?state=back');
    expect((await browser.get(`${world.issuer}/account`)).h1).toBe('Kirjaudu sisään');
    // What was bound to the session ended with it.
    await expect(client.refreshTokenGrant(asiointi.config, tokens.refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });

  test('without a hint asks first, in our own words, and then ends', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await signedIn(browser, email);
    await browser.get(end({} as client.TokenEndpointResponse, { client_id: 'asiointi' }));
    expect(browser.page.h1).toBe('Kirjaudu ulos');
    expect(browser.page.text).toContain('Asiointi');
    await browser.submit();
    expect(browser.page.leadsTo?.href).toBe('https://asiointi.example/signed-out?state=back');
  });

  test('asked and answered by staying, ends nothing and says nothing else', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await signedIn(browser, email);
    await browser.get(`${world.issuer}/session/end`);
    await browser.follow('Pysy kirjautuneena');
    expect(browser.page.url.pathname).toBe('/account');
    expect(browser.page.text).toContain(email);
  });

  test("with somebody else's hint asks first", async () => {
    const one = world.browser();
    const foreign = await signedIn(one, (await resident()).email);
    const browser = world.browser();
    await signedIn(browser, (await resident()).email);
    await browser.get(end(foreign));
    expect(browser.page.h1).toBe('Kirjaudu ulos');
  });

  test('with the hint of an earlier session of the same person asks first', async () => {
    const { email } = await resident();
    const earlier = await signedIn(world.browser(), email);
    const browser = world.browser();
    await signedIn(browser, email);
    await browser.get(end(earlier));
    expect(browser.page.h1).toBe('Kirjaudu ulos');
  });

  test('when nobody is signed in leads on at once', async () => {
    const browser = world.browser();
    const tokens = await signedIn(browser, (await resident()).email);
    await browser.get(end(tokens));
    await browser.get(end(tokens));
    expect(browser.page.leadsTo?.href).toBe('https://asiointi.example/signed-out?state=back');
    await browser.get(`${world.issuer}/session/end`);
    expect(browser.page.url.pathname).toBe('/signed-out');
    expect(browser.page.h1).not.toBe('');
  });

  test('to an address that is not registered is refused on our own page', async () => {
    const tokens = await signedIn(world.browser(), (await resident()).email);
    const page = await world.browser().get(end(tokens, { post_logout_redirect_uri: 'https://evil.example/' }));
    expect(page.status).toBe(400);
    expect(page.leadsTo).toBeUndefined();
    expect(page.lang).toBe('fi');
  });

  test('pressed twice ends at the page that says so', async () => {
    const browser = world.browser();
    await signedIn(browser, (await resident()).email);
    await browser.get(`${world.issuer}/session/end`);
    const tab = browser.newTab();
    await tab.get(browser.page.url);
    await browser.submit();
    await tab.submit();
    expect(tab.page.url.pathname).toBe('/signed-out');
  });
});
