/** What the provider's store promises, asked of a real Provider over HTTP. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import {
  ask,
  authorizationPath,
  beginSignIn,
  Browser,
  codeIn,
  locationOf,
  openWorld,
  redeem,
  redirectUri,
  refresh,
  rows,
  signIn,
  userinfo,
  type World,
} from './support.ts';

let world: World;
let account: string;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());
beforeEach(async () => {
  account = await world.account(`resident-${Math.random()}@example.fi`);
});

async function tokens() {
  return (await redeem(world, await signIn(new Browser(world), account))).body;
}

describe('a stranger', () => {
  test('writes nothing by asking for authorization, nor by looking at the page', async () => {
    const browser = new Browser(world);
    world.statements();
    const page = await beginSignIn(browser, { state: 'abc' });
    expect((await browser.get(page)).status).toBe(200);
    expect(world.statements()).toBe(0);
  });

  test('with a cookie of a session long gone writes nothing either', async () => {
    const browser = new Browser(world);
    await signIn(browser, account);
    await world.db.query(sql`delete from artifacts where model = 'Session'`);
    await beginSignIn(browser);
    expect(await rows(world.db, 'Session')).toBe(0);
  });
});

describe('a code', () => {
  test('gives tokens once, to one of twenty at the same time, and then ends all that came of it', async () => {
    const code = await signIn(new Browser(world), account);
    const answers = await Promise.all(Array.from({ length: 20 }, () => redeem(world, code)));
    const good = answers.filter((a) => a.status === 200);
    expect(good).toHaveLength(1);
    for (const bad of answers.filter((a) => a.status !== 200)) {
      expect(bad).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    }
    expect(await userinfo(world, good[0]!.body.access_token!)).toBe(401);
    expect((await refresh(world, good[0]!.body.refresh_token!)).body.error).toBe('invalid_grant');
  });

  test('used again later ends all that came of it', async () => {
    const code = await signIn(new Browser(world), account);
    const first = await redeem(world, code);
    expect(await userinfo(world, first.body.access_token!)).toBe(200);
    expect((await redeem(world, code)).body.error).toBe('invalid_grant');
    expect(await userinfo(world, first.body.access_token!)).toBe(401);
  });
});

describe('a refresh token', () => {
  test('gives a new one and is spent by that; used again later it ends the family', async () => {
    const { refresh_token: first } = await tokens();
    const second = await refresh(world, first!);
    expect(second.status).toBe(200);
    const before = world.now;
    world.now = new Date(before.getTime() + 31_000);
    expect((await refresh(world, first!)).body.error).toBe('invalid_grant');
    expect((await refresh(world, second.body.refresh_token!)).body.error).toBe('invalid_grant');
    world.now = before;
    expect(await userinfo(world, second.body.access_token!)).toBe(401);
  });
});

describe('other models', () => {
  test('a token of an e-service itself can be looked up and revoked', async () => {
    const { body } = await ask(world, '/token', { grant_type: 'client_credentials' });
    expect((await ask(world, '/token/introspection', { token: body.access_token! })).body.active).toBe(true);
    expect((await ask(world, '/token/revocation', { token: body.access_token! })).status).toBe(200);
    expect((await ask(world, '/token/introspection', { token: body.access_token! })).body.active).toBe(false);
  });

  test('revoking a refresh token ends its access token too', async () => {
    const { access_token: access, refresh_token: token } = await tokens();
    await ask(world, '/token/revocation', { token: token! });
    expect(await userinfo(world, access!)).toBe(401);
    expect((await refresh(world, token!)).body.error).toBe('invalid_grant');
  });

  test('a pushed authorization request gives one code only', async () => {
    const pushed = await ask(world, '/request', {
      client_id: 'service',
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: 'openid',
    });
    expect(pushed).toMatchObject({ status: 201, body: {} });
    const path = `/auth?client_id=service&request_uri=${encodeURIComponent(pushed.body.request_uri!)}`;
    const [one, other] = [new Browser(world), new Browser(world)];
    const pages = [locationOf(await one.get(path)), locationOf(await other.get(path))];
    const back = [
      locationOf(await one.post(`${pages[0]}?account=${account}`)),
      locationOf(await other.post(`${pages[1]}?account=${account}`)),
    ];
    const answers = await Promise.all([one.get(back[0]!), other.get(back[1]!)]);
    expect(answers.map(locationOf).filter((l) => l.includes('code='))).toHaveLength(1);
  });

  test('a session ends where its resident signs out, and its tokens with it', async () => {
    const browser = new Browser(world);
    const { body } = await redeem(world, await signIn(browser, account));
    const page = await (await browser.get('/session/end')).text();
    const secret = /name="xsrf" value="([^"]+)"/.exec(page)![1];
    const cookie = [...browser.cookies.values()].map((c) => `${c.name}=${c.value}`).join('; ');
    const done = await fetch(`${world.origin}/session/end/confirm`, {
      method: 'POST',
      headers: { cookie },
      body: new URLSearchParams({ xsrf: secret!, logout: 'yes' }),
      redirect: 'manual',
    });
    expect(done.status).toBe(303);
    expect(await userinfo(world, body.access_token!)).toBe(401);
    expect(await beginSignIn(browser)).toMatch(/^\/sign-in\//);
  });
});

describe('at rest', () => {
  test('nothing usable stands in the database: no cookie, code, token or sign-in id', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    await browser.post(`${page}?fact=known`);
    const resume = locationOf(await browser.post(`${page}?account=${account}`));
    const pending = JSON.stringify(await world.db.query(sql`select payload, facts from interactions`));
    const code = codeIn(await browser.get(resume));
    const { body } = await redeem(world, code);
    const all = pending + JSON.stringify(await world.db.query(sql`select payload from artifacts`));
    const session = [...browser.cookies.values()].find((c) => c.name === '_session')!.value;
    for (const secret of [session, code, body.access_token!, body.refresh_token!, page.split('/').at(-1)!]) {
      expect(all).not.toContain(secret);
    }
    expect(all).not.toContain('"jti"');
    expect(all).not.toContain('"cookie"');
  });
});

describe('a change of the account', () => {
  const raise = () => world.db.query(sql`update accounts set epoch = epoch + 1 where id = ${account}`);

  test('ends session, code, access and refresh token at once', async () => {
    const browser = new Browser(world);
    const { body } = await redeem(world, await signIn(browser, account));
    const code = codeIn(await browser.get(authorizationPath()));
    await raise();
    expect((await redeem(world, code)).body.error).toBe('invalid_grant');
    expect(await userinfo(world, body.access_token!)).toBe(401);
    expect((await refresh(world, body.refresh_token!)).body.error).toBe('invalid_grant');
    expect(await beginSignIn(browser)).toMatch(/^\/sign-in\//);
  });

  test('ends a proof that waits to be taken up', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    const resume = locationOf(await browser.post(`${page}?account=${account}`));
    await raise();
    expect((await browser.get(resume)).status).toBe(400);
  });

  test('locking does the same', async () => {
    const { access_token: access } = await tokens();
    await world.db.query(sql`update accounts set locked_at = now() where id = ${account}`);
    expect(await userinfo(world, access!)).toBe(401);
  });
});

describe('two at once', () => {
  test('of two that resume one sign-in, one gets a code and the other begins again', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser, { state: 's' });
    const resume = locationOf(await browser.post(`${page}?account=${account}`));
    const answers = (await Promise.all([browser.get(resume), browser.get(resume)])).map(locationOf);
    expect(answers.filter((l) => l.includes('code='))).toHaveLength(1);
    const again = answers.find((l) => !l.includes('code='))!;
    expect(again.startsWith('/auth?') || again.includes('status 400')).toBe(true);
  });

  test('two authorization requests of one session leave one session', async () => {
    const browser = new Browser(world);
    await signIn(browser, account);
    const before = await rows(world.db, 'Session');
    const answers = await Promise.all([browser.get(authorizationPath()), browser.get(authorizationPath())]);
    for (const answer of answers) codeIn(answer);
    expect(await rows(world.db, 'Session')).toBe(before);
  });

  test('tabs that sign in to e-services at once with one session all get there, the slower ones by asking again', async () => {
    const browser = new Browser(world);
    await signIn(browser, account);
    const wanted = ['other-service', 'other-service', 'service', 'third-service'];
    const codes = await Promise.all(
      wanted.map(async (client_id) => {
        let location = authorizationPath({ client_id });
        while (location.startsWith('/auth?')) location = locationOf(await browser.get(location));
        return { client_id, code: URL.parse(location)!.searchParams.get('code')! };
      }),
    );
    for (const { client_id, code } of codes) expect((await redeem(world, code, client_id)).status).toBe(200);
  });

  test('a replay id is new once, also when asked twice at the same time', async () => {
    const { ReplayDetection } = world.provider as unknown as {
      ReplayDetection: { unique(iss: string, jti: string, exp: number): Promise<boolean> };
    };
    const exp = Math.floor(Date.now() / 1000) + 60;
    const asked = await Promise.allSettled(
      Array.from({ length: 5 }, () => ReplayDetection.unique('service', `id-${account}`, exp)),
    );
    expect(asked.filter((a) => a.status === 'fulfilled' && a.value)).toHaveLength(1);
  });
});

describe('what a sign-in costs', () => {
  test('statements by step', async () => {
    const browser = new Browser(world);
    const costs: Record<string, number> = {};
    const cost = async <T>(step: string, work: Promise<T>): Promise<T> => {
      world.statements();
      const result = await work;
      costs[step] = world.statements();
      return result;
    };
    const page = await cost('authorization request', beginSignIn(browser));
    await cost('first post', browser.post(`${page}?fact=address`));
    await cost('page', browser.get(page));
    // one of these is the test's own look at the epoch
    const resume = locationOf(await cost('last post', browser.post(`${page}?account=${account}`)));
    const code = codeIn(await cost('resume', browser.get(resume)));
    const { body } = await cost('token', redeem(world, code));
    await cost('userinfo', userinfo(world, body.access_token!));
    await cost('refresh', refresh(world, body.refresh_token!));
    await cost('known session', browser.get(authorizationPath()));
    expect(costs).toEqual({
      'authorization request': 0,
      'first post': 1,
      page: 1,
      'last post': 3,
      resume: 2,
      token: 2,
      userinfo: 1,
      refresh: 2,
      'known session': 2,
    });
  });
});
