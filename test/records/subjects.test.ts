/** A sub once given out stays, and is nobody else's. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { isReserved, subjectFor, subjectsOf } from '../../src/records/subjects.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let place: TestDatabase;
const now = new Date('2026-11-23T12:00:00Z');

beforeAll(async () => {
  place = await testDatabase();
});
afterAll(() => place.drop());

const sub = (sector: string, accountId: string, wanted?: string) =>
  subjectFor(place.database, { sector, accountId, wanted }, now);

test('is the same each time, and another in each sector', async () => {
  const account = randomUUID();
  const first = await sub('a.example', account);
  expect(await sub('a.example', account)).toBe(first);
  expect(await sub('b.example', account)).not.toBe(first);
  expect([...(await subjectsOf(place.database, account)).keys()].sort()).toEqual(['a.example', 'b.example']);
});

test('is the old user id where that is wanted, and stays it whatever a later list says', async () => {
  const account = randomUUID();
  expect(await sub('legacy:x', account, 'U1')).toBe('U1');
  expect(await sub('legacy:x', account, 'U2')).toBe('U1');
  expect(await sub('legacy:x', account)).toBe('U1');
});

test('that was made before an old id came along stays too', async () => {
  const account = randomUUID();
  const made = await sub('legacy:y', account);
  expect(await sub('legacy:y', account, 'U5')).toBe(made);
});

test('given out for one account is never given to another', async () => {
  expect(await sub('legacy:z', randomUUID(), 'U7')).toBe('U7');
  expect(await sub('legacy:z', randomUUID(), 'U7')).toBeUndefined();
});

test('outlives its account', async () => {
  const [account] = await place.database.query<{ id: string }>(sql`
    insert into accounts (email, email_key, created_at, updated_at)
    values ('pois@example.com', 'pois@example.com', ${now}, ${now}) returning id`);
  await sub('legacy:w', account!.id, 'U8');
  await place.database.query(sql`delete from accounts where id = ${account!.id}`);
  expect(await sub('legacy:w', randomUUID(), 'U8')).toBeUndefined();
});

test('asked for by many requests at once is one', async () => {
  const account = randomUUID();
  const given = await Promise.all(Array.from({ length: 20 }, () => sub('c.example', account)));
  expect(new Set(given).size).toBe(1);
});

test('of our own making cannot be an old id', async () => {
  expect(isReserved((await sub('d.example', randomUUID()))!)).toBe(true);
  expect(isReserved('U10000')).toBe(false);
});
