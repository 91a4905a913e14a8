/** A sub once given out stays, and is nobody else's. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import {
  givenSubject,
  isReserved,
  namingOf,
  subjectFor,
  subjectsOf,
  type Relation,
} from '../../src/records/subjects.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let place: TestDatabase;
const now = new Date('2026-11-23T12:00:00Z');

beforeAll(async () => {
  place = await testDatabase();
});
afterAll(() => place.drop());

const sub = (relation: Relation, accountId: string) => subjectFor(place.database, relation, { accountId, now });
const naming = (relation: Relation, accountId: string) => namingOf(place.database, relation, accountId);
const pairwise = (sector: string): Relation => ({ sector, subjectType: 'pairwise' });
const legacy = (source: string): Relation => ({ sector: `legacy:${source}`, subjectType: 'legacy', source });

async function account(ids: Record<string, string> = {}, doubt: string | null = null): Promise<string> {
  const email = `${randomUUID()}@example.com`;
  const [row] = await place.database.query<{ id: string }>(sql`
    insert into accounts (email, email_key, created_at, updated_at) values (${email}, ${email}, ${now}, ${now}) returning id`);
  for (const [source, id] of Object.entries(ids)) await listed(row!.id, { source, id, doubt });
  return row!.id;
}

async function listed(accountId: string, { source, id, doubt }: { source: string; id: string; doubt: string | null }) {
  await place.database.query(sql`
    insert into legacy_ids (source, legacy_id, account_id, doubt, created_at)
    values (${source}, ${id}, ${accountId}, ${doubt}, ${now})`);
}

test('is the same each time, and another in each sector', async () => {
  const id = await account();
  const first = await sub(pairwise('a.example'), id);
  expect(await sub(pairwise('a.example'), id)).toBe(first);
  expect(await sub(pairwise('b.example'), id)).not.toBe(first);
  expect([...(await subjectsOf(place.database, id)).keys()].sort()).toEqual(['a.example', 'b.example']);
});

test('is the old user id where the e-service knows residents by it, and stays it whatever a later list says', async () => {
  const id = await account({ x: 'U1' });
  expect(await naming(legacy('x'), id)).toBe('old_id');
  expect(await sub(legacy('x'), id)).toBe('U1');
  expect(await naming(legacy('x'), id)).toBe('given');
  await place.database.query(sql`update legacy_ids set legacy_id = 'U2' where account_id = ${id}`);
  expect(await sub(legacy('x'), id)).toBe('U1');
  await place.database.query(sql`delete from legacy_ids where account_id = ${id}`);
  expect(await sub(legacy('x'), id)).toBe('U1');
});

test('that was made before an old id came along stays too', async () => {
  const id = await account();
  const made = await sub(legacy('y'), id);
  expect(isReserved(made!)).toBe(true);
  await listed(id, { source: 'y', id: 'U5', doubt: null });
  expect(await sub(legacy('y'), id)).toBe(made);
});

test('is given to nobody while the tie is in doubt, and what was given out before still answers', async () => {
  const doubted = await account({ d: 'U9' }, 'shared_email');
  expect(await naming(legacy('d'), doubted)).toBe('in_doubt');
  expect(await sub(legacy('d'), doubted)).toBeUndefined();
  expect(await subjectsOf(place.database, doubted)).toEqual(new Map());
  // A tie outweighs doubts about other ids of the same list.
  await listed(doubted, { source: 'd', id: 'U10', doubt: null });
  expect(await sub(legacy('d'), doubted)).toBe('U10');
  await place.database.query(sql`update legacy_ids set doubt = 'unlinked' where legacy_id = 'U10'`);
  expect(await naming(legacy('d'), doubted)).toBe('in_doubt');
  expect(await givenSubject(place.database, { sector: 'legacy:d', accountId: doubted })).toBe('U10');
  // It is no doubt for an e-service that knows residents by a new id.
  expect(await naming({ ...legacy('d'), sector: 'd.example', subjectType: 'pairwise' }, doubted)).toBe('new');
});

test('given out for one account is never given to another, also after erasure', async () => {
  const first = await account({ z: 'U7' });
  expect(await sub(legacy('z'), first)).toBe('U7');
  await place.database.query(sql`delete from accounts where id = ${first}`);
  const second = await account({ z: 'U7' });
  expect(await naming(legacy('z'), second)).toBe('taken');
  expect(await sub(legacy('z'), second)).toBeUndefined();
  expect(await sub(legacy('z'), first)).toBe('U7');
});

test.each([(id: string) => id, (id: string) => id.toUpperCase()])(
  'cannot be an old id that imitates the id by which public e-services know somebody else',
  async (spelt) => {
    const victim = await account();
    const imitator = await account({ [`u${victim.slice(0, 8)}`]: spelt(victim) });
    const relation = legacy(`u${victim.slice(0, 8)}`);
    expect(await naming(relation, imitator)).toBe('taken');
    expect(await sub(relation, imitator)).toBeUndefined();
    expect(await naming({ ...relation, subjectType: 'public' }, imitator)).toBe('public');
  },
);

test('may be an old id that is a UUID of its own', async () => {
  const old = randomUUID();
  expect(await sub(legacy('uuids'), await account({ uuids: old }))).toBe(old);
});

test('is made for no account that is gone', async () => {
  expect(await sub(pairwise('a.example'), randomUUID())).toBeUndefined();
});

test('asked for by many requests at once is one', async () => {
  const id = await account();
  const given = await Promise.all(Array.from({ length: 20 }, () => sub(pairwise('c.example'), id)));
  expect(new Set(given).size).toBe(1);
});
