/**
 * What a sign-in costs in SQL, counted; that a stranger's request writes nothing; and what a sign-in does in that same write:
 * a better hash, a mail on a new kind of device.
 */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import { sweepDevices } from '../../src/records/devices.ts';
import { hashingOf, hashPassword, verifyPassword } from '../../src/records/passwords.ts';
import { counted, withoutHeartbeats } from '../support/counting.ts';
import { startWorld, type World } from '../support/world.ts';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';
const PASSWORD = 'kolme vihreää omenaa pöydällä';
let world: World;

beforeAll(async () => {
  withoutHeartbeats();
  world = await startWorld();
  await world.account({ email: 'maija@example.com', password: PASSWORD });
});
afterAll(async () => {
  await world.close();
  jest.useRealTimers();
});

const count = <T>(work: () => Promise<T>) => counted(world.database, work);

async function signIn({ email = 'maija@example.com', userAgent = FIREFOX } = {}) {
  const kartta = await world.relyingParty('kartta');
  const browser = world.browser({ headers: { 'user-agent': userAgent } });
  const errand = await kartta.begin({ scope: 'openid email' });
  await browser.get(errand.url);
  await browser.submit({ username: email });
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await errand.finish(browser.page.leadsTo!);
  await client.fetchUserInfo(kartta.config, tokens.access_token, client.skipSubjectCheck);
  return { kartta, tokens, browser };
}

test("a stranger's authorization request and its page cost no SQL", async () => {
  const kartta = await world.relyingParty('kartta');
  const { url } = await kartta.begin();
  const { statements } = await count(() => world.browser().get(url));
  expect(statements).toBe(0);
});

test('a whole sign-in with tokens, userinfo and audit keeps to its statements', async () => {
  // The first gives out the sub and learns the device; what follows is every day.
  await signIn();
  const { statements, commits } = await count(() => signIn());
  expect(statements).toBeLessThanOrEqual(6);
  expect(commits).toBeLessThanOrEqual(3);
});

test('a sign-in that hashes the password anew costs no statement more, and has it hashed when it is answered', async () => {
  await signIn();
  const cheap = hashingOf({ argon2: { memory: 7_168, iterations: 1, parallelism: 1 }, pepper: [] });
  const hash = await hashPassword(PASSWORD, cheap);
  await world.database.query(sql`update accounts set password_hash = ${hash} where email_key = 'maija@example.com'`);
  const [before] = await world.database.query(
    sql`select epoch, updated_at from accounts where email_key = 'maija@example.com'`,
  );
  const { statements, commits } = await count(() => signIn());
  expect(statements).toBeLessThanOrEqual(6);
  expect(commits).toBeLessThanOrEqual(3);
  const [after] = await world.database.query<{ password_hash: string }>(sql`
    select epoch, updated_at, password_hash from accounts where email_key = 'maija@example.com'`);
  expect(after).toMatchObject(before!);
  expect(await verifyPassword(after!.password_hash, PASSWORD)).toEqual({ ok: true, rehash: false });
});

test('a refresh reads once and writes once, introspection reads once', async () => {
  const asiointi = await world.relyingParty('asiointi');
  // A browser that is known: no mail of a new device is under way, whose outcome would be written meanwhile.
  const browser = world.browser({ headers: { 'user-agent': FIREFOX } });
  const errand = await asiointi.begin({ scope: 'openid email' });
  await browser.get(errand.url);
  await browser.submit({ username: 'maija@example.com' });
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await errand.finish(browser.page.leadsTo!);
  const refreshed = await count(() => client.refreshTokenGrant(asiointi.config, tokens.refresh_token!));
  expect(refreshed).toMatchObject({ statements: 2, commits: 1 });
  const asked = await count(() => client.tokenIntrospection(asiointi.config, refreshed.result.access_token));
  expect(asked).toMatchObject({ statements: 1, commits: 0, result: { active: true } });
});

test('single sign-on at another e-service asks little', async () => {
  const { browser } = await signIn();
  const bare = await world.relyingParty('bare');
  const errand = await bare.begin();
  const { statements } = await count(() => browser.get(errand.url));
  expect(statements).toBeLessThanOrEqual(3);
});

describe('a sign-in with a new kind of device', () => {
  const DAY = 86_400_000;
  const FIREFOX_NEXT = FIREFOX.replaceAll('145', '146');
  const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Safari/604.1';
  const CHROME =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36';
  const email = 'laite@example.com';
  let accountId: string;
  beforeAll(async () => {
    accountId = await world.account({ email, password: PASSWORD });
  });
  /** How many mails on new devices the account was sent so far. */
  const told = async (): Promise<number> =>
    (await world.database.query(sql`select 1 from mails where account_id = ${accountId} and kind = 'new_device'`))
      .length;

  test('is told by mail, in the write that finishes it; the first ever and a new version are not', async () => {
    await signIn({ email });
    await signIn({ email, userAgent: FIREFOX_NEXT });
    expect(await told()).toBe(0);
    await signIn({ email, userAgent: PHONE });
    expect(await told()).toBe(1);
    const mail = await world.mailbox.next({ to: email });
    expect(mail.subject).toBe('Kirjautuminen uudella laitteella');
    expect(mail.text).toContain('Safari, iOS');
    expect(mail.text).toMatch(/Jos et kirjautunut itse/);
    await signIn({ email, userAgent: PHONE });
    // Another browser on a system that is known, and then a browser and a system that are known, but not together.
    await signIn({ email, userAgent: CHROME });
    expect(await told()).toBe(2);
  });

  test('a wrong password on a new device tells nothing', async () => {
    const browser = world.browser({ headers: { 'user-agent': 'curl/8' } });
    await browser.get((await (await world.relyingParty('kartta')).begin()).url);
    await browser.submit({ username: email });
    await browser.submit({ 'current-password': 'not the right one at all' });
    expect(await told()).toBe(2);
    expect(await world.database.query(sql`select 1 from devices where account_id = ${accountId}`)).toHaveLength(3);
  });

  test('is forgotten after 90 days, but that the account ever signed in; erased with the account', async () => {
    const kinds = () => world.database.query(sql`select browser, system from devices where account_id = ${accountId}`);
    const later = new Date(world.clock.now().getTime() + 91 * DAY);
    expect(await sweepDevices(world.database, world.clock.now())).toBe(0);
    expect(await sweepDevices(world.database, later)).toBeGreaterThanOrEqual(2);
    expect(await kinds()).toHaveLength(1);
    await world.database.query(
      sql`update devices set seen_at = seen_at - interval '91 days' where account_id = ${accountId}`,
    );
    await signIn({ email });
    expect(await told()).toBe(3);
    expect(await kinds()).toEqual([{ browser: 'firefox', system: 'linux' }]);
    await world.database.query(sql`delete from accounts where id = ${accountId}`);
    expect(await kinds()).toEqual([]);
  });
});
