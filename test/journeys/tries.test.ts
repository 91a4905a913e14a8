/** What counts as a try, what gives it back, and that of two changes at once one changes nothing. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { availableParallelism } from 'node:os';
import { accountChanges } from '../../src/journeys/account-changes.ts';
import { allowances, type Visitor } from '../../src/journeys/allowances.ts';
import { passwordLink } from '../../src/journeys/password-link.ts';
import { signIn } from '../../src/journeys/sign-in.ts';
import { makeMails } from '../../src/mail/mails.ts';
import { sql } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { accountByKey, type Account } from '../../src/records/accounts.ts';
import { makeLink } from '../../src/records/links.ts';
import { hashingOf, hashPassword, verifyPassword } from '../../src/records/passwords.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const NEXT = 'neljä punaista venettä laiturissa';
const NOW = new Date('2026-11-23T12:00:00Z');
const HOUR = 3_600_000;
/** Three at once, and one more with every hour. */
const FEW = 4;
const HASHING = hashingOf({
  argon2: { memory: 19_456, iterations: 2, parallelism: 1 },
  pepper: ['a pepper of the tests, thirty-two characters'],
});
const visitor: Visitor = {
  place: '192.0.2.1',
  network: '192.0.2.1',
  kind: { browser: 'firefox', system: 'linux' },
};
const origin = { clientId: 'asiointi', language: 'fi' };

let db: TestDatabase;
let journeys: ReturnType<typeof make>;

function make({ passwordsForAll = 1000 } = {}) {
  const sealer = makeSealer(['a secret of the tests, thirty-two characters or more']);
  const limits = {
    passwordPerAddress: FEW,
    passwordPerPlace: FEW,
    passwordsForAll,
    addressesPerPlace: FEW,
    linksPerAddress: FEW,
    linksPerPlace: 100,
    linkGuessesPerPlace: FEW,
    clientPerPlace: FEW,
    clientsPerPlace: FEW,
    requestsPerAddress: FEW,
    requestsPerPlace: FEW,
  };
  const config = {
    signIn: { unknownAddress: 'tell', registration: 'closed' },
    links: { lifetime: HOUR },
    issuer: 'https://tunnus.example',
  } as const;
  const parts = {
    database: db.database,
    sealer,
    config,
    mails: makeMails({ sealer }),
    allowances: allowances({ sealer, limits }),
    hashing: HASHING,
    newPasswords: { fault: () => Promise.resolve(undefined) },
  };
  return { signIn: signIn(parts), changes: accountChanges(parts), link: passwordLink(parts) };
}

beforeAll(async () => {
  db = await testDatabase();
  journeys = make();
});
afterAll(() => db.drop());

let people = 0;
async function resident(): Promise<Account> {
  const email = `asukas${(people += 1)}@example.com`;
  await db.database.query(sql`delete from throttle`);
  await db.database.query(sql`
    insert into accounts (email, email_key, password_state, password_hash, created_at, updated_at)
    values (${email}, ${email}, 'own', ${await hashPassword(PASSWORD)}, ${NOW}, ${NOW})`);
  return (await accountByKey(db.database, email))!;
}

async function identify(typed: string): Promise<string> {
  const found = await journeys.signIn.identify({ typed, visitor, origin, keep: () => sql`select 1` }, NOW);
  return 'refused' in found ? found.refused : found.page;
}

async function tryPassword(email: string, password = PASSWORD) {
  const tried = await journeys.signIn.tryPassword({ email, password, visitor, clientId: 'asiointi' }, NOW);
  if ('writes' in tried) for (const write of tried.writes ?? []) await db.database.query(write);
  return tried;
}

test('signing in gives its probe back, so that one place may sign in ever so many', async () => {
  const { email } = await resident();
  for (const _resident of Array(3 * FEW)) {
    expect(await identify(email)).toBe('password');
    expect(await tryPassword(email)).toHaveProperty('proof');
  }
});

test('the right password posted again and again, also at once, lets no more addresses be probed', async () => {
  const { email } = await resident();
  expect([await identify(email), await identify('a@example.net')]).toEqual(['password', 'unknown-address']);
  await Promise.all([1, 2].map(() => tryPassword(email)));
  await tryPassword(email);
  // Three fit, and the one that proved to be a resident's own came back once.
  const probed = [await identify('b@example.net'), await identify('c@example.net'), await identify('d@example.net')];
  expect(probed).toEqual(['unknown-address', 'unknown-address', 'too_many_tries']);
});

test('a refused probe is owed nothing', async () => {
  const { email } = await resident();
  for (const name of ['a', 'b', 'c']) await identify(`${name}@example.net`);
  expect(await identify(email)).toBe('too_many_tries');
  await tryPassword(email);
  expect(await identify('d@example.net')).toBe('too_many_tries');
});

test('everybody together guesses no more than the limit for all, and who is known signs in all the same', async () => {
  const forAll = 48;
  const { signIn } = make({ passwordsForAll: forAll });
  const { email } = await resident();
  const from = (place: string): Visitor => ({ ...visitor, place, network: place });
  const guess = (index: number) => ({
    email: `kuka${index}@example.net`,
    visitor: from(`10.0.${index >> 8}.${index & 255}`),
  });
  const outcomes: string[] = [];
  for (let index = 0; index < 300; index += 1) {
    const tried = await signIn.tryPassword({ ...guess(index), password: 'a guess', clientId: 'asiointi' }, NOW);
    outcomes.push('refused' in tried ? tried.refused : tried.page);
  }
  const guessed = outcomes.filter((outcome) => outcome === 'wrong_password').length;
  expect(guessed).toBeGreaterThan(forAll / 4);
  expect(guessed).toBeLessThanOrEqual(forAll);
  expect(outcomes.slice(-50).every((outcome) => outcome === 'too_many_tries')).toBe(true);
  const known = { ...from('10.9.9.9'), device: 'a device that signed in before' };
  const own = { email, password: PASSWORD, clientId: 'asiointi' };
  expect(await signIn.tryPassword({ ...own, visitor: known }, NOW)).toHaveProperty('proof');
  // Who is not known waits, and not for good.
  expect(
    await signIn.tryPassword({ ...own, visitor: from('10.9.9.8') }, new Date(NOW.getTime() + HOUR)),
  ).toHaveProperty('proof');
});

test('being too busy to check a password counts as no try', async () => {
  const { email } = await resident();
  const crowd: Promise<unknown>[] = [];
  const tries = [
    () => tryPassword(email),
    // One that gets through changes nothing for the next.
    async () => {
      const account = (await accountByKey(db.database, email))!;
      return journeys.changes.changePassword({ account, current: PASSWORD, next: PASSWORD, visitor }, NOW);
    },
  ];
  const busy = [0, 0];
  for (let round = 0; Math.min(...busy) < FEW && round < 100; round += 1) {
    // As many as work or wait at once; one may be done before ours comes.
    for (let one = 0; one < 41 * availableParallelism(); one += 1) {
      crowd.push(hashPassword(PASSWORD, undefined, `one of many ${one}`).catch(() => undefined));
    }
    const error: unknown = await tries[round % 2]!().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error) expect(error).toMatchObject({ code: 'busy', status: 503 });
    if (error) busy[round % 2]! += 1;
  }
  await Promise.all(crowd);
  expect(Math.min(...busy)).toBe(FEW);
  expect(await tryPassword(email)).toHaveProperty('proof');
});

test('of a change by session and one by link at once, one wins and the other changes nothing', async () => {
  for (const _round of Array(5)) {
    const account = await resident();
    const { id: accountId } = account;
    const token = await makeLink(
      db.database,
      { accountId, purpose: 'set_password', clientId: 'asiointi', lifetime: HOUR },
      NOW,
    );
    const [changed, set] = await Promise.all([
      journeys.changes.changePassword({ account, current: PASSWORD, next: NEXT, visitor }, NOW),
      journeys.link.setPassword({ token, password: `${NEXT} 2`, visitor }, NOW),
    ]);
    const bySession = 'epoch' in changed;
    if (!bySession) expect(changed).toEqual({ refused: 'wrong_password' });
    expect(set).toMatchObject({ page: bySession ? 'link-expired' : 'password-set' });
    const [row] = await db.database.query<{ hash: string; epoch: number; rows: number }>(sql`
      select password_hash as hash, epoch,
        (select count(*)::int from audit where account_id = accounts.id and kind like 'password%') as rows
      from accounts where id = ${accountId}`);
    expect(row).toMatchObject({ epoch: account.epoch + 1, rows: 1 });
    // Whichever way it was set, it has the pepper.
    expect(row!.hash).toMatch(/^peppered\$/);
    const chosen = bySession ? NEXT : `${NEXT} 2`;
    expect((await verifyPassword(row!.hash, chosen, { hashing: HASHING })).ok).toBe(true);
  }
});

test('a change of the account that leaves the link alive does not keep the link from setting the password', async () => {
  const { id: accountId } = await resident();
  const token = await makeLink(db.database, { accountId, purpose: 'set_password', lifetime: HOUR }, NOW);
  const set = journeys.link.setPassword({ token, password: NEXT, visitor }, NOW);
  const raised = db.database.query(sql`update accounts set epoch = epoch + 1 where id = ${accountId}`);
  await expect(set).resolves.toMatchObject({ page: 'password-set' });
  await raised;
});
