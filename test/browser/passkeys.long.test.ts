/** Passkeys and the second step in Chromium, with its virtual authenticator. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { generateSync } from 'otplib';
import { newVisitor, startChromium, type Browser, type Page } from '../support/browser.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme punaista venettä laiturissa';

let world: World;
let chromium: Browser;
let eServices: Server;
let origin: string;
beforeAll(async () => {
  eServices = createServer((_request, response) => response.end('the e-service'));
  await new Promise<void>((resolve) => eServices.listen(0, '127.0.0.1', resolve));
  origin = `http://localhost:${(eServices.address() as AddressInfo).port}`;
  const client = (name: string) => ({ client_name: name, redirect_uris: [`${origin}/${name}`], scope: 'openid email' });
  [world, chromium] = await Promise.all([
    startWorld({
      host: 'localhost',
      settings: { signIn: { registration: 'open' } },
      clients: { plain: client('plain'), strict: { ...client('strict'), require_acr: 'urn:tunnus:mfa' } },
    }),
    startChromium(),
  ]);
});
afterAll(async () => {
  await chromium.close();
  await world.close();
  await new Promise((resolve) => eServices.close(resolve));
});

const press = (page: Page, name: string) => page.locator('main').getByRole('button', { name, exact: true }).click();
const field = (page: Page, token: string) => page.locator(`main [autocomplete~="${token}"]`).first();
const heading = (page: Page) => page.locator('h1').innerText();
const atService = (page: Page, name = 'plain') => page.waitForURL(`${origin}/${name}?**`);

/**
 * A visitor whose device holds passkeys and verifies them, as a telephone does. What the browser would offer in its own list
 * (conditional mediation) the virtual authenticator chooses at once.
 */
async function visitor(): Promise<Page> {
  const context = await newVisitor(chromium);
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return page;
}

/** How pages ask for passkeys from now on, by `mediation`. */
async function watchRequests(page: Page): Promise<unknown[]> {
  const mediations: unknown[] = [];
  await page.exposeFunction('noteRequest', (mediation: unknown) => mediations.push(mediation));
  await page.addInitScript({
    content: `const get = navigator.credentials.get.bind(navigator.credentials);
      navigator.credentials.get = (asked) => { noteRequest(asked.mediation); return get(asked); };`,
  });
  return mediations;
}

async function begin(page: Page, client = 'plain'): Promise<void> {
  await page.goto((await (await world.relyingParty(client)).begin()).url.href);
}

async function signIn(page: Page, email: string, client?: string): Promise<void> {
  await begin(page, client);
  await field(page, 'username').fill(email);
  await press(page, 'Jatka');
  await page.locator('input[name=passkeys][value=yes]').waitFor({ state: 'attached' });
  await field(page, 'current-password').fill(PASSWORD);
  await press(page, 'Kirjaudu sisään');
}

test('a resident takes the offer, signs in without a password, uses it as second step, and removes it', async () => {
  const email = 'aino@example.com';
  await world.account({ email, password: PASSWORD });
  const page = await visitor();
  await signIn(page, email);
  expect(await heading(page)).toBe('Kirjaudu ensi kerralla ilman salasanaa');
  await press(page, 'Tee pääsyavain');
  await atService(page);

  // The browser offers it where the address is asked for: no address is typed and nothing is pressed.
  const mediations = await watchRequests(page);
  await page.context().clearCookies();
  await begin(page);
  await atService(page);
  expect(mediations).toEqual(['conditional']);

  await page.context().clearCookies();
  await begin(page, 'strict');
  await atService(page, 'strict');

  await page.goto(`${world.issuer}/account/factors`);
  expect(await page.locator('main').innerText()).toContain('Pääsyavain');
  await press(page, 'Poista pääsyavain');
  await page.getByText('Muutos on tallennettu').waitFor();
  expect(await page.getByRole('button', { name: 'Poista pääsyavain' }).count()).toBe(0);
  // The device still has it, and Tunnus knows it no more.
  await page.context().clearCookies();
  await begin(page);
  await page.getByText('Pääsyavain ei kelvannut.').first().waitFor();
  await page.context().close();
}, 60_000);

test('declined for good, the offer does not come again', async () => {
  const email = 'veikko@example.com';
  await world.account({ email, password: PASSWORD });
  const page = await visitor();
  await signIn(page, email);
  await press(page, 'Älä tarjoa enää');
  await atService(page);
  await page.context().clearCookies();
  await signIn(page, email);
  await atService(page);
  await page.context().close();
}, 60_000);

test('a resident sets up an authenticator app where an e-service needs two steps, and adds a passkey', async () => {
  const email = 'siiri@example.com';
  await world.account({ email, password: PASSWORD });
  const page = await visitor();
  await signIn(page, email, 'strict');
  expect(await heading(page)).toBe('Tarvitset toisen vaiheen');
  await page.getByRole('link', { name: 'Ota käyttöön', exact: true }).click();
  await page.getByRole('link', { name: 'Ota todennussovellus käyttöön' }).click();
  expect(await page.locator('svg.qr').isVisible()).toBe(true);
  const secret = (await page.locator('.key').innerText()).replaceAll(' ', '');
  await field(page, 'one-time-code').fill(
    generateSync({ secret, epoch: Math.floor(world.clock.now().getTime() / 1000) }),
  );
  await press(page, 'Ota käyttöön');
  await press(page, 'Tee kymmenen varakoodia');
  const codes = await page.locator('.codes li').allInnerTexts();
  expect(codes).toHaveLength(10);
  await page.getByRole('link', { name: 'Jatka kirjautumista' }).click();
  await atService(page, 'strict');

  await page.goto(`${world.issuer}/account/passkey`);
  await page.locator('#name').fill('Oma puhelin');
  await press(page, 'Lisää pääsyavain');
  await page.getByRole('heading', { name: 'Oma puhelin' }).waitFor();

  await page.context().clearCookies();
  await page.goto((await (await world.relyingParty('plain')).begin({ prompt: 'login' })).url.href);
  await atService(page);

  // On a device without it, a recovery code.
  const elsewhere = await (await newVisitor(chromium, { javaScript: false })).newPage();
  await begin(elsewhere);
  await field(elsewhere, 'username').fill(email);
  await press(elsewhere, 'Jatka');
  await field(elsewhere, 'current-password').fill(PASSWORD);
  await press(elsewhere, 'Kirjaudu sisään');
  await field(elsewhere, 'one-time-code').fill(codes[0]!);
  await press(elsewhere, 'Jatka');
  await atService(elsewhere);
  await elsewhere.context().close();

  await page.goto(`${world.issuer}/account/factors`);
  await press(page, 'Poista todennussovellus');
  await page.getByText('Muutos on tallennettu').waitFor();
  expect(await page.getByRole('button', { name: 'Poista todennussovellus' }).count()).toBe(0);
  await page.context().close();
}, 60_000);

test('a new resident makes an account with a passkey alone', async () => {
  const email = 'uusi@example.com';
  const page = await visitor();
  await begin(page);
  await page.getByRole('link', { name: 'Luo uusi käyttäjätunnus' }).click();
  await field(page, 'username').fill(email);
  await press(page, 'Jatka');
  await page.goto(await world.mailbox.nextLink(email));
  await press(page, 'Luo tunnus pääsyavaimella');
  await page.getByRole('heading', { name: 'Käyttäjätunnuksesi on luotu' }).waitFor();
  await page.getByRole('link', { name: 'Siirry kirjautumaan' }).click();
  await press(page, 'Käytä pääsyavainta');
  await atService(page);
  await page.context().close();
}, 60_000);
