/** What another site can do by the browser of a resident: no form, no frame, no cookie of its own. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { FORM, requestTo } from '../support/bad-input.ts';
import { begin, EVIL, MARKUP } from '../support/hostile.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { formPlaces, OPEN, type Place } from '../support/places.ts';
import { exchange } from '../support/wire.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let places: Place[];

beforeAll(async () => {
  world = await startWorld({ settings: OPEN });
  places = await formPlaces(world);
});
afterAll(() => world.close());

async function signIn(browser: HttpBrowser, email: string) {
  await browser.submit({ username: email });
  return browser.submit({ 'current-password': PASSWORD });
}

const send = (request: Parameters<typeof exchange>[1]) => exchange(world.tunnus.port, request);

const filled = (place: Place): string => new URLSearchParams(place.fields).toString();

/** All that a form could have changed. */
const house = (): Promise<object[]> =>
  world.database.query(sql`
    select (select md5(string_agg(a::text, '|' order by id)) from accounts a) as accounts,
      (select md5(string_agg(l::text, '|' order by id)) from links l) as links,
      (select count(*)::int from passkeys) + (select count(*)::int from authenticators) as factors,
      (select count(*)::int from artifacts where model = 'Session') as sessions`);

describe("another site's form", () => {
  const foreign: Record<string, Record<string, string>> = {
    'from a foreign origin': { Origin: `https://${EVIL}` },
    'from our host on another port': { Origin: 'http://127.0.0.1:1' },
    'that the browser calls cross-site': { 'Sec-Fetch-Site': 'cross-site' },
    'from a neighbour under the same domain': { 'Sec-Fetch-Site': 'same-site' },
  };

  test.each(Object.keys(foreign))('%s is refused, even with a good token, and changes nothing', async (which) => {
    const before = await house();
    for (const place of places) {
      const request = requestTo(place, filled(place));
      const answer = await send({ ...request, headers: { ...request.headers, ...foreign[which] } });
      expect([place.name, answer!.status]).toEqual([place.name, 403]);
    }
    expect(await house()).toEqual(before);
  });

  test.each(['no', 'an empty', "another browser's"])('with %s token is refused and changes nothing', async (which) => {
    const stranger = world.browser();
    await begin(world, stranger);
    const theirs = stranger.page.field('csrf')!.getAttribute('value')!;
    const before = await house();
    for (const place of places) {
      // The question before signing out is the provider's own form: its token is `xsrf`.
      const token = place.fields.some(([name]) => name === 'xsrf') ? 'xsrf' : 'csrf';
      const others = place.fields.filter(([name]) => name !== token);
      const given: [string, string][] = which === 'no' ? [] : [[token, which === 'an empty' ? '' : theirs]];
      const answer = await send(requestTo(place, new URLSearchParams([...others, ...given]).toString()));
      expect([place.name, answer!.status]).toEqual([place.name, token === 'xsrf' ? 400 : 403]);
    }
    expect(await house()).toEqual(before);
  });

  test('with its own form cookie planted does not fit either, since the token is made by us', async () => {
    const place = places.find(({ name }) => name === 'the change of name, phone and language')!;
    const cookies = place.cookies.replace(/tunnus_form=[^;]+/, `tunnus_form=${'B'.repeat(43)}`);
    const answer = await send({
      ...requestTo(place, filled(place)),
      headers: { Cookie: cookies, 'Content-Type': FORM },
    });
    expect(answer!.status).toBe(403);
  });

  test('cannot sign anybody out by a link or an image', async () => {
    const browser = world.browser();
    await begin(world, browser);
    await signIn(browser, 'maija@example.com');
    await browser.get(`${world.issuer}/session/end?client_id=asiointi`);
    await browser.post(`${world.issuer}/session/end`, { client_id: 'asiointi' });
    await browser.post(`${world.issuer}/session/end/confirm`, { logout: 'yes', xsrf: 'guessed' });
    expect((await browser.get(`${world.issuer}/account`)).text).toContain('maija@example.com');
  });
});

describe('every page', () => {
  test('can stand in no frame, loads nothing foreign, and leaves no trace', async () => {
    const shown = [...places.map(({ path, cookies }) => ({ target: path, headers: { Cookie: cookies } }))];
    const errors = ['/nothing', '/auth?client_id=nothing', '/signed-out', `/set-password/${'x'.repeat(43)}`];
    for (const request of [...shown, ...errors.map((target) => ({ target, headers: {} }))]) {
      const answer = await send(request);
      const header = (name: string): string => answer!.headers.get(name)?.[0] ?? '';
      expect(header('x-content-type-options')).toBe('nosniff');
      expect(header('referrer-policy')).toBe('no-referrer');
      if (answer!.status >= 300 && answer!.status < 400) continue;
      const policy = header('content-security-policy');
      expect([request.target, policy]).toEqual([request.target, expect.stringContaining("frame-ancestors 'none'")]);
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/unsafe|\*|nonce|data:/);
      expect(policy.match(/form-action ([^;]*)/)?.[1]).not.toContain(EVIL);
      expect(header('x-frame-options')).toBe('DENY');
      expect(header('cache-control')).toContain('no-store');
      expect(header('x-powered-by') + header('server')).toBe('');
    }
  });
});

describe('an answer that the e-service wants posted', () => {
  test('is a page of ours with its policy, works without a script, and gives nothing of ours along', async () => {
    const browser = world.browser({ language: 'sv' });
    const errand = await begin(world, browser, { response_mode: 'form_post', prompt: 'login' });
    await signIn(browser, 'maija@example.com');
    const { page } = browser;
    expect([page.status, page.lang, page.h1]).toEqual([200, 'sv', 'Fortsätt till e-tjänsten']);
    expect(page.html).not.toMatch(/<script>/);
    expect(page.headers['content-security-policy']).toMatch(/script-src 'self'.*form-action 'self' https:;/);
    expect(page.headers['x-frame-options']).toBe('DENY');
    const { action, values } = page.fill({});
    expect(action.href).toBe('https://asiointi.example/callback');
    expect(values.map(([name]) => name).sort()).toEqual(['code', 'iss', 'state']);
    const callback = new URL(`${action.href}?${new URLSearchParams(values).toString()}`);
    await expect(errand.finish(callback)).resolves.toMatchObject({ token_type: 'bearer' });
    await begin(world, browser, { response_mode: 'form_post', prompt: 'none', scope: MARKUP, state: MARKUP });
    expect(browser.page.html).not.toContain('<img src=x');
    expect(browser.page.status).toBeLessThan(500);
  });
});

test('a posted request leads on by a header that a proxy has room for, and is refused where it would not', async () => {
  const browser = world.browser();
  const posted = (length: number) =>
    browser.post(`${world.issuer}/auth`, [['state', 'x'.repeat(length)]], { follow: false });
  const led = await posted(12_000);
  expect([led.status, led.headers['location']!.length < 12_500]).toEqual([303, true]);
  expect((await posted(12_300)).status).toBe(413);
});

describe('cookies', () => {
  const linesOf = (browser: HttpBrowser): string[] =>
    browser.steps.flatMap(({ headers }) => headers['set-cookie'] ?? []);

  test('are for us alone: no script, no other site, no domain', async () => {
    const browser = world.browser();
    await begin(world, browser);
    await browser.get(`${browser.page.url.href}?lang=en`);
    await signIn(browser, 'maija@example.com');
    const lines = linesOf(browser);
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) {
      expect(line).toMatch(/; httponly/i);
      expect(line).toMatch(/; samesite=lax/i);
      expect(line).not.toMatch(/; domain=/i);
    }
  });

  test('under https are all Secure, and named so that no neighbour can set them; a trusted proxy names the place', async () => {
    const secure = await startWorld({ settings: { issuer: 'https://tunnistus.example', listen: { proxies: 1 } } });
    try {
      await secure.account({ email: 'maija@example.com', password: PASSWORD });
      await secure.account({ email: 'uusi@example.com' });
      const reach = (url: URL): URL =>
        url.hostname === 'tunnistus.example' ? new URL(url.pathname + url.search, secure.tunnus.url) : url;
      const headers = { 'X-Forwarded-For': '6.6.6.6, 10.9.8.7', 'X-Forwarded-Proto': 'http', 'X-Forwarded-Host': EVIL };
      const browser = secure.browser({ reach, headers });
      const query = new URLSearchParams({
        client_id: 'asiointi',
        response_type: 'code',
        scope: 'openid',
        redirect_uri: 'https://asiointi.example/callback',
        code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
        code_challenge_method: 'S256',
      });
      await browser.get(`https://tunnistus.example/auth?${query.toString()}`);
      expect(browser.page.headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains');
      await browser.get(`${browser.page.url.href}?lang=en`);
      await signIn(browser, 'maija@example.com');
      expect(browser.page.leadsTo?.host).toBe('asiointi.example');
      const lines = linesOf(browser);
      expect(lines.length).toBeGreaterThan(5);
      for (const line of lines) expect(line).toMatch(/^__(Host-\S+; path=\/;|Secure-\S+; path=\/.).*; secure/i);

      const other = secure.browser({ reach, headers });
      await other.get(`https://tunnistus.example/auth?${query.toString()}`);
      await other.submit({ username: 'uusi@example.com' });
      expect(await secure.mailbox.nextLink('uusi@example.com')).toMatch(
        /^https:\/\/tunnistus\.example\/set-password\//,
      );
      const rows = await secure.database.query(sql`select distinct place from audit`);
      expect(rows).toEqual([{ place: '10.9.8.7' }]);
    } finally {
      await secure.close();
    }
  });
});
