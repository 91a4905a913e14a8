/** Passkeys, authenticator apps, recovery codes and the second step, over HTTP, with an eye on whoever should not get in. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { generateSync } from 'otplib';
import { supportFor } from '../../src/desk.ts';
import { tellFactors } from '../../src/commands/account-picture.ts';
import { factorChanges } from '../../src/journeys/factor-changes.ts';
import { factorRemovals } from '../../src/journeys/factor-removals.ts';
import { makeMails } from '../../src/mail/mails.ts';
import { sql } from '../../src/platform/database.ts';
import { deviceOf } from '../../src/platform/user-agent.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { accountById, type Account } from '../../src/records/accounts.ts';
import { newAuthenticatorSecret, stepOfCode } from '../../src/records/one-time-codes.ts';
import { hashPassword } from '../../src/records/passwords.ts';
import { reseal } from '../../src/records/seals.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import type { ReceivedMail } from '../support/mailbox.ts';
import { askedOn, PASSKEY_FORM, SoftPasskey, type Asked, type Dishonesty } from '../support/passkey.ts';
import { SECRET, startWorld, STRICT, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const MINUTE = 60_000;

let world: World;
let asiointi: RelyingParty;
let strict: RelyingParty;
let hash: string;

beforeAll(async () => {
  world = await startWorld({
    clients: {
      strict: STRICT,
    },
  });
  [asiointi, strict, hash] = await Promise.all([
    world.relyingParty(),
    world.relyingParty('strict'),
    hashPassword(PASSWORD),
  ]);
});
afterAll(() => world.close());

test('a code of an app is good for a step on either side, once, and not again when the clock jumps back', () => {
  const secret = newAuthenticatorSecret();
  const begun = Date.parse('2026-10-25T00:59:59Z') / 1000;
  const codeAt = (seconds: number) => generateSync({ secret, epoch: begun + seconds });
  const step = (code: string, after: number, seconds = 0) =>
    stepOfCode({ secret, code, after }, new Date((begun + seconds) * 1000));
  const used = step(codeAt(0), 0)!;
  expect([-30, 30].map((off) => step(codeAt(off), 0))).toEqual([used - 1, used + 1]);
  expect([-90, 90, 3600].map((off) => step(codeAt(off), 0))).toEqual([undefined, undefined, undefined]);
  // Back by a leap second, by a minute, by the hour that some clocks are turned: what was used stays used.
  for (const back of [0, -1, -60, -3600]) expect(step(codeAt(back), used, back)).toBeUndefined();
  expect(step(codeAt(30), used, 30)).toBe(used + 1);
});

let people = 0;
async function resident(): Promise<{ email: string; id: string }> {
  const email = `asukas${(people += 1)}@example.com`;
  const id = await world.account({ email });
  await world.database.query(
    sql`update accounts set password_state = 'own', password_hash = ${hash}, email_verified = true where id = ${id}`,
  );
  return { email, id };
}

const password = (browser: HttpBrowser, extra: Record<string, string> = {}) =>
  browser.submit({ 'current-password': PASSWORD, ...extra });

async function atPassword(
  browser: HttpBrowser,
  email: string,
  { to = asiointi, ask = {} }: { to?: RelyingParty; ask?: Record<string, string> } = {},
) {
  const errand = await to.begin(ask);
  await browser.get(errand.url);
  await browser.submit({ username: email });
  return errand;
}

async function inAccount(email: string, browser = world.browser()): Promise<HttpBrowser> {
  await browser.get(`${world.issuer}/account/factors`);
  await browser.submit({ username: email });
  await password(browser);
  return browser;
}

async function withPasskey(who: { email: string }, how: { synced?: boolean } = {}) {
  const browser = await inAccount(who.email);
  const passkey = new SoftPasskey(world.issuer, how);
  const page = await browser.get(`${world.issuer}/account/passkey`);
  await browser.submit({ passkey: passkey.create(askedOn(page)), name: 'Oma puhelin' }, PASSKEY_FORM);
  expect(browser.page.text).toContain('Oma puhelin');
  return { browser, passkey };
}

/** The code of the app some steps from now. */
const codeOf = (secret: string, steps = 0): string =>
  generateSync({ secret, epoch: Math.floor(world.clock.now().getTime() / 1000) + 30 * steps });

async function withApp(who: { email: string }) {
  const browser = await inAccount(who.email);
  const page = await browser.get(`${world.issuer}/account/authenticator`);
  const secret = page.root.querySelector('.key')!.text.replaceAll(' ', '');
  await browser.submit({ 'one-time-code': codeOf(secret) });
  expect(browser.page.h1).toBe('Varakoodit');
  // The code that set it up is spent; the next half minute brings a new one.
  world.clock.advance(MINUTE);
  return { browser, secret };
}

const events = async (id: string): Promise<string[]> =>
  (await world.database.query<{ kind: string }>(sql`select kind from audit where account_id = ${id} order by id`)).map(
    ({ kind }) => kind,
  );

/** The next mail to a resident that has these words. */
async function mailSaying(to: string, words: string): Promise<ReceivedMail> {
  for (;;) {
    const mail = await world.mailbox.next({ to });
    if (mail.text.includes(words)) return mail;
  }
}

const leadsToService = (browser: HttpBrowser): boolean => browser.page.leadsTo?.host.endsWith('.example') ?? false;

describe('a passkey', () => {
  test('is added after a fresh sign-in, signs in alone, tells amr and acr honestly, and is removed again', async () => {
    const who = await resident();
    const { browser, passkey } = await withPasskey(who);
    expect((await world.mailbox.next({ to: who.email })).text).toContain('lisättiin pääsyavain');

    const other = world.browser();
    const errand = await asiointi.begin();
    await other.get(errand.url);
    await other.submit({ passkey: passkey.answer(askedOn(other.page)) }, PASSKEY_FORM);
    const tokens = await errand.finish(other.page.leadsTo!);
    expect(tokens.claims()).toMatchObject({ acr: 'urn:tunnus:mfa', amr: ['swk', 'user', 'mfa'] });

    await browser.submit({}, { button: 'Poista pääsyavain' });
    expect(browser.page.text).not.toContain('Oma puhelin');
    expect((await other.get(`${world.issuer}/account`)).h1).toBe('Kirjaudu sisään');
    await other.get((await asiointi.begin()).url);
    await other.submit({ passkey: passkey.answer(askedOn(other.page)) }, PASSKEY_FORM);
    expect(other.page.status).toBe(422);
    expect(await events(who.id)).toEqual(['signed_in', 'passkey_added', 'signed_in', 'passkey_removed']);
  });

  test('of one device is a key of that device, and its counter never goes back', async () => {
    const { passkey } = await withPasskey(await resident(), { synced: false });
    const sign = async (how: Dishonesty = {}) => {
      const browser = world.browser();
      const errand = await asiointi.begin();
      await browser.get(errand.url);
      await browser.submit({ passkey: passkey.answer(askedOn(browser.page), how) }, PASSKEY_FORM);
      return { browser, errand };
    };
    const { browser, errand } = await sign();
    expect((await errand.finish(browser.page.leadsTo!)).claims()).toMatchObject({ amr: ['hwk', 'user', 'mfa'] });
    await sign();
    expect((await sign({ counter: 1 })).browser.page.status).toBe(422);
    expect((await sign({ counter: 7 })).browser.page.leadsTo).toBeDefined();
  });

  test.each<[string, (other: Asked) => Dishonesty]>([
    ['of another site', () => ({ rpId: 'evil.example' })],
    ['from a page of another origin', () => ({ origin: 'https://evil.example' })],
    ['for the challenge of another sign-in', ({ challenge }) => ({ challenge })],
    ['that did not verify its user', () => ({ userVerified: false })],
    ['made for registering', () => ({ type: 'webauthn.create' })],
    ['for another account', () => ({ userHandle: 'AAAA' })],
    ['under an id that nobody has', () => ({ id: 'AAAAAAAAAAAAAAAAAAAAAA' })],
  ])('an answer %s does not sign in', async (_, how) => {
    const { passkey } = await withPasskey(await resident());
    const elsewhere = world.browser();
    await elsewhere.get((await asiointi.begin()).url);
    const browser = world.browser();
    await browser.get((await asiointi.begin()).url);
    const answer = passkey.answer(askedOn(browser.page), how(askedOn(elsewhere.page)));
    await browser.submit({ passkey: answer }, PASSKEY_FORM);
    expect(browser.page.status).toBe(422);
    expect(browser.page.title).toMatch(/^Virhe/);
    // The honest answer does, on the page that told so.
    await browser.submit({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
    expect(leadsToService(browser)).toBe(true);
  });

  test.each([
    '',
    '{',
    'null',
    '[]',
    '{"id":1}',
    '{"id":"AA","response":null}',
    JSON.stringify({ id: 'AA', response: {} }),
  ])('what is no answer (%j) is refused like a wrong one', async (answer) => {
    const browser = world.browser();
    await browser.get((await asiointi.begin()).url);
    await browser.submit({ passkey: answer }, PASSKEY_FORM);
    expect(browser.page.status).toBe(422);
  });

  test('an answer serves once, also for who has taken the cookies along', async () => {
    const { passkey } = await withPasskey(await resident());
    const browser = world.browser();
    await browser.get((await asiointi.begin()).url);
    const { action, values } = browser.page.fill({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
    const post = () =>
      fetch(action, {
        method: 'POST',
        redirect: 'manual',
        headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', origin: world.issuer },
        body: new URLSearchParams(values).toString(),
      });
    const cookie = browser.jar.headerFor(action, { withLax: true });
    const answers = await Promise.all([post(), post(), post()]);
    const signedIn = answers.filter((answer) => answer.headers.get('location')?.includes('code='));
    expect(signedIn).toHaveLength(1);
    expect((await post()).headers.get('location') ?? '').not.toContain('code=');
  });

  test('of a locked account leads to support, and of an unlocked one in again', async () => {
    const { email, id } = await resident();
    const { passkey } = await withPasskey({ email });
    await world.database.query(sql`update accounts set locked_at = now(), epoch = epoch + 1 where id = ${id}`);
    const browser = world.browser();
    await browser.get((await asiointi.begin()).url);
    await browser.submit({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
    expect(browser.page.h1).toBe('Käyttäjätunnus on suljettu');
  });

  test("of somebody else can't be removed, and none can be added twice or with another page's challenge", async () => {
    const [one, two] = [await resident(), await resident()];
    const { browser, passkey } = await withPasskey(one);
    const [mine] = await world.database.query<{ id: string }>(
      sql`select id from passkeys where account_id = ${one.id}`,
    );
    const thief = await inAccount(two.email);
    const page = await thief.get(`${world.issuer}/account/passkey`);
    const csrf = page.form().querySelector('input[name=csrf]')!.getAttribute('value')!;
    await thief.post(`${world.issuer}/account/factors`, { csrf, remove: mine!.id }, { from: new URL(world.issuer) });
    expect(thief.page.text).toContain('Tiedot olivat muuttuneet');
    expect((await browser.get(`${world.issuer}/account/factors`)).text).toContain('Oma puhelin');

    await thief.get(`${world.issuer}/account/passkey`);
    await thief.submit({ passkey: passkey.create(askedOn(thief.page)) }, PASSKEY_FORM);
    expect(thief.page.text).toContain('Tämä pääsyavain on jo käytössä.');
    const others = askedOn(await browser.get(`${world.issuer}/account/passkey`));
    await thief.submit({ passkey: new SoftPasskey(world.issuer).create(others) }, PASSKEY_FORM);
    expect(thief.page.status).toBe(422);
  });
});

describe('an authenticator app', () => {
  test('is asked for after the password, and amr and acr say so; its code is good once', async () => {
    const who = await resident();
    const { secret } = await withApp(who);
    const browser = world.browser();
    const errand = await atPassword(browser, who.email);
    await password(browser);
    expect(browser.page.h1).toBe('Toinen vaihe');
    // Nobody is signed in before the second step.
    expect((await browser.newTab().get(`${world.issuer}/account`)).h1).toBe('Kirjaudu sisään');
    const code = codeOf(secret);
    await browser.submit({ 'one-time-code': `${code.slice(0, 3)} ${code.slice(3)}` });
    const tokens = await errand.finish(browser.page.leadsTo!);
    expect(tokens.claims()).toMatchObject({ acr: 'urn:tunnus:mfa', amr: ['pwd', 'otp', 'mfa'] });

    const again = world.browser();
    await atPassword(again, who.email);
    await password(again);
    await again.submit({ 'one-time-code': code });
    expect(again.page.status).toBe(422);
    expect(again.page.faultOf('one-time-code')).toContain('jo käytetty');
  });

  test('a code of half a minute ago is good, one of a minute ago or before the last one is not', async () => {
    const who = await resident();
    const { secret } = await withApp(who);
    const browser = world.browser();
    await atPassword(browser, who.email);
    await password(browser);
    await browser.submit({ 'one-time-code': codeOf(secret, -2) });
    expect(browser.page.status).toBe(422);
    const clocksDiffer = codeOf(secret, 1);
    await browser.submit({ 'one-time-code': clocksDiffer });
    expect(leadsToService(browser)).toBe(true);
    const other = world.browser();
    await atPassword(other, who.email);
    await password(other);
    await other.submit({ 'one-time-code': codeOf(secret) });
    expect(other.page.status).toBe(422);
  });

  test('of one code that is used twice at once, one signs in', async () => {
    const who = await resident();
    const { secret } = await withApp(who);
    const browsers = [world.browser(), world.browser(), world.browser()];
    for (const browser of browsers) {
      await atPassword(browser, who.email);
      await password(browser);
    }
    const code = codeOf(secret);
    await Promise.all(browsers.map((browser) => browser.submit({ 'one-time-code': code })));
    expect(browsers.filter(leadsToService)).toHaveLength(1);
  });

  test('guessing stops after ten tries, wherever they come from, and the right code then waits too', async () => {
    const who = await resident();
    const { secret } = await withApp(who);
    const browser = world.browser();
    await atPassword(browser, who.email);
    await password(browser);
    const url = browser.page.url;
    const right = codeOf(secret);
    let tries = 0;
    while (browser.page.status !== 429 && tries < 20) {
      await browser.get(url);
      await browser.submit({ 'one-time-code': right === '000000' ? '000001' : '000000' });
      tries += 1;
    }
    expect(tries).toBeLessThanOrEqual(11);
    await browser.get(url);
    expect((await browser.submit({ 'one-time-code': right })).status).toBe(429);
  });

  test('wants a right code before it counts, and none is set up twice by two tabs', async () => {
    const who = await resident();
    const browser = await inAccount(who.email);
    const [one, two] = [browser.newTab(), browser.newTab()];
    const keys: string[] = [];
    for (const tab of [one, two]) {
      const page = await tab.get(`${world.issuer}/account/authenticator`);
      keys.push(page.root.querySelector('.key')!.text.replaceAll(' ', ''));
    }
    await one.submit({ 'one-time-code': '12345' });
    expect(one.page.status).toBe(422);
    // The same key again: it may be in the app by now.
    expect(one.page.root.querySelector('.key')!.text.replaceAll(' ', '')).toBe(keys[0]);
    await one.submit({ 'one-time-code': codeOf(keys[0]!) });
    expect(one.page.h1).toBe('Varakoodit');
    await two.submit({ 'one-time-code': codeOf(keys[1]!) });
    expect(two.page.text).toContain('Tiedot olivat muuttuneet');
    const rows = await world.database.query<{ sealed: string }>(sql`
      select sealed from authenticators where account_id = ${who.id}`);
    expect(rows.map(({ sealed }) => world.tunnus.sealer.open(sealed, 'authenticator'))).toEqual([keys[0]]);
    expect(rows[0]!.sealed).not.toContain(keys[0]!);
  });

  test('a password reset by mail takes no second step away', async () => {
    const who = await resident();
    const { secret } = await withApp(who);
    const browser = world.browser();
    await atPassword(browser, who.email);
    // The first mail tells of the app.
    await world.mailbox.next({ to: who.email });
    await browser.submit({}, { form: 'form[action$="/link-sent"]' });
    await browser.get(await world.mailbox.nextLink(who.email));
    await browser.submit({ 'new-password': 'neljä punaista venettä laiturissa' });
    await browser.follow('Siirry kirjautumaan');
    await browser.submit({ 'current-password': 'neljä punaista venettä laiturissa' });
    expect(browser.page.h1).toBe('Toinen vaihe');
    await browser.submit({ 'one-time-code': codeOf(secret) });
    expect(leadsToService(browser)).toBe(true);
  });

  test('what was shown before the second step is worth nothing once the account has changed', async () => {
    const who = await resident();
    const { secret } = await withApp(who);
    const browser = world.browser();
    await atPassword(browser, who.email);
    await password(browser);
    const { url } = browser.page;
    await world.database.query(sql`update accounts set epoch = epoch + 1 where id = ${who.id}`);
    await browser.submit({ 'one-time-code': codeOf(secret) });
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    await browser.get(url);
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    // Nor to a browser that only knows the address of the page.
    expect((await world.browser().get(url)).status).toBe(404);
  });
});

describe('recovery codes', () => {
  test('are ten, shown once, good once each, and new ones replace them', async () => {
    const who = await resident();
    const { browser } = await withApp(who);
    await browser.get(`${world.issuer}/account/recovery-codes`);
    await browser.submit();
    const codes = browser.page.root.querySelectorAll('.codes li').map((item) => item.text.trim());
    expect(new Set(codes).size).toBe(10);
    // They cannot be asked for again in another language: no link does as if.
    expect(browser.page.root.querySelector('.languages')).toBeNull();
    expect((await browser.get(`${world.issuer}/account/recovery-codes`)).text).toContain('jäljellä 10');
    expect(browser.page.text).not.toContain(codes[0]!);

    const tries = [world.browser(), world.browser()];
    for (const each of tries) {
      await atPassword(each, who.email);
      await password(each);
    }
    await Promise.all(tries.map((each) => each.submit({ 'one-time-code': codes[0]!.toUpperCase().replace('-', ' ') })));
    expect(tries.filter(leadsToService)).toHaveLength(1);
    const left = await world.database.query(sql`
      select 1 from recovery_codes where account_id = ${who.id} and spent_at is null`);
    expect(left).toHaveLength(9);
    expect((await events(who.id)).filter((kind) => kind === 'recovery_code_used')).toHaveLength(1);
    expect((await mailSaying(who.email, 'jäljellä 9')).subject).toBe('Kirjautumiseen käytettiin varakoodia');

    // The last but three are told of on the first page too.
    await world.database.query(sql`
      update recovery_codes set spent_at = ${world.clock.now()} where ctid in (
        select ctid from recovery_codes where account_id = ${who.id} and spent_at is null limit 6)`);
    expect((await browser.get(`${world.issuer}/account`)).text).toContain('Varakoodeja on jäljellä enää 3.');

    await browser.get(`${world.issuer}/account/recovery-codes`);
    await browser.submit();
    expect((await browser.get(`${world.issuer}/account`)).text).not.toContain('Varakoodeja');
    const other = world.browser();
    await atPassword(other, who.email);
    await password(other);
    await other.submit({ 'one-time-code': codes[1]! });
    expect(other.page.status).toBe(422);
  });

  test('pressed twice, the button shows the same ten both times; a page from before gets others', async () => {
    const who = await resident();
    await withApp(who);
    const { sealer } = world.tunnus;
    const userHandle = (): string => '';
    const changes = factorChanges({ ...world, sealer, mails: makeMails(world.tunnus), userHandle });
    const account = async () => (await accountById(world.database, who.id))!;
    const from = { place: '127.0.0.1', device: deviceOf('') };
    const press = async (sealed: string, as: Account) =>
      (await changes.makeRecoveryCodes({ account: as, from, sealed }, world.clock.now())) as {
        epoch?: number;
        codes: string[];
      };
    const shown = await account();
    const sealed = changes.drawRecoveryCodes(shown);
    const [one, two] = await Promise.all([press(sealed, shown), press(sealed, shown)]);
    expect(two.codes).toEqual(one.codes);
    expect([one.epoch, two.epoch].filter((epoch) => epoch !== undefined)).toHaveLength(1);
    const later = await press(sealed, await account());
    expect(later.codes.some((code) => one.codes.includes(code))).toBe(false);
    // What another form made is not shown here.
    expect(await press(changes.drawRecoveryCodes(shown), shown)).toEqual({ refused: 'changed_meanwhile' });
    expect((await events(who.id)).filter((kind) => kind === 'recovery_codes_made')).toHaveLength(2);
  });
});

describe('a stolen session without a fresh sign-in', () => {
  test('can look at nothing of this, and add or remove nothing', async () => {
    const who = await resident();
    const { browser } = await withApp(who);
    world.clock.advance(11 * MINUTE);
    const before = await events(who.id);
    for (const path of ['factors', 'passkey', 'authenticator', 'recovery-codes']) {
      await browser.get(`${world.issuer}/account/${path}`);
      expect(browser.page.h1).toBe('Kirjaudu sisään');
      const token = browser.page.form().querySelector('input[name=csrf]')!.getAttribute('value')!;
      await browser.post(
        `${world.issuer}/account/${path}`,
        { csrf: token, remove: 'authenticator', sealed: 'x', code: '123456', passkey: '{}' },
        { from: new URL(world.issuer) },
      );
      expect(browser.page.h1).toBe('Kirjaudu sisään');
    }
    expect(await events(who.id)).toEqual(before);
  });
});

describe('the link that undoes a change of address', () => {
  test('takes away the passkeys of whoever took the account over, and leaves those from before', async () => {
    const who = await resident();
    const { passkey: own } = await withPasskey(who);
    await world.database.query(
      sql`update passkeys set created_at = created_at - interval '2 days' where account_id = ${who.id}`,
    );
    const { browser: thief, passkey: thiefs } = await withPasskey(who);
    await thief.get(`${world.issuer}/account/email`);
    await thief.submit({ email: `varas.${who.email}` });
    await thief.get(await world.mailbox.nextLink(`varas.${who.email}`));
    await thief.submit();
    const told = await Promise.all([1, 2, 3].map(() => world.mailbox.next({ to: who.email })));
    const links = told.flatMap((mail) => mail.links);
    const owner = world.browser();
    await owner.get(links.find((link) => link.startsWith(`${world.issuer}/undo-email/`))!);
    await owner.submit();
    expect((await world.mailbox.next({ to: who.email })).text).toContain('pääsyavaimet ja todennussovellukset');

    for (const [passkey, signsIn] of [
      [thiefs, false],
      [own, true],
    ] as const) {
      const browser = world.browser();
      await browser.get((await asiointi.begin()).url);
      await browser.submit({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
      expect(leadsToService(browser)).toBe(signsIn);
    }
  });
});

describe('the copy of all that is known', () => {
  test('tells of each way to sign in, and lets nobody in', async () => {
    const who = await resident();
    const { browser: first, secret } = await withApp(who);
    await first.get(`${world.issuer}/account/passkey`);
    const passkey = new SoftPasskey(world.issuer);
    await first.submit({ passkey: passkey.create(askedOn(first.page)), name: 'Oma puhelin' }, PASSKEY_FORM);
    await first.get(`${world.issuer}/account/data`);
    const tab = first.newTab();
    await tab.get(first.page.url);
    const json = await first.submit({}, { button: 'Lataa koneluettavana (JSON)' });
    expect(JSON.parse(json.html)).toMatchObject({
      factors: {
        two_steps: true,
        passkeys: [{ name: 'Oma puhelin', backed_up: true, used_at: null }],
        authenticator: { created_at: expect.any(String) as unknown },
        recovery_codes_left: 0,
        removal_due_at: null,
      },
      registrations: [],
    });
    const readable = await tab.submit({}, { button: 'Lataa luettavana sivuna' });
    expect(readable.html).toContain('Oma puhelin');
    expect(readable.html).toContain('Todennussovellus otettu käyttöön');
    for (const copy of [json.html, readable.html]) expect(copy).not.toContain(secret);
  });
});

describe('an e-service that needs two steps', () => {
  test('gets a resident who has a second one only after that, also where they are signed in already', async () => {
    const who = await resident();
    const { passkey } = await withPasskey(who);
    const browser = world.browser();
    const first = await atPassword(browser, who.email);
    await password(browser);
    expect((await first.finish(browser.page.leadsTo!)).claims()).toMatchObject({ acr: 'urn:tunnus:password' });
    const session = browser.jar.headerFor(new URL(world.issuer), { withLax: true });

    const errand = await strict.begin();
    await browser.get(errand.url);
    expect(browser.page.h1).toBe('Toinen vaihe');
    await browser.submit({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
    const claims = (await errand.finish(browser.page.leadsTo!)).claims();
    expect(claims).toMatchObject({ acr: 'urn:tunnus:mfa', amr: ['pwd', 'swk', 'user', 'mfa'] });
    // Whoever planted or took the session of before the step does not share what it brought.
    const planted = await fetch(`${world.issuer}/account`, { headers: { cookie: session }, redirect: 'manual' });
    expect(planted.headers.get('location')).toMatch(/^\/auth\?/);
    // From then on both e-services are content.
    await browser.get((await strict.begin()).url);
    expect(leadsToService(browser)).toBe(true);
  });

  test('asks for the first step anew where the one of the session has grown too old for the request meanwhile', async () => {
    const who = await resident();
    const { passkey } = await withPasskey(who);
    const browser = world.browser();
    await atPassword(browser, who.email);
    await password(browser);
    const errand = await strict.begin({ max_age: '600' });
    await browser.get(errand.url);
    const step = () => browser.submit({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
    expect(browser.page.h1).toBe('Toinen vaihe');
    world.clock.advance(11 * MINUTE);
    await step();
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    await browser.submit({ username: who.email });
    await password(browser);
    await step();
    await errand.finish(browser.page.leadsTo!);
  });

  test("takes nobody else's passkey for the second step, and nothing that is none, and says so calmly", async () => {
    const [who, stranger] = [await resident(), await resident()];
    await withPasskey(who);
    const { passkey } = await withPasskey(stranger);
    const browser = world.browser();
    await atPassword(browser, who.email, { to: strict });
    await password(browser);
    const answers = [() => '{}', () => new SoftPasskey(world.issuer).answer(askedOn(browser.page))];
    const theirs = () => passkey.answer(askedOn(browser.page));
    for (const answer of [...answers, theirs]) {
      await browser.submit({ passkey: answer() }, PASSKEY_FORM);
      expect(browser.page.status).toBe(422);
    }
    await world.database.query(sql`update accounts set locked_at = now() where id = ${stranger.id}`);
    await browser.submit({ passkey: theirs() }, PASSKEY_FORM);
    expect(browser.page.status).toBe(422);
    // It is the sign-in to this account that was tried.
    expect((await events(who.id)).filter((kind) => kind === 'sign_in_refused')).toHaveLength(4);
    expect(await events(stranger.id)).not.toContain('sign_in_refused');
  });

  test('leads who has none to set one up, and then on to itself', async () => {
    const who = await resident();
    const browser = world.browser();
    const errand = await atPassword(browser, who.email, { to: strict });
    await password(browser);
    expect(browser.page.h1).toBe('Tarvitset toisen vaiheen');
    await browser.follow('Ota käyttöön');
    expect(browser.page.h1).toBe('Kirjautumistavat');
    await browser.follow('Ota todennussovellus käyttöön');
    const secret = browser.page.root.querySelector('.key')!.text.replaceAll(' ', '');
    await browser.submit({ 'one-time-code': codeOf(secret) });
    await browser.submit();
    await browser.follow('Jatka kirjautumista');
    const claims = (await errand.finish(browser.page.leadsTo!)).claims();
    expect(claims).toMatchObject({ acr: 'urn:tunnus:mfa', amr: ['pwd', 'otp', 'mfa'] });
  });

  test.each<[string, Record<string, string>]>([
    ['acr_values', { acr_values: 'urn:tunnus:mfa' }],
    [
      'an essential claim',
      { claims: JSON.stringify({ id_token: { acr: { essential: true, value: 'urn:tunnus:mfa' } } }) },
    ],
  ])('may say so by %s in one request', async (_, ask) => {
    const who = await resident();
    const { passkey } = await withPasskey(who);
    const browser = world.browser();
    const errand = await atPassword(browser, who.email, { ask });
    await password(browser);
    expect(browser.page.h1).toBe('Toinen vaihe');
    await browser.submit({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
    expect((await errand.finish(browser.page.leadsTo!)).claims()).toMatchObject({ acr: 'urn:tunnus:mfa' });
  });

  test('is told login_required where nobody may be asked; a mere wish is no error there', async () => {
    const who = await resident();
    const browser = world.browser();
    await atPassword(browser, who.email);
    await password(browser);
    await browser.get((await strict.begin({ prompt: 'none' })).url);
    expect(browser.page.leadsTo?.searchParams.get('error')).toBe('login_required');
    const wish = await asiointi.begin({ prompt: 'none', acr_values: 'urn:tunnus:mfa' });
    await browser.get(wish.url);
    expect((await wish.finish(browser.page.leadsTo!)).claims()).toMatchObject({ acr: 'urn:tunnus:password' });
  });
});

describe('the resident with passkeys only', () => {
  test('may choose to be asked for one after the password, and takes that back', async () => {
    const who = await resident();
    const { browser, passkey } = await withPasskey(who);
    await browser.submit({}, { button: 'Kysy myös pääsyavainta' });
    const other = world.browser();
    await atPassword(other, who.email);
    await password(other);
    expect(other.page.h1).toBe('Toinen vaihe');
    expect(other.page.field('one-time-code')).toBeUndefined();
    await other.submit({ passkey: passkey.answer(askedOn(other.page)) }, PASSKEY_FORM);
    expect(leadsToService(other)).toBe(true);
    await browser.submit({}, { button: 'Älä kysy pääsyavainta salasanan jälkeen' });
    const third = world.browser();
    await atPassword(third, who.email);
    await password(third);
    expect(leadsToService(third)).toBe(true);
  });
});

describe('the resident without a password', () => {
  test('is mailed a link that sets one, since there is no current one to give', async () => {
    const who = await resident();
    const { browser, passkey } = await withPasskey(who);
    await world.mailbox.next({ to: who.email });
    await world.database.query(sql`
      update accounts set password_state = 'none', password_hash = null where id = ${who.id}`);
    await browser.get(`${world.issuer}/account/password`);
    expect([browser.page.field('current-password'), browser.page.text]).toEqual([
      undefined,
      expect.stringContaining('Sinulla ei ole salasanaa.'),
    ]);
    expect((await browser.submit()).h1).toBe('Tarkista sähköpostisi');
    await browser.get((await mailSaying(who.email, '/set-password/')).links[0]!);
    await browser.submit({ 'new-password': PASSWORD });
    const other = world.browser();
    await atPassword(other, who.email);
    await password(other);
    expect(leadsToService(other)).toBe(true);
    const third = world.browser();
    await third.get((await asiointi.begin()).url);
    await third.submit({ passkey: passkey.answer(askedOn(third.page)) }, PASSKEY_FORM);
    expect(leadsToService(third)).toBe(true);
  });
});

describe('the offer of a passkey', () => {
  const signIn = async (email: string) => {
    const browser = world.browser();
    await atPassword(browser, email);
    // What the page's script says where the device could make one.
    await password(browser, { passkeys: 'yes' });
    return browser;
  };

  test('comes once after a password, and makes one that works', async () => {
    const who = await resident();
    const browser = world.browser();
    const errand = await atPassword(browser, who.email);
    await password(browser, { passkeys: 'yes' });
    expect(browser.page.h1).toBe('Kirjaudu ensi kerralla ilman salasanaa');
    const passkey = new SoftPasskey(world.issuer);
    await browser.submit({ passkey: passkey.create(askedOn(browser.page)) }, PASSKEY_FORM);
    expect((await errand.finish(browser.page.leadsTo!)).claims()).toMatchObject({ amr: ['pwd'] });
    expect(leadsToService(await signIn(who.email))).toBe(true);
    const other = world.browser();
    await other.get((await asiointi.begin()).url);
    await other.submit({ passkey: passkey.answer(askedOn(other.page)) }, PASSKEY_FORM);
    expect(leadsToService(other)).toBe(true);
  });

  test('declined for now it comes back after three months, declined for good never', async () => {
    const who = await resident();
    const browser = await signIn(who.email);
    await browser.submit({}, { button: 'Ei nyt' });
    expect(leadsToService(browser)).toBe(true);
    expect(leadsToService(await signIn(who.email))).toBe(true);
    const until = async () =>
      (
        await world.database.query<{ at: Date }>(sql`
          select passkey_offer_after as at from accounts where id = ${who.id}`)
      )[0]!.at;
    expect(Math.round(((await until()).getTime() - world.clock.now().getTime()) / 86_400_000)).toBe(90);
    await world.database.query(
      sql`update accounts set passkey_offer_after = now() - interval '1 day' where id = ${who.id}`,
    );
    const later = await signIn(who.email);
    await later.submit({}, { button: 'Älä tarjoa enää' });
    expect(leadsToService(later)).toBe(true);
    expect((await until()).getFullYear()).toBe(9999);
  });

  test('does not come to a device that can make none', async () => {
    const browser = world.browser();
    await atPassword(browser, (await resident()).email);
    await password(browser);
    expect(leadsToService(browser)).toBe(true);
  });
});

describe('support', () => {
  const acts = () => {
    const { sealer, database } = world.tunnus;
    return supportFor({ database, sealer, config: world.config, close: () => Promise.resolve() }, 'support:tester');
  };
  /** What the sweep does every minute. */
  const removeDue = (hours: number) => {
    const { sealer, database } = world.tunnus;
    const removals = factorRemovals({ database, sealer, mails: makeMails({ sealer }), config: world.config });
    return removals.removeDue(database, new Date(world.clock.now().getTime() + hours * HOURS));
  };
  const HOURS = 60 * MINUTE;
  const ask = async (email: string, factor = 'all') => {
    // The mail that tells of setting it up: of two at once either may come first.
    await world.mailbox.next({ to: email });
    const asked = await acts().removeFactor({ email, factor, reason: 'lost the phone' }, world.clock.now());
    expect(asked).toHaveProperty('dueAt');
    return world.mailbox.nextLink(email);
  };
  const has = async (email: string) => {
    const seen = await acts().factors(email, world.clock.now());
    if ('refused' in seen) throw new Error(seen.refused);
    return seen;
  };

  test('sees which ways there are, and nothing that proves anything', async () => {
    const who = await resident();
    const { passkey } = await withPasskey(who);
    const { secret } = await withApp(who);
    const seen = await has(who.email);
    expect(seen).toMatchObject({ passkeys: [{ name: 'Oma puhelin', backedUp: true }], codes: 0, secondStep: true });
    const told = [JSON.stringify(seen), ...tellFactors(seen)].join();
    for (const secrets of [secret, passkey.id, 'v1.']) expect(told).not.toContain(secrets);
    expect((await events(who.id)).at(-1)).toBe('account_viewed');
  });

  test('removes what is lost after 72 hours, with a mail before and after, and who did so is on record', async () => {
    const who = await resident();
    await withApp(who);
    await ask(who.email);
    expect(await removeDue(71)).toBe(0);
    expect((await has(who.email)).authenticator).toBeDefined();
    expect((await Promise.all([removeDue(73), removeDue(73)])).sort()).toEqual([0, 1]);
    expect(await has(who.email)).toMatchObject({ passkeys: [], authenticator: undefined, codes: 0, secondStep: false });
    expect((await world.mailbox.next({ to: who.email })).text).toContain('Tuki on poistanut');
    const browser = world.browser();
    await atPassword(browser, who.email);
    await password(browser);
    expect(leadsToService(browser)).toBe(true);
    const [row] = await world.database.query(sql`
      select actor, detail from audit where account_id = ${who.id} and kind = 'factor_removal_asked'`);
    expect(row).toEqual({ actor: 'support:tester', detail: { factor: 'all', reason: 'lost the phone' } });
  });

  test('is stopped by the link of the mail, which a scanner may fetch and which works once', async () => {
    const who = await resident();
    await withApp(who);
    const link = await ask(who.email);
    const browser = world.browser();
    await browser.get(link);
    await browser.get(link);
    expect((await has(who.email)).removal).toBeDefined();
    await browser.submit();
    expect(browser.page.text).toContain('Poisto on peruttu');
    expect((await browser.get(link)).status).toBe(410);
    expect(await removeDue(80)).toBe(0);
    expect((await has(who.email)).authenticator).toBeDefined();
    expect((await world.browser().get(`${world.issuer}/keep-factors/${'x'.repeat(43)}`)).status).toBe(410);
  });

  test('is stopped by signing in with what was to go, and by nothing less', async () => {
    const who = await resident();
    const { passkey } = await withPasskey(who);
    const { secret } = await withApp(who);
    await world.mailbox.next({ to: who.email });
    await ask(who.email, 'authenticator');
    const other = world.browser();
    await other.get((await asiointi.begin()).url);
    await other.submit({ passkey: passkey.answer(askedOn(other.page)) }, PASSKEY_FORM);
    expect((await has(who.email)).removal).toMatchObject({ factor: 'authenticator', actor: 'support:tester' });
    const browser = world.browser();
    await atPassword(browser, who.email);
    await password(browser);
    await browser.submit({ 'one-time-code': codeOf(secret) });
    expect(leadsToService(browser)).toBe(true);
    expect((await has(who.email)).removal).toBeUndefined();
    expect(await events(who.id)).toContain('factor_removal_called_off');
  });

  test.each([
    ['a factor that there is not', { factor: 'authenticator', reason: 'lost' }, 'no_such_factor'],
    ['no reason', { factor: 'all', reason: ' ' }, 'bad_reason'],
  ])('is refused with %s', async (_, asked, refused) => {
    const { email } = await resident();
    expect(await acts().removeFactor({ email, ...asked }, world.clock.now())).toMatchObject({ refused });
  });

  test('an erased account leaves nothing of its factors', async () => {
    const who = await resident();
    await withPasskey(who);
    const { browser } = await withApp(who);
    await browser.submit();
    await acts().removeFactor({ email: who.email, factor: 'all', reason: 'x' }, world.clock.now());
    await acts().erase({ email: who.email, yes: true }, world.clock.now());
    const [left] = await world.database.query<{ count: number }>(sql`
      select (select count(*) from passkeys where account_id = ${who.id})
        + (select count(*) from authenticators where account_id = ${who.id})
        + (select count(*) from recovery_codes where account_id = ${who.id})
        + (select count(*) from factor_removals where account_id = ${who.id}) as count`);
    expect(left!.count).toBe(0);
  });
});

test('a new secret seals the keys of authenticator apps anew', async () => {
  const who = await resident();
  const { secret } = await withApp(who);
  const changed = makeSealer(['another secret of thirty-two characters or more', SECRET]);
  expect(await reseal(world.database, changed)).toBeGreaterThan(0);
  const [row] = await world.database.query<{ sealed: string }>(sql`
    select sealed from authenticators where account_id = ${who.id}`);
  expect(changed.sealedWith(row!.sealed, 'authenticator')).toBe(0);
  expect(changed.open(row!.sealed, 'authenticator')).toBe(secret);
});
