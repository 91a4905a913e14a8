/**
 * Each page in a language, light and dark, wide and narrow: whole, readable by everybody, never wider than its window.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { accessibilityFaults, newVisitor, overflow, picture, startChromium } from '../support/browser.ts';
import type { Browser, Page } from '../support/browser.ts';
import { generateSync } from 'otplib';
import { supportFor } from '../../src/desk.ts';
import { type Language, loadTexts } from '../../src/platform/i18n.ts';
import { sql } from '../../src/platform/database.ts';
import { startGate, type Gate } from '../support/gate.ts';
import { until } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme punaista venettä laiturissa';
const texts = loadTexts('Europe/Helsinki');
const DAY = 86_400_000;

let world: World;
let gate: Gate;
let chromium: Browser;
beforeAll(async () => {
  [world, chromium] = await Promise.all([
    startWorld({
      settings: { limits: { passwordPerPlace: 3 }, signIn: { registration: 'open' } },
      clients: {
        strict: {
          client_name: 'Vahva',
          redirect_uris: ['https://strict.example/callback'],
          client_uri: 'https://strict.example/',
          scope: 'openid email profile',
          require_acr: 'urn:tunnus:mfa',
        },
      },
      async databaseUrl(url) {
        gate = await startGate(url);
        return gate.url;
      },
    }),
    startChromium(),
  ]);
});
afterAll(async () => {
  await chromium.close();
  await gate.open();
  await world.close();
  await gate.close();
});

/** The first button of the main form, whatever the language calls it. */
const goOn = (page: Page) => page.locator('main form[method=post] button[type=submit]').first().click();
const field = (page: Page, token: string) => page.locator(`main [autocomplete~="${token}"]`).first();

async function begin(page: Page, { client = 'asiointi', ...parameters }: Record<string, string> = {}): Promise<void> {
  const { url } = await (await world.relyingParty(client)).begin(parameters);
  await page.goto(url.href);
}

async function giveAddress(page: Page, email: string): Promise<void> {
  await field(page, 'username').fill(email);
  await goOn(page);
}

/** E-services of this world do not answer: the way out of Tunnus is where the walk ends. */
async function signIn(page: Page, { email, ...parameters }: Record<string, string> & { email: string }): Promise<void> {
  await begin(page, parameters);
  await giveAddress(page, email);
  await field(page, 'current-password').fill(PASSWORD);
  await goOn(page);
}

const SCHEMES = ['light', 'dark'] as const;

export function everyPageIn(...languages: readonly Language[]): void {
  describe.each(languages)('in %s', (language) => {
    let page: Page;
    const mine = (name: string) => `${name}.${language}@example.com`;
    const account = (name: string, options: object = {}) => world.account({ email: mine(name), ...options });

    beforeAll(async () => {
      const context = await newVisitor(chromium, { language });
      await context.route(/^https:\/\/[a-z]+\.example\//, (route) => route.fulfill({ body: 'the e-service' }));
      page = await context.newPage();
      await account('own', { password: PASSWORD, givenName: 'Aino' });
      await account('other', { password: PASSWORD, givenName: 'Väinö' });
      await account('none');
      await account('locked', { password: PASSWORD, locked: true });
      await account('doubt', { password: PASSWORD, ids: { asiointi: { id: `U${language}`, doubt: 'shared_email' } } });
    });
    afterAll(() => page.context().close());

    const expectWhole = (name: string, title?: string) => expectWholePage(page, { name, language, title });

    test('sign-in, empty and with a fault', async () => {
      await begin(page);
      await expectWhole('sign-in');
      await giveAddress(page, 'no address');
      await expectWhole('sign-in-fault', 'sign-in.title');
    });

    test('password, and a wrong one', async () => {
      await begin(page);
      await giveAddress(page, mine('own'));
      await expectWhole('password');
      await field(page, 'current-password').fill('not this one');
      await goOn(page);
      await expectWhole('password-wrong', 'password.title');
    });

    test('unknown-address, and one that is nearly known', async () => {
      await begin(page);
      await giveAddress(page, mine('unknown'));
      await expectWhole('unknown-address');
      await begin(page);
      await giveAddress(page, `unknown.${language}@gmial.com`);
      await expectWhole('unknown-address-near', 'unknown-address.title');
    });

    test('locked', async () => {
      await signIn(page, { email: mine('locked') });
      await expectWhole('locked');
    });

    test('in-doubt', async () => {
      await signIn(page, { email: mine('doubt') });
      await expectWhole('in-doubt');
      await page.context().clearCookies();
    });

    test('link-sent, once and again', async () => {
      await begin(page);
      await giveAddress(page, mine('none'));
      await expectWhole('link-sent');
      const sendAgain = page.locator('main form[action$="/link-sent"] button');
      await sendAgain.click();
      await expectWhole('link-sent-again', 'link-sent.title');
      const mailsThat = async (outcome: string): Promise<unknown[]> =>
        world.database.query(sql`
          select 1 from mails where outcome = ${outcome}
            and account_id = (select id from accounts where email = ${mine('none')})`);
      await until('both mails are sent', async () => (await mailsThat('sent')).length === 2);
      await world.database.query(sql`
        update mails set outcome = 'bounced'
        where account_id = (select id from accounts where email = ${mine('none')})`);
      await page.reload();
      await expectWhole('link-sent-returned', 'link-sent.title');
    });

    test('address-lost, your-name, your-services, each with a fault, and request-sent', async () => {
      await begin(page);
      await giveAddress(page, mine('own'));
      await page.locator('main a[href$="/address-lost"]').click();
      await expectWhole('address-lost');
      await field(page, 'email').fill(mine('own'));
      await goOn(page);
      await expectWhole('address-lost-fault', 'address-lost.title');
      await field(page, 'email').fill(mine('newer'));
      await goOn(page);
      await expectWhole('your-name');
      await goOn(page);
      await expectWhole('your-name-fault', 'your-name.title');
      await field(page, 'name').fill('Aino Asukas');
      await goOn(page);
      await expectWhole('your-services');
      await page.locator('main textarea').fill('x'.repeat(1001));
      await goOn(page);
      await expectWhole('your-services-fault', 'your-services.title');
      await page.locator('main textarea').fill('');
      await goOn(page);
      await expectWhole('request-sent');
    });

    test('too-many', async () => {
      await account('guessed', { password: PASSWORD });
      await begin(page);
      await giveAddress(page, mine('guessed'));
      for (let status = 0, tries = 0; status !== 429 && tries < 20; tries += 1) {
        const answer = page.waitForResponse((response) => response.request().method() === 'POST');
        await field(page, 'current-password').fill('not this one');
        await goOn(page);
        status = (await answer).status();
      }
      await expectWhole('too-many');
    });

    test('set-password, with a fault, done; link-used and link-unknown', async () => {
      const link = await world.mailbox.nextLink(mine('none'));
      await page.goto(link);
      await expectWhole('set-password');
      await page.context().clearCookies();
      await field(page, 'new-password').fill(PASSWORD);
      await goOn(page);
      await expectWhole('form-expired', 'problem.form_expired_title');
      await page.goto(link);
      await field(page, 'new-password').fill('short');
      await goOn(page);
      await expectWhole('set-password-fault', 'set-password.title');
      await field(page, 'new-password').fill(PASSWORD);
      await goOn(page);
      await expectWhole('password-set');
      await page.goto(link);
      await expectWhole('link-used');
      await page.goto(`${world.issuer}/set-password/no-such-link`);
      await expectWhole('link-unknown');
    });

    test('consent', async () => {
      await signIn(page, { email: mine('own'), client: 'stranger', scope: 'openid email profile' });
      await expectWhole('consent');
      await goOn(page);
      await page.waitForURL('https://stranger.example/**');
      await signIn(page, {
        email: mine('own'),
        client: 'stranger',
        scope: 'openid email profile phone',
        prompt: 'login',
      });
      await expectWhole('consent-more', 'consent.title');
      await page.context().clearCookies();
    });

    test('passkey-offer, passkey and its fault', async () => {
      await page.context().clearCookies();
      await account('offered', { password: PASSWORD });
      await begin(page);
      await giveAddress(page, mine('offered'));
      // As the script would say on a device that can make one.
      await page.locator('input[name=passkeys]').evaluate((field) => {
        (field as unknown as { value: string }).value = 'yes';
      });
      await field(page, 'current-password').fill(PASSWORD);
      await goOn(page);
      await expectWhole('passkey-offer');
      await page.context().clearCookies();
      await begin(page);
      await page.goto(`${page.url()}/passkey`);
      await expectWhole('passkey');
      await page.locator('form[data-passkey]').evaluate((form) => (form as unknown as { submit(): void }).submit());
      await expectWhole('passkey-fault', 'passkey.title');
    });

    test('add-second-step, and what sets one up', async () => {
      await page.context().clearCookies();
      await account('strong', { password: PASSWORD, givenName: 'Aino' });
      await signIn(page, { email: mine('strong'), client: 'strict' });
      await expectWhole('add-second-step');
      await page.locator('main a.button').first().click();
      await expectWhole('account-factors');
      await page.locator('main a[href*="/account/passkey"]').click();
      await expectWhole('account-passkey');
      await page.locator('form[data-passkey]').evaluate((form) => (form as unknown as { submit(): void }).submit());
      await expectWhole('account-passkey-fault', 'account-passkey.title');
      await page.goBack();
      await page.goBack();
      await page.locator('main a[href*="/account/authenticator"]').click();
      await expectWhole('account-authenticator');
      await field(page, 'one-time-code').fill('12');
      await goOn(page);
      await expectWhole('account-authenticator-fault', 'account-authenticator.title');
      const secret = (await page.locator('.key').innerText()).replaceAll(' ', '');
      const epoch = Math.floor(world.clock.now().getTime() / 1000);
      await field(page, 'one-time-code').fill(generateSync({ secret, epoch }));
      await goOn(page);
      await expectWhole('account-recovery-codes');
      await goOn(page);
      await expectWhole('account-recovery-codes-shown', 'account-recovery-codes.title');
    });

    test('account-factors with one of each, account without codes, and second-step with a fault', async () => {
      await world.database.query(sql`
        insert into passkeys (account_id, credential_id, public_key, counter, backup_eligible, backed_up, transports, name,
          created_at)
        select id, convert_to(email_key, 'UTF8'), '\\x00', 0, true, true, '{}', 'Aino – puhelin', now()
        from accounts where email_key = ${mine('strong')}`);
      const { sealer, database } = world.tunnus;
      const acts = supportFor({ database, sealer, config: world.config, close: () => Promise.resolve() }, 'support:x');
      await acts.removeFactor({ email: mine('strong'), factor: 'all', reason: 'lost' }, world.clock.now());
      await page.goto(`${world.issuer}/account/factors`);
      await expectWhole('account-factors-whole', 'account-factors.title');
      await world.database.query(sql`
        update recovery_codes set spent_at = now() where account_id = (select id from accounts where email_key = ${mine('strong')})`);
      await page.goto(`${world.issuer}/account`);
      await expectWhole('account-no-codes', 'account.title');
      await page.context().clearCookies();
      await signIn(page, { email: mine('strong') });
      await expectWhole('second-step');
      await field(page, 'one-time-code').fill('123456');
      await goOn(page);
      await expectWhole('second-step-fault', 'second-step.title');
    });

    test('keep-factors, asked, done, and too late', async () => {
      let link: string | undefined;
      while (!link) link = (await world.mailbox.next({ to: mine('strong') })).links[0];
      await page.goto(link);
      await expectWhole('keep-factors');
      await goOn(page);
      await expectWhole('keep-factors-done', 'keep-factors.title');
      await page.goto(link);
      await expectWhole('keep-factors-past', 'keep-factors.title');
    });

    test('register, registration-sent, new-account, each with a fault, account-made and new-account-past', async () => {
      await page.context().clearCookies();
      await begin(page, { client: 'strict' });
      await page.locator('main a[href$="/register"]').click();
      await expectWhole('register');
      await field(page, 'username').fill('no address');
      await goOn(page);
      await expectWhole('register-fault', 'register.title');
      await field(page, 'username').fill(mine('fresh'));
      await goOn(page);
      await expectWhole('registration-sent');
      const link = await world.mailbox.nextLink(mine('fresh'));
      await page.goto(link);
      await expectWhole('new-account');
      await goOn(page);
      await expectWhole('new-account-fault', 'new-account.title');
      await field(page, 'given-name').fill('Aino');
      await field(page, 'new-password').fill(PASSWORD);
      await goOn(page);
      await expectWhole('account-made');
      await page.goto(link);
      await expectWhole('new-account-past');
    });

    test('other-person', async () => {
      await signIn(page, { email: mine('own') });
      await page.waitForURL('https://asiointi.example/**');
      await signIn(page, { email: mine('other'), prompt: 'login' });
      await expectWhole('other-person');
    });

    test('account, account-password and its fault', async () => {
      await page.context().clearCookies();
      await page.goto(`${world.issuer}/account`);
      await giveAddress(page, mine('own'));
      await field(page, 'current-password').fill(PASSWORD);
      await goOn(page);
      await expectWhole('account');
      await page.goto(`${world.issuer}/account/services`);
      await expectWhole('account-services');
      await goOn(page);
      await expectWhole('account-services-withdrawn', 'account-services.title');
      await page.goto(`${world.issuer}/account/password`);
      await expectWhole('account-password');
      await field(page, 'current-password').fill('not this one');
      await field(page, 'new-password').fill('neljä sinistä venettä rannassa');
      await goOn(page);
      await expectWhole('account-password-fault', 'account-password.title');
      // Back again: others of these residents know it.
      for (const [current, next] of [
        [PASSWORD, 'neljä sinistä venettä rannassa'],
        ['neljä sinistä venettä rannassa', PASSWORD],
      ] as const) {
        await page.goto(`${world.issuer}/account/password`);
        await field(page, 'current-password').fill(current);
        await field(page, 'new-password').fill(next);
        await goOn(page);
        await page.locator('.notice-good').waitFor();
      }
    });

    test('account-details, account-sessions, account-sign-ins and account-data, and what a resident does there', async () => {
      await page.context().clearCookies();
      await account('settings', { password: PASSWORD });
      const elsewhere = world.browser();
      await elsewhere.get(`${world.issuer}/account?client_id=asiointi`);
      await elsewhere.submit({ username: mine('settings') });
      await elsewhere.submit({ 'current-password': PASSWORD });
      await page.goto(`${world.issuer}/account?client_id=asiointi`);
      await giveAddress(page, mine('settings'));
      await field(page, 'current-password').fill(PASSWORD);
      await goOn(page);
      await expectWhole('account-attention', 'account.title');
      await page.locator('main a[href^="/account/details"]').click();
      await expectWhole('account-details');
      await field(page, 'tel').fill('soita illalla');
      await goOn(page);
      await expectWhole('account-details-fault', 'account-details.title');
      await field(page, 'given-name').fill('Aino');
      await field(page, 'tel').fill('+358 40 123 4567');
      await goOn(page);
      await expectWhole('account-changed', 'account.title');
      await page.goto(`${world.issuer}/account/sessions`);
      await expectWhole('account-sessions');
      await goOn(page);
      await page.locator('[role=status]').waitFor();
      expect((await elsewhere.get(`${world.issuer}/account`)).field('username')).toBeDefined();
      await page.goto(`${world.issuer}/account/sign-ins`);
      await expectWhole('account-sign-ins');
      await page.goto(`${world.issuer}/account/data`);
      await expectWhole('account-data');
      const [download] = await Promise.all([page.waitForEvent('download'), goOn(page)]);
      expect(download.suggestedFilename()).toMatch(/^tunnus-.*\.html$/);
    });

    test('account-email, confirm-email, undo-email and email-link-over, all the way', async () => {
      const next = mine('settings-next');
      await page.goto(`${world.issuer}/account/email`);
      await expectWhole('account-email');
      await field(page, 'email').fill('no address');
      await goOn(page);
      await expectWhole('account-email-fault', 'account-email.title');
      await field(page, 'email').fill(next);
      await goOn(page);
      await expectWhole('account-email-sent', 'link-sent.title');
      for (const path of ['account', 'account/email']) {
        await page.goto(`${world.issuer}/${path}`);
        await expectWhole(`${path.replace('/', '-')}-waiting`, `${path.replace('/', '-')}.title`);
      }
      await page.goto(await world.mailbox.nextLink(next));
      await expectWhole('confirm-email');
      await goOn(page);
      await expectWhole('confirm-email-done', 'confirm-email.done_title');
      // Other mails of these changes may come before the one with the link.
      const undoLink = async (): Promise<string> =>
        (await world.mailbox.next({ to: mine('settings') })).links[0] ?? undoLink();
      await page.goto(await undoLink());
      await expectWhole('undo-email');
      // As when a password was set meanwhile.
      await world.database.query(
        sql`update links set ended_at = now() where purpose = 'undo_email' and ended_at is null`,
      );
      await page.reload();
      await expectWhole('undo-email-again', 'undo-email.title');
      await goOn(page);
      await expectWhole('undo-email-mailed', 'undo-email.mailed_title');
      await page.goto(await undoLink());
      await goOn(page);
      await expectWhole('undo-email-done', 'undo-email.done_title');
      await page.goto(`${world.issuer}/undo-email/no-such-link`);
      await expectWhole('email-link-over');
    });

    test('account-leave, its fault, and left', async () => {
      await account('leaver', { password: PASSWORD });
      await page.goto(`${world.issuer}/account/leave`);
      await giveAddress(page, mine('leaver'));
      await field(page, 'current-password').fill(PASSWORD);
      await goOn(page);
      await expectWhole('account-leave');
      await goOn(page);
      await expectWhole('account-leave-fault', 'account-leave.title');
      await page.locator('#sure').check();
      await goOn(page);
      await expectWhole('left');
      // Signing in keeps the account.
      await page.goto(`${world.issuer}/account`);
      await giveAddress(page, mine('leaver'));
      await field(page, 'current-password').fill(PASSWORD);
      await goOn(page);
      await expectWhole('account-kept', 'account.title');
      await page.context().clearCookies();
    });

    test('sign-out and signed-out', async () => {
      await page.context().clearCookies();
      await page.goto(`${world.issuer}/account`);
      await giveAddress(page, mine('own'));
      await field(page, 'current-password').fill(PASSWORD);
      await goOn(page);
      await page.goto(`${world.issuer}/session/end`);
      await expectWhole('sign-out', 'common.sign_out');
      await goOn(page);
      await expectWhole('signed-out');
    });

    test('form-post, where nothing sends the form by itself', async () => {
      await page.context().clearCookies();
      await page.context().route('**/assets/page.js*', (route) => route.abort());
      await signIn(page, { email: mine('own'), response_mode: 'form_post' });
      await expectWhole('form-post');
      await page.context().unroute('**/assets/page.js*');
    });

    test('busy', async () => {
      await page.context().clearCookies();
      await begin(page);
      await gate.close();
      try {
        await giveAddress(page, mine('own'));
        await expectWhole('busy');
      } finally {
        await gate.open();
      }
    });

    test('problem: a page that is not there, an authorization request that is wrong, a sign-in of another browser', async () => {
      await page.goto(`${world.issuer}/no-such-page`);
      await expectWhole('problem-not-found', 'problem.not_found_title');
      await page.goto(`${world.issuer}/auth?client_id=nobody&response_type=code`);
      await expectWhole('problem-unknown-service', 'problem.unknown_service_title');
      await page.goto(
        `${world.issuer}/auth?client_id=asiointi&response_type=code&redirect_uri=https://elsewhere.example/`,
      );
      await expectWhole('problem-service-error', 'problem.service_error_title');
      await begin(page);
      await page.context().clearCookies();
      await giveAddress(page, mine('own'));
      await expectWhole('stale-elsewhere', 'stale.title');
    });
  });

  /** Last, since the clock never goes back: the library under Tunnus has its own, and begins nothing in our tomorrow. */
  test('stale and link-expired, in every language', async () => {
    const late = await Promise.all(
      languages.map(async (language) => {
        const email = `late.${language}@example.com`;
        await world.account({ email });
        const page = await (await newVisitor(chromium, { language })).newPage();
        await begin(page);
        await giveAddress(page, email);
        return { language, page, signIn: page.url(), link: await world.mailbox.nextLink(email) };
      }),
    );
    world.clock.advance(2 * DAY);
    for (const { language, page, signIn: url, link } of late) {
      await page.goto(url);
      await expectWholePage(page, { name: 'stale', language });
      await page.goto(link);
      await expectWholePage(page, { name: 'link-expired', language });
    }
  }, 60_000);
}

/** What holds for every page. */
async function expectWholePage(
  page: Page,
  { name, language, title = `${name}.title` }: { name: string; language: Language; title?: string },
): Promise<void> {
  const heading = texts.for(language)(title);
  // A click may be answered a moment later.
  await page.locator('h1').getByText(heading, { exact: true }).waitFor();
  // With its style sheet: without one, what may be pressed is small.
  await page.waitForLoadState('load');
  expect(await page.locator('h1').innerText()).toBe(heading);
  expect(await page.locator('html').getAttribute('lang')).toBe(language);
  expect(await page.locator('main').count()).toBe(1);
  expect(await page.locator('h1').count()).toBe(1);
  const faults: Record<string, string[]> = {};
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme });
    faults[colorScheme] = await accessibilityFaults(page);
    await picture(page, `${name}-${language}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 320, height: 640 });
  const sideways = await overflow(page);
  await picture(page, `${name}-${language}-320`);
  await page.setViewportSize({ width: 1280, height: 900 });
  expect({ ...faults, sideways }).toEqual({
    ...Object.fromEntries(SCHEMES.map((scheme) => [scheme, []])),
    sideways: 0,
  });
}
