/** Accounts that residents make themselves: whoever asks, and whatever has become of the address meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { supportFor } from '../../src/desk.ts';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { askedOn, PASSKEY_FORM, SoftPasskey } from '../support/passkey.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

let tell: World;
let conceal: World;
beforeAll(async () => {
  [tell, conceal] = (await Promise.all(
    (['tell', 'conceal'] as const).map((unknownAddress) =>
      startWorld({ settings: { signIn: { unknownAddress, registration: 'open' }, limits: { linksPerPlace: 25 } } }),
    ),
  )) as [World, World];
});
afterAll(() => Promise.all([tell.close(), conceal.close()]));

let count = 0;
const newAddress = (): string => `uusi${(count += 1)}@example.com`;
async function ask(
  world: World,
  email: string,
  client = 'bare',
): Promise<{ browser: HttpBrowser; service: RelyingParty }> {
  const service = await world.relyingParty(client);
  const browser = world.browser();
  await browser.get((await service.begin()).url);
  await browser.follow('Luo uusi käyttäjätunnus');
  await browser.submit({ username: email });
  return { browser, service };
}

async function registered(email: string, client = 'bare'): Promise<HttpBrowser> {
  const { browser } = await ask(tell, email, client);
  await browser.get(await tell.mailbox.nextLink(email));
  await browser.submit({ 'new-password': PASSWORD });
  return browser;
}

const accountOf = async (world: World, email: string) =>
  (
    await world.database.query<{
      id: string;
      given_name: string | null;
      password_state: string;
      email_verified: boolean;
    }>(sql`
      select id, given_name, password_state, email_verified from accounts where email_key = ${email}`)
  )[0];

describe('a new resident', () => {
  test('makes an account by a mailed link and a password, and comes to the e-service', async () => {
    const email = newAddress();
    const browser = await registered(email);
    expect(browser.page.h1).toBe('Käyttäjätunnuksesi on luotu');
    expect(await accountOf(tell, email)).toMatchObject({ password_state: 'own', email_verified: true });
    await browser.follow('Siirry kirjautumaan');
    await browser.submit({ username: email });
    await browser.submit({ 'current-password': PASSWORD });
    expect(browser.page.leadsTo?.host).toBe('bare.example');
  });

  test('is asked for a name where the e-service gets it, and keeps what was typed', async () => {
    const email = newAddress();
    const { browser } = await ask(tell, email, 'asiointi');
    await browser.get(await tell.mailbox.nextLink(email));
    await browser.submit();
    // All that is missing is named at once.
    expect(browser.page.faultOf('given-name')).toBe('Kirjoita nimesi.');
    expect(browser.page.faultOf('new-password')).toContain('liian lyhyt');
    await browser.submit({ 'new-password': PASSWORD });
    expect(browser.page.faultOf('given-name')).toBe('Kirjoita nimesi.');
    expect(browser.page.faultOf('new-password')).toBeUndefined();
    await browser.submit({ 'given-name': 'Maija', 'new-password': 'lyhyt' });
    expect(browser.page.faultOf('new-password')).toContain('15');
    expect(browser.page.field('given-name')?.getAttribute('value')).toBe('Maija');
    // What turns letters round, or breaks the line, is not taken into a name that e-services show.
    await browser.submit({ 'given-name': 'Maija\u202e\n', 'new-password': PASSWORD });
    expect(await accountOf(tell, email)).toMatchObject({ given_name: 'Maija' });
  });

  test('may take a passkey instead of a password, and signs in with it', async () => {
    const email = newAddress();
    const { browser, service } = await ask(tell, email);
    await browser.get(await tell.mailbox.nextLink(email));
    const passkey = new SoftPasskey(tell.issuer);
    await browser.submit({ passkey: passkey.create(askedOn(browser.page), { challenge: 'AAAA' }) });
    expect(browser.page.status).toBe(422);
    await browser.submit({ passkey: passkey.create(askedOn(browser.page)) });
    expect(await accountOf(tell, email)).toMatchObject({ password_state: 'none' });
    await browser.get((await service.begin()).url);
    await browser.submit({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
    expect(browser.page.leadsTo?.host).toBe('bare.example');
    // By the address the page asks for a password, and a mailed link sets one.
    const other = tell.browser();
    await other.get((await service.begin()).url);
    await other.submit({ username: email });
    expect(other.page.h1).toBe('Anna salasanasi');
    await other.submit({}, { form: 'form[action$="/link-sent"]' });
    expect(await tell.mailbox.nextLink(email)).toContain('/set-password/');
  });

  test('is found no account before the link was used, however often it is fetched, and the link works once', async () => {
    const email = newAddress();
    await ask(tell, email);
    const link = await tell.mailbox.nextLink(email);
    await fetch(link, { method: 'HEAD' });
    const tabs = [tell.browser(), tell.browser()];
    for (const tab of tabs) await tab.get(link);
    expect(await accountOf(tell, email)).toBeUndefined();
    await Promise.all(tabs.map((tab) => tab.submit({ 'new-password': PASSWORD })));
    expect(tabs.map(({ page }) => page.h1).sort()).toEqual(['Käyttäjätunnuksesi on luotu', 'Linkki ei enää toimi']);
    const late = await tell.browser().get(link);
    expect([late.status, late.text.includes('on jo luotu')]).toEqual([410, true]);
  });

  test('is led on where the link came too late, is unknown, or the address is taken by now', async () => {
    const [late, taken] = [newAddress(), newAddress()];
    await ask(tell, taken);
    const browser = tell.browser();
    await browser.get(await tell.mailbox.nextLink(taken));
    const id = await tell.account({ email: taken });
    await browser.submit({ 'new-password': PASSWORD });
    expect(browser.page.text).toContain('on jo luotu');
    expect(await accountOf(tell, taken)).toMatchObject({ id, password_state: 'none' });
    expect((await tell.browser().get(`${tell.issuer}/new-account/${'x'.repeat(43)}`)).status).toBe(404);
    await ask(tell, late);
    const link = await tell.mailbox.nextLink(late);
    await tell.database.query(sql`update registrations set expires_at = now() where email_key = ${late}`);
    const page = await tell.browser().get(link);
    expect([page.status, page.text.includes('vanhentunut')]).toEqual([410, true]);
  });

  test('whose account was erased may come again, and nothing of the old one ties itself', async () => {
    const email = newAddress();
    const old = await tell.account({ email, ids: { asiointi: `U${email}` } });
    const { sealer, database } = tell.tunnus;
    const acts = supportFor({ database, sealer, config: tell.config, close: () => Promise.resolve() }, 'support:x');
    await acts.erase({ email, yes: true }, tell.clock.now());
    await tell.mailbox.next({ to: email });
    await registered(email);
    const account = await accountOf(tell, email);
    expect(account!.id).not.toBe(old);
    expect(await database.query(sql`select 1 from legacy_ids where account_id = ${account!.id}`)).toEqual([]);
  });
});

describe('an address that has an account', () => {
  test('is told to sign in under tell', async () => {
    const email = newAddress();
    await tell.account({ email, password: PASSWORD });
    expect((await ask(tell, email)).browser.page.h1).toBe('Anna salasanasi');
    const passwordless = newAddress();
    await tell.account({ email: passwordless });
    expect((await ask(tell, passwordless)).browser.page.url.pathname).toMatch(/\/link-sent$/);
  });

  test('gets the same answer as any other under conceal; its mailbox learns the truth', async () => {
    const answers = new Set<string>();
    for (const kind of ['unknown', 'password', 'no_password', 'locked'] as const) {
      const email = newAddress();
      if (kind !== 'unknown')
        await conceal.account({
          email,
          ...(kind === 'no_password' ? {} : { password: PASSWORD }),
          locked: kind === 'locked',
        });
      const { browser } = await ask(conceal, email);
      const { html, status, url } = browser.page;
      const uid = url.pathname.split('/')[2]!;
      const csrf = browser.page.root.querySelector('input[name=csrf]')?.getAttribute('value') ?? '';
      answers.add(
        [
          status,
          html
            .replaceAll(email, 'X')
            .replaceAll(uid, 'U')
            .replaceAll(csrf || '\0', 'C'),
        ].join(),
      );
      if (kind !== 'locked') {
        const mail = await conceal.mailbox.next({ to: email });
        const wanted = { unknown: 'Luo käyttäjätunnus', password: 'on jo sellainen', no_password: 'uusi salasana' }[
          kind
        ];
        expect(mail.text.toLowerCase()).toContain(wanted.toLowerCase());
      }
    }
    expect(answers.size).toBe(1);
  });
});

test('no address gets more than a few such mails an hour, and one place asks for few accounts', async () => {
  const email = newAddress();
  for (let times = 0; times < 7; times += 1) await ask(conceal, email);
  const queued = await conceal.database.query(sql`select 1 from registrations where email_key = ${email}`);
  expect(queued.length).toBeLessThanOrEqual(5);
  let last = { address: email, ...(await ask(conceal, email)) };
  for (let times = 0; times < 26 && last.browser.page.status !== 429; times += 1) {
    const address = newAddress();
    last = { address, ...(await ask(conceal, address)) };
  }
  const { browser, address } = last;
  expect(browser.page.status).toBe(429);
  await browser.follow('Yritä uudelleen');
  expect(browser.page.field('username')?.getAttribute('value')).toBe(address);
});

test('where registration is closed nothing of it is there', async () => {
  const closed = await startWorld();
  try {
    const browser = closed.browser();
    await browser.get((await (await closed.relyingParty('bare')).begin()).url);
    expect(browser.page.html).not.toContain('register');
    const { url } = browser.page;
    await browser.submit({ username: 'nobody@example.com' });
    expect(browser.page.html).not.toContain('register');
    expect((await browser.get(`${url.href}/register`)).status).toBe(404);
  } finally {
    await closed.close();
  }
});
