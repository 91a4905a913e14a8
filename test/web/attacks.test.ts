/** What another site, another machine or another name for ours can do to a resident: nothing. Stolen goods are in theft.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { FORM, requestTo } from '../support/bad-input.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { formPlaces, PATHS, type Place } from '../support/places.ts';
import { exchange, type WireAnswer } from '../support/wire.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const EVIL = 'evil.example';
const MARKUP = '"><img src=x onerror=alert(1)>\'';

let world: World;
let places: Place[];

beforeAll(async () => {
  world = await startWorld();
  places = await formPlaces(world);
});
afterAll(() => world.close());

async function begin(browser: HttpBrowser, parameters?: Record<string, string>, at = world) {
  const errand = await (await at.relyingParty()).begin(parameters);
  await browser.get(errand.url);
  return errand;
}

async function signIn(browser: HttpBrowser, email: string) {
  await browser.submit({ username: email });
  return browser.submit({ 'current-password': PASSWORD });
}

const send = (request: Parameters<typeof exchange>[1]): Promise<WireAnswer | undefined> =>
  exchange(world.tunnus.port, request);

const filled = (place: Place): string => new URLSearchParams(place.fields).toString();

/** All that a form could have changed. */
const house = (): Promise<object[]> =>
  world.database.query(sql`
    select (select md5(string_agg(a::text, '|' order by id)) from accounts a) as accounts,
      (select md5(string_agg(l::text, '|' order by id)) from links l) as links,
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
    await begin(stranger);
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
    const place = places.find(({ name }) => name === 'the choice of language')!;
    const cookies = place.cookies.replace(/tunnus_form=[^;]+/, `tunnus_form=${'B'.repeat(43)}`);
    const answer = await send({
      ...requestTo(place, filled(place)),
      headers: { Cookie: cookies, 'Content-Type': FORM },
    });
    expect(answer!.status).toBe(403);
  });

  test('cannot sign anybody out by a link or an image', async () => {
    const browser = world.browser();
    await begin(browser);
    await signIn(browser, 'maija@example.com');
    await browser.get(`${world.issuer}/session/end?client_id=asiointi`);
    await browser.post(`${world.issuer}/session/end`, { client_id: 'asiointi' });
    await browser.post(`${world.issuer}/session/end/confirm`, { logout: 'yes', xsrf: 'guessed' });
    expect((await browser.get(`${world.issuer}/account`)).text).toContain('maija@example.com');
  });
});

test('an address that begins with two slashes makes no link that leads elsewhere', async () => {
  for (const target of [`//${EVIL}/sign-in`, `/\\${EVIL}/sign-in`]) {
    const answer = await send({ target });
    expect(answer!.status).toBe(404);
    expect(answer!.body).not.toMatch(/(?:href|action)="[/\\]{2}/);
  }
});

describe('another name for our host', () => {
  const names = { Host: EVIL, 'X-Forwarded-Host': EVIL, Forwarded: `host=${EVIL}`, 'X-Forwarded-Proto': 'https' };

  test('stands in no document, redirect, page or mail', async () => {
    const discovery = await send({ target: '/.well-known/openid-configuration', headers: names });
    expect(discovery!.body).not.toContain(EVIL);
    const { issuer, authorization_endpoint: authorization } = JSON.parse(discovery!.body) as Record<string, string>;
    expect([issuer, authorization]).toEqual([world.issuer, `${world.issuer}/auth`]);
    const whole = await send({ target: `http://${EVIL}/.well-known/openid-configuration`, headers: { Host: EVIL } });
    expect(whole!.body).toBe(discovery!.body);
    const ours = new RegExp(`^(${world.issuer}/|/(?![/\\\\])|$)`);
    for (const target of [...PATHS, `//${EVIL}/account`, `/\\${EVIL}`, `http://${EVIL}/account`]) {
      const answer = await send({ target, headers: names });
      expect([target, answer!.headers.get('location')?.[0] ?? '']).toEqual([target, expect.stringMatching(ours)]);
      if (!target.includes(EVIL)) expect([target, answer!.body.includes(EVIL)]).toEqual([target, false]);
    }
    await world.account({ email: 'isanta@example.com' });
    const browser = world.browser({ headers: names });
    await browser.get((await (await world.relyingParty()).begin()).url);
    await browser.submit({ username: 'isanta@example.com' }, { headers: { Origin: world.issuer } });
    const mail = await world.mailbox.next({ to: 'isanta@example.com' });
    expect(mail.raw).not.toContain(EVIL);
    expect(mail.links[0]).toMatch(new RegExp(`^${world.issuer}/set-password/`));
  });
});

describe('a network address', () => {
  const placesOf = (at: World, email: string) =>
    at.database.query(sql`
      select distinct place from audit where kind = 'link_requested'
        and account_id = (select id from accounts where email = ${email})`);

  test('is the connection itself where no proxy is trusted, whatever X-Forwarded-For says', async () => {
    await world.account({ email: 'paikka@example.com' });
    const browser = world.browser({
      headers: { 'X-Forwarded-For': '6.6.6.6', 'X-Real-IP': '6.6.6.6', Forwarded: 'for=6.6.6.6' },
    });
    await begin(browser);
    await browser.submit({ username: 'paikka@example.com' });
    expect(await placesOf(world, 'paikka@example.com')).toEqual([{ place: '127.0.0.1' }]);
  });

  test('changed with every try gives no more tries', async () => {
    await world.account({ email: 'arvattu@example.com', password: PASSWORD });
    let tries = 0;
    let status = 422;
    for (; status === 422 && tries < 40; tries += 1) {
      const browser = world.browser({ headers: { 'X-Forwarded-For': `6.6.6.${tries}` } });
      await begin(browser);
      await browser.submit({ username: 'arvattu@example.com' });
      status = (await browser.submit({ 'current-password': `guess ${tries}` })).status;
    }
    expect(status).toBe(429);
    expect(tries).toBeLessThanOrEqual(16);
  });
});

describe('nobody is led elsewhere', () => {
  const addresses = [
    `https://${EVIL}/`,
    `//${EVIL}/`,
    `/\\${EVIL}`,
    `https://asiointi.example.${EVIL}/callback`,
    `https://asiointi.example@${EVIL}/callback`,
    'https://asiointi.example/callback/../other',
    'https://asiointi.example/callback?more=1',
    'https://asiointi.example/callback#fragment',
    'https://ASIOINTI.example/callback',
    'http://asiointi.example/callback',
    'https://asiointi.example:444/callback',
    'javascript:alert(1)',
    'data:text/html,x',
  ];

  test.each(addresses)('by the redirect_uri or the post_logout_redirect_uri %s', async (address) => {
    const query = { client_id: 'asiointi', response_type: 'code', scope: 'openid', state: 's' };
    for (const prompt of ['login', 'none']) {
      const parameters = new URLSearchParams({ ...query, prompt, redirect_uri: address });
      const answer = await send({ target: `/auth?${parameters.toString()}` });
      expect([prompt, answer!.status, answer!.headers.get('location')]).toEqual([prompt, 400, undefined]);
    }
    const leaving = new URLSearchParams({ client_id: 'asiointi', post_logout_redirect_uri: address });
    const answer = await send({ target: `/session/end?${leaving.toString()}` });
    expect([answer!.status, answer!.headers.get('location')]).toEqual([400, undefined]);
  });

  test('by any parameter of any page', async () => {
    const names = 'state client_id redirect_uri return_to returnTo next url uri continue target_link_uri iss service'
      .concat(' post_logout_redirect_uri ui_locales lang login_hint changed again x')
      .split(' ');
    const maija = places.find(({ name }) => name === 'the choice of language')!;
    for (const address of [`https://${EVIL}/`, `//${EVIL}/`, `/\\${EVIL}/`]) {
      const query = new URLSearchParams(names.map((name): [string, string] => [name, address])).toString();
      for (const path of PATHS) {
        const answer = await send({ target: `${path}?${query}`, headers: { Cookie: maija.cookies } });
        const location = answer!.headers.get('location')?.[0];
        const host = location && new URL(location, world.issuer).host;
        expect([path, host ?? new URL(world.issuer).host]).toEqual([path, new URL(world.issuer).host]);
      }
    }
  });
});

describe('what is sent comes back as text only', () => {
  const unharmed = (html: string): void => {
    expect(html).not.toContain('<img src=x');
  };

  test('in the pages of a sign-in', async () => {
    const browser = world.browser();
    await begin(browser, { login_hint: MARKUP, ui_locales: MARKUP, state: MARKUP, nonce: MARKUP, acr_values: MARKUP });
    unharmed(browser.page.html);
    expect(browser.page.field('username')?.getAttribute('value')).toBe(MARKUP);
    unharmed((await browser.submit({ username: MARKUP })).html);
    expect(browser.page.field('username')?.getAttribute('value')).toBe(MARKUP);
    unharmed((await browser.submit({ username: "o'nobody&co@example.com" })).html);
    expect(browser.page.text).toContain("o'nobody&co@example.com");
  });

  test('in pages of errors and everywhere else', async () => {
    const query = new URLSearchParams(
      'client_id redirect_uri state error error_description lang ui_locales changed x'
        .split(' ')
        .map((name): [string, string] => [name, MARKUP]),
    ).toString();
    for (const path of [...PATHS, `/${encodeURIComponent(MARKUP)}`, `/sign-in/${encodeURIComponent(MARKUP)}`]) {
      const answer = await send({ target: `${path}?${query}`, headers: { Cookie: `tunnus_language=${MARKUP}` } });
      unharmed(answer!.body);
    }
  });

  test('and opens no second header', async () => {
    const browser = world.browser();
    await begin(browser, { state: 'a\r\nSet-Cookie: stolen=1', prompt: 'none' });
    expect(browser.page.leadsTo?.searchParams.get('error')).toBe('login_required');
    expect(browser.page.leadsTo?.searchParams.get('state')).toBe('a\r\nSet-Cookie: stolen=1');
    expect(browser.jar.find('stolen')).toBeUndefined();
    for (const path of PATHS) {
      const answer = await send({ target: `${path}%0D%0ASet-Cookie:%20stolen=1?lang=sv%0D%0ASet-Cookie:%20stolen=1` });
      expect([path, (answer!.headers.get('set-cookie') ?? []).filter((line) => line.startsWith('stolen'))]).toEqual([
        path,
        [],
      ]);
    }
  });
});

describe('an address with more in it', () => {
  test.each([
    '\r\nBcc: evil@evil.example',
    ',evil@evil.example',
    ' evil@evil.example',
    '%0aBcc:evil@evil.example',
    '\nevil@evil.example',
  ])('mails nobody else: %j', async (more) => {
    const before = world.mailbox.all.length;
    const browser = world.browser();
    await begin(browser);
    const page = await browser.submit({ username: `uusi@example.com${more}` });
    expect(page.status).toBe(422);
    expect(world.mailbox.all.slice(before)).toEqual([]);
  });

  test('written otherwise still mails the stored one only', async () => {
    await world.account({ email: 'tallessa@example.com' });
    const browser = world.browser();
    await begin(browser);
    await browser.submit({ username: 'TALLESSA@Example.COM\r\n' });
    expect((await world.mailbox.next({ to: 'tallessa@example.com' })).raw).not.toContain('TALLESSA');
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
    const errand = await begin(browser, { response_mode: 'form_post', prompt: 'login' });
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
    await begin(browser, { response_mode: 'form_post', prompt: 'none', scope: MARKUP, state: MARKUP });
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
    await begin(browser);
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
      expect(browser.page.headers['strict-transport-security']).toBe('max-age=31536000');
      await browser.get(`${browser.page.url.href}?lang=en`);
      await signIn(browser, 'maija@example.com');
      expect(browser.page.leadsTo?.host).toBe('asiointi.example');
      const lines = linesOf(browser);
      expect(lines.length).toBeGreaterThan(5);
      for (const line of lines) expect(line).toMatch(/; secure/i);
      for (const line of lines.filter((each) => !each.startsWith('tunnus_language')))
        expect(line).toMatch(/^__(Host|Secure)-/);

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
