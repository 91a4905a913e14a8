/** Who holds something of a resident's (a started sign-in, a code, a cookie, an old proof, the whole database) cannot be them. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { CLIENT_SECRET, SECRET, startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const NEXT = 'neljä keltaista päärynää ikkunalla';

let world: World;
let asiointi: RelyingParty;
let residents = 0;

beforeAll(async () => {
  world = await startWorld();
  asiointi = await world.relyingParty();
});
afterAll(() => world.close());

const newAddress = (): string => `asukas${(residents += 1)}@example.com`;

async function resident(): Promise<string> {
  const email = newAddress();
  await world.account({ email, password: PASSWORD });
  return email;
}

async function residentWithoutPassword(): Promise<string> {
  const email = newAddress();
  await world.account({ email });
  return email;
}

async function begin(browser: HttpBrowser, parameters?: Record<string, string>) {
  const errand = await asiointi.begin(parameters);
  await browser.get(errand.url);
  return errand;
}

async function signIn(browser: HttpBrowser, email: string, password = PASSWORD) {
  await browser.submit({ username: email });
  return browser.submit({ 'current-password': password });
}

const sentTo = (browser: HttpBrowser): URL => browser.page.leadsTo!;
const isSignedIn = async (browser: HttpBrowser, email: string): Promise<boolean> =>
  (await browser.get(`${world.issuer}/account`)).text.includes(email);

/** As an attacker would vary what they know a part of: its last letter may stand for bits that nobody looks at. */
const nearly = (secret: string): string[] => [
  secret.slice(0, -1),
  secret.slice(0, -20),
  `${secret}A`,
  secret.slice(0, -1) + String.fromCharCode(secret.charCodeAt(secret.length - 1) ^ 1),
];

/** A link for the resident, asked for in a browser of their own; it sets another password. */
async function setsAnotherPassword(email: string): Promise<void> {
  const own = world.browser();
  await begin(own);
  await own.submit({ username: email });
  if (own.page.url.pathname.endsWith('/password')) await own.submit({}, { form: 'form[action$="link-sent"]' });
  await own.get(await world.mailbox.nextLink(email));
  await own.submit({ 'new-password': NEXT });
  expect(own.page.url.pathname).toMatch(/^\/password-set\//);
}

describe('a sign-in begun by somebody else', () => {
  test('with my address gains nothing when I set my password by its link', async () => {
    const email = await residentWithoutPassword();
    const thief = world.browser();
    await begin(thief);
    await thief.submit({ username: email });
    const pages = thief.steps.map(({ url }) => url);
    const victim = world.browser();
    await victim.get(await world.mailbox.nextLink(email));
    await victim.submit({ 'new-password': PASSWORD });
    for (const url of pages) {
      await thief.get(url);
      expect(thief.page.leadsTo?.searchParams.get('code') ?? '').toBe('');
    }
    expect(await isSignedIn(thief, email)).toBe(false);
    // Nor is anybody signed in by the link alone.
    expect(await isSignedIn(victim, email)).toBe(false);
  });

  test('and handed to me as an address is not taken up by my browser', async () => {
    const email = await resident();
    const thief = world.browser();
    await begin(thief);
    await thief.submit({ username: email });
    const victim = world.browser();
    for (const url of thief.steps.map((step) => step.url).filter((each) => each.includes('/sign-in/'))) {
      const page = await victim.get(url);
      expect(page.root.querySelector('main form[method=post]')).toBeNull();
    }
  });
});

describe('a code', () => {
  async function code(parameters?: Record<string, string>) {
    const email = await resident();
    const browser = world.browser();
    const errand = await begin(browser, parameters);
    await signIn(browser, email);
    return { email, errand, callback: sentTo(browser), browser };
  }
  const redeem = (fields: Record<string, string>, { as = 'asiointi' } = {}) =>
    fetch(`${world.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${as}:${encodeURIComponent(CLIENT_SECRET)}`)}` },
      body: new URLSearchParams({ grant_type: 'authorization_code', redirect_uri: asiointi.redirectUri, ...fields }),
    });
  const invalidGrant = async (answer: Response): Promise<void> => {
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([400, 'invalid_grant']);
  };

  test('used twice is refused, and what the first use brought ends', async () => {
    const { errand, callback } = await code();
    const tokens = await errand.finish(callback);
    await expect(errand.finish(callback)).rejects.toMatchObject({ error: 'invalid_grant' });
    await expect(client.fetchUserInfo(asiointi.config, tokens.access_token, tokens.claims()!.sub)).rejects.toThrow();
    await expect(client.refreshTokenGrant(asiointi.config, tokens.refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });

  test('is worth nothing to another e-service, without its verifier, or with another one', async () => {
    const tries = async (fields: Record<string, string>, as?: string) => {
      const { callback } = await code();
      await invalidGrant(await redeem({ code: callback.searchParams.get('code')!, ...fields }, { as }));
    };
    await tries({ code_verifier: 'a'.repeat(43) }, 'kartta');
    await tries({});
    await tries({ code_verifier: '' });
    await tries({ code_verifier: 'a'.repeat(43) });
    await tries({ code_verifier: 'a'.repeat(43), redirect_uri: 'https://asiointi.example/other' });
  });

  test('from before a change of the password is worth nothing after it', async () => {
    const { email, errand, callback } = await code();
    await setsAnotherPassword(email);
    await expect(errand.finish(callback)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  test.each([
    ['without a challenge', { code_challenge: '', code_challenge_method: '' }],
    ['with a challenge in plain', { code_challenge: 'a'.repeat(43), code_challenge_method: 'plain' }],
    ['with a challenge of no method', { code_challenge: 'a'.repeat(43), code_challenge_method: '' }],
    ['with an empty challenge', { code_challenge: '', code_challenge_method: 'S256' }],
  ])('is not even begun %s', async (_which, parameters) => {
    const browser = world.browser();
    await begin(browser, parameters);
    expect(sentTo(browser).searchParams.get('error')).toBe('invalid_request');
  });
});

describe('a session', () => {
  test('gets a new id when somebody signs in: a planted one is worth nothing', async () => {
    const email = await resident();
    const browser = world.browser();
    browser.jar.plant({ name: 'tunnus_session', value: 'planted', host: '127.0.0.1' });
    browser.jar.plant({ name: 'tunnus_session.sig', value: 'planted', host: '127.0.0.1' });
    await begin(browser);
    await signIn(browser, email);
    const id = browser.jar.find('tunnus_session')!.value;
    expect(id).not.toBe('planted');
    const thief = world.browser();
    thief.jar.plant({ name: 'tunnus_session', value: 'planted', host: '127.0.0.1' });
    expect(await isSignedIn(thief, email)).toBe(false);
    // The right id without its signature is none either.
    thief.jar.plant({ name: 'tunnus_session', value: id, host: '127.0.0.1' });
    expect(await isSignedIn(thief, email)).toBe(false);
  });

  test("of the thief's own, planted in my browser, does not become mine", async () => {
    const [own, mine] = [await resident(), await resident()];
    const thief = world.browser();
    await begin(thief);
    await signIn(thief, own);
    const planted = thief.jar.all.filter(({ name }) => name.startsWith('tunnus_session'));
    const victim = world.browser();
    for (const { name, value } of planted) victim.jar.plant({ name, value, host: '127.0.0.1' });
    await begin(victim, { prompt: 'login' });
    await signIn(victim, mine);
    expect(victim.page.url.pathname).toMatch(/other-person$/);
    await victim.submit();
    expect(sentTo(victim).host).toBe('asiointi.example');
    expect(victim.jar.find('tunnus_session')!.value).not.toBe(planted[0]!.value);
    expect(await isSignedIn(victim, mine)).toBe(true);
    expect(await isSignedIn(thief, mine)).toBe(false);
  });
});

describe('a proof by the old password', () => {
  test('that waits for a word about another person is dead once the password has changed', async () => {
    const [here, next] = [await resident(), await resident()];
    const browser = world.browser();
    await begin(browser);
    await signIn(browser, here);
    await begin(browser, { prompt: 'login' });
    await signIn(browser, next);
    expect(browser.page.url.pathname).toMatch(/other-person$/);
    await setsAnotherPassword(next);
    await browser.submit();
    expect(browser.page.leadsTo?.searchParams.get('code') ?? '').toBe('');
    expect(await isSignedIn(browser, next)).toBe(false);
  });

  test('on its way back to the provider is dead once the password has changed', async () => {
    const [here, next] = [await resident(), await resident()];
    const browser = world.browser();
    await begin(browser);
    await signIn(browser, here);
    await begin(browser, { prompt: 'login' });
    await signIn(browser, next);
    await browser.submit({}, { follow: false });
    const wayBack = sentTo(browser);
    expect(wayBack.pathname).toMatch(/^\/auth\//);
    await setsAnotherPassword(next);
    await browser.get(wayBack);
    expect(browser.page.leadsTo?.searchParams.get('code') ?? '').toBe('');
    expect(await isSignedIn(browser, next)).toBe(false);
  });
});

test('whoever reads all that was ever written to the database signs in nowhere', async () => {
  await world.database.query(sql`create table seen (line text)`);
  await world.database.query(sql`
    create function see() returns trigger language plpgsql as $$ begin insert into public.seen values (new::text); return new; end $$`);
  const tables = await world.database.query<{ name: string }>(sql`
    select format('%I.%I', nspname, relname) as name from pg_class join pg_namespace n on n.oid = relnamespace
    -- The trigger of a table that is in parts goes for each part.
    where nspname in ('public', 'graphile_worker') and relkind in ('r', 'p') and not relispartition and relname <> 'seen'`);
  await world.database.session(async (session) => {
    for (const { name } of tables) {
      await session.script(
        `create trigger see after insert or update on ${name} for each row execute function public.see()`,
      );
    }
  });

  const email = await residentWithoutPassword();
  const browser = world.browser();
  const errand = await begin(browser, {
    scope: 'openid email offline_access',
    prompt: 'login',
    login_hint: 'x'.repeat(4000),
  });
  await browser.submit({ username: email });
  const spent = await world.mailbox.nextLink(email);
  await browser.submit({}, { button: 'Lähetä linkki uudelleen' });
  const other = await world.mailbox.nextLink(email);
  await browser.get(spent);
  await browser.submit({ 'new-password': PASSWORD });
  await browser.follow('Siirry kirjautumaan');
  await browser.submit({ 'current-password': `not ${PASSWORD}` });
  await browser.submit({ 'current-password': PASSWORD });
  const callback = sentTo(browser);
  const tokens = await errand.finish(callback);
  const refreshed = await client.refreshTokenGrant(asiointi.config, tokens.refresh_token!);
  const pushed = await fetch(`${world.issuer}/request`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`asiointi:${encodeURIComponent(CLIENT_SECRET)}`)}` },
    body: errand.url.searchParams,
  });
  const { request_uri: requestUri } = (await pushed.json()) as { request_uri: string };
  await browser.get(`${world.issuer}/account/password`);
  await browser.submit({ 'current-password': PASSWORD, 'new-password': NEXT });

  const set = browser.steps.flatMap(({ headers }) => headers['set-cookie'] ?? []);
  // A sign-in's uid is in its pages' addresses and opens nothing by itself: what stands for it is signed or sealed.
  const isUid = (line: string): boolean => /^tunnus_(interaction|resume)=/.test(line);
  const cookies = set
    .filter((line) => !isUid(line))
    .map((line) => /^[^=]+=([^;]*)/.exec(line)![1]!)
    .filter((value) => value.length > 15);
  const token = (link: string): string => link.split('/').pop()!;
  const secrets = [
    ...cookies,
    ...cookies.flatMap((value) => value.split('.')).filter((part) => part.length > 15),
    ...[PASSWORD, NEXT, SECRET, CLIENT_SECRET, token(spent), token(other), callback.searchParams.get('code')!],
    ...[
      tokens.access_token,
      tokens.refresh_token!,
      tokens.id_token!,
      refreshed.access_token,
      requestUri.split(':').pop()!,
    ],
  ];
  const lines = await world.database.query<{ line: string }>(sql`
    select line from seen union all select k::text from signing_keys k union all select a::text from accounts a`);
  const seen = lines.map(({ line }) => line).join('\n');
  expect(lines.length).toBeGreaterThan(30);
  expect(cookies.length).toBeGreaterThan(5);
  for (const secret of secrets) {
    for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64url')]) {
      expect([secret, seen.includes(form)]).toEqual([secret, false]);
    }
  }
  // A signing key's private half, in any of its spellings.
  expect(seen).not.toMatch(/""?d""?: ?""?[\w-]{40}|PRIVATE KEY/);
  // And no plain digest that a guess of a password could be tried against.
  expect(seen).toMatch(/\$argon2id\$/);
  expect(world.log.filter((line) => secrets.some((secret) => line.includes(secret)))).toEqual([]);
});

test('what is cut short, lengthened or in other letters opens nothing: a link, a code, tokens', async () => {
  const email = await residentWithoutPassword();
  const own = world.browser();
  const errand = await begin(own);
  await own.submit({ username: email });
  const link = await world.mailbox.nextLink(email);
  for (const near of nearly(link)) expect([near, (await world.browser().get(near)).status]).toEqual([near, 404]);
  await own.get(link);
  await own.submit({ 'new-password': PASSWORD });
  await own.get(errand.url);
  await signIn(own, email);

  const code = sentTo(own).searchParams.get('code')!;
  for (const near of nearly(code)) {
    const back = new URL(sentTo(own));
    back.searchParams.set('code', near);
    await expect(errand.finish(back)).rejects.toMatchObject({ error: 'invalid_grant' });
  }
  const tokens = await errand.finish(sentTo(own));
  for (const near of nearly(tokens.access_token)) {
    expect(await client.tokenIntrospection(asiointi.config, near)).toEqual({ active: false });
    const answer = await fetch(`${world.issuer}/me`, { headers: { Authorization: `Bearer ${near}` } });
    expect(answer.status).toBe(401);
  }
  for (const near of nearly(tokens.refresh_token!))
    await expect(client.refreshTokenGrant(asiointi.config, near)).rejects.toMatchObject({ error: 'invalid_grant' });
  expect(await client.refreshTokenGrant(asiointi.config, tokens.refresh_token!)).toHaveProperty('access_token');
});

test("a link's token stays out of the log, however its address is written", async () => {
  const email = await residentWithoutPassword();
  const browser = world.browser();
  await begin(browser);
  await browser.submit({ username: email });
  const link = new URL(await world.mailbox.nextLink(email));
  const token = link.pathname.split('/').pop()!;
  const ways = {
    [link.pathname]: 200,
    [`${link.pathname}/`]: 200,
    [`/SET-PASSWORD/${token}`]: 404,
    [`/Set-Password/${token}/`]: 404,
    [`//set-password/${token}`]: 404,
    [`/PASSWORD-SET/${token}`]: 404,
  };
  for (const [path, status] of Object.entries(ways)) {
    expect([path, (await fetch(world.issuer + path)).status]).toEqual([path, status]);
  }
  expect(world.log.filter((line) => line.includes(token))).toEqual([]);
});
