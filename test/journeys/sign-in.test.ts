/** A resident signs in: the story and its dead ends, through HTTP. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let asiointi: RelyingParty;

beforeAll(async () => {
  world = await startWorld();
  asiointi = await world.relyingParty();
});
afterAll(() => world.close());

async function begin(browser: HttpBrowser, parameters?: Record<string, string>) {
  const errand = await asiointi.begin(parameters);
  await browser.get(errand.url);
  return errand;
}

async function signIn(browser: HttpBrowser, email: string, password = PASSWORD) {
  await browser.submit({ username: email });
  return browser.submit({ 'current-password': password });
}

/** Where the browser was sent that only stands for an e-service. */
const sentTo = (browser: HttpBrowser): URL => browser.page.leadsTo!;

describe('with a password', () => {
  test('the address, then the password, then the e-service with tokens', async () => {
    await world.account({
      email: 'Maija.Meikalainen@example.com',
      password: PASSWORD,
      givenName: 'Maija',
      ids: { asiointi: 'U77' },
    });
    const browser = world.browser();
    const errand = await begin(browser, { scope: 'openid email profile legacy offline_access' });
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    await browser.submit({ username: ' maija.meikalainen@EXAMPLE.com ' });
    expect(browser.page.field('username')?.getAttribute('value')).toBe('maija.meikalainen@EXAMPLE.com');
    expect(browser.page.field('username')?.hasAttribute('readonly')).toBe(true);
    await browser.submit({ 'current-password': PASSWORD });
    const tokens = await errand.finish(sentTo(browser));
    expect(tokens.claims()).toMatchObject({ sub: 'U77', amr: ['pwd'], acr: 'urn:tunnus:password' });
    expect(typeof tokens.claims()?.['auth_time']).toBe('number');
    const info = await client.fetchUserInfo(asiointi.config, tokens.access_token, 'U77');
    expect(info).toMatchObject({
      email: 'Maija.Meikalainen@example.com',
      email_verified: false,
      preferred_username: 'Maija.Meikalainen@example.com',
      legacy_id: 'U77',
    });
    const refreshed = await client.refreshTokenGrant(asiointi.config, tokens.refresh_token!);
    expect(refreshed.access_token).not.toBe(tokens.access_token);
  });

  test('a wrong password is told so, keeps the address and not the password, and says it in the title', async () => {
    await world.account({ email: 'wrong@example.com', password: PASSWORD });
    const browser = world.browser();
    await begin(browser);
    const page = await signIn(browser, 'wrong@example.com', 'not the right one at all');
    expect(page.status).toBe(422);
    expect(page.title).toMatch(/^Virhe/);
    expect(page.faultOf('current-password')).toBe('Sähköpostiosoite tai salasana on väärä.');
    expect(page.field('username')?.getAttribute('value')).toBe('wrong@example.com');
    expect(page.field('current-password')?.getAttribute('value') ?? '').toBe('');
  });

  test('after too many wrong passwords the page says how long to wait, and a known device still gets in', async () => {
    await world.account({ email: 'attacked@example.com', password: PASSWORD });
    const owner = world.browser();
    await begin(owner);
    await signIn(owner, 'attacked@example.com');
    expect(sentTo(owner).host).toBe('asiointi.example');

    const attacker = world.browser();
    await begin(attacker);
    await attacker.submit({ username: 'attacked@example.com' });
    let tries = 0;
    let page = attacker.page;
    do {
      page = await attacker.submit({ 'current-password': `guess number ${tries}` });
      tries += 1;
    } while (page.status === 422 && tries < 50);
    expect(page.status).toBe(429);
    expect(Number(page.headers['retry-after'])).toBeGreaterThan(0);
    expect(page.text).toContain('Liian monta yritystä');
    // It is no dead end: the same step for later, and the way to another address.
    const step = page.url.pathname;
    const ways = page.main.querySelectorAll('a').map((link) => link.getAttribute('href'));
    expect(ways).toEqual([step, step.replace('/password', '')]);
    expect((await attacker.get(world.issuer + ways[1])).h1).toBe('Kirjaudu sisään');
    expect(tries).toBeLessThanOrEqual(16);

    await begin(owner, { prompt: 'login' });
    await signIn(owner, 'attacked@example.com');
    expect(sentTo(owner).host).toBe('asiointi.example');
  });

  test('a locked account learns of it only by the right password', async () => {
    await world.account({ email: 'locked@example.com', password: PASSWORD, locked: true });
    const browser = world.browser();
    await begin(browser);
    const wrong = await signIn(browser, 'locked@example.com', 'not the right one at all');
    expect(wrong.status).toBe(422);
    const page = await browser.submit({ 'current-password': PASSWORD });
    expect(page.h1).not.toBe('');
    expect(page.text).toContain('Käyttäjätunnuksesi on suljettu. Ota yhteyttä tukeen.');
  });
});

describe('without a password', () => {
  test('a link is mailed, works on another device, and leads back to the same e-service', async () => {
    await world.account({ email: 'uusi@example.com' });
    const browser = world.browser();
    const errand = await begin(browser);
    const sent = await browser.submit({ username: 'uusi@example.com' });
    expect(sent.status).toBe(200);
    expect(sent.text).toContain('Lähetimme osoitteeseen uusi@example.com linkin');
    expect(sent.text).toContain('Linkki on voimassa 24 tuntia.');
    const link = await world.mailbox.nextLink('uusi@example.com');
    expect(link.startsWith(`${world.issuer}/set-password/`)).toBe(true);

    const other = world.browser({ language: 'sv' });
    for (const _fetch of [1, 2]) await other.get(link);
    expect(other.page.text).toContain('Du väljer lösenord för uusi@example.com.');
    const done = await other.submit({ 'new-password': PASSWORD });
    expect(done.text).toContain('Din tidigare ärendehistorik finns kvar');
    await other.follow('Gå till inloggningen');
    expect(sentTo(other).href).toBe(`https://asiointi.example/login?iss=${encodeURIComponent(world.issuer)}`);

    await browser.follow('Olen asettanut salasanani, jatka');
    await browser.submit({ 'current-password': PASSWORD });
    const tokens = await errand.finish(sentTo(browser));
    expect(decodeJwt(tokens.id_token!)['email']).toBeUndefined();
    const info = await client.fetchUserInfo(asiointi.config, tokens.access_token, tokens.claims()!.sub);
    expect(info.email_verified).toBe(true);
  });

  test('where the e-service asked for a language, mails and the pages behind the link speak it too', async () => {
    const email = 'svenska@example.com';
    await world.account({ email });
    const browser = world.browser({ language: 'en' });
    await begin(browser, { ui_locales: 'sv' });
    await browser.submit({ username: email });
    const late = await world.mailbox.nextLink(email);
    await world.database.query(sql`
      update links set expires_at = now() - interval '1 minute'
      where account_id = (select id from accounts where email = ${email})`);
    await browser.get(late);
    expect([browser.page.lang, (await browser.submit({})).lang]).toEqual(['sv', 'sv']);
    const asked = await world.mailbox.next({ to: email });
    await browser.get(asked.links[0]!);
    const done = await browser.submit({ 'new-password': PASSWORD });
    const told = await world.mailbox.next({ to: email });
    expect([asked.subject, done.h1, told.subject]).toEqual([
      'Välj ett nytt lösenord',
      'Ditt nya lösenord är sparat.',
      'Ditt lösenord är bytt',
    ]);
    expect((await browser.get(asked.links[0]!)).lang).toBe('sv');
    await browser.follow('English');
    expect(browser.page.lang).toBe('en');
  });

  test('in the same browser the link goes on with the sign-in that it came from', async () => {
    await world.account({ email: 'sama@example.com' });
    const browser = world.browser();
    const errand = await begin(browser);
    await browser.submit({ username: 'sama@example.com' });
    await browser.get(await world.mailbox.nextLink('sama@example.com'));
    await browser.submit({ 'new-password': PASSWORD });
    await browser.follow('Siirry kirjautumaan');
    await browser.submit({ 'current-password': PASSWORD });
    await expect(errand.finish(sentTo(browser))).resolves.toMatchObject({ token_type: 'bearer' });
  });

  test('a used link says so, an expired one mails a new one by one button, an unknown one says what to check', async () => {
    await world.account({ email: 'linkit@example.com' });
    const browser = world.browser();
    await begin(browser);
    await browser.submit({ username: 'linkit@example.com' });
    const first = await world.mailbox.nextLink('linkit@example.com');
    await browser.submit({}, { button: 'Lähetä linkki uudelleen' });
    const second = await world.mailbox.nextLink('linkit@example.com');
    expect(second).not.toBe(first);

    await browser.get(first);
    await browser.submit({ 'new-password': PASSWORD });
    expect((await world.mailbox.next({ to: 'linkit@example.com' })).links).toEqual([]);
    expect((await browser.get(first)).text).toContain('Linkki on jo käytetty: salasanasi on asetettu.');
    // Setting the password ended the other one: it is no dead end either.
    expect((await browser.get(second)).status).toBe(410);

    await world.database.query(
      sql`update links set expires_at = now() - interval '1 minute', ended_at = null, spent_at = null`,
    );
    const expired = await browser.get(second);
    expect(expired.text).toContain('Linkki on vanhentunut.');
    const renewed = await browser.submit({});
    expect(renewed.text).toContain('Lähetimme osoitteeseen linkit@example.com linkin');
    const third = await world.mailbox.nextLink('linkit@example.com');
    expect((await browser.get(third)).status).toBe(200);

    const unknown = await browser.get(`${world.issuer}/set-password/${'x'.repeat(43)}`);
    expect(unknown.status).toBe(404);
    expect(unknown.text).toContain('Linkki ei toimi.');
  });

  test('a password that is too short is refused with the reason, and the link still works', async () => {
    await world.account({ email: 'lyhyt@example.com' });
    const browser = world.browser();
    await begin(browser);
    await browser.submit({ username: 'lyhyt@example.com' });
    await browser.get(await world.mailbox.nextLink('lyhyt@example.com'));
    const page = await browser.submit({ 'new-password': 'lyhyt' });
    expect(page.status).toBe(422);
    expect(page.faultOf('new-password')).toContain('15');
    expect(page.text).toContain('Palvelu: ');
    await browser.submit({ 'new-password': PASSWORD });
    expect(browser.page.status).toBe(200);
  });

  test('asking again and again mails at most a few links, and the last one keeps working', async () => {
    await world.account({ email: 'tulva@example.com' });
    const browser = world.browser();
    await begin(browser);
    await browser.submit({ username: 'tulva@example.com' });
    for (const _again of Array(10)) await browser.submit({}, { button: 'Lähetä linkki uudelleen' });
    const [{ count }] = (await world.database.query<{ count: number }>(sql`
      select count(*)::int as count from links join accounts on accounts.id = account_id where accounts.email = 'tulva@example.com'`)) as [
      { count: number },
    ];
    expect(count).toBeGreaterThanOrEqual(2);
    expect(count).toBeLessThanOrEqual(5);
    expect((await world.browser().get(await world.mailbox.nextLink('tulva@example.com'))).status).toBe(200);
  });

  test('of two who post one link at once, one sets the password and the other is told', async () => {
    await world.account({ email: 'kilpa@example.com' });
    const browser = world.browser();
    await begin(browser);
    await browser.submit({ username: 'kilpa@example.com' });
    const link = await world.mailbox.nextLink('kilpa@example.com');
    const two = [world.browser(), world.browser()];
    for (const one of two) await one.get(link);
    const pages = await Promise.all(two.map((one, i) => one.submit({ 'new-password': `${PASSWORD} ${i}` })));
    expect(pages.map((page) => page.status).sort()).toEqual([200, 410]);
  });
});

describe('an address that is not known', () => {
  test('is told so with the advice to try another one; no mail goes and nothing is lost', async () => {
    const browser = world.browser();
    await begin(browser);
    const page = await browser.submit({ username: 'ei.ole@gmial.com' });
    expect(page.status).toBe(200);
    expect(page.text).toContain('Emme tunnistaneet sähköpostiosoitetta ei.ole@gmial.com.');
    expect(page.text).toContain('kokeile toista käyttämääsi osoitetta');
    expect(page.text).toContain('Tarkoititko ei.ole@gmail.com?');
    expect(page.field('username')?.getAttribute('value')).toBe('ei.ole@gmial.com');
    expect(world.mailbox.all.filter(({ to }) => to.startsWith('ei.ole'))).toEqual([]);
  });

  test('that is no address at all is refused with what was typed kept', async () => {
    const browser = world.browser();
    await begin(browser);
    const page = await browser.submit({ username: 'maija meikäläinen' });
    expect(page.status).toBe(422);
    expect(page.field('username')?.getAttribute('value')).toBe('maija meikäläinen');
    expect(page.field('username')?.getAttribute('aria-invalid')).toBe('true');
    await browser.submit({ username: 'maija.meikalainen@example.net' });
    expect(browser.page.text).toContain('Emme tunnistaneet sähköpostiosoitetta maija.meikalainen@example.net.');
  });

  test('one place that tries many is stopped for a while', async () => {
    const prober = world.browser();
    await begin(prober);
    const form = prober.page.url;
    let tries = 0;
    let page = prober.page;
    do {
      await prober.get(form);
      page = await prober.submit({ username: `arvaus${tries}@example.net` });
      tries += 1;
    } while (page.status === 200 && tries < 150);
    expect(page.status).toBe(429);
    expect(tries).toBeLessThanOrEqual(101);
    // Not for ever, and nobody else's trouble after an hour.
    world.clock.advance(30 * 60_000);
    const later = world.browser();
    await begin(later);
    expect((await later.submit({ username: 'arvaus@example.net' })).status).toBe(200);
  });
});
