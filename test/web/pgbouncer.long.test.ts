/** Tunnus through PgBouncer in transaction mode, with `database.direct` beside it. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { startTunnus, type RunningTunnus } from '../../src/app.ts';
import { signingKeys } from '../../src/desk.ts';
import { DatabaseUnavailable, openDatabase, sql } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { startPgBouncer, type PgBouncer } from '../support/pgbouncer.ts';
import { until } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let pooler: PgBouncer;
let direct: string;

beforeAll(async () => {
  world = await startWorld({
    async databaseUrl(url) {
      direct = url;
      pooler = await startPgBouncer(url);
      return { url: pooler.url, direct };
    },
  });
});
afterAll(async () => {
  await world.close();
  await pooler.close();
});

const begin = async () => {
  const asiointi = await world.relyingParty();
  const browser = world.browser();
  const errand = await asiointi.begin({ scope: 'openid email offline_access' });
  await browser.get(errand.url);
  return { asiointi, browser, errand };
};

test('thirty residents at once set a password by a mailed link and sign in, over three connections', async () => {
  const walk = async (nth: number): Promise<void> => {
    const email = `resident${nth}@example.com`;
    await world.account({ email });
    const { asiointi, browser, errand } = await begin();
    await browser.submit({ username: email });
    await browser.get((await world.mailbox.next({ to: email, within: 30_000 })).links[0]!);
    await browser.submit({ 'new-password': PASSWORD });
    await browser.follow('Siirry kirjautumaan');
    await browser.submit({ 'current-password': PASSWORD });
    const tokens = await errand.finish(browser.page.leadsTo!);
    const refreshed = await client.refreshTokenGrant(asiointi.config, tokens.refresh_token!);
    expect(refreshed.claims()!.sub).toBe(tokens.claims()!.sub);
  };
  await Promise.all(Array.from({ length: 30 }, (_, nth) => walk(nth)));
  const mails = world.mailbox.all.filter(({ to }) => to.startsWith('resident')).map(({ to, subject }) => to + subject);
  expect(new Set(mails).size).toBe(mails.length);
}, 120_000);

test('a second node starts, and hears at once of keys that the first one changes', async () => {
  const listen = { ...world.config.listen, port: 0 };
  const log = makeLog({ level: 'error' });
  const second: RunningTunnus = await startTunnus({ config: { ...world.config, listen }, log });
  const keysOf = async (url: string) => (await fetch(`${url}/jwks`)).text();
  const before = await keysOf(second.url);
  expect(before).toBe(await keysOf(world.tunnus.url));
  const { database, sealer } = world.tunnus;
  await signingKeys({ database, sealer, config: world.config }).replace({ actor: 'test', withdraw: true }, new Date());
  for (const { url } of [second, world.tunnus]) await until('other keys', async () => (await keysOf(url)) !== before);
  expect(await keysOf(second.url)).toBe(await keysOf(world.tunnus.url));
  await second.close();
});

test('when it is away pages say so, and it goes on by itself when it is back', async () => {
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  const { browser } = await begin();
  await pooler.stop();
  await browser.submit({ username: 'maija@example.com' });
  expect(browser.page.status).toBe(503);
  expect((await fetch(`${world.issuer}/health/ready`)).status).toBe(503);
  await pooler.start();
  const began = Date.now();
  await until('ready', async () => (await fetch(`${world.issuer}/health/ready`)).status === 200);
  process.stdout.write(`ready ${Date.now() - began} ms after the pooler was back\n`);
  const again = await begin();
  await again.browser.submit({ username: 'maija@example.com' });
  await again.browser.submit({ 'current-password': PASSWORD });
  expect(again.browser.page.leadsTo?.host).toBe('asiointi.example');
});

test('time limits are those of the role or the database', async () => {
  const name = new URL(direct).pathname.slice(1);
  const plain = openDatabase({ url: direct, max: 1 });
  await plain.session((session) => session.script(`alter database ${name} set statement_timeout = '300ms'`));
  await plain.close();
  // Connections of the pooler that were open before keep what they began with.
  await pooler.stop();
  await pooler.start();
  const pooled = openDatabase({ url: pooler.url, direct, max: 2 });
  await expect(pooled.query(sql`select pg_sleep(5)`)).rejects.toBeInstanceOf(DatabaseUnavailable);
  await pooled.session(async (session) => {
    expect(await session.query(sql`select pg_sleep(1)`)).toHaveLength(1);
  });
  await pooled.close();
});
