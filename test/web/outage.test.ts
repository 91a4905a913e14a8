/** The database goes away and comes back: calm answers meanwhile, nothing to be done afterwards. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { requestTo } from '../support/bad-input.ts';
import { faultsOf } from '../support/calm.ts';
import { startGate, type Gate } from '../support/gate.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { endpointPlaces } from '../support/places.ts';
import { until } from '../support/until.ts';
import { exchange } from '../support/wire.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let gate: Gate;

beforeAll(async () => {
  world = await startWorld({
    async databaseUrl(url) {
      gate = await startGate(url);
      return gate.url;
    },
  });
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  await world.account({ email: 'uusi@example.com' });
});
afterAll(async () => {
  await gate.open();
  await world.close();
  await gate.close();
});

async function begin(browser = world.browser(), parameters?: Record<string, string>): Promise<HttpBrowser> {
  await browser.get((await (await world.relyingParty()).begin(parameters)).url);
  return browser;
}

async function signedIn(): Promise<HttpBrowser> {
  const browser = await begin();
  await browser.submit({ username: 'maija@example.com' });
  await browser.submit({ 'current-password': PASSWORD });
  return browser;
}

const health = async (path: string): Promise<number> => (await fetch(world.issuer + path)).status;
const untilReady = () => until('the database is reached again', async () => (await health('/health/ready')) === 200);

describe('while the database is out of reach', () => {
  let address: HttpBrowser;
  let password: HttpBrowser;
  let resident: HttpBrowser;
  let link: string;

  beforeAll(async () => {
    address = await begin();
    password = await begin();
    await password.submit({ username: 'maija@example.com' });
    const newcomer = await begin();
    await newcomer.submit({ username: 'uusi@example.com' });
    link = await world.mailbox.nextLink('uusi@example.com');
    resident = await signedIn();
    await gate.close();
  });
  afterAll(() => gate.open());

  test('pages say so calmly, in the language of the reader, and when to try again', async () => {
    const tries: Record<string, () => Promise<unknown>> = {
      address: () => address.submit({ username: 'maija@example.com' }),
      password: () => password.submit({ 'current-password': PASSWORD }),
      link: () => address.get(link),
      account: () => resident.get(`${world.issuer}/account`),
      'single sign-on': () => begin(resident),
    };
    for (const [what, attempt] of Object.entries(tries)) {
      await attempt();
      const { page } = what === 'link' || what === 'address' ? address : what === 'password' ? password : resident;
      expect([what, page.status]).toEqual([what, 503]);
      expect([what, page.lang, page.headers['retry-after']]).toEqual([what, 'fi', '5']);
      expect(page.h1).toBe('Palvelussa on nyt ruuhkaa');
      expect(page.html).not.toMatch(/ECONNREFUSED|\.ts:\d|Error/);
      expect(page.headers['set-cookie']).toBeUndefined();
    }
  });

  test("'try again' is the same request, with all that the e-service asked for; from a form it is the form's page", async () => {
    const errand = await (await world.relyingParty()).begin({ prompt: 'login' });
    const retry = async (ask: Promise<unknown>, browser: HttpBrowser): Promise<string> => {
      await ask;
      expect(browser.page.status).toBe(503);
      return browser.page.main.querySelector('a.button')!.getAttribute('href')!;
    };
    const path = '/session/end?client_id=asiointi&state=a%26b';
    expect(await retry(resident.get(world.issuer + path), resident)).toBe(path);
    const silent = new URL(errand.url);
    silent.searchParams.set('prompt', 'none');
    const wanted = silent.pathname + silent.search;
    expect(await retry(resident.get(silent.href), resident)).toBe(wanted);
    const posted = password.page.url.pathname;
    // The page itself still stands without a database.
    const csrf = (await password.get(world.issuer + posted)).main.querySelector('[name=csrf]')!.getAttribute('value')!;
    const form = { csrf, username: 'maija@example.com', password: PASSWORD };
    expect(await retry(password.post(`${world.issuer}${posted}?x=1`, form), password)).toBe(posted);
  });

  test('programs are told temporarily_unavailable', async () => {
    const asked = endpointPlaces().filter(({ path }) => /^\/(token|me|request)/.test(path));
    for (const place of asked) {
      const request = requestTo(place, new URLSearchParams(place.fields).toString());
      const answer = await exchange(world.tunnus.port, request);
      expect([place.name, answer!.status]).toEqual([place.name, 503]);
      expect([place.name, JSON.parse(answer!.body)]).toEqual([
        place.name,
        expect.objectContaining({ error: 'temporarily_unavailable' }),
      ]);
      expect([place.name, answer!.headers.get('retry-after')]).toEqual([place.name, ['5']]);
    }
  });

  test('what needs no database is as ever', async () => {
    for (const path of ['/.well-known/openid-configuration', '/jwks', '/signed-out', '/assets/page.css']) {
      expect([path, (await fetch(world.issuer + path)).status]).toEqual([path, 200]);
    }
    const stranger = await begin();
    expect(stranger.page.status).toBe(200);
  });

  test('the process is live, and not ready', async () => {
    expect([await health('/health/live'), await health('/health/ready')]).toEqual([200, 503]);
  });

  test('each failure is a line in the log, with its cause', async () => {
    const before = world.log.length;
    await resident.get(`${world.issuer}/account`);
    const line = world.log.slice(before).find((each) => each.includes('a request was refused'));
    expect(line).toContain('"status":503');
    expect(line).toContain('the database does not answer');
  });

  test('and when it is back everything goes on where it was', async () => {
    await gate.open();
    await untilReady();
    await address.get(address.steps.find(({ url }) => url.includes('/sign-in/'))!.url);
    await address.submit({ username: 'maija@example.com' });
    await address.submit({ 'current-password': PASSWORD });
    expect(address.page.leadsTo?.host).toBe('asiointi.example');
    expect((await resident.get(`${world.issuer}/account`)).text).toContain('maija@example.com');
    const newcomer = await begin();
    await newcomer.submit({ username: 'uusi@example.com' });
    expect(await world.mailbox.nextLink('uusi@example.com')).not.toBe(link);
  });
});

test('a restart of the database costs at most one try', async () => {
  const browser = await signedIn();
  await Promise.all(Array.from({ length: 8 }, () => health('/health/ready')));
  await world.database
    .query(sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()`)
    .catch(() => undefined);
  const statuses = await Promise.all(Array.from({ length: 8 }, () => browser.newTab().get(`${world.issuer}/account`)));
  for (const { status } of statuses) expect([200, 503]).toContain(status);
  expect((await browser.get(`${world.issuer}/account`)).status).toBe(200);
});

test('a mail handed over while the database goes away is not sent again, and later ones go out', async () => {
  await world.account({ email: 'posti@example.com' });
  const browser = await begin();
  await browser.submit({ username: 'posti@example.com' });
  // It has just arrived: that it did is not noted yet, and can't be.
  const link = await world.mailbox.nextLink('posti@example.com');
  await gate.close();
  expect([await health('/health/live'), await health('/health/ready')]).toEqual([200, 503]);
  await gate.open();
  await untilReady();
  expect((await browser.get(link)).status).toBe(200);
  await world.account({ email: 'uusinta@example.com' });
  const later = await begin();
  await later.submit({ username: 'uusinta@example.com' });
  await expect(world.mailbox.next({ to: 'uusinta@example.com', within: 15_000 })).resolves.toBeDefined();
  const noted = () => world.database.query(sql`select 1 from mails where outcome <> 'sent'`);
  await until('each mail is noted as sent', async () => (await noted()).length === 0);
  expect(world.mailbox.all.filter(({ to }) => to === 'posti@example.com')).toHaveLength(1);
});

test('a database that takes connections and never answers is given up, and does not hold up the rest', async () => {
  const browser = await signedIn();
  gate.block();
  try {
    const waiting = Array.from({ length: 20 }, () =>
      exchange(world.tunnus.port, { target: '/me', headers: { Authorization: 'Bearer x' } }),
    );
    expect(await health('/health/live')).toBe(200);
    expect((await fetch(`${world.issuer}/signed-out`)).status).toBe(200);
    const page = await browser.get(`${world.issuer}/account`);
    expect(page.status).toBe(503);
    for (const answer of await Promise.all(waiting)) {
      expect(answer!.status).toBe(503);
      expect(faultsOf({ ...answer!, status: 403 })).toEqual([]);
    }
  } finally {
    await gate.open();
  }
  await until('the page is there', async () => (await browser.get(`${world.issuer}/account`)).status === 200);
});
