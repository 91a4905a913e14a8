/** Who guesses passwords, addresses, links or secrets tires first; who belongs here does not notice. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { verifyPassword } from '../../src/records/passwords.ts';
import { neighbourhoodOf } from '../../src/records/throttle.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { CLIENT_SECRET, startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let world: World;
let places = 0;

beforeAll(async () => {
  world = await startWorld({
    settings: {
      listen: { proxies: 1 },
      limits: {
        addressesPerPlace: 10,
        linksPerPlace: 20,
        linkGuessesPerPlace: 10,
        clientPerPlace: 5,
        clientsPerPlace: 10,
      },
    },
  });
});
afterAll(() => world.close());

/** A network that nobody came from yet. */
const elsewhere = (): string => `10.1.${(places += 1) >> 8}.${places & 255}`;
const from = (place: string) => ({ headers: { 'X-Forwarded-For': place } });

async function atPassword(email: string, place: string, browser = world.browser(from(place))): Promise<HttpBrowser> {
  await browser.get((await (await world.relyingParty('bare')).begin()).url);
  await browser.submit({ username: email });
  return browser;
}

/** Guesses until it is told to wait; how many were answered, and the wait in seconds. */
async function guess(browser: HttpBrowser): Promise<{ answered: number; wait: number }> {
  for (let answered = 0; ; answered += 1) {
    const page = await browser.submit({ 'current-password': `arvaus ${answered}` });
    if (page.status === 429) {
      const wait = Number(page.headers['retry-after']);
      await browser.get(browser.page.link('Yritä uudelleen'));
      return { answered, wait };
    }
  }
}

describe('a password', () => {
  test('guessed from one place waits longer each time, and the page says how long', async () => {
    const email = 'yksi@example.com';
    await world.account({ email, password: PASSWORD });
    const browser = await atPassword(email, elsewhere());
    const first = await guess(browser);
    // Two thirds of the twelve that fit; what drained while they were typed is a part of one.
    expect([8, 9]).toContain(first.answered);
    const waits = [first.wait];
    for (let round = 0; round < 3; round += 1) {
      world.clock.advance(waits.at(-1)! * 1000);
      const next = await guess(browser);
      expect(next.answered).toBe(1);
      waits.push(next.wait);
    }
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits.at(-1)!).toBeGreaterThan(4 * waits[0]!);
    await browser.submit({ 'current-password': 'arvaus' });
    expect(browser.page.status).toBe(429);
    expect(browser.page.text).toMatch(/Yritä uudelleen \d+ minuutin kuluttua/);
    expect(browser.page.headers['retry-after']).toMatch(/^\d+$/);
  });

  test('guessed from many places locks nobody out of the device on which they signed in before', async () => {
    const email = 'omistaja@example.com';
    await world.account({ email, password: PASSWORD });
    const home = elsewhere();
    const own = world.browser(from(home));
    await atPassword(email, home, own);
    await own.submit({ 'current-password': PASSWORD });
    expect(own.page.leadsTo?.host).toBe('bare.example');
    let answered = 0;
    for (let place = 0; place < 12 && answered < 40; place += 1) {
      const thief = await atPassword(email, elsewhere());
      for (let tries = 0; tries < 3; tries += 1) {
        if ((await thief.submit({ 'current-password': 'arvaus' })).status === 429) break;
        answered += 1;
      }
    }
    // Three quarters of thirty an hour.
    expect(answered).toBe(23);
    const stranger = await atPassword(email, elsewhere());
    expect((await stranger.submit({ 'current-password': PASSWORD })).status).toBe(429);
    await own.get(`${world.issuer}/session/end`);
    await own.submit();
    await atPassword(email, home, own);
    await own.submit({ 'current-password': PASSWORD });
    expect(own.page.leadsTo?.host).toBe('bare.example');
  });

  test('is guessed no faster by a copied device cookie, nor by one made up', async () => {
    const email = 'laite@example.com';
    await world.account({ email, password: PASSWORD });
    const own = await atPassword(email, elsewhere());
    await own.submit({ 'current-password': PASSWORD });
    const device = own.jar.find('tunnus_device')!.value;
    const answered = async (value: string): Promise<number> => {
      const thief = world.browser(from(elsewhere()));
      thief.jar.plant({ name: 'tunnus_device', value, host: '127.0.0.1' });
      await atPassword(email, '', thief);
      return (await guess(thief)).answered;
    };
    // The copy has one allowance, wherever it is used.
    expect(await answered(device)).toBeGreaterThanOrEqual(8);
    expect(await answered(device)).toBe(0);
    const [id] = device.split('.');
    const made = [`${id}.${'A'.repeat(43)}`, 'x'.repeat(22), `${'A'.repeat(22)}.${device.split('.')[1]!}`];
    for (const value of made) expect(await answered(value)).toBeLessThanOrEqual(9);
    // Each was counted against the address: after that nobody without the device gets in.
    const stranger = await atPassword(email, elsewhere());
    expect((await guess(stranger)).answered).toBe(0);
  });
});

test('addresses are probed by one place a few times an hour, known ones and unknown ones, then it waits', async () => {
  const place = elsewhere();
  const browser = world.browser(from(place));
  await browser.get((await (await world.relyingParty('bare')).begin()).url);
  const start = browser.page.url;
  let answered = 0;
  for (; answered < 20; answered += 1) {
    const page = await browser.submit({ username: `tuntematon${answered}@example.com` });
    if (page.status === 429) break;
    await browser.get(start);
  }
  expect(answered).toBe(8);
  expect(browser.page.headers['retry-after']).toMatch(/^\d+$/);
  expect((await atPassword('muualta@example.com', elsewhere())).page.url.pathname).toMatch(/unknown-address$/);
});

test('whoever knows a whole list of addresses cannot have all of them mailed', async () => {
  const place = elsewhere();
  const emails = Array.from({ length: 18 }, (_, i) => `listalla${i}@example.com`);
  for (const email of emails) await world.account({ email });
  const statuses: number[] = [];
  for (const email of emails) statuses.push((await atPassword(email, place)).page.status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(15);
  expect(statuses.at(-1)).toBe(429);
  for (const to of emails.slice(0, 15)) await world.mailbox.next({ to });
  expect(world.mailbox.all.filter(({ to }) => to.startsWith('listalla'))).toHaveLength(15);
  // The residents themselves are not held up by it.
  expect((await atPassword(emails[17]!, elsewhere())).page.url.pathname).toMatch(/link-sent$/);
});

test('a flood of requests for links to one address fills no mailbox, and the last link still works', async () => {
  const email = 'tulva@example.com';
  await world.account({ email });
  for (let round = 0; round < 8; round += 1) {
    expect((await atPassword(email, elsewhere())).page.url.pathname).toMatch(/link-sent$/);
  }
  const links = [];
  for (let round = 0; round < 4; round += 1) links.push(await world.mailbox.nextLink(email));
  expect(world.mailbox.all.filter(({ to }) => to === email)).toHaveLength(4);
  for (const link of links) expect((await world.browser().get(link)).status).toBe(200);
});

test('links that never were are guessed a few times from one place; one that is works from there all the same', async () => {
  const place = elsewhere();
  const email = 'linkki@example.com';
  await world.account({ email });
  await atPassword(email, elsewhere());
  const link = await world.mailbox.nextLink(email);
  const thief = world.browser(from(place));
  const statuses: number[] = [];
  for (let one = 0; one < 10; one += 1) {
    const made = `${one}`.padEnd(43, 'A');
    statuses.push((await thief.get(`${world.issuer}/set-password/${made}`)).status);
  }
  expect(statuses).toEqual([...Array<number>(8).fill(404), 429, 429]);
  expect(thief.page.headers['retry-after']).toMatch(/^\d+$/);
  expect((await thief.get(link)).status).toBe(200);
  expect((await world.browser(from(elsewhere())).get(`${world.issuer}/set-password/${'B'.repeat(43)}`)).status).toBe(
    404,
  );
});

describe('a flood of guesses, more than the machine bears', () => {
  const email = 'kiire@example.com';
  let known: HttpBrowser;
  let flooding: boolean;
  let flood: Promise<void>[];
  beforeAll(async () => {
    await world.account({ email, password: PASSWORD });
    known = await atPassword(email, elsewhere());
    await known.submit({ 'current-password': PASSWORD });
    await known.get(`${world.issuer}/session/end`);
    await known.submit();
    flooding = true;
    // From a few neighbourhoods, as far as the line can tell.
    const lane = async (_: unknown, index: number): Promise<void> => {
      const asker = { known: false, whose: `the flood's ${index % 20}` };
      while (flooding) await verifyPassword(undefined, 'a guess', { asker }).catch(() => pause(20));
    };
    flood = Array.from({ length: 60 * availableParallelism() }, lane);
  });
  afterAll(async () => {
    flooding = false;
    await Promise.all(flood);
  });

  test('does not stop discovery, tokens and pages', async () => {
    const basic = `Basic ${btoa(`bare:${encodeURIComponent(CLIENT_SECRET)}`)}`;
    const others = await Promise.all([
      fetch(`${world.issuer}/.well-known/openid-configuration`),
      fetch(`${world.issuer}/token/introspection`, {
        method: 'POST',
        headers: { authorization: basic, 'x-forwarded-for': elsewhere() },
        body: new URLSearchParams({ token: 'x' }),
      }),
      fetch(`${world.issuer}/signed-out`),
    ]);
    expect(others.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  test('lets in at once who signs in where they did before, and who comes from where nobody guessed', async () => {
    for (const browser of [known, world.browser(from('10.200.1.1'))]) {
      await atPassword(email, '', browser);
      await browser.submit({ 'current-password': PASSWORD });
      expect(browser.page.leadsTo?.host).toBe('bare.example');
    }
  });

  test('has whoever comes from where it comes from told to come again, on the page where they were', async () => {
    const place = '10.201.1.1';
    const neighbour = await atPassword(email, place);
    for (let guessed = 0; guessed < 8; guessed += 1) {
      const asker = { known: false, whose: neighbourhoodOf(place) };
      await verifyPassword(undefined, 'a guess', { asker }).catch(() => undefined);
    }
    // Now and then somebody is done before it comes.
    let page = await neighbour.submit({ 'current-password': 'väärä salasana' });
    for (let tries = 0; tries < 6 && page.status === 422; tries += 1)
      page = await neighbour.submit({ 'current-password': 'väärä salasana' });
    expect(page.status).toBe(503);
    expect(page.headers['retry-after']).toBe('2');
    expect(page.text).toContain('Palvelussa on nyt ruuhkaa. Kirjoita salasana uudelleen hetken kuluttua.');
    expect(page.field('username')?.getAttribute('value')).toBe(email);
    flooding = false;
    await Promise.all(flood);
    await neighbour.submit({ 'current-password': PASSWORD });
    expect(neighbour.page.leadsTo?.host).toBe('bare.example');
  });
});

describe("an e-service's secret", () => {
  const asked = async (clientId: string, secret: string, { place = '', path = '/token' } = {}) => {
    const answer = await fetch(world.issuer + path, {
      method: 'POST',
      headers: {
        authorization: `Basic ${btoa(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`)}`,
        'x-forwarded-for': place,
      },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: 'x',
        token: 'x',
        redirect_uri: 'https://bare.example/callback',
      }),
    });
    const body = (await answer.json().catch(() => ({}))) as { error?: string };
    return { status: answer.status, error: body.error, wait: answer.headers.get('retry-after') };
  };
  const WRONG = { status: 401, error: 'invalid_client', wait: null };

  test('guessed at any endpoint waits, at that place only', async () => {
    const place = elsewhere();
    for (const path of ['/token', '/token/introspection', '/token/revocation', '/request'].slice(0, 3)) {
      expect(await asked('bare', 'wrong', { place, path })).toEqual(WRONG);
    }
    for (const path of ['/request', '/token', '/token/introspection', '/token/revocation']) {
      const refused = await asked('bare', path === '/token' ? CLIENT_SECRET : 'wrong', { place, path });
      expect(refused).toMatchObject({ status: 429, error: 'invalid_client' });
      expect(Number(refused.wait)).toBeGreaterThan(0);
    }
    expect(await asked('bare', CLIENT_SECRET, { place: elsewhere() })).toMatchObject({ error: 'invalid_grant' });
    world.clock.advance(2 * HOUR);
    expect(await asked('bare', CLIENT_SECRET, { place })).toMatchObject({ error: 'invalid_grant' });
  });

  test('guessed for many e-services from one place keeps out no e-service that proved itself from there', async () => {
    const place = elsewhere();
    expect(await asked('kartta', CLIENT_SECRET, { place, path: '/token/introspection' })).toMatchObject({
      status: 200,
    });
    let answered = 0;
    for (let one = 0; one < 12; one += 1) {
      if ((await asked(`keksitty${one}`, 'wrong', { place })).status === 401) answered += 1;
    }
    expect(answered).toBe(8);
    expect((await asked('bare', CLIENT_SECRET, { place })).status).toBe(429);
    expect(await asked('kartta', CLIENT_SECRET, { place })).toMatchObject({ error: 'invalid_grant' });
    expect(await asked('kartta', 'wrong', { place })).toEqual(WRONG);
  });

  test('stands in no line of the log, and a network of a /64 is one place', async () => {
    const asking = Array.from({ length: 6 }, (_, i) =>
      asked('bare', 'guessed-secret', { place: `2001:db8:1:2::${i}` }),
    );
    const statuses = (await Promise.all(asking)).map(({ status }) => status);
    expect(statuses).toContain(429);
    expect((await asked('bare', CLIENT_SECRET, { place: '2001:db8:1:2:ffff::1' })).status).toBe(429);
    expect((await asked('bare', CLIENT_SECRET, { place: '2001:db8:1:3::1' })).status).toBe(400);
    expect(world.log.filter((line) => line.includes('guessed-secret'))).toEqual([]);
  });
});
