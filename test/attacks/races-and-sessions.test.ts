/** What serves once serves once, however many come at the same moment; and a session that was stolen ends with its resident's. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTunnus } from '../../src/app.ts';
import { sql } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import {
  assertion,
  authorizationUrl,
  basic,
  CHALLENGE,
  codeFrom,
  dpopProof,
  exchange,
  makeKey,
  PASSWORD,
  redirectUriOf,
  send,
  signedIn,
  type Answer,
  type Key,
} from '../support/protocol.ts';
import { SECRET, startWorld, type World } from '../support/world.ts';

const NEXT = 'neljä keltaista päärynää ikkunalla';
const AT_ONCE = 12;

let world: World;
let key: Key;
let maija: HttpBrowser;
let residents = 0;

beforeAll(async () => {
  key = await makeKey();
  world = await startWorld({
    clients: {
      keyed: {
        client_name: 'Keyed',
        redirect_uris: ['https://keyed.example/callback'],
        client_secret: undefined,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [key.publicJwk] },
      },
    },
  });
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  maija = await signedIn(world, 'bare', 'maija@example.com');
});
afterAll(() => world.close());

async function resident(password?: string): Promise<string> {
  const email = `asukas${(residents += 1)}@example.com`;
  await world.account({ email, password });
  return email;
}

const together = <T>(work: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: AT_ONCE }, (_, index) => work(index)));
const statuses = (answers: { status: number }[]): number[] => answers.map(({ status }) => status).sort();
const onlyOne = (good: number, bad: number): number[] => [good, ...Array<number>(AT_ONCE - 1).fill(bad)].sort();

describe('of many at the same moment one is served', () => {
  test('who brings a code, and what it brought ends since somebody else has it too', async () => {
    const code = await codeFrom(maija, authorizationUrl(world, 'bare'));
    const answers = await together(() => exchange(world, code, { client: 'bare' }));
    expect(statuses(answers)).toEqual(onlyOne(200, 400));
    const { access_token: token } = answers.find(({ status }) => status === 200)!.body;
    const headers = { authorization: `Bearer ${String(token)}` };
    expect((await send(`${world.issuer}/me`, { method: 'GET', headers })).status).toBe(401);
  });

  test('who brings an assertion, and who brings a proof of possession', async () => {
    const proved = await assertion(key, { iss: 'keyed', sub: 'keyed', aud: world.issuer });
    const fields = {
      client_id: 'keyed',
      client_assertion: proved,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      redirect_uri: redirectUriOf(world, 'keyed'),
      response_type: 'code',
      scope: 'openid',
      code_challenge: CHALLENGE,
      code_challenge_method: 'S256',
    };
    expect(statuses(await together(() => send(`${world.issuer}/request`, { fields })))).toEqual(onlyOne(201, 401));

    const dpop = await dpopProof(key, { htu: `${world.issuer}/token` });
    const codes: string[] = [];
    for (let one = 0; one < AT_ONCE; one += 1) codes.push(await codeFrom(maija, authorizationUrl(world, 'bare')));
    const proving = { client: 'bare', headers: { ...basic('bare'), dpop } };
    expect(statuses(await together((index) => exchange(world, codes[index]!, proving)))).toEqual(onlyOne(200, 400));
  });

  test('who begins with a pushed request', async () => {
    const pushed: Answer = await send(`${world.issuer}/request`, {
      headers: basic('bare'),
      fields: [...authorizationUrl(world, 'bare').searchParams],
    });
    const url = new URL(`/auth?client_id=bare&request_uri=${String(pushed.body['request_uri'])}`, world.issuer);
    const pages = await together(() => maija.newTab().get(url));
    const codes = pages.map((page) => page.leadsTo?.searchParams.get('code')).filter(Boolean);
    expect(codes).toHaveLength(1);
    expect((await maija.newTab().get(url)).leadsTo?.searchParams.get('code') ?? '').toBe('');
  });

  test('who sets a password by a link, in browsers of their own', async () => {
    const email = await resident();
    const asking = world.browser();
    await asking.get(authorizationUrl(world, 'bare'));
    await asking.submit({ username: email });
    const link = await world.mailbox.nextLink(email);
    const browsers = await together(async () => {
      const browser = world.browser();
      await browser.get(link);
      return browser;
    });
    await together((index) => browsers[index]!.submit({ 'new-password': `${NEXT} ${index}` }));
    const set = browsers.filter(({ page }) => page.url.pathname.startsWith('/password-set/') && page.status === 200);
    expect(set).toHaveLength(1);
    const [row] = await world.database.query<{ epoch: number; rows: number }>(sql`
      select epoch, (select count(*)::int from audit where account_id = accounts.id and kind = 'password_set') as rows
      from accounts where email = ${email}`);
    expect(row).toEqual({ epoch: 1, rows: 1 });
  });

  test('who changes the password from one session, in many tabs', async () => {
    const email = await resident(PASSWORD);
    const own = await signedIn(world, 'bare', email);
    const tabs = await together(async () => {
      const tab = own.newTab();
      await tab.get(`${world.issuer}/account/password`);
      return tab;
    });
    await together((index) =>
      tabs[index]!.submit({ 'current-password': PASSWORD, 'new-password': `${NEXT} ${index}` }),
    );
    const [row] = await world.database.query<{ epoch: number; rows: number }>(sql`
      select epoch, (select count(*)::int from audit where account_id = accounts.id and kind = 'password_changed') as rows
      from accounts where email = ${email}`);
    expect(row).toEqual({ epoch: 1, rows: 1 });
  });
});

describe('a session', () => {
  const isIn = async (browser: HttpBrowser, email: string): Promise<boolean[]> => {
    const page = (await browser.newTab().get(`${world.issuer}/account`)).text.includes(email);
    const silent = await browser.newTab().get(authorizationUrl(world, 'bare', { prompt: 'none' }));
    return [page, silent.leadsTo?.searchParams.has('code') ?? false];
  };
  /** A thief's browser with all cookies of this one as they are now. */
  const copyOf = (browser: HttpBrowser): HttpBrowser => {
    const thief = world.browser();
    for (const { name, value } of browser.jar.all) thief.jar.plant({ name, value, host: '127.0.0.1' });
    return thief;
  };
  const sessionOf = (browser: HttpBrowser): string => browser.jar.find('tunnus_session')!.value;

  test('that was copied is worth nothing after its resident signed out', async () => {
    const email = await resident(PASSWORD);
    const own = await signedIn(world, 'bare', email);
    const thief = copyOf(own);
    expect(await isIn(thief, email)).toEqual([true, true]);
    await own.get(`${world.issuer}/session/end`);
    await own.submit();
    expect(await isIn(thief, email)).toEqual([false, false]);
  });

  test('that was copied is worth nothing after the password changed, and the changing one has a new id', async () => {
    const email = await resident(PASSWORD);
    const own = await signedIn(world, 'bare', email);
    const thief = copyOf(own);
    const before = sessionOf(own);
    await own.get(`${world.issuer}/account/password`);
    await own.submit({ 'current-password': PASSWORD, 'new-password': NEXT });
    expect(sessionOf(own)).not.toBe(before);
    expect([await isIn(own, email), await isIn(thief, email)]).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  test('gets a new id when its own resident signs in again, and the old id opens nothing', async () => {
    const email = await resident(PASSWORD);
    const own = await signedIn(world, 'bare', email);
    const thief = copyOf(own);
    await own.get(authorizationUrl(world, 'bare', { prompt: 'login' }));
    await own.submit({ username: email });
    await own.submit({ 'current-password': PASSWORD });
    expect(sessionOf(own)).not.toBe(sessionOf(thief));
    expect([await isIn(own, email), await isIn(thief, email)]).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  test('ends when nobody used it for long, and at its absolute end however much it is used', async () => {
    const email = await resident(PASSWORD);
    const own = await signedIn(world, 'bare', email);
    const rows = () =>
      world.database.query<{ left: number }>(sql`
        select extract(epoch from expires_at - now())::float8 as left from artifacts
        where model = 'Session' and account_id = (select id from accounts where email = ${email})`);
    const { idle, absolute } = world.config.session;
    expect((await rows())[0]!.left * 1000).toBeGreaterThan(idle - 60_000);
    expect((await rows())[0]!.left * 1000).toBeLessThanOrEqual(idle + 1000);
    // Signed in so long ago that an hour is left: using it gives no more.
    const ago = Math.floor(Date.now() / 1000) - absolute / 1000 + 3600;
    await world.database.query(sql`
      update artifacts set payload = regexp_replace(payload, '"loginTs":\\d+', ${`"loginTs":${ago}`})
      where model = 'Session' and account_id = (select id from accounts where email = ${email})`);
    expect(await isIn(own, email)).toEqual([true, true]);
    expect((await rows())[0]!.left).toBeLessThanOrEqual(3601);
    await world.database.query(sql`
      update artifacts set payload = regexp_replace(payload, '"exp":\\d+', ${`"exp":${ago - absolute / 1000}`}), expires_at = now()
      where model = 'Session' and account_id = (select id from accounts where email = ${email})`);
    expect(await isIn(own, email)).toEqual([false, false]);
  });

  test('outlives a change of the secret that signs its cookie, and is signed by the new one from then on', async () => {
    const email = await resident(PASSWORD);
    const own = await signedIn(world, 'bare', email);
    const signature = (): string => own.jar.find('tunnus_session.sig')!.value;
    const before = signature();
    const secret = ['another secret of the tests, thirty-two characters', SECRET];
    const log = makeLog({ level: 'silent' });
    const listen = { ...world.config.listen, port: 0 };
    const changed = await startTunnus({
      config: { ...world.config, secret, listen },
      clock: () => world.clock.now(),
      log,
    });
    try {
      const there = (url: URL): URL => new URL(url.href.replace(world.issuer, changed.url));
      expect((await own.get(there(new URL(`${world.issuer}/account`)))).text).toContain(email);
      await own.get(there(authorizationUrl(world, 'bare')));
      expect(own.page.leadsTo?.searchParams.has('code')).toBe(true);
      expect(signature()).not.toBe(before);
      // A signature by no secret of ours is none.
      own.jar.plant({ name: 'tunnus_session.sig', value: 'A'.repeat(signature().length), host: '127.0.0.1' });
      expect((await own.newTab().get(there(new URL(`${world.issuer}/account`)))).text).not.toContain(email);
    } finally {
      await changed.close();
    }
  });
});
