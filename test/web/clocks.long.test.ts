/** Nodes whose clocks differ, as processes of their own: all of their time is wrong, the library's too. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { serve } from '../support/serving.ts';
import { startWorld, type Errand, type World } from '../support/world.ts';

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
        let turn = first;
        const next = (url: URL): URL =>
          url.origin === world.issuer ? new URL(url.pathname + url.search, nodes[(turn += 1) % 2]) : url;
        const asiointi = await world.relyingParty();
        asiointi.config[client.customFetch] = (url, options) => fetch(next(new URL(url)), options);
        const begin = async (browser: HttpBrowser, parameters = {}): Promise<Errand> => {
          const errand = await asiointi.begin({ scope: 'openid email offline_access', ...parameters });
          await browser.get(errand.url);
          return errand;
        };
        const email = `kello${ahead}-${first}@example.com`;
        await world.account({ email });
        const browser = world.browser({ reach: next });
        const errand = await begin(browser);
        await browser.submit({ username: email });
        await browser.get(await world.mailbox.nextLink(email));
        await browser.submit({ 'new-password': PASSWORD });
        await browser.follow('Siirry kirjautumaan');
        await browser.submit({ 'current-password': PASSWORD });
        const tokens = await errand.finish(browser.page.leadsTo!);
        await client.fetchUserInfo(asiointi.config, tokens.access_token, tokens.claims()!.sub);
        const refreshed = await client.refreshTokenGrant(asiointi.config, tokens.refresh_token!);
        // Signed in a moment ago, by a clock that may be ahead: fresh enough for max_age, and no longer for prompt=login.
        const aged = await begin(browser, { max_age: '60' });
        expect((await aged.finish(browser.page.leadsTo!)).claims()!.sub).toBe(tokens.claims()!.sub);
        await begin(browser, { prompt: 'login' });
        expect(browser.page.status).toBe(200);
        expect(browser.page.leadsTo).toBeUndefined();
        // A hint that was signed a moment ago, and ahead.
        const end = client.buildEndSessionUrl(asiointi.config, {
          id_token_hint: refreshed.id_token!,
          post_logout_redirect_uri: 'https://asiointi.example/signed-out',
        });
        await browser.get(end);
        if (!browser.page.leadsTo) await browser.submit();
        expect(browser.page.leadsTo?.href).toBe('https://asiointi.example/signed-out');
        const gone = await begin(browser, { prompt: 'none' });
        expect(gone).toBeDefined();
        expect(browser.page.leadsTo?.searchParams.get('error')).toBe('login_required');
      }
    } finally {
      second.process.kill('SIGTERM');
      expect(await second.ended).toBe(0);
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
        (select count(*) from mails) as mails, (select count(*) from links) as links`);
    const kept = await rows();
    const wrong = await serve(world.config.folder, { jump: ahead });
    wrong.process.kill('SIGUSR2');
    const told = () => wrong.log.filter((line) => line.includes('nothing is removed for its age')).length;
    while (told() < 3) {
      await world.database.query(sql`select graphile_worker.add_job('sweep'), graphile_worker.add_job('retire')`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
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
