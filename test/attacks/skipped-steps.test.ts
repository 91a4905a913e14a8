/**
 * A step that is left out, taken before its turn or gone round by another door lets nobody in. Each of these has been found in
 * another provider (docs/security.md, 'What went wrong elsewhere').
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { generateSync } from 'otplib';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { basic } from '../support/protocol.ts';
import { STRICT, startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const NEXT = 'neljä keltaista päärynää ikkunalla';
const MINUTE = 60_000;
/** Every page of a sign-in but the address step, and those of links, by what an attacker puts for the secret part. */
const STEPS = [
  ...['password', 'second-step', 'passkey', 'passkey-offer', 'consent', 'other-person', 'in-doubt', 'link-sent'],
  ...['unknown-address', 'register', 'registration-sent', 'address-lost', 'your-name', 'your-services', 'locked'],
];
const DOORS = ['set-password', 'password-set', 'keep-factors', 'new-account', 'confirm-email', 'undo-email'];

let world: World;
let asiointi: RelyingParty;
let strict: RelyingParty;
let people = 0;

beforeAll(async () => {
  world = await startWorld({
    settings: { signIn: { registration: 'open' } },
    clients: {
      strict: STRICT,
    },
  });
  [asiointi, strict] = await Promise.all([world.relyingParty(), world.relyingParty('strict')]);
});
afterAll(() => world.close());

const newAddress = (): string => `ohittaja${(people += 1)}@example.com`;
const codeOf = (secret: string): string =>
  generateSync({ secret, epoch: Math.floor(world.clock.now().getTime() / 1000) });

/** A resident with a password and an authenticator app, whose address is proved: what was set up before that would go with a link. */
async function residentWithApp(): Promise<{ email: string; secret: string }> {
  const email = newAddress();
  await world.account({ email, password: PASSWORD });
  await world.database.query(sql`update accounts set email_verified = true where email = ${email}`);
  const browser = world.browser();
  await browser.get(`${world.issuer}/account/authenticator`);
  await browser.submit({ username: email });
  const page = await browser.submit({ 'current-password': PASSWORD });
  const secret = page.root.querySelector('.key')!.text.replaceAll(' ', '');
  await browser.submit({ 'one-time-code': codeOf(secret) });
  expect(browser.page.h1).toBe('Varakoodit');
  // The code that set it up is spent.
  world.clock.advance(MINUTE);
  return { email, secret };
}

async function begin(browser: HttpBrowser, to: RelyingParty, email: string): Promise<void> {
  await browser.get((await to.begin()).url);
  await browser.submit({ username: email });
}

const uidIn = (browser: HttpBrowser): string => browser.page.url.pathname.split('/')[2]!;
const formToken = (browser: HttpBrowser): string => browser.page.fill({}).values.find(([name]) => name === 'csrf')![1];

/** Whatever could finish the sign-in that is open here is sent to each of its pages, then the provider is asked to go on. */
async function trySteps(browser: HttpBrowser, email: string, more: Record<string, string>): Promise<void> {
  const [uid, csrf] = [uidIn(browser), formToken(browser)];
  const urls = [
    ...STEPS.map((step) => `${world.issuer}/sign-in/${uid}/${step}`),
    ...DOORS.map((door) => `${world.issuer}/${door}/${uid}`),
    `${world.issuer}/auth/${uid}`,
  ];
  for (const url of urls) {
    for (const fields of [{ answer: 'yes' }, { email, ...more }] as Record<string, string>[]) {
      await browser.post(url, { csrf, ...fields }, { from: new URL(world.issuer) });
      expect([url, browser.page.status < 500, browser.page.leadsTo?.searchParams.get('code') ?? '']).toEqual([
        url,
        true,
        '',
      ]);
    }
    await browser.get(url);
    expect([url, browser.page.leadsTo?.searchParams.get('code') ?? '']).toEqual([url, '']);
  }
}

async function isSignedIn(browser: HttpBrowser, email: string): Promise<boolean> {
  return (await browser.get(`${world.issuer}/account`)).main.text.includes(email);
}

describe('no other page of a sign-in finishes it', () => {
  test('before the password', async () => {
    const { email, secret } = await residentWithApp();
    const browser = world.browser();
    await begin(browser, asiointi, email);
    await trySteps(browser, email, { code: codeOf(secret), 'new-password': NEXT, name: 'Uusi Asukas' });
    expect(await isSignedIn(browser, email)).toBe(false);
  });

  test('after the password, before the second step, also where the sign-in is begun once more', async () => {
    const { email, secret } = await residentWithApp();
    const browser = world.browser();
    await begin(browser, strict, email);
    await browser.submit({ 'current-password': PASSWORD });
    expect(browser.page.h1).toBe('Toinen vaihe');
    await trySteps(browser, email, { code: '000000', password: PASSWORD, 'new-password': NEXT });
    expect(await isSignedIn(browser, email)).toBe(false);
    // The right code still lets in: nothing was spent or broken on the way.
    const own = world.browser();
    await begin(own, strict, email);
    await own.submit({ 'current-password': PASSWORD });
    await own.submit({ 'one-time-code': codeOf(secret) });
    expect(own.page.leadsTo?.host).toBe('strict.example');
    expect(await isSignedIn(own, email)).toBe(true);
  });
});

test('a device on which the resident signed in before is asked for the second step all the same', async () => {
  const { email, secret } = await residentWithApp();
  const browser = world.browser();
  await begin(browser, asiointi, email);
  await browser.submit({ 'current-password': PASSWORD });
  await browser.submit({ 'one-time-code': codeOf(secret) });
  expect(browser.page.leadsTo?.host).toBe('asiointi.example');
  await browser.get(`${world.issuer}/session/end`);
  await browser.submit();
  await begin(browser, asiointi, email);
  await browser.submit({ 'current-password': PASSWORD });
  expect(browser.page.h1).toBe('Toinen vaihe');
});

test('a new password by a mailed link leads past no second step that the e-service asks for', async () => {
  const { email, secret } = await residentWithApp();
  // The first mail tells of the app.
  await world.mailbox.next({ to: email });
  for (const [attempt, other] of [false, true].entries()) {
    const browser = world.browser();
    await begin(browser, strict, email);
    await browser.submit({}, { form: 'form[action$="/link-sent"]' });
    const reading = other ? world.browser() : browser;
    await reading.get(await world.mailbox.nextLink(email));
    await reading.submit({ 'new-password': `${NEXT} ${attempt}` });
    // That a password was set is told.
    await world.mailbox.next({ to: email });
    expect(await isSignedIn(reading, email)).toBe(false);
    await begin(reading, strict, email);
    await reading.submit({ 'current-password': `${NEXT} ${attempt}` });
    expect([other, reading.page.h1]).toEqual([other, 'Toinen vaihe']);
    world.clock.advance(MINUTE);
    await reading.submit({ 'one-time-code': codeOf(secret) });
    expect(reading.page.leadsTo?.host).toBe('strict.example');
  }
});

describe('an account that has no password yet', () => {
  test('gets its first one by nothing but the link in its mailbox, which no answer on the way holds', async () => {
    const email = newAddress();
    const id = await world.account({ email });
    const browser = world.browser();
    await begin(browser, asiointi, email);
    const shown = [browser.page.html];
    const link = await world.mailbox.nextLink(email);
    const token = new URL(link).pathname.split('/').pop()!;
    await browser.submit({}, { button: 'Lähetä linkki uudelleen' });
    shown.push(browser.page.html);
    const answers = [...shown, ...browser.steps.map(({ url, headers }) => url + JSON.stringify(headers))].join('\n');
    expect(answers).not.toContain(token);
    expect(answers).not.toMatch(/set-password/);

    await trySteps(browser, email, { password: NEXT, 'new-password': NEXT, name: 'Uusi Asukas', code: '000000' });
    const state = () => world.database.query(sql`select password_state, password_hash from accounts where id = ${id}`);
    expect(await state()).toEqual([{ password_state: 'none', password_hash: null }]);
    await browser.get(link);
    await browser.submit({ 'new-password': NEXT });
    expect(await state()).toMatchObject([{ password_state: 'own' }]);
  });
});

test('what an e-service asked for stands in no cookie that can be read, pushed or not', async () => {
  const asked = { login_hint: 'salainen-vihje@example.com', state: 'salainen-tila', nonce: 'salainen-nonce' };
  const readable = (browser: HttpBrowser): string =>
    browser.jar.all
      .flatMap(({ value }) => [value, ...value.split('.')])
      .flatMap((value) => [value, Buffer.from(decodeURIComponent(value), 'base64url').toString('latin1')])
      .join('\n');
  const plain = world.browser();
  await plain.get((await asiointi.begin(asked)).url);
  const errand = await asiointi.begin(asked);
  const pushed = await fetch(`${world.issuer}/request`, {
    method: 'POST',
    headers: basic('asiointi'),
    body: errand.url.searchParams,
  });
  const { request_uri } = (await pushed.json()) as { request_uri: string };
  const par = world.browser();
  await par.get(`${world.issuer}/auth?${new URLSearchParams({ client_id: 'asiointi', request_uri }).toString()}`);
  for (const browser of [plain, par]) {
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    expect(browser.jar.all.length).toBeGreaterThan(1);
    expect(readable(browser)).not.toContain('salainen');
  }
});
