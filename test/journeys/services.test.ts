/** What e-services get of a resident: agreeing, being remembered, seeing it, and taking it back. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { untilBlocked } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const AGREE = 'Saako palvelu tietosi?';

let world: World;
beforeAll(async () => {
  world = await startWorld({
    clients: {
      stranger: {
        client_name: 'Vieras <b>kaupunki</b>',
        redirect_uris: ['https://stranger.example/callback'],
        policy_uri: 'https://stranger.example/privacy',
        scope: 'openid email profile phone offline_access',
        grant_types: ['authorization_code', 'refresh_token'],
        consent: 'ask',
      },
      app: {
        client_name: 'Sovellus',
        application_type: 'native',
        redirect_uris: ['fi.example.app:/in', 'https://app.example/in'],
        token_endpoint_auth_method: 'none',
        client_secret: undefined,
      },
    },
  });
});
afterAll(() => world.close());

let email: string;
let accountId: string;
let people = 0;
beforeEach(async () => {
  email = `asukas${(people += 1)}@example.com`;
  accountId = await world.account({ email, password: PASSWORD });
});

/** From the e-service to wherever the resident ends up: signing in where that is asked. */
async function visit(
  name: string,
  { browser = world.browser(), ...parameters }: { browser?: HttpBrowser; [name: string]: unknown } = {},
) {
  const errand = await (await world.relyingParty(name)).begin(parameters as Record<string, string>);
  await browser.get(errand.url);
  if (!browser.page.leadsTo && browser.page.h1 === 'Kirjaudu sisään') {
    await browser.submit({ username: email });
    await browser.submit({ 'current-password': PASSWORD });
  }
  return { browser, errand, tokens: () => errand.finish(browser.page.leadsTo!) };
}

async function agreeing(parameters: Record<string, string> = { scope: 'openid email' }) {
  const visited = await visit('stranger', parameters);
  expect(visited.browser.page.h1).toBe(AGREE);
  await visited.browser.submit({}, { button: 'Anna tiedot' });
  return { ...visited, tokens: await visited.tokens() };
}

const cameBack = ({ browser }: { browser: HttpBrowser }) => browser.page.leadsTo?.origin === 'https://stranger.example';
const audited = async () => {
  const rows = await world.database.query<{ kind: string; client_id: string }>(sql`
    select kind, client_id from audit where account_id = ${accountId} and kind like 'agreement%' order by id`);
  return rows.map(({ kind, client_id }) => `${kind} ${client_id}`);
};

describe('agreeing', () => {
  test('is asked in plain words, with where the details go, and no name can pass for more than a name', async () => {
    const { browser } = await visit('stranger', { scope: 'openid email profile' });
    const { text, h1 } = browser.page;
    expect(h1).toBe(AGREE);
    expect(text).toContain('Vieras <b>kaupunki</b> pyytää sinusta seuraavat tiedot');
    for (const words of ['sähköpostiosoitteesi', 'nimesi ja kielesi', 'stranger.example'])
      expect(text).toContain(words);
    expect(text).not.toContain('puhelinnumerosi');
    expect(browser.page.link('Palvelun tietosuojaseloste').href).toBe('https://stranger.example/privacy');
  });

  test('is remembered: the same is not asked for again, on any device, nor after a change of the password', async () => {
    await agreeing();
    expect(cameBack(await visit('stranger', { scope: 'openid email' }))).toBe(true);
    await world.database.query(sql`update accounts set epoch = epoch + 1 where id = ${accountId}`);
    expect(cameBack(await visit('stranger', { scope: 'openid email' }))).toBe(true);
    expect(cameBack(await visit('stranger', { scope: 'openid' }))).toBe(true);
    expect(await audited()).toEqual(['agreement_given stranger']);
  });

  test('is asked for no more than what is new', async () => {
    await agreeing();
    const more = await visit('stranger', { scope: 'openid email phone' });
    expect(more.browser.page.h1).toBe(AGREE);
    const [before, now] = more.browser.page.text.split('Nyt palvelu pyytää lisäksi');
    expect(before).toContain('sähköpostiosoitteesi');
    expect(now).toContain('puhelinnumerosi');
    expect(now).not.toContain('sähköpostiosoitteesi');
    await more.browser.submit({}, { button: 'Anna tiedot' });
    expect((await more.tokens()).scope).toBe('openid email phone');
    expect(cameBack(await visit('stranger', { scope: 'openid email phone' }))).toBe(true);
  });

  test('is asked for again where the e-service wishes so (prompt=consent)', async () => {
    const { browser } = await agreeing();
    const again = await visit('stranger', { browser, scope: 'openid email', prompt: 'consent' });
    expect(browser.page.h1).toBe(AGREE);
    const { text } = browser.page;
    expect(text.match(/sähköpostiosoitteesi/g)).toHaveLength(1);
    expect(text).toContain('pyytää sinusta seuraavat tiedot');
    await browser.submit({}, { button: 'Anna tiedot' });
    expect((await again.tokens()).access_token).toBeTruthy();
    // What it asked for last is not all that it was given.
    expect(cameBack(await visit('stranger', { scope: 'openid email', browser }))).toBe(true);
  });

  test('refused, it leads back with access_denied, and nothing is remembered', async () => {
    const { browser } = await visit('stranger', { scope: 'openid email' });
    await browser.submit({}, { button: 'En anna tietoja' });
    expect(browser.page.leadsTo!.searchParams.get('error')).toBe('access_denied');
    expect((await visit('stranger', { scope: 'openid email' })).browser.page.h1).toBe(AGREE);
    expect(await audited()).toEqual([]);
  });

  test('is not gone round by prompt=none', async () => {
    const { browser } = await visit('bare');
    const { browser: same } = await visit('stranger', { browser, scope: 'openid email', prompt: 'none' });
    expect(same.page.leadsTo!.searchParams.get('error')).toBe('consent_required');
  });
});

describe('/account/services', () => {
  async function list(browser = world.browser()): Promise<HttpBrowser> {
    await browser.get(`${world.issuer}/account/services`);
    if (browser.page.h1 === 'Kirjaudu sisään') {
      await browser.submit({ username: email });
      await browser.submit({ 'current-password': PASSWORD });
    }
    expect(browser.page.url.pathname).toBe('/account/services');
    return browser;
  }
  const userinfo = async (token: string) =>
    (await fetch(`${world.issuer}/me`, { headers: { authorization: `Bearer ${token}` } })).status;

  test('says where the resident has signed in and what each gets', async () => {
    expect((await list()).page.text).toContain('Et ole vielä kirjautunut mihinkään palveluun.');
    await visit('bare', { scope: 'openid email' });
    await agreeing({ scope: 'openid phone' });
    const browser = world.browser();
    await browser.get(`${world.issuer}/account`);
    await browser.submit({ username: email });
    await browser.submit({ 'current-password': PASSWORD });
    await browser.follow('Käyttämäsi palvelut');
    const [, bare, stranger] = browser.page.text.split(/Bare|Vieras <b>kaupunki<\/b>/);
    expect(bare).toContain('sähköpostiosoitteesi');
    expect(bare).toContain('Palvelu saa tiedot ilman erillistä lupaa.');
    expect(stranger).toContain('puhelinnumerosi');
    const [agreed] = await world.database.query<{ at: Date }>(sql`
      select agreed_at as at from services where account_id = ${accountId} and client_id = 'stranger'`);
    const day = new Intl.DateTimeFormat('fi', { dateStyle: 'long', timeZone: 'Europe/Helsinki' }).format(agreed!.at);
    expect(stranger).toContain(`Annoit luvan ${day}`);
  });

  test('a withdrawn agreement ends what was issued, is in the audit, and is asked for anew', async () => {
    const { tokens } = await agreeing({ scope: 'openid email offline_access', prompt: 'consent' });
    expect(await userinfo(tokens.access_token)).toBe(200);
    const browser = await list();
    await browser.submit();
    expect(browser.page.text).toContain('Lupa on peruttu.');
    expect(browser.page.text).not.toContain('Vieras');
    expect(await userinfo(tokens.access_token)).toBe(401);
    const { config } = await world.relyingParty('stranger');
    await expect(client.refreshTokenGrant(config, tokens.refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    expect(await audited()).toEqual(['agreement_given stranger', 'agreement_withdrawn stranger']);
    // In the browser that is signed in, too.
    expect((await visit('stranger', { browser, scope: 'openid email' })).browser.page.h1).toBe(AGREE);
  });

  test("nobody else's agreement, none with the city's own, and none that there is not, can be withdrawn", async () => {
    const { tokens } = await agreeing();
    const [theirs, token] = [accountId, tokens.access_token];
    email = `toinen${people}@example.com`;
    accountId = await world.account({ email, password: PASSWORD });
    const { tokens: own } = await visit('bare');
    const ownToken = (await own()).access_token;
    await agreeing();
    const browser = await list();
    for (const id of ['bare', 'nobody', 'account', "' or true --", 'stranger\u0000']) {
      const { action, values } = browser.page.fill({});
      const forged = values.map(([name, value]): [string, string] => [name, name === 'client' ? id : value]);
      const answer = await browser.newTab().post(action, forged, { from: browser.page.url });
      expect(answer.status).toBeLessThan(500);
      expect(answer.text).not.toContain('Lupa on peruttu.');
    }
    await browser.submit();
    expect(browser.page.text).toContain('Lupa on peruttu.');
    expect(await userinfo(token)).toBe(200);
    expect(await userinfo(ownToken)).toBe(200);
    const left = await world.database.query(sql`
      select client_id from services where account_id in (${theirs}, ${accountId}) order by client_id`);
    expect(left).toEqual([{ client_id: 'bare' }, { client_id: 'stranger' }]);
  });

  test('another site cannot withdraw for the resident', async () => {
    await agreeing();
    const browser = await list();
    const { action, values } = browser.page.fill({});
    // Even if the browser sent the cookies along.
    const headers = { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' };
    const answer = await browser.newTab().post(action, values, { headers });
    expect(answer.status).toBe(403);
    expect(await audited()).toEqual(['agreement_given stranger']);
  });

  test('an agreement withdrawn at the very moment carries no sign-in any more', async () => {
    await agreeing();
    const late = await world.database.transaction(async (tx) => {
      await tx.query(sql`delete from services where account_id = ${accountId}`);
      const visiting = visit('stranger', { scope: 'openid email' });
      // The sign-in has read the agreement and waits for its row.
      await untilBlocked(world.database);
      return { visiting };
    });
    const { browser } = await late.visiting;
    // Nothing of that sign-in was written: it begins again, and now it asks.
    expect(browser.page.h1).toBe('Kirjaudu sisään');
    await browser.submit({ username: email });
    await browser.submit({ 'current-password': PASSWORD });
    expect(browser.page.h1).toBe(AGREE);
  });
});

describe('an app (RFC 8252, 8.6)', () => {
  const app = async (redirect_uri: string, browser: HttpBrowser) => {
    const errand = new URL(`${world.issuer}/auth`);
    errand.search = new URLSearchParams({
      client_id: 'app',
      redirect_uri,
      response_type: 'code',
      scope: 'openid',
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
    }).toString();
    await browser.get(errand, { follow: true });
    return browser.page;
  };

  test('whose address another may have taken gets nobody who did nothing for it', async () => {
    const { browser } = await visit('bare');
    expect((await app('fi.example.app:/in', browser)).h1).toBe(AGREE);
    expect((await app('https://app.example/in', browser)).leadsTo?.searchParams.get('code')).toBeTruthy();
  });

  test('gets who has just signed in for it', async () => {
    const browser = world.browser();
    await app('fi.example.app:/in', browser);
    await browser.submit({ username: email });
    await browser.submit({ 'current-password': PASSWORD });
    expect(browser.page.leadsTo?.searchParams.get('code')).toBeTruthy();
  });
});
