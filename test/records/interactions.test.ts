/** Sign-ins under way: their facts add up, their proof is checked, and each is resumed once. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql, type Database } from '../../src/platform/database.ts';
import * as interactions from '../../src/records/interactions.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const now = new Date('2026-03-01T10:00:00Z');
const inAnHour = new Date(now.getTime() + 3_600_000);

let house: TestDatabase;
let db: Database;
let accountId: string;

beforeAll(async () => {
  house = await testDatabase();
  db = house.database;
  const [row] = await db.query<{ id: string }>(sql`
    insert into accounts (email, email_key, created_at, updated_at)
    values ('a@example.fi', 'a@example.fi', ${now}::timestamptz, ${now}::timestamptz) returning id`);
  accountId = row!.id;
});
afterAll(() => house.drop());

const interaction = (uid: string): interactions.StoredInteraction => ({
  uidHash: interactions.interactionHash(uid),
  payload: '{"params":{}}',
  expiresAt: inAnHour,
});
const find = (uid: string) => interactions.findInteraction(db, interactions.interactionHash(uid));

test('facts of one post stand beside those of another, also when both come at once', async () => {
  const facts = [{ email: 'a@example.fi' }, { tries: 1 }, { step: 'password' }];
  await Promise.all(facts.map((fact) => db.query(interactions.addedFacts(interaction('one'), fact, now))));
  expect(JSON.parse((await find('one'))!.facts)).toEqual({ email: 'a@example.fi', tries: 1, step: 'password' });
});

test('the fragment gives back all facts, so that a statement that makes the row knows them', async () => {
  await db.query(interactions.addedFacts(interaction('two'), { a: 1 }, now));
  const [row] = await db.query<{ facts: string }>(interactions.addedFacts(interaction('two'), { b: 2 }, now));
  expect(JSON.parse(row!.facts)).toEqual({ a: 1, b: 2 });
});

test('a result leaves the facts alone, and its proof stands while the account does', async () => {
  await db.query(interactions.addedFacts(interaction('three'), { a: 1 }, now));
  await db.query(interactions.savedInteraction({ ...interaction('three'), accountId, epoch: 0 }, now));
  expect(await find('three')).toMatchObject({ proofStands: true, facts: '{"a":1}', account: { id: accountId } });
  await db.query(sql`update accounts set epoch = 1`);
  expect(await find('three')).toMatchObject({ proofStands: false });
  await db.query(sql`delete from accounts`);
  expect(await find('three')).toMatchObject({ proofStands: false, account: null });
});

test('it is taken up once, and cannot be finished after that', async () => {
  await db.query(interactions.savedInteraction(interaction('four'), now));
  expect(await db.query(interactions.continuedInteraction(interaction('four')))).toHaveLength(1);
  const { uidHash } = interaction('four');
  const taken = await Promise.all([1, 2].map(() => db.query(interactions.removedInteraction(uidHash))));
  expect(taken.map((rows) => rows.length).sort()).toEqual([0, 1]);
  expect(await db.query(interactions.continuedInteraction(interaction('four')))).toHaveLength(0);
});

test('sweeping leaves what has not expired', async () => {
  await db.query(interactions.savedInteraction(interaction('five'), now));
  expect(await interactions.sweepInteractions(db, now)).toBe(0);
  expect(await interactions.sweepInteractions(db, new Date(inAnHour.getTime() + 1))).toBeGreaterThan(0);
  expect(await find('five')).toBeUndefined();
});
