/** What residents change of their own account, see of it and end; and what whoever has a session of theirs cannot. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { emailChanges } from '../../src/journeys/email-change.ts';
import { leaving } from '../../src/journeys/leave.ts';
import { residentSessions } from '../../src/journeys/sessions.ts';
import { makeMails } from '../../src/mail/mails.ts';
import { supportFor } from '../../src/desk.ts';
import { sql } from '../../src/platform/database.ts';
import { deviceOf } from '../../src/platform/user-agent.ts';
import { accountById } from '../../src/records/accounts.ts';
import { hashPassword } from '../../src/records/passwords.ts';
import { tellPicture } from '../../src/commands/account-picture.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import type { HttpPage } from '../support/http-page.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const DAY = 86_400_000;
const MINUTE = 60_000;

let world: World;
let asiointi: RelyingParty;
let hash: string;

beforeAll(async () => {
  world = await startWorld({
    clients: {
      asiointi: {
        client_name: 'Asiointi',
        redirect_uris: ['https://asiointi.example/callback'],
        client_uri: 'https://asiointi.example/',
        backchannel_logout_uri: 'https://asiointi.invalid/logout',
        scope: 'openid email profile phone legacy offline_access',
        grant_types: ['authorization_code', 'refresh_token'],
        subject_type: 'legacy',
        legacy_source: 'asiointi',
      },
    },
  });
  asiointi = await world.relyingParty();
  hash = await hashPassword(PASSWORD);
});
afterAll(() => world.close());

let people = 0;
/** One hash for all: made once, it costs once. */
async function resident({ ids, name = 'Maija' }: { ids?: Record<string, string>; name?: string } = {}) {
  const email = `oma${(people += 1)}@example.com`;
  const id = await world.account({ email, givenName: name, ids });
  await world.database.query(sql`update accounts set password_state = 'own', password_hash = ${hash} where id = ${id}`);
  return { email, id };
}

async function fill(browser: HttpBrowser, email: string, password = PASSWORD) {
  await browser.submit({ username: email });
  return browser.submit({ 'current-password': password });
}

/** A browser on one of the resident's own pages. */
async function on(path: string, email: string, browser = world.browser()): Promise<HttpBrowser> {
  await browser.get(`${world.issuer}${path}`);
  await fill(browser, email);
  expect(browser.page.url.pathname).toBe(path);
  return browser;
}

async function signedIn(email: string, browser = world.browser()) {
  const errand = await asiointi.begin({ scope: 'openid email profile phone' });
  await browser.get(errand.url);
  if (!browser.page.leadsTo) await fill(browser, email);
  return { browser, tokens: await errand.finish(browser.page.leadsTo!) };
}

const isIn = async (browser: HttpBrowser): Promise<boolean> =>
  (await browser.get(`${world.issuer}/account`)).h1 === 'Omat asetukset';

const events = async (accountId: string): Promise<string[]> =>
  (
    await world.database.query<{ kind: string }>(
      sql`select kind from audit where account_id = ${accountId} order by id`,
    )
  ).map(({ kind }) => kind);
const row = async (id: string) =>
  (await world.database.query<Record<string, unknown>>(sql`select * from accounts where id = ${id}`))[0];

/** Asks for another address and opens the link to it, in the browser given or on another device. */
async function changeAddress(browser: HttpBrowser, to: string, device = browser) {
  await browser.get(`${world.issuer}/account/email`);
  await browser.submit({ email: to });
  const link = await world.mailbox.nextLink(to);
  await device.get(link);
  await device.submit();
  return link;
}

async function undoLink(to: string): Promise<string> {
  const mail = await world.mailbox.next({ to });
  expect(mail.subject).toBe('Sähköpostiosoitteesi on vaihdettu');
  return mail.links.find((link) => link.startsWith(`${world.issuer}/undo-email/`))!;
}

describe('name, phone and language', () => {
  test('are changed by their resident, who is told by mail, and e-services are told with the next sign-in', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/details', email);
    await browser.submit({ 'given-name': ' Mäija\u200B ', 'family-name': 'Meikäläinen', tel: '040 (123) 45-67' });
    expect(browser.page.url.pathname).toBe('/account');
    expect(browser.page.text).toContain('Tietosi on tallennettu.');
    const { tokens } = await signedIn(email, browser);
    expect(await client.fetchUserInfo(asiointi.config, tokens.access_token, client.skipSubjectCheck)).toMatchObject({
      name: 'Mäija Meikäläinen',
      phone_number: '0401234567',
      locale: 'fi',
    });
    expect((await world.mailbox.next({ to: email })).subject).toBe('Tietojasi on muutettu');
    const [audit] = await world.database.query(sql`select detail from audit
      where account_id = ${id} and kind = 'details_changed'`);
    expect(audit).toEqual({ detail: { changed: 'givenName familyName phoneNumber locale' } });
  });

  test('keep what was typed where something is wrong', async () => {
    const { email } = await resident();
    const browser = await on('/account/details', email);
    const page = await browser.submit({ 'given-name': 'x'.repeat(101), 'family-name': 'Aino', tel: 'soita illalla' });
    expect(page.status).toBe(422);
    expect(page.title).toMatch(/^Virhe/);
    expect(page.faultOf('given-name')).toContain('100');
    expect(page.faultOf('tel')).toContain('numeroin');
    expect(page.field('family-name')?.getAttribute('value')).toBe('Aino');
    expect(page.field('tel')?.getAttribute('value')).toBe('soita illalla');
  });

  test('in two tabs: the second is told what the first has saved, and may still save its own', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/details', email);
    const tab = browser.newTab();
    await tab.get(`${world.issuer}/account/details`);
    await browser.submit({ 'given-name': 'Ensimmäinen' });
    const page = await tab.submit({ 'given-name': 'Toinen' });
    expect(page.status).toBe(422);
    expect(page.text).toContain('Tallessa on nyt: Ensimmäinen');
    expect(page.field('given-name')?.getAttribute('value')).toBe('Toinen');
    expect(await row(id)).toMatchObject({ given_name: 'Ensimmäinen' });
    await tab.submit();
    expect(await row(id)).toMatchObject({ given_name: 'Toinen' });
  });

  test('in two tabs: the second is told so too where it first had a fault to mend', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/details', email);
    const tab = browser.newTab();
    await tab.get(browser.page.url);
    await browser.submit({ 'given-name': 'Ensin' });
    expect((await tab.submit({ tel: 'ei numeroa' })).status).toBe(422);
    await tab.submit({ tel: '040123456' });
    expect([tab.page.status, tab.page.faultOf('given-name')]).toEqual([
      422,
      'Tietojasi on muutettu toisella välilehdellä tai laitteella. Tarkista tiedot ja tallenna uudelleen.',
    ]);
    expect(tab.page.text).toContain('Tallessa on nyt: Ensin.');
    expect(await row(id)).toMatchObject({ given_name: 'Ensin', phone_number: null });
  });
});

describe('another address', () => {
  test('is confirmed by a link to it, on any device; the old one is told, and history, sub and password stay', async () => {
    const { email, id } = await resident({ ids: { asiointi: 'U-500' } });
    const elsewhere = world.browser();
    const before = await signedIn(email, elsewhere);
    const browser = await on('/account/email', email);
    const to = `Uusi.${email}`;
    const page = await browser.submit({ email: to });
    expect([page.status, page.h1]).toEqual([200, 'Tarkista sähköpostisi']);
    const mail = await world.mailbox.next({ to });
    expect(`${mail.text}${mail.html}`).not.toContain(` ${email}`);
    const [link] = mail.links;
    // A mail scanner changes nothing.
    for (const method of ['GET', 'HEAD', 'GET']) expect((await fetch(link!, { method })).status).toBe(200);
    expect(await row(id)).toMatchObject({ email });

    const phone = world.browser();
    await phone.get(link!);
    await phone.submit();
    expect(phone.page.h1).toBe('Sähköpostiosoitteesi on vaihdettu');
    expect(await row(id)).toMatchObject({ email: to, email_key: to.toLowerCase(), email_verified: true });
    expect(await isIn(elsewhere)).toBe(false);
    expect(await isIn(browser)).toBe(false);
    expect(await undoLink(email)).toBeDefined();
    expect(await events(id)).toEqual(expect.arrayContaining(['email_change_asked', 'email_changed']));

    const after = await signedIn(to);
    const { sub } = before.tokens.claims()!;
    expect(await client.fetchUserInfo(asiointi.config, after.tokens.access_token, sub)).toMatchObject({
      sub: 'U-500',
      email: to,
      email_verified: true,
    });
    // The same link again says what it did.
    expect((await phone.get(link!)).h1).toBe('Sähköpostiosoitteesi on vaihdettu');
  });

  test('keeps the browser signed in where both were done', async () => {
    const { email } = await resident();
    const browser = await on('/account/email', email);
    await changeAddress(browser, `sama.${email}`);
    expect(await isIn(browser)).toBe(true);
    expect(browser.page.text).toContain(`sama.${email}`);
  });

  test('keeps what was typed where it is none, or is the own one', async () => {
    const { email } = await resident();
    const browser = await on('/account/email', email);
    const none = await browser.submit({ email: 'ei osoite' });
    expect([none.status, none.field('email')?.getAttribute('value')]).toEqual([422, 'ei osoite']);
    expect((await browser.submit({ email })).faultOf('email')).toContain('jo osoitteesi');
  });

  test('of somebody else looks the same to whoever asks; only that mailbox is told, without anything to press', async () => {
    const [one, other] = [await resident(), await resident({ name: 'Väinö' })];
    const browser = await on('/account/email', one.email);
    const tab = browser.newTab();
    await tab.get(`${world.issuer}/account/email`);
    const taken = await browser.submit({ email: other.email });
    const free = await tab.submit({ email: `vapaa.${other.email}` });
    const shape = (page: typeof taken, email: string) => [page.status, page.text.replaceAll(email, '…')];
    expect(shape(taken, other.email)).toEqual(shape(free, `vapaa.${other.email}`));
    const mail = await world.mailbox.next({ to: other.email });
    expect(mail.subject).toBe('Osoitteesi haluttiin toiselle käyttäjätunnukselle');
    expect([mail.links, mail.text.includes(one.email)]).toEqual([[], false]);
    expect(await row(other.id)).toMatchObject({ email: other.email, epoch: 0 });
  });

  test('taken by somebody else meanwhile changes nothing', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/email', email);
    const to = `kohta.${email}`;
    await browser.submit({ email: to });
    await browser.get(await world.mailbox.nextLink(to));
    await world.account({ email: to });
    const page = await browser.submit();
    expect([page.status, page.h1]).toEqual([409, 'Linkki ei enää toimi']);
    expect(await row(id)).toMatchObject({ email, epoch: 0 });
    expect(await isIn(browser)).toBe(true);
  });

  test('that waits is shown, whoever has it, and can be called off: the link is void', async () => {
    const [{ email, id }, other] = [await resident(), await resident()];
    const browser = await on('/account/email', email);
    const to = `odottaa.${email}`;
    await browser.submit({ email: to });
    const link = await world.mailbox.nextLink(to);
    await browser.get(`${world.issuer}/account/email`);
    await browser.submit({ email: other.email });
    expect((await browser.get(`${world.issuer}/account`)).text).toContain(other.email);
    const page = await browser.get(`${world.issuer}/account/email`);
    for (const waiting of [to, other.email]) expect(page.text).toContain(waiting);
    const tab = browser.newTab();
    await tab.get(`${world.issuer}/account/email`);

    await browser.submit({}, { form: '#call-off' });
    expect(browser.page.text).toContain('Vaihto on peruttu.');
    expect(browser.page.text).not.toContain(to);
    expect((await world.browser().get(link)).status).toBe(410);
    expect((await tab.submit({}, { form: '#call-off' })).text).not.toContain('Vaihto on peruttu.');
    expect((await events(id)).filter((kind) => kind === 'email_change_called_off')).toHaveLength(1);
    await browser.get(`${world.issuer}/account/data`);
    expect((await browser.submit({}, { button: 'Lataa luettavana sivuna' })).html).toContain(to);
    expect(await row(id)).toMatchObject({ email });
  });

  test('asked for in two tabs: the first confirmed counts, and the link of the other is over', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/email', email);
    await browser.submit({ email: `b.${email}` });
    const other = await world.mailbox.nextLink(`b.${email}`);
    await changeAddress(browser, `a.${email}`);
    const page = await world.browser().get(other);
    expect([page.status, page.h1]).toEqual([410, 'Linkki ei enää toimi']);
    expect(await row(id)).toMatchObject({ email: `a.${email}` });
  });

  test('asked for by somebody else is over once the resident ends all other sessions', async () => {
    const { email, id } = await resident();
    const thief = await on('/account/email', email);
    await thief.submit({ email: `varas.${email}` });
    const link = await world.mailbox.nextLink(`varas.${email}`);
    const own = await on('/account/sessions', email);
    await own.submit({}, { button: 'Päätä kaikki muut kirjautumiset' });
    await thief.get(link);
    expect(thief.page.status).toBe(410);
    expect(await row(id)).toMatchObject({ email });
  });

  test('is asked for a few times an hour only: the mailbox may be anybody else’s', async () => {
    const { email } = await resident();
    const browser = await on('/account/email', email);
    for (let asked = 0; browser.page.status === 200 && asked < 10; asked += 1) {
      await browser.get(`${world.issuer}/account/email`);
      await browser.submit({ email: `paljon.${email}` });
    }
    const { page } = browser;
    expect(page.status).toBe(429);
    expect(Number(page.headers['retry-after'])).toBeGreaterThan(0);
    // What was typed stands there for later.
    expect(page.field('email')?.getAttribute('value')).toBe(`paljon.${email}`);
    expect(page.faultOf('email')).toMatch(/Liian monta yritystä\. Yritä uudelleen .+ kuluttua\.$/);
    expect(world.mailbox.all.filter(({ to }) => to === `paljon.${email}`).length).toBeLessThanOrEqual(3);
  });
});

describe('the link that undoes a change of address', () => {
  test('gives the account back, whatever whoever took it over has done since', async () => {
    const { email, id } = await resident();
    const thief = await on('/account/email', email);
    await changeAddress(thief, `varas1.${email}`);
    const undo = await undoLink(email);
    await changeAddress(thief, `varas2.${email}`);
    const thiefsUndo = await undoLink(`varas1.${email}`);
    await thief.get(`${world.issuer}/account/password`);
    await thief.submit({ 'current-password': PASSWORD, 'new-password': 'neljä punaista venettä laiturissa' });
    await thief.get(`${world.issuer}/account/leave`);
    await thief.submit({ sure: 'yes' });
    expect((await row(id))!['leaves_at']).toBeInstanceOf(Date);

    // The new password ended the link, as it ends all; whoever reads the old mailbox gets another, with no more time.
    const owner = world.browser();
    await owner.get(undo);
    expect(owner.page.text).toContain('Linkki ei enää toimi');
    await owner.submit();
    expect(owner.page.h1).toBe('Uusi linkki on lähetetty');
    expect(await row(id)).toMatchObject({ email: `varas2.${email}`, password_state: 'own' });
    const anew = await undoLink(email);
    expect(anew).not.toBe(undo);
    const [times] = await world.database.query<{ same: boolean }>(sql`
      select count(distinct expires_at) = 1 as same from links where account_id = ${id} and email = ${email}
        and purpose = 'undo_email'`);
    expect(times).toEqual({ same: true });
    await owner.get(anew);
    expect(owner.page.text).toContain(email);
    await owner.submit();
    expect(owner.page.h1).toBe('Osoitteen vaihto on peruttu');
    expect(await row(id)).toMatchObject({ email, email_verified: true, password_state: 'none', leaves_at: null });
    expect(await isIn(thief)).toBe(false);
    expect((await world.mailbox.next({ to: email })).subject).toBe('Osoitteen vaihto on peruttu');
    // What undid the thief's own changes is not to be had anew.
    await thief.get(thiefsUndo);
    expect(thief.page.status).toBe(410);
    expect(thief.page.text).not.toContain('Lähetä uusi linkki');
    // Used again, or after: the page says so, and nothing changes.
    expect((await owner.get(anew)).h1).toBe('Osoitteen vaihto on peruttu');
    expect((await owner.get(undo)).status).toBe(410);
    expect(await events(id)).toEqual(expect.arrayContaining(['email_undo_asked', 'email_change_undone']));
  });

  test('of a later change does not void that of an earlier one', async () => {
    const { email, id } = await resident();
    const thief = await on('/account/email', email);
    await changeAddress(thief, `v1.${email}`);
    const undo = await undoLink(email);
    await changeAddress(thief, `v2.${email}`);
    await thief.get(await undoLink(`v1.${email}`));
    await thief.submit();
    expect(await row(id)).toMatchObject({ email: `v1.${email}` });
    const owner = world.browser();
    await owner.get(undo);
    await owner.submit();
    expect(await row(id)).toMatchObject({ email });
  });

  test('says when the address is somebody else’s by now, and changes nothing', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/email', email);
    await changeAddress(browser, `toinen.${email}`);
    const undo = await undoLink(email);
    await world.account({ email });
    await browser.get(undo);
    expect((await browser.submit()).status).toBe(409);
    expect(await row(id)).toMatchObject({ email: `toinen.${email}`, password_state: 'own' });
  });

  test('sets no password, and no other link undoes', async () => {
    const { email } = await resident();
    const browser = await on('/account/email', email);
    const confirm = await changeAddress(browser, `ristiin.${email}`);
    const undo = await undoLink(email);
    for (const link of [confirm, undo])
      for (const other of ['set-password', 'confirm-email', 'undo-email'].filter((path) => !link.includes(path)))
        expect((await browser.get(link.replace(/(confirm|undo)-email/, other))).status).toBe(404);
    expect((await browser.get(`${world.issuer}/undo-email/nonsense`)).status).toBe(404);
  });

  test('pressed twice at once works once', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/email', email);
    await changeAddress(browser, `kahdesti.${email}`);
    const undo = await undoLink(email);
    const tabs = await Promise.all(
      [1, 2].map(async () => {
        const tab = world.browser();
        await tab.get(undo);
        return tab;
      }),
    );
    await Promise.all(tabs.map((tab) => tab.submit()));
    expect(tabs.map(({ page }) => page.h1)).toEqual(Array(2).fill('Osoitteen vaihto on peruttu'));
    expect((await events(id)).filter((kind) => kind === 'email_change_undone')).toHaveLength(1);
  });

  test('leads nowhere after seven days', async () => {
    const { email } = await resident();
    const browser = await on('/account/email', email);
    await changeAddress(browser, `myöhään.${email}`);
    const token = (await undoLink(email)).split('/').pop()!;
    const journey = emailChanges({ ...world, mails: makeMails(world.tunnus), allowances: undefined as never });
    const at = (days: number) => new Date(world.clock.now().getTime() + days * DAY);
    const which = { token, visitor: undefined as never, purpose: 'undo_email' } as const;
    expect(await journey.opened(which, at(6.9))).toMatchObject({ step: 'ask' });
    expect(await journey.opened(which, at(7.1))).toMatchObject({ step: 'over', why: 'expired' });
  });
});

describe('where I am signed in', () => {
  const told = async (id: string) =>
    world.database.query<{ client_id: string }>(sql`select client_id from logouts where account_id = ${id}`);

  test('shows each browser, ends one with its e-services told, and all others but this one', async () => {
    const { email, id } = await resident();
    const one = (await signedIn(email)).browser;
    const two = (await signedIn(email)).browser;
    const own = await on('/account/sessions', email);
    expect(own.page.main.querySelectorAll('section h2')).toHaveLength(4);
    expect(own.page.text).toContain('127.0.0.x');
    expect(own.page.text).not.toContain('127.0.0.1');
    await own.submit();
    expect(own.page.text).toContain('Kirjautuminen on päätetty.');
    expect([await isIn(one), await isIn(two)].sort()).toEqual([false, true]);
    expect(await told(id)).toEqual([{ client_id: 'asiointi' }]);
    await own.get(`${world.issuer}/account/sessions`);
    await own.submit({}, { button: 'Päätä kaikki muut kirjautumiset' });
    expect([await isIn(one), await isIn(two), await isIn(own)]).toEqual([false, false, true]);
    expect(await events(id)).toEqual(expect.arrayContaining(['session_ended', 'other_sessions_ended']));
  });

  test("ends nothing by an id that is made up, somebody else's, or ended already", async () => {
    const [{ email }, other] = [await resident(), await resident()];
    const theirs = (await signedIn(other.email)).browser;
    await theirs.get(`${world.issuer}/account/sessions`);
    const theirOwn = await on('/account/sessions', other.email);
    const handle = theirOwn.page.field('session')!.getAttribute('value')!;
    const mine = (await signedIn(email)).browser;
    const own = await on('/account/sessions', email);
    for (const forged of [handle, 'x', '', 'x'.repeat(100)]) {
      await own.get(`${world.issuer}/account/sessions`);
      await own.submit({ session: forged });
      expect(own.page.text).toContain('Kirjautuminen oli jo päättynyt.');
    }
    expect([await isIn(theirs), await isIn(mine), await isIn(own)]).toEqual([true, true, true]);
    const tab = own.newTab();
    await own.get(`${world.issuer}/account/sessions`);
    await tab.get(`${world.issuer}/account/sessions`);
    await own.submit();
    await tab.submit({}, { button: 'Päätä tämä kirjautuminen' });
    expect(tab.page.text).toContain('Kirjautuminen oli jo päättynyt.');
  });

  test('ends no others for a session that was ended meanwhile: it would carry itself on', async () => {
    const { id } = await resident();
    const account = (await accountById(world.database, id))!;
    const journey = residentSessions({ ...world.tunnus, told: () => [] });
    await world.database.query(sql`update accounts set epoch = epoch + 1 where id = ${id}`);
    expect(
      await journey.endOthers(
        { account, from: { place: '127.0.0.1', device: deviceOf(undefined) } },
        world.clock.now(),
      ),
    ).toBeUndefined();
    expect(await row(id)).toMatchObject({ epoch: 1 });
    expect(await events(id)).toEqual([]);
  });
});

describe('sign-ins so far', () => {
  test('are shown for ninety days, good and failed, page by page', async () => {
    const { email, id } = await resident();
    await world.database.query(sql`
      insert into audit (at, kind, account_id, client_id, place)
      select ${world.clock.now()}::timestamptz - n * interval '1 day', 'sign_in_refused', ${id}, 'asiointi', '198.51.100.7'
      from generate_series(1, 100) n`);
    const browser = await on('/account/sign-ins', email);
    const list = () => browser.page.main.querySelectorAll('ul.events li').length;
    expect(browser.page.text).toContain('Kirjautuminen onnistui');
    expect(browser.page.text).toContain('Asiointi · verkko 198.51.100.x');
    let seen = list();
    for (let pages = 0; browser.page.links.some(({ text }) => text === 'Vanhemmat') && pages < 10; pages += 1) {
      await browser.follow('Vanhemmat');
      seen += list();
    }
    expect(seen).toBe(1 + 89);
    for (const page of ['0', '-1', 'x', '9999', '51'])
      expect((await browser.get(`${world.issuer}/account/sign-ins?page=${page}`)).status).toBe(200);
  });
});

describe('my data', () => {
  test('come as JSON and as a page, with all that is known and no secret', async () => {
    const { email, id } = await resident({ ids: { asiointi: `U-${people}` } });
    await signedIn(email);
    const browser = await on('/account/data', email);
    const page = browser.page;
    const json = await browser.submit({}, { button: 'Lataa koneluettavana (JSON)' });
    expect(json.headers['content-disposition']).toMatch(/^attachment; filename="tunnus-[\d-]+\.json"$/);
    expect(json.headers['cache-control']).toBe('no-store');
    expect(JSON.parse(json.html)).toMatchObject({
      account: { email, id, given_name: 'Maija', password: 'own' },
      old_ids: [{ list: 'asiointi' }],
      known_as: [{ e_services: ['asiointi'] }],
      e_services: [{ e_service: 'asiointi' }],
      sessions: [{}, {}],
      events: expect.arrayContaining([expect.objectContaining({ event: 'signed_in' })]) as unknown,
    });
    const tab = browser.newTab();
    await tab.get(page.url);
    const readable = await tab.submit({}, { button: 'Lataa luettavana sivuna' });
    expect(readable.headers['content-disposition']).toMatch(/\.html"$/);
    for (const said of [email, 'Maija', 'Asiointi', 'Kirjautuminen onnistui']) expect(readable.html).toContain(said);
    const secrets = browser.jar.headerFor(new URL(world.issuer), { withLax: true }).split(/[=;] ?/);
    for (const whole of [json.html, readable.html])
      for (const secret of ['argon2', ...secrets.filter((part) => part.length > 20)])
        expect(whole).not.toContain(secret);
  });
});

describe('leaving', () => {
  const journey = () => leaving({ ...world, ...world.tunnus, mails: makeMails(world.tunnus), told: () => [] });
  const at = (days: number) => new Date(world.clock.now().getTime() + days * DAY);

  test('asks to be sure, signs out everywhere, and is undone by signing in', async () => {
    const { email, id } = await resident();
    const elsewhere = (await signedIn(email)).browser;
    const browser = await on('/account/leave', email);
    const unsure = await browser.submit();
    expect([unsure.status, unsure.faultOf('sure')]).toEqual([
      422,
      'Jos haluat poistaa käyttäjätunnuksesi, rastita ruutu.',
    ]);
    await browser.submit({ sure: 'yes' });
    expect(browser.page.h1).toBe('Käyttäjätunnuksesi poistetaan');
    // Another language would lead to a sign-in, and that would call it off.
    expect(browser.page.root.querySelector('.languages')).toBeNull();
    expect([await isIn(browser), await isIn(elsewhere)]).toEqual([false, false]);
    const [job] = await world.database.query(sql`select 1 from logouts where account_id = ${id} union all
      select 1 from graphile_worker.jobs where task_identifier = 'end_sessions' and key = ${`end_sessions:${id}`}`);
    expect(job).toBeDefined();
    expect((await world.mailbox.next({ to: email })).links).toEqual([`${world.issuer}/account`]);
    const support = supportFor({ ...world, ...world.tunnus, close: () => Promise.resolve() }, 'support:test');
    const picture = await support.show({ email }, world.clock.now());
    expect('account' in picture && tellPicture(picture).join('\n')).toMatch(/^leaves +\d{4}/m);

    await on('/account', email);
    expect(await row(id)).toMatchObject({ email, leaves_at: null });
    expect((await world.mailbox.next({ to: email })).subject).toBe('Käyttäjätunnustasi ei poisteta');
    expect(await events(id)).toEqual(expect.arrayContaining(['leaving_asked', 'leaving_undone']));
    expect(await journey().carryOut(at(15))).toEqual({ reminded: 0, erased: 0 });
  });

  test('ends after fourteen days, with a reminder before, and leaves nothing personal', async () => {
    const { email, id } = await resident({ ids: { asiointi: 'U-leaves' } });
    const browser = await on('/account/leave', email);
    const open = browser.newTab();
    await open.get(`${world.issuer}/account/data`);
    await browser.submit({ sure: 'yes' });
    // A download that was begun before finds nobody signed in.
    expect((await open.submit()).h1).toBe('Kirjaudu sisään');
    await world.mailbox.next({ to: email });

    expect(await journey().carryOut(at(10))).toEqual({ reminded: 0, erased: 0 });
    expect(await journey().carryOut(at(12))).toEqual({ reminded: 1, erased: 0 });
    expect(await journey().carryOut(at(13))).toEqual({ reminded: 0, erased: 0 });
    expect((await world.mailbox.next({ to: email })).subject).toMatch(/^Muistutus/);
    expect(await journey().carryOut(at(14.1))).toEqual({ reminded: 0, erased: 1 });
    expect((await world.mailbox.next({ to: email })).subject).toBe('Käyttäjätunnuksesi on poistettu');
    expect(await row(id)).toBeUndefined();
    const rows = await world.database.query(sql`select place, detail from audit where account_id = ${id}`);
    expect(rows.every(({ place, detail }) => place === null && JSON.stringify(detail) === '{}')).toBe(true);
  });

  test('pressed in two tabs is asked once', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/leave', email);
    const tab = browser.newTab();
    await tab.get(`${world.issuer}/account/leave`);
    await Promise.all([browser.submit({ sure: 'yes' }), tab.submit({ sure: 'yes' })]);
    expect((await events(id)).filter((kind) => kind === 'leaving_asked')).toHaveLength(1);
  });
});

describe('a form that was open for long', () => {
  const LATE = 11 * MINUTE;

  test('asks who is there and comes back as it was filled in, once, and to its own resident only', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/details', email);
    const typed = { 'given-name': 'Maija <b>&', 'family-name': 'Möttönen', tel: '040 123', language: 'sv' };
    world.clock.advance(LATE);
    expect((await browser.submit(typed)).h1).toBe('Kirjaudu sisään');
    expect(await row(id)).toMatchObject({ given_name: 'Maija', locale: null });
    await fill(browser, email);
    expect(browser.page.url.pathname).toBe('/account/details');
    expect(browser.page.text).toContain('Sivu oli auki pitkään, joten mitään ei ole vielä tallennettu.');
    for (const [field, value] of Object.entries({ ...typed, language: undefined }))
      if (value) expect(browser.page.field(field)?.getAttribute('value')).toBe(value);
    expect(browser.page.root.querySelector('[name=language][checked]')?.getAttribute('value')).toBe('sv');
    await browser.submit();
    expect(await row(id)).toMatchObject({ given_name: 'Maija <b>&', family_name: 'Möttönen', locale: 'sv' });

    const form = await on('/account/email', (await resident()).email);
    world.clock.advance(LATE);
    await form.submit({ email: 'uusi@example.com' });
    const other = await resident();
    await fill(form, other.email);
    // Somebody else came back: nothing of what was typed is theirs.
    if (form.page.url.pathname !== '/account/email') await form.submit();
    expect(form.page.url.pathname).toBe('/account/email');
    expect(form.page.html).not.toContain('uusi@example.com');
    expect((await form.get(form.page.url)).html).not.toContain('uusi@example.com');
  });

  test('comes back also where the session had ended, and brings no password along', async () => {
    const { email, id } = await resident();
    const browser = await on('/account/email', email);
    const password = browser.newTab();
    await password.get(`${world.issuer}/account/password`);
    await world.database.query(sql`update accounts set epoch = epoch + 1 where id = ${id}`);
    await browser.submit({ email: 'kirjoitettu@example.com' });
    const kept = browser.jar.headerFor(new URL(`${world.issuer}/account/email`), { withLax: true });
    expect(kept).toContain('tunnus_typed=');
    expect(kept).not.toContain('kirjoitettu');
    await fill(browser, email);
    expect(browser.page.field('email')?.getAttribute('value')).toBe('kirjoitettu@example.com');
    await browser.get(browser.page.url);
    expect(browser.page.field('email')?.getAttribute('value')).toBeUndefined();

    world.clock.advance(LATE);
    await password.submit({ 'current-password': PASSWORD, 'new-password': 'neljä punaista venettä laiturissa' });
    const header = password.jar.headerFor(new URL(`${world.issuer}/account/password`), { withLax: true });
    expect(header).not.toContain('tunnus_typed=');
  });
});

describe('a form of a resident who is signed in no longer', () => {
  test('does nothing to whoever is signed in now', async () => {
    const [mine, theirs] = [await resident(), await resident()];
    const browser = await on('/account/leave', mine.email);
    const [email, sessions] = [browser.newTab(), browser.newTab()];
    await email.get(`${world.issuer}/account/email`);
    // It shows one session only, and so has no form: it takes the token of another page.
    await sessions.get(`${world.issuer}/account/data`);
    const csrf = sessions.page.field('csrf')!.getAttribute('value')!;
    const other = browser.newTab();
    await other.get(`${world.issuer}/session/end`);
    await other.submit();
    await on('/account', theirs.email, other);
    const before = await row(theirs.id);
    for (const page of [
      await browser.submit({ sure: 'yes' }),
      await email.submit({ email: 'toiselle@example.com' }),
      await sessions.post(
        `${world.issuer}/account/sessions`,
        { csrf, session: 'others' },
        { from: new URL(world.issuer) },
      ),
    ])
      expect([page.status, page.h1]).toEqual([403, 'Lomake on vanhentunut']);
    expect(await row(theirs.id)).toEqual(before);
  });
});

describe('a button pressed twice', () => {
  const NEXT = 'neljä punaista venettä laiturissa';
  const pressedTwice = async (path: string, email: string, fields: Record<string, string>) => {
    const browser = await on(path, email);
    const again = browser.newTab();
    await again.get(browser.page.url);
    let pressed: Promise<HttpPage[]> = Promise.resolve([]);
    // Both are under way before either gets at the account.
    await world.database.transaction(async (tx) => {
      await tx.query(sql`select 1 from accounts where email = ${email} for update`);
      pressed = Promise.all([browser.submit(fields), again.submit(fields)]);
      const waiting = sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      while ((await world.database.query(waiting)).length < 2) continue;
    });
    return pressed;
  };

  test('changes the password once, and says so both times', async () => {
    const { email, id } = await resident();
    const pages = await pressedTwice('/account/password', email, {
      'current-password': PASSWORD,
      'new-password': NEXT,
    });
    for (const { text } of pages) expect(text).toContain('Salasanasi on vaihdettu');
    expect((await events(id)).filter((kind) => kind === 'password_changed')).toHaveLength(1);
  });

  test('asks for the deletion once, and says so both times', async () => {
    const { email, id } = await resident();
    const pages = await pressedTwice('/account/leave', email, { sure: 'yes' });
    for (const { h1 } of pages) expect(h1).toBe('Käyttäjätunnuksesi poistetaan');
    expect((await events(id)).filter((kind) => kind === 'leaving_asked')).toHaveLength(1);
  });

  test('saves the details once', async () => {
    const { email, id } = await resident();
    const pages = await pressedTwice('/account/details', email, { 'given-name': 'Kerran' });
    for (const { text } of pages) expect(text).toContain('Tietosi on tallennettu.');
    expect((await events(id)).filter((kind) => kind === 'details_changed')).toHaveLength(1);
  });
});

describe('a stolen session', () => {
  /** Those that may be opened with any session: they show, end or take back, and give nobody more than there was. */
  const OPEN = ['/account', '/account/sessions', '/account/sign-ins', '/account/services'];

  test('does nothing on a page that changes who holds the account, without a fresh sign-in', async () => {
    const { email, id } = await resident();
    const browser = await on('/account', email);
    const pages = browser.page.root
      .querySelectorAll('nav.account-pages a')
      .map((link) => link.getAttribute('href')!)
      .filter((path) => path.startsWith('/account'));
    const sensitive = pages.filter((path) => !OPEN.includes(path));
    expect(sensitive).toEqual(
      expect.arrayContaining(['details', 'email', 'password', 'data', 'leave'].map((name) => `/account/${name}`)),
    );
    // Its form token came with a page that was open in time.
    await browser.get(`${world.issuer}/account/leave`);
    const csrf = browser.page.field('csrf')!.getAttribute('value')!;
    world.clock.advance(10 * MINUTE + 2000);
    const before = await row(id);
    const { length } = await events(id);
    const fields = { csrf, email: 'varas@example.com', given: 'X', family: 'X', phone: '', language: 'sv', mark: 'x' };
    const forms = {
      ...fields,
      current: PASSWORD,
      next: 'neljä punaista venettä',
      form: 'json',
      sure: 'yes',
      session: 'x',
    };
    for (const path of sensitive)
      for (const answer of [
        await browser.get(`${world.issuer}${path}`, { follow: false }),
        await browser.post(`${world.issuer}${path}`, forms, { follow: false, from: new URL(world.issuer) }),
      ]) {
        expect([path, answer.status]).toEqual([path, 303]);
        expect(answer.leadsTo?.pathname).toBe('/auth');
        expect(answer.leadsTo?.searchParams.get('prompt')).toBe('login');
      }
    expect(await row(id)).toEqual(before);
    expect(await events(id)).toHaveLength(length);
    expect(await isIn(browser)).toBe(true);
  });
});
