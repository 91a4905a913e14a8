/** Two nodes on one PostgreSQL, behind a proxy that keeps nobody to one of them: every request may reach the other. */
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import { startTunnus, type RunningTunnus } from '../../src/app.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { startEServices, type EServices } from '../support/e-services.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { until } from '../support/until.ts';
import { startWorld, type Errand, type RelyingParty, type World } from '../support/world.ts';

/** Milliseconds. */
const BEHIND = 7_000;
const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let second: RunningTunnus;
let services: EServices;
let asiointi: RelyingParty;
let turn = 0;
let another: () => Promise<RunningTunnus>;

/** The node whose turn it is. */
function next(url: URL): URL {
  if (url.origin !== world.issuer) return url;
  const node = [world.tunnus, second][(turn += 1) % 2]!;
  return new URL(url.pathname + url.search, node.url);
}

beforeAll(async () => {
  services = await startEServices();
  const kuulija = {
    client_name: 'Kuulija',
    redirect_uris: ['https://kuulija.example/callback'],
    backchannel_logout_uri: services.uri('kuulija'),
  };
  world = await startWorld({ clients: { kuulija } });
  const listen = { ...world.config.listen, port: 0 };
  const destination = new Writable({
    write(line, _encoding, written) {
      world.log.push(String(line));
      written();
    },
  });
  // Their clocks are never quite the same.
  const clock = () => new Date(world.clock.now().getTime() - BEHIND);
  another = () => startTunnus({ config: { ...world.config, listen }, clock, log: makeLog({ destination }) });
  second = await another();
  asiointi = await world.relyingParty();
  asiointi.config[client.customFetch] = (url, options) => fetch(next(new URL(url)), options);
});
afterAll(async () => {
  await second.close();
  await world.close();
  await services.close();
});

async function begin(browser: HttpBrowser): Promise<Errand> {
  const errand = await asiointi.begin({ scope: 'openid email offline_access' });
  await browser.get(errand.url);
  return errand;
}

/** Every step of `walk` begins once on each node. */
test.each([0, 1])('the whole story hops between them at every request (beginning on node %i)', async (first) => {
  turn = first;
  const email = `hop${first}@example.com`;
  await world.account({ email });
  const browser = world.browser({ reach: next });
  const errand = await begin(browser);
  await browser.submit({ username: email });
  expect(browser.page.h1).toBe('Tarkista sähköpostisi');
  await browser.get(await world.mailbox.nextLink(email));
  await browser.submit({ 'new-password': PASSWORD });
  expect(browser.page.text).toContain('Salasanan asettaminen onnistui.');
  await browser.follow('Siirry kirjautumaan');
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await errand.finish(browser.page.leadsTo!);
  const sub = tokens.claims()!.sub;
  expect(await client.fetchUserInfo(asiointi.config, tokens.access_token, sub)).toMatchObject({ email });
  const refreshed = await client.refreshTokenGrant(asiointi.config, tokens.refresh_token!);
  expect(refreshed.claims()?.sub).toBe(sub);

  // The session holds on both, and its end is everywhere.
  const again = await begin(browser);
  expect((await again.finish(browser.page.leadsTo!)).claims()?.sub).toBe(sub);
  await browser.get(`${world.issuer}/account`);
  expect(browser.page.text).toContain(email);
  await browser.follow('Kirjaudu ulos');
  await browser.submit();
  expect(browser.page.url.pathname).toBe('/signed-out');
  await browser.get(`${world.issuer}/account`);
  await browser.get(`${world.issuer}/account`);
  expect(browser.page.h1).toBe('Kirjaudu sisään');
});

test('both publish the same keys, and made them once', async () => {
  const [one, other] = await Promise.all(
    [world.tunnus, second].map(async ({ url }) => (await fetch(`${url}/jwks`)).json() as Promise<{ keys: object[] }>),
  );
  expect(other).toEqual(one);
  // One of each algorithm that signs; those that follow come later.
  expect(one!.keys).toHaveLength(world.config.keys.algorithms.length);
});

test('a code spent on one is spent on the other, in the same moment', async () => {
  const email = 'race@example.com';
  await world.account({ email, password: PASSWORD });
  const browser = world.browser({ reach: next });
  const errand = await begin(browser);
  await browser.submit({ username: email });
  await browser.submit({ 'current-password': PASSWORD });
  const callback = browser.page.leadsTo!;
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => errand.finish(callback)));
  expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1);
});

test('wrong passwords count together, whichever node they reach', async () => {
  const email = 'guessed@example.com';
  await world.account({ email, password: PASSWORD });
  const browser = world.browser({ reach: next });
  await begin(browser);
  await browser.submit({ username: email });
  let tries = 0;
  while (browser.page.status !== 429 && tries < 50) {
    await browser.submit({ 'current-password': 'väärä salasana kuitenkin' });
    tries += 1;
  }
  expect(browser.page.status).toBe(429);
  expect(tries).toBeLessThanOrEqual(world.config.limits.passwordPerPlace + 1);
});

const sids = (tokens: readonly string[]) => tokens.map((token) => decodeJwt(token)['sid']);

test('each sign-out is told once, by whichever node, and also where the node that took it was killed', async () => {
  const kuulija = await world.relyingParty('kuulija');
  const signedOut = async (index: number) => {
    const email = `lahtee${index}@example.com`;
    await world.account({ email, password: PASSWORD });
    const browser = world.browser({ reach: next });
    const errand = await kuulija.begin();
    await browser.get(errand.url);
    await browser.submit({ username: email });
    await browser.submit({ 'current-password': PASSWORD });
    const { sid } = (await errand.finish(browser.page.leadsTo!)).claims()!;
    await browser.get(`${world.issuer}/session/end`);
    await browser.submit();
    return sid;
  };
  // What one node had in its hands when it was killed, a minute ago.
  await world.database.query(sql`
    create function held() returns trigger language plpgsql as
      $$ begin new.locked_by := 'killed'; new.locked_at := now() - interval '1 minute'; return new; end $$`);
  await world.database.query(sql`
    create trigger held before insert on graphile_worker._private_jobs for each row
      when (new.payload::jsonb ? 'sid') execute function held()`);
  const orphan = await signedOut(0);
  await world.database.query(sql`drop trigger held on graphile_worker._private_jobs`);
  const third = await another();
  const told = [await services.next('kuulija')];
  expect(sids(told)).toEqual([orphan]);

  const rest = await Promise.all([1, 2, 3, 4].map(signedOut));
  for (const _sid of rest) told.push(await services.next('kuulija'));
  expect(sids(told.slice(1)).sort()).toEqual(rest.sort());
  const unsettled = sql`select 1 from logouts where outcome is null`;
  await until('each sign-out has its outcome', async () => (await world.database.query(unsettled)).length === 0);
  expect(services.all).toHaveLength(5);
  await third.close();
});
