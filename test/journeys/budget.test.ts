/** What a sign-in costs in SQL, counted; and that a stranger's request writes nothing. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import { hashingOf, hashPassword, verifyPassword } from '../../src/records/passwords.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
let world: World;

beforeAll(async () => {
  world = await startWorld();
  await world.account({ email: 'maija@example.com', password: PASSWORD });
});
afterAll(() => world.close());

async function counted<T>(work: () => Promise<T>): Promise<{ statements: number; commits: number; result: T }> {
  const { statements, commits } = world.database.counts;
  const result = await work();
  return {
    statements: world.database.counts.statements - statements,
    commits: world.database.counts.commits - commits,
    result,
  };
}

async function signIn() {
  const kartta = await world.relyingParty('kartta');
  const browser = world.browser();
  const errand = await kartta.begin({ scope: 'openid email' });
  await browser.get(errand.url);
  await browser.submit({ username: 'maija@example.com' });
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await errand.finish(browser.page.leadsTo!);
  await client.fetchUserInfo(kartta.config, tokens.access_token, client.skipSubjectCheck);
  return { kartta, tokens, browser };
}

test("a stranger's authorization request and its page cost no SQL", async () => {
  const kartta = await world.relyingParty('kartta');
  const { url } = await kartta.begin();
  const { statements } = await counted(() => world.browser().get(url));
  expect(statements).toBe(0);
});

test('a whole sign-in with tokens, userinfo and audit keeps to its statements', async () => {
  // The first gives out the sub and learns the device; what follows is every day.
  await signIn();
  const { statements, commits } = await counted(signIn);
  expect(statements).toBeLessThanOrEqual(6);
  expect(commits).toBeLessThanOrEqual(3);
});

test('a sign-in that hashes the password anew costs no statement more, and has it hashed when it is answered', async () => {
  await signIn();
  const cheap = hashingOf({ argon2: { memory: 7_168, iterations: 1, parallelism: 1 }, pepper: [] });
  const hash = await hashPassword(PASSWORD, cheap);
  await world.database.query(sql`update accounts set password_hash = ${hash}`);
  const [before] = await world.database.query(sql`select epoch, updated_at from accounts`);
  const { statements, commits } = await counted(signIn);
  expect(statements).toBeLessThanOrEqual(6);
  expect(commits).toBeLessThanOrEqual(3);
  const [after] = await world.database.query<{ password_hash: string }>(sql`
    select epoch, updated_at, password_hash from accounts`);
  expect(after).toMatchObject(before!);
  expect(await verifyPassword(after!.password_hash, PASSWORD)).toEqual({ ok: true, rehash: false });
});

test('a refresh reads once and writes once, introspection reads once', async () => {
  const asiointi = await world.relyingParty('asiointi');
  const browser = world.browser();
  const errand = await asiointi.begin({ scope: 'openid email' });
  await browser.get(errand.url);
  await browser.submit({ username: 'maija@example.com' });
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await errand.finish(browser.page.leadsTo!);
  const refreshed = await counted(() => client.refreshTokenGrant(asiointi.config, tokens.refresh_token!));
  expect(refreshed).toMatchObject({ statements: 2, commits: 1 });
  const asked = await counted(() => client.tokenIntrospection(asiointi.config, refreshed.result.access_token));
  expect(asked).toMatchObject({ statements: 1, commits: 0, result: { active: true } });
});

test('single sign-on at another e-service asks little', async () => {
  const { browser } = await signIn();
  const bare = await world.relyingParty('bare');
  const errand = await bare.begin();
  const { statements } = await counted(() => browser.get(errand.url));
  expect(statements).toBeLessThanOrEqual(3);
});
