/** There is no dead end: whatever happens to a sign-in, one of our own pages leads on. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const HOUR = 3_600_000;

let world: World;
let asiointi: RelyingParty;

async function startDay(): Promise<void> {
  world = await startWorld();
  asiointi = await world.relyingParty();
  await world.account({ email: 'maija@example.com', password: PASSWORD, ids: { asiointi: 'U1' } });
  await world.account({ email: 'matti@example.com', password: PASSWORD, ids: { asiointi: 'U2' } });
}

async function begin(browser: HttpBrowser, parameters?: Record<string, string>) {
  const errand = await asiointi.begin(parameters);
  await browser.get(errand.url);
  return errand;
}

async function signIn(browser: HttpBrowser, email: string) {
  await browser.submit({ username: email });
  return browser.submit({ 'current-password': PASSWORD });
}

const sentTo = (browser: HttpBrowser): URL => browser.page.leadsTo!;

describe('on one day', () => {
  beforeAll(startDay);
  afterAll(() => world.close());

  describe('the back button, double clicks and tabs', () => {
    test('going back after signing in starts the same request afresh, and the session answers it', async () => {
      const browser = world.browser();
      const errand = await begin(browser);
      await browser.submit({ username: 'maija@example.com' });
      const passwordPage = browser.page.url;
      await browser.submit({ 'current-password': PASSWORD });
      const first = sentTo(browser);
      await browser.get(passwordPage);
      expect(sentTo(browser).host).toBe('asiointi.example');
      expect(sentTo(browser).searchParams.get('state')).toBe(first.searchParams.get('state'));
      await expect(errand.finish(sentTo(browser))).resolves.toMatchObject({ token_type: 'bearer' });
    });

    test('a double click on the last button ends at the e-service both times', async () => {
      const browser = world.browser();
      await begin(browser);
      await browser.submit({ username: 'maija@example.com' });
      const tab = browser.newTab();
      await tab.get(browser.page.url);
      await Promise.all([
        browser.submit({ 'current-password': PASSWORD }),
        tab.submit({ 'current-password': PASSWORD }),
      ]);
      for (const one of [browser, tab]) expect(sentTo(one).host).toBe('asiointi.example');
    });

    test('two tabs with two sign-ins do not disturb each other', async () => {
      const browser = world.browser();
      const tab = browser.newTab();
      const [one, two] = [await begin(browser), await begin(tab)];
      await signIn(browser, 'maija@example.com');
      await signIn(tab, 'maija@example.com');
      await expect(one.finish(sentTo(browser))).resolves.toBeDefined();
      await expect(two.finish(sentTo(tab))).resolves.toBeDefined();
    });

    test("the provider's own way back, met again, is one of our pages", async () => {
      const browser = world.browser();
      await begin(browser);
      const wayBack = browser.page.url.href.replace('/sign-in/', '/auth/');
      await signIn(browser, 'maija@example.com');
      await browser.get(wayBack);
      expect(sentTo(browser).host).toBe('asiointi.example');
      const stranger = await world.browser().get(wayBack);
      expect(stranger.lang).toBe('fi');
      expect(stranger.status).toBeLessThan(500);
    });

    test('a browser that keeps no cookies is told what it lacks', async () => {
      const begun = await fetch((await asiointi.begin()).url, { redirect: 'manual' });
      const page = await world.browser().get(new URL(begun.headers.get('location')!, world.issuer));
      expect([page.status, page.h1]).toEqual([404, 'Kirjautuminen keskeytyi']);
      expect(page.text).toContain('Jos tämä toistuu, tarkista, että selaimesi sallii evästeet.');
    });

    test('a sign-in of another browser opens nothing', async () => {
      const browser = world.browser();
      await begin(browser);
      await browser.submit({ username: 'maija@example.com' });
      const page = await world.browser().get(browser.page.url);
      expect(page.status).toBe(404);
      expect(page.text).not.toContain('maija@example.com');
    });
  });

  describe('another person on the same browser', () => {
    test('is asked before one session becomes the other', async () => {
      const browser = world.browser();
      await begin(browser);
      await signIn(browser, 'maija@example.com');
      const errand = await begin(browser, { prompt: 'login' });
      const page = await signIn(browser, 'matti@example.com');
      expect(page.text).toContain('maija@example.com');
      expect(page.text).toContain('matti@example.com');
      await browser.submit();
      const tokens = await errand.finish(sentTo(browser));
      expect(tokens.claims()?.sub).toBe('U2');
      await browser.get(`${world.issuer}/account`);
      expect(browser.page.text).toContain('matti@example.com');
    });

    test('is led back where they would rather stay who they are', async () => {
      const browser = world.browser();
      await begin(browser);
      await signIn(browser, 'maija@example.com');
      await begin(browser, { prompt: 'login' });
      await signIn(browser, 'matti@example.com');
      expect(browser.page.link('Pysy tunnuksella maija@example.com').href).toMatch(
        /^https:\/\/asiointi\.example\/login/,
      );
    });

    test('is told to the e-service where it had named somebody by id_token_hint', async () => {
      const first = world.browser();
      const errand = await begin(first);
      await signIn(first, 'maija@example.com');
      const { id_token: hint } = await errand.finish(sentTo(first));
      const browser = world.browser();
      await begin(browser, { id_token_hint: hint! });
      await signIn(browser, 'matti@example.com');
      expect(sentTo(browser).searchParams.get('error')).toBe('login_required');
      const same = world.browser();
      await begin(same, { id_token_hint: hint! });
      await signIn(same, 'maija@example.com');
      expect(sentTo(same).searchParams.get('code')).toBeTruthy();
    });

    test('who would rather stay, stays signed in', async () => {
      const browser = world.browser();
      await begin(browser);
      await signIn(browser, 'maija@example.com');
      await begin(browser, { prompt: 'login' });
      await signIn(browser, 'matti@example.com');
      await browser.get(`${world.issuer}/account`);
      expect(browser.page.text).toContain('maija@example.com');
    });
  });

  describe('an e-service that knows residents by their old user ids', () => {
    test('is not entered where the old id is in doubt; the page leads to support, and back with access_denied', async () => {
      const doubt = { id: 'U9', doubt: 'shared_email' };
      await world.account({ email: 'perhe@example.com', password: PASSWORD, ids: { asiointi: doubt } });
      const browser = world.browser();
      const errand = await begin(browser);
      const page = await signIn(browser, 'perhe@example.com');
      expect(page.status).toBe(403);
      expect(page.text).toContain('Emme voi yhdistää aiempia tietojasi tähän palveluun. Ota yhteyttä tukeen.');
      await browser.submit();
      expect(sentTo(browser).searchParams.get('error')).toBe('access_denied');
      await expect(errand.finish(sentTo(browser))).rejects.toThrow();
    });

    test('gives a resident who is on no list a sub that no old id can be', async () => {
      await world.account({ email: 'uusi@example.com', password: PASSWORD });
      const browser = world.browser();
      const errand = await begin(browser);
      await signIn(browser, 'uusi@example.com');
      const first = (await errand.finish(sentTo(browser))).claims()!.sub;
      expect(first).toMatch(/^tunnus-/);
      const again = await begin(browser);
      expect((await again.finish(sentTo(browser))).claims()!.sub).toBe(first);
    });

    test('never tells its old id to another e-service', async () => {
      const kartta = await world.relyingParty('kartta');
      const browser = world.browser();
      const errand = await kartta.begin({ scope: 'openid legacy' });
      await browser.get(errand.url);
      await signIn(browser, 'maija@example.com');
      const claims = (await errand.finish(sentTo(browser))).claims()!;
      expect(claims.sub).not.toBe('U1');
      expect(Object.values(claims)).not.toContain('U1');
    });
  });

  describe("an e-service that is not the city's own", () => {
    test('is given only what the resident agreed to, and is told where they did not', async () => {
      const stranger = await world.relyingParty('stranger');
      const browser = world.browser();
      const errand = await stranger.begin({ scope: 'openid email' });
      await browser.get(errand.url);
      const page = await signIn(browser, 'maija@example.com');
      expect(page.text).toContain('Stranger');
      const refusing = browser.newTab();
      await refusing.get(page.url);
      await browser.submit();
      await expect(errand.finish(sentTo(browser))).resolves.toMatchObject({ scope: 'openid email' });
    });

    test('opens no page of its own before the resident has signed in', async () => {
      const stranger = await world.relyingParty('stranger');
      const browser = world.browser();
      await browser.get((await stranger.begin({ scope: 'openid email' })).url);
      const step = browser.page.url.pathname;
      for (const other of ['consent', 'in-doubt']) {
        await browser.get(`${world.issuer}${step}/${other}`);
        expect(browser.page.url.pathname).toBe(step);
      }
    });

    test('gets no more by the claims parameter than by the scopes that it is registered for', async () => {
      const bare = await world.relyingParty('bare');
      const browser = world.browser();
      const claims = JSON.stringify({ id_token: { email: null, given_name: null }, userinfo: { name: null } });
      const errand = await bare.begin({ scope: 'openid', claims });
      await browser.get(errand.url);
      await signIn(browser, 'maija@example.com');
      const told = (await errand.finish(sentTo(browser))).claims()!;
      expect(told).toHaveProperty('email');
      expect(told).not.toHaveProperty('given_name');
    });

    test('hears access_denied when the resident refuses', async () => {
      const stranger = await world.relyingParty('stranger');
      const browser = world.browser();
      await browser.get((await stranger.begin({ scope: 'openid email' })).url);
      await signIn(browser, 'matti@example.com');
      await browser.submit({}, { button: 'En anna tietoja' });
      expect(sentTo(browser).searchParams.get('error')).toBe('access_denied');
    });
  });

  describe('an e-service that asks wrongly', () => {
    test.each([
      ['an unknown e-service', { client_id: 'nobody' }],
      ['an address that is not registered', { redirect_uri: 'https://evil.example/' }],
    ])('%s gets our own page in the reader’s language, and no redirect', async (_what, parameters) => {
      const browser = world.browser({ language: 'sv' });
      await begin(browser, parameters);
      expect(browser.page.status).toBe(400);
      expect(browser.page.lang).toBe('sv');
      expect(browser.page.leadsTo).toBeUndefined();
      expect(browser.page.text).not.toMatch(/redirect_uri|client_id|invalid_/);
    });

    test('without PKCE is refused by an OAuth error', async () => {
      const browser = world.browser();
      const { url } = await asiointi.begin();
      url.searchParams.delete('code_challenge');
      url.searchParams.delete('code_challenge_method');
      await browser.get(url);
      expect(sentTo(browser).searchParams.get('error')).toBe('invalid_request');
    });

    test('with prompt=none and nobody signed in hears login_required', async () => {
      const browser = world.browser();
      await begin(browser, { prompt: 'none' });
      expect(sentTo(browser).searchParams.get('error')).toBe('login_required');
    });
  });

  describe('the language', () => {
    test('is what the e-service asked for, until the resident chooses another by the switch', async () => {
      const browser = world.browser({ language: 'en' });
      await begin(browser, { ui_locales: 'sv' });
      expect(browser.page.lang).toBe('sv');
      await browser.follow('Suomi');
      expect(browser.page.lang).toBe('fi');
      await browser.submit({ username: 'maija@example.com' });
      expect(browser.page.lang).toBe('fi');
    });

    test('is the browser’s where nobody asked, and the first one where there is none of ours', async () => {
      const english = world.browser({ language: 'en-GB,en;q=0.8' });
      await begin(english);
      expect(english.page.lang).toBe('en');
      const german = world.browser({ language: 'de' });
      await begin(german);
      expect(german.page.lang).toBe('fi');
    });

    test('login_hint fills the address in', async () => {
      const browser = world.browser();
      await begin(browser, { login_hint: 'maija@example.com' });
      expect(browser.page.field('username')?.getAttribute('value')).toBe('maija@example.com');
    });
  });
});

/** Time only goes on here: the library keeps the machine's. Each of these has a Tunnus of its own, on which it gets late. */
describe('a page that was open too long', () => {
  beforeEach(startDay);
  afterEach(() => world.close());

  test.each(['/', '/password'])('says so at %s and goes on with the same request', async (step) => {
    const browser = world.browser();
    const errand = await begin(browser);
    if (step === '/password') await browser.submit({ username: 'maija@example.com' });
    world.clock.advance(2 * HOUR);
    const stale = await browser.get(browser.page.url);
    expect(stale.text).toContain('Kirjautuminen keskeytyi, koska sivu oli auki pitkään. Jatka tästä.');
    // The library takes its own times from the machine: for the new request it is the machine's time again.
    world.clock.advance(-2 * HOUR);
    await browser.follow('Jatka');
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    await signIn(browser, 'maija@example.com');
    await expect(errand.finish(sentTo(browser))).resolves.toMatchObject({ token_type: 'bearer' });
  });

  test('keeps a form posted too late from being lost without a word', async () => {
    const browser = world.browser();
    await begin(browser);
    world.clock.advance(2 * HOUR);
    const page = await browser.submit({ username: 'maija@example.com' });
    expect(page.status).toBe(409);
    expect(page.text).toContain('Kirjautuminen keskeytyi');
    expect(page.link('Jatka').pathname).toBe('/auth');
  });

  test('after a day knows the e-service no more than by its words', async () => {
    const browser = world.browser();
    await begin(browser);
    world.clock.advance(25 * HOUR);
    const page = await browser.get(browser.page.url);
    expect(page.status).toBe(404);
    expect(page.text).not.toMatch(/session|interaction/i);
  });

  test('minutes later the e-service begins anew by its own start address', async () => {
    const browser = world.browser();
    await begin(browser);
    await browser.submit({ username: 'maija@example.com' });
    const passwordPage = browser.page.url;
    await browser.submit({ 'current-password': PASSWORD });
    world.clock.advance(5 * 60_000);
    await browser.get(passwordPage);
    expect(sentTo(browser).href).toMatch(/^https:\/\/asiointi\.example\/login\?iss=/);
  });
});
