/** The story of the move, as a resident lives it in Chromium: story.test.ts with JavaScript, story.long.test.ts without. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Page } from '../support/browser.ts';
import { accessibilityFaults, overflow, picture } from '../support/browser.ts';
import { startCity, type City } from './city.ts';

const PASSWORD = 'kolme punaista venettä laiturissa';

let city: City;

const press = (page: Page, name: string) => page.locator('main').getByRole('button', { name, exact: true }).click();
const field = (page: Page, token: string) => page.locator(`main [autocomplete~="${token}"]`).first();
const heading = (page: Page) => page.locator('h1').innerText();

async function goToSignIn(page: Page, site = city.asiointi): Promise<void> {
  await page.goto(site);
  await page.getByRole('link', { name: 'Kirjaudu sisään' }).click();
}

async function giveAddress(page: Page, email: string): Promise<void> {
  await field(page, 'username').fill(email);
  await press(page, 'Jatka');
}

async function givePassword(page: Page, password = PASSWORD): Promise<void> {
  await field(page, 'current-password').fill(password);
  await press(page, 'Kirjaudu sisään');
}

async function newAccount(email: string, options: { password?: string; ids?: Record<string, string> } = {}) {
  await city.world.account({ email, givenName: 'Suvi', ...options });
  return email;
}

export function storyIn({ javaScript }: { javaScript: boolean }): void {
  beforeAll(async () => {
    city = await startCity();
  });
  afterAll(() => city.close());

  const tag = javaScript ? 'js' : 'plain';
  /** Every page, in every language, is looked at so by pages-*.long.test.ts; here those that everybody meets. */
  const accessible = async (page: Page): Promise<void> => {
    // The rules are a script in the page.
    if (javaScript) expect(await accessibilityFaults(page)).toEqual([]);
  };

  test('a resident of the old lists comes all the way to the old history, in seven steps', async () => {
    const email = await newAccount(`suvi.${tag}@example.com`, {
      ids: { asiointi: `U1${tag.length}`, kartta: `kt-1${tag.length}` },
    });
    const page = await city.visit({ javaScript });

    // 1: the e-service leads to Tunnus, which asks for the address only.
    await goToSignIn(page);
    expect(new URL(page.url()).origin).toBe(city.world.issuer);
    expect(await heading(page)).toBe('Kirjaudu sisään');
    expect(await page.locator('main input:not([type=hidden])').count()).toBe(1);
    await picture(page, `sign-in-${tag}`);
    await accessible(page);

    // 2: no password yet: a link is mailed, and the page says so.
    await giveAddress(page, email);
    expect(await heading(page)).toBe('Tarkista sähköpostisi');
    expect(await page.locator('main').innerText()).toContain(email);
    await accessible(page);
    const link = await city.world.mailbox.nextLink(email);

    // 3: the link opens in another tab, after a scanner fetched it.
    for (const method of ['HEAD', 'GET']) await fetch(link, { method });
    const other = await page.context().newPage();
    await other.goto(link);
    expect(await heading(other)).toBe('Aseta uusi salasana');
    expect(await other.locator('main').innerText()).toContain(email);
    expect(await field(other, 'username').inputValue()).toBe(email);
    await accessible(other);
    await field(other, 'new-password').fill(PASSWORD);
    await press(other, 'Aseta salasana');

    // 4: it worked, and the way leads on to the same sign-in.
    expect(await heading(other)).toBe('Salasanan asettaminen onnistui.');
    await other.locator('main').getByText('Siirry kirjautumaan').click();
    expect(await field(other, 'username').inputValue()).toBe(email);
    await field(other, 'current-password').waitFor();
    await accessible(other);
    await givePassword(other);

    // 5 and 6: the e-service has the username at its top and the history by its own old id.
    expect(other.url()).toBe(`${city.asiointi}/`);
    expect(await other.locator('main').innerText()).toContain(`U1${tag.length}`);
    await other.getByRole('link', { name: email }).click();
    expect(new URL(other.url()).pathname).toBe('/account');
    expect(new URL(other.url()).origin).toBe(city.world.issuer);
    expect(await other.locator('main').innerText()).toContain(email);

    // the other e-service: signed in already, with its own old id
    await goToSignIn(other, city.kartta);
    expect(other.url()).toBe(`${city.kartta}/`);
    expect(await other.locator('main').innerText()).toContain(`kt-1${tag.length}`);
  });

  test('7: an unknown address is told so, stays in the field, and another one goes on', async () => {
    const email = await newAccount(`real.${tag}@example.com`, { password: PASSWORD });
    const page = await city.visit({ javaScript });
    await goToSignIn(page);
    await giveAddress(page, `nobody.${tag}@example.com`);
    expect(await heading(page)).toBe('Osoitetta ei tunnistettu');
    expect(await page.locator('main').innerText()).toContain(`nobody.${tag}@example.com`);
    expect(await field(page, 'username').inputValue()).toBe(`nobody.${tag}@example.com`);
    await giveAddress(page, email);
    await givePassword(page);
    expect(page.url()).toBe(`${city.asiointi}/`);
  });

  test('the first tab goes on too, after the password was set on another device', async () => {
    const email = await newAccount(`device.${tag}@example.com`);
    const desk = await city.visit({ javaScript });
    await goToSignIn(desk);
    await giveAddress(desk, email);
    const phone = await city.visit({ javaScript, width: 390, height: 800 });
    await phone.goto(await city.world.mailbox.nextLink(email));
    await field(phone, 'new-password').fill(PASSWORD);
    await press(phone, 'Aseta salasana');
    await desk.locator('main').getByText('Olen asettanut salasanani, jatka').click();
    await givePassword(desk);
    expect(desk.url()).toBe(`${city.asiointi}/`);

    // The phone has no sign-in of its own: the e-service begins one.
    await phone.locator('main').getByText('Siirry kirjautumaan').click();
    await giveAddress(phone, email);
    await givePassword(phone);
    expect(phone.url()).toBe(`${city.asiointi}/`);
  });

  test('signing out ends both, and the e-service shows its own page', async () => {
    const email = await newAccount(`out.${tag}@example.com`, { password: PASSWORD });
    const page = await city.visit({ javaScript });
    await goToSignIn(page);
    await giveAddress(page, email);
    await givePassword(page);
    await page.getByRole('button', { name: 'Kirjaudu ulos' }).click();
    expect(page.url()).toBe(`${city.asiointi}/signed-out`);
    await goToSignIn(page);
    expect(await heading(page)).toBe('Kirjaudu sisään');
  });

  test('back from the e-service, and the page sent once more, never ends in a dead end', async () => {
    const email = await newAccount(`back.${tag}@example.com`, { password: PASSWORD });
    const page = await city.visit({ javaScript });
    await goToSignIn(page);
    await giveAddress(page, email);
    await givePassword(page);
    expect(page.url()).toBe(`${city.asiointi}/`);
    // As a press of the button does: the way back leads through redirects of ours, of which a driver loses track.
    const there = page.waitForEvent('framenavigated');
    await page.evaluate('history.back()');
    await there;
    await page.waitForLoadState('networkidle');
    await page.reload();
    expect([city.world.issuer, city.asiointi]).toContain(new URL(page.url()).origin);
    expect(await page.locator('main a, main button').count()).toBeGreaterThan(0);
  });

  test('two tabs sign in beside each other', async () => {
    const email = await newAccount(`tabs.${tag}@example.com`, { password: PASSWORD });
    const first = await city.visit({ javaScript });
    await goToSignIn(first);
    const second = await first.context().newPage();
    await goToSignIn(second, city.kartta);
    await giveAddress(first, email);
    await giveAddress(second, email);
    await givePassword(first);
    expect(first.url()).toBe(`${city.asiointi}/`);
    await givePassword(second);
    expect(second.url()).toBe(`${city.kartta}/`);
  });

  test('a press on the button twice signs in once', async () => {
    const email = await newAccount(`twice.${tag}@example.com`, { password: PASSWORD });
    const page = await city.visit({ javaScript });
    await goToSignIn(page);
    await giveAddress(page, email);
    await field(page, 'current-password').fill(PASSWORD);
    await page.locator('main').getByRole('button', { name: 'Kirjaudu sisään' }).dblclick();
    await page.waitForURL(`${city.asiointi}/`);
  });
}

/** What only needs to be seen once. */
export function onceInTheStory(): void {
  test('the whole way goes by keyboard alone, and the first stop of each page leads to its content', async () => {
    const email = await newAccount('keys@example.com', { password: PASSWORD });
    const page = await city.visit();
    await goToSignIn(page);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.getAttribute("href")')).toBe('#main');
    await page.keyboard.press('Enter');
    await tabTo(page, 'username');
    await page.keyboard.type(email);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/password$/);
    await tabTo(page, 'current-password');
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    await page.waitForURL(`${city.asiointi}/`);
  });

  test('a typed password can be looked at, and is hidden again before it is sent', async () => {
    const email = await newAccount('look@example.com', { password: PASSWORD });
    const page = await city.visit();
    await goToSignIn(page);
    await giveAddress(page, email);
    const password = field(page, 'current-password');
    await password.fill('not this one at all');
    await press(page, 'Näytä salasana');
    expect(await password.getAttribute('type')).toBe('text');
    await press(page, 'Piilota salasana');
    expect(await password.getAttribute('type')).toBe('password');
    await press(page, 'Kirjaudu sisään');
    expect(await page.title()).toMatch(/^Virhe/);
    expect(await page.evaluate('document.activeElement.getAttribute("role")')).toBe('alert');
  });

  test('at 400 per cent, as at 320 pixels, nothing must be pushed sideways', async () => {
    const email = await newAccount('narrow@example.com', { password: PASSWORD });
    const page = await city.visit({ width: 320, height: 256 });
    await goToSignIn(page);
    expect(await overflow(page)).toBe(0);
    await giveAddress(page, email);
    expect(await overflow(page)).toBe(0);
  });
}

async function tabTo(page: Page, token: string): Promise<void> {
  for (let stops = 0; stops < 30; stops += 1) {
    await page.keyboard.press('Tab');
    const found = await page.evaluate('document.activeElement.getAttribute("autocomplete") ?? ""');
    if (String(found).split(' ').includes(token) && (await page.evaluate('!document.activeElement.readOnly'))) return;
  }
  throw new Error(`the keyboard never reaches ${token}`);
}
