/** Nodes whose clocks differ, as processes of their own: all of their time is wrong, the library's too. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import { runTunnus } from '../support/command.ts';
import { hop } from '../support/hop.ts';
import { HttpBrowser } from '../support/http-browser.ts';
import { serve } from '../support/serving.ts';
import { until } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const DAY = 86_400_000;

let world: World;
beforeAll(async () => {
  world = await startWorld({ settings: { listen: { port: 0, metricsPort: 0 } } });
});
afterAll(() => world.close());

test.each([-9_000, 9_000])(
  'a sign-in hops between a node and one that is %i ms ahead, and nobody notices',
  async (ahead) => {
    const second = await serve(world.config.folder, { ahead });
    const nodes = [world.issuer, `http://127.0.0.1:${second.port}`];
    try {
      for (const first of [0, 1]) {
        const email = `kello${ahead}-${first}@example.com`;
        await world.account({ email });
        await hop({
          issuer: world.issuer,
          nodes,
          first,
          email,
          mailbox: world.mailbox,
          redirectUri: 'https://asiointi.example/callback',
          signedOutUri: 'https://asiointi.example/signed-out',
        });
      }
    } finally {
      second.process.kill('SIGTERM');
      expect(await second.ended).toBe(0);
    }
  },
  60_000,
);

test.each([-45_000, 45_000])(
  "a node's clock jumps by %i ms while residents are signed in: they stay so, and others come",
  async (jump) => {
    const node = await serve(world.config.folder, { jump });
    const nodes = [`http://127.0.0.1:${node.port}`];
    const come = async (email: string) => {
      await world.account({ email });
      const asked = {
        redirectUri: 'https://asiointi.example/callback',
        signedOutUri: 'https://asiointi.example/signed-out',
      };
      await hop({ issuer: world.issuer, nodes, first: 0, email, mailbox: world.mailbox, ...asked });
    };
    try {
      const email = `pysyy${jump}@example.com`;
      await world.account({ email, password: PASSWORD });
      const toNode = (url: URL): URL =>
        url.origin === world.issuer ? new URL(url.pathname + url.search, nodes[0]) : url;
      const browser = new HttpBrowser({ reach: toNode });
      const errand = await (await world.relyingParty()).begin({ scope: 'openid email offline_access' });
      await browser.get(errand.url);
      await browser.submit({ username: email });
      node.process.kill('SIGUSR2');
      // In the middle of the sign-in; the code is then spent at a node whose clock is right.
      await browser.submit({ 'current-password': PASSWORD });
      const tokens = await errand.finish(browser.page.leadsTo!);
      const { sub } = tokens.claims()!;
      const refreshed = await client.refreshTokenGrant((await world.relyingParty()).config, tokens.refresh_token!);
      expect(refreshed.claims()!.sub).toBe(sub);
      await browser.get(`${world.issuer}/account`);
      expect(browser.page.text).toContain(email);
      await come(`tulee${jump}@example.com`);
    } finally {
      node.process.kill('SIGTERM');
      expect(await node.ended).toBe(0);
    }
  },
  60_000,
);

test.each([400 * DAY, -400 * DAY])(
  'a node whose clock jumped by %i ms removes nothing that others live from',
  async (ahead) => {
    await world.account({ email: `hyppy${ahead}@example.com`, password: PASSWORD });
    const browser = world.browser();
    await browser.get((await (await world.relyingParty()).begin()).url);
    await browser.submit({ username: `hyppy${ahead}@example.com` });
    await browser.submit({ 'current-password': PASSWORD });
    const keys = async () => (await fetch(`${world.issuer}/jwks`)).text();
    const before = await keys();
    const rows = () =>
      world.database.query(sql`
      select (select count(*) from artifacts) as artifacts, (select count(*) from signing_keys) as keys,
        (select count(*) from mails) as mails, (select count(*) from links) as links,
        (select count(*) from audit_months()) as months`);
    const kept = await rows();
    const wrong = await serve(world.config.folder, { jump: ahead });
    wrong.process.kill('SIGUSR2');
    const told = () => wrong.log.filter((line) => line.includes('nothing is removed for its age')).length;
    await until('it says that its clock is wrong', async () => {
      await world.database.query(sql`
        select graphile_worker.add_job('sweep'), graphile_worker.add_job('retire'), graphile_worker.add_job('keep_audit_months')`);
      return told() >= 5;
    });
    wrong.process.kill('SIGKILL');
    await wrong.ended;
    expect(await rows()).toEqual(kept);
    expect(await keys()).toBe(before);
    await browser.get(`${world.issuer}/account`);
    expect(browser.page.text).toContain(`hyppy${ahead}@example.com`);
  },
  60_000,
);

test('a node whose clock is wrong from the start does not start, and says why', async () => {
  await expect(serve(world.config.folder, { ahead: 3_600_000 })).rejects.toThrow('ended with 1');
});

test('a command on a machine whose clock is wrong erases nobody for being dormant', async () => {
  const id = await world.account({ email: 'uusi-listalta@example.com' });
  const years = 3 * 365 * DAY;
  await world.database.query(sql`
    insert into legacy_ids (source, legacy_id, account_id, created_at) values ('asiointi', 'U1', ${id}, now())`);
  const words = ['accounts', 'dormant', '--months', '24', '--erase', '--yes'];
  const ended = await runTunnus(world.config.folder, words, { ahead: years });
  expect(ended).toMatchObject({ code: 1, out: '' });
  expect(ended.err).toBe('failed: the clocks of this machine and of the database differ: set both by NTP\n');
  expect(await world.database.query(sql`select 1 from accounts where id = ${id}`)).toHaveLength(1);
});
