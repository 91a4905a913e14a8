/** The gate of a sign-in under way: whose it is, what it knows, and how it ends. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { interactionPolicy } from 'oidc-provider';
import { sql } from '../../src/platform/database.ts';
import type { SignInPast, SignInUnderWay } from '../../src/oidc/interaction.ts';
import {
  authorizationPath,
  beginSignIn,
  Browser,
  codeIn,
  locationOf,
  openWorld,
  rows,
  signIn,
  type World,
} from './support.ts';

let world: World;
let account: string;
let start: Date;

beforeAll(async () => {
  world = await openWorld();
  start = world.now;
});
afterAll(() => world.close());
beforeEach(async () => {
  account = await world.account(`resident-${Math.random()}@example.fi`);
});
afterEach(() => {
  world.during = undefined;
  world.now = start;
});

const underWay = () => world.opened as SignInUnderWay;
const later = (minutes: number) => {
  world.now = new Date(start.getTime() + minutes * 60_000);
};
async function interactions(): Promise<number> {
  const [row] = await world.db.query<{ count: number }>(sql`select count(*)::integer as count from interactions`);
  return row!.count;
}

describe('whose it is', () => {
  test('a sign-in is known to the browser that began it, and to no other that learns its address', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    await browser.get(page);
    expect(underWay()).toMatchObject({ clientId: 'service', prompt: { name: 'login' }, persisted: false });
    await new Browser(world).get(page);
    expect(world.opened).toBeUndefined();
  });

  test('one sign-in does not open another in the same browser', async () => {
    const browser = new Browser(world);
    const [one, other] = [await beginSignIn(browser), await beginSignIn(browser)];
    const cookies = [...browser.cookies.values()];
    const stolen = cookies.find((c) => c.name === 'tunnus_sign_in' && c.path === one)!;
    browser.cookies.set(`tunnus_sign_in ${other}`, { ...stolen, path: other });
    await browser.get(other);
    expect(world.opened).toBeUndefined();
  });
});

describe('what it knows', () => {
  test('facts come with the first post and stay, whatever older cookie is shown', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    const early = new Map(browser.cookies);
    await browser.post(`${page}?fact=address`);
    browser.cookies = early;
    await browser.post(`${page}?fact=tries`);
    await browser.get(page);
    expect(underWay()).toMatchObject({ persisted: true, facts: { address: true, tries: true } });
  });

  test('a request too long for a cookie gets a row at once and works the same', async () => {
    const before = await interactions();
    const browser = new Browser(world);
    const state = 'x'.repeat(4000);
    const page = await beginSignIn(browser, { state });
    expect(await interactions()).toBe(before + 1);
    for (const cookie of browser.cookies.values()) expect(cookie.value.length).toBeLessThan(3100);
    await browser.get(page);
    expect(underWay().params.state).toBe(state);
    const resume = locationOf(await browser.post(`${page}?account=${account}`));
    expect(locationOf(await browser.get(resume))).toContain(`state=${state}`);
  });

  test('too late it still knows where the resident came from and how to begin again', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser, { state: 'abc' });
    later(61);
    await browser.get(page);
    const { stale } = world.opened as { stale: SignInPast };
    expect(stale.clientId).toBe('service');
    expect(await browser.get(stale.restart!).then(locationOf)).toMatch(/^\/sign-in\//);
    expect(stale.restart).toContain('state=abc');
  });
});

describe('how it ends', () => {
  test('its row goes with the code, and it is known as finished', async () => {
    const before = await interactions();
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    await browser.post(`${page}?fact=address`);
    const resume = locationOf(await browser.post(`${page}?account=${account}`));
    expect(await interactions()).toBe(before + 1);
    codeIn(await browser.get(resume));
    expect(await interactions()).toBe(before);
    await browser.get(page);
    const { finished } = world.opened as { finished: SignInPast & { at: Date } };
    expect(finished).toMatchObject({ clientId: 'service', at: start });
    codeIn(await browser.get(finished.restart!));
  });

  test('the way back opens it too, for a page that says it cannot go on', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    const back = page.replace('/sign-in/', '/auth/');
    expect((await browser.get(back)).status).toBe(400);
    const names = [...browser.cookies.values()].filter((c) => c.path === back).map((c) => c.name);
    expect(names).toContain('tunnus_sign_in');
  });

  test('refused, the e-service hears it', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    const resume = locationOf(await browser.post(`${page}?error=access_denied`));
    expect(locationOf(await browser.get(resume))).toContain('error=access_denied');
  });

  test('the time of the proof is the time of the sign-in, not of the way back', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    const resume = locationOf(await browser.post(`${page}?account=${account}`));
    await browser.get(resume);
    const [row] = await world.db.query<{ payload: string }>(sql`
      select payload from artifacts where model = 'Session' and account_id = ${account}`);
    expect((JSON.parse(row!.payload) as { loginTs: number }).loginTs).toBe(Math.floor(start.getTime() / 1000));
  });
});

describe('clicked twice', () => {
  test('the last button leads on once, whichever half comes first', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    await browser.post(`${page}?fact=address`);
    const last = `${page}?account=${account}`;
    const ways = (await Promise.all([browser.post(last), browser.post(last)])).map(locationOf);
    expect(new Set(ways)).toEqual(new Set([page.replace('/sign-in/', '/auth/')]));
    codeIn(await browser.get(ways[0]!));
  });

  test('a half that comes after the end finds it finished, and one that comes during it begins again', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    await browser.post(`${page}?fact=address`);
    const before = new Map(browser.cookies);
    world.during = async () => void (await world.db.query(sql`delete from interactions`));
    expect(locationOf(await browser.post(`${page}?account=${account}`))).toMatch(/^\/auth\?/);
    world.during = undefined;
    browser.cookies = before;
    await browser.post(`${page}?account=${account}`);
    expect(world.opened).toHaveProperty('finished.restart');
  });
});

describe('a proof brought by the request that finishes', () => {
  test('is taken up at once: the answer is the code, and nothing is left of the sign-in', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    await browser.post(`${page}?fact=address`);
    await world.db.query(sql`delete from artifacts`);
    world.statements();
    const answer = await browser.post(`${page}?account=${account}&here=yes`);
    codeIn(answer);
    expect(answer.status).toBe(303);
    // The support's own look at the epoch, the row's facts, and all that is written.
    expect(world.statements()).toBe(3);
    expect(await world.db.query(sql`select 1 from interactions`)).toEqual([]);
    expect(await rows(world.db, 'Session')).toBe(1);
    // The way back is not open once more.
    expect(locationOf(await browser.get(page.replace('/sign-in/', '/auth/')))).not.toContain('code=');
    codeIn(await browser.get(authorizationPath()));
  });

  test('gives both halves of a double click a code, each by its own proof', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    await browser.post(`${page}?fact=address`);
    const last = `${page}?account=${account}&here=yes`;
    // Neither writes before both have come: one that comes later meets a finished sign-in.
    let come = 0;
    const { promise: together, resolve: bothAreHere } = Promise.withResolvers<void>();
    world.during = () => {
      if ((come += 1) === 2) bothAreHere();
      return together;
    };
    const answers = await Promise.all([browser.post(last), browser.post(last)]);
    world.during = undefined;
    for (const answer of answers) codeIn(answer);
  });

  test('gives nothing when it was outlived before all is written', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    await browser.post(`${page}?fact=address`);
    const before = await rows(world.db, 'Session');
    world.during = async () =>
      void (await world.db.query(sql`update accounts set epoch = epoch + 1 where id = ${account}`));
    const answer = await browser.post(`${page}?account=${account}&here=yes`);
    world.during = undefined;
    expect(locationOf(answer)).toMatch(/^\/auth\?/);
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect(await rows(world.db, 'Session')).toBe(before);
  });
});

describe('another person in the same browser', () => {
  test('is told apart before the end, and takes over when meant: the former session is no more', async () => {
    const browser = new Browser(world);
    await signIn(browser, account);
    const other = await world.account(`other-${Math.random()}@example.fi`);
    const page = await beginSignIn(browser, { prompt: 'login' });
    await browser.get(page);
    expect(underWay().session).toEqual({ accountId: account, epoch: 0, amr: [], ts: expect.any(Number) });
    expect((await browser.post(`${page}?account=${other}`)).status).toBe(500);

    const resume = locationOf(await browser.post(`${page}?account=${other}&replace=yes`));
    codeIn(await browser.get(resume));
    const sessions = await world.db.query(sql`
      select account_id from artifacts where model = 'Session' and account_id in (${account}, ${other})`);
    expect(sessions).toEqual([{ account_id: other }]);
  });

  test('consent is asked of a session, and begins again with a sign-in when that session ended', async () => {
    const asking = await openWorld({
      interactions: { policy: interactionPolicy.base(), url: (_ctx, { uid }) => `/sign-in/${uid}` },
      loadExistingGrant: async () => undefined,
    });
    const resident = await asking.account('resident@example.fi');
    const browser = new Browser(asking);
    const page = await beginSignIn(browser);
    const resume = locationOf(await browser.post(`${page}?account=${resident}`));
    const consent = locationOf(await browser.get(resume));
    await browser.get(consent);
    expect(asking.opened).toMatchObject({ prompt: { name: 'consent' }, session: { accountId: resident } });
    await asking.db.query(sql`update accounts set epoch = epoch + 1`);
    await browser.post(`${consent}?consent=yes`);
    expect(asking.opened).toHaveProperty('finished.restart');
    await asking.close();
  });

  test('a session that ended meanwhile does not stop its own resident', async () => {
    const browser = new Browser(world);
    await signIn(browser, account);
    const page = await beginSignIn(browser, { prompt: 'login' });
    await world.db.query(sql`update accounts set epoch = epoch + 1 where id = ${account}`);
    const resume = locationOf(await browser.post(`${page}?account=${account}`));
    codeIn(await browser.get(resume));
    codeIn(await browser.get(authorizationPath()));
  });
});
