/** The unit of work: written together or not at all, told only when written, and honest when there is no database. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { generateKeyPair, exportJWK, SignJWT } from 'jose';
import { sql } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { current, unitOfWork } from '../../src/oidc/unit-of-work.ts';
import {
  ask,
  authorizationPath,
  beginSignIn,
  Browser,
  locationOf,
  openWorld,
  redeem,
  rows,
  signIn,
  type World,
} from './support.ts';

let world: World;
let account: string;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());
beforeEach(async () => {
  world.during = undefined;
  account = await world.account(`resident-${Math.random()}@example.fi`);
});

const audit = (kind: string) => sql`insert into audit (at, kind) values (now(), ${kind})`;
async function audited(kind: string): Promise<number> {
  return (await world.db.query(sql`select 1 from audit where kind = ${kind}`)).length;
}

describe('what rides along', () => {
  test('is written in the same statement and told after it', async () => {
    const told: string[] = [];
    world.during = async () => {
      current()!.also(audit('signed_in'));
      current()!.onFlush(() => told.push('signed in'));
    };
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    told.length = 0;
    await world.db.query(sql`delete from audit`);
    await browser.post(`${page}?account=${account}`);
    expect(told).toEqual(['signed in']);
    expect(await audited('signed_in')).toBe(1);
  });

  test('of a lost answer is neither written nor told, and its cookies stay away', async () => {
    const browser = new Browser(world);
    const page = await beginSignIn(browser);
    const resume = locationOf(await browser.post(`${page}?account=${account}`));
    const told: string[] = [];
    world.during = async () => {
      current()!.also(audit('lost'));
      current()!.onFlush(() => told.push('lost'));
      // Another node resumes it between this request's look and its write.
      await world.db.query(sql`delete from interactions`);
    };
    const sessions = await rows(world.db, 'Session');
    const answer = await browser.get(resume);
    expect(locationOf(answer)).toMatch(/^\/auth\?/);
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect(told).toEqual([]);
    expect(await audited('lost')).toBe(0);
    expect(await rows(world.db, 'Session')).toBe(sessions);
  });

  test('of an answer from 500 on is dropped', async () => {
    world.during = async (ctx) => {
      current()!.also(audit('failed'));
      ctx.status = 500;
    };
    await new Browser(world).get('/nowhere');
    expect(await audited('failed')).toBe(0);
  });
});

describe('a proof outlived between look and write', () => {
  const raise = () => world.db.query(sql`update accounts set epoch = epoch + 1 where id = ${account}`);

  test('gives no tokens', async () => {
    const code = await signIn(new Browser(world), account);
    world.during = async () => void (await raise());
    expect(await redeem(world, code)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test('gives no code', async () => {
    const browser = new Browser(world);
    await signIn(browser, account);
    world.during = async () => void (await raise());
    expect(locationOf(await browser.get(authorizationPath()))).toMatch(/^\/auth\?/);
  });

  test('a session that was ended meanwhile does not come back', async () => {
    const browser = new Browser(world);
    await signIn(browser, account);
    world.during = async () => void (await world.db.query(sql`delete from artifacts where account_id = ${account}`));
    expect(locationOf(await browser.get(authorizationPath()))).toMatch(/^\/auth\?/);
    world.during = undefined;
    expect(await beginSignIn(browser)).toMatch(/^\/sign-in\//);
  });
});

test('a DPoP proof serves once, also at the same time', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const proof = await new SignJWT({ htm: 'POST', htu: `${world.origin}/token`, jti: account })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) })
    .setIssuedAt()
    .sign(privateKey);
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => ask(world, '/token', { grant_type: 'client_credentials', dpop: proof })),
  );
  expect(answers.filter((a) => a.status === 200)).toHaveLength(1);
  for (const { body } of answers.filter((a) => a.status !== 200)) {
    expect(['invalid_dpop_proof', 'invalid_grant']).toContain(body.error);
  }
});

test('a session found by its uid alone is never written back', async () => {
  await signIn(new Browser(world), account);
  const [row] = await world.db.query<{ payload: string }>(sql`
    select payload from artifacts where model = 'Session' and account_id = ${account}`);
  const { uid } = JSON.parse(row!.payload) as { uid: string };
  const ctx = { status: 200, get: () => '', response: { get: () => '' } };
  const deps = { db: world.db, clock: () => world.now, log: makeLog({ level: 'silent' }) };
  const saved = unitOfWork(deps)(ctx as never, async () => {
    const session = await world.provider.Session.findByUid(uid);
    await session!.save(60);
  }) as Promise<void>;
  await expect(saved).rejects.toThrow('found by its uid');
});

describe('without a database', () => {
  test('programs hear temporarily_unavailable, pages say so, and a stranger still sees the first page', async () => {
    const other = await openWorld();
    const resident = await other.account('resident@example.fi');
    const browser = new Browser(other);
    const code = await signIn(browser, resident);
    await other.db.close();
    expect(await redeem(other, code)).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
    expect((await ask(other, '/token', { grant_type: 'client_credentials' })).status).toBe(503);
    const page = await browser.get(authorizationPath());
    expect([page.status, await page.json()]).toEqual([503, { problem: 'unavailable' }]);
    expect(page.headers.getSetCookie()).toEqual([]);
    const stranger = new Browser(other);
    expect((await stranger.get(await beginSignIn(stranger))).status).toBe(200);
    await other.close();
  });
});
