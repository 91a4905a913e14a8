import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import {
  isUsable,
  knownSources,
  legacyId,
  sourcesOf,
  tieLegacyId,
  tiesOfAccount,
  untieLegacyId,
} from '../../src/records/legacy-ids.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const NOW = new Date('2026-11-23T10:00:00Z');
let db: TestDatabase;
let count = 0;

beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.drop());

async function resident(): Promise<string> {
  const email = `resident${++count}@example.com`;
  const [row] = await db.database.query<{ id: string }>(sql`
    insert into accounts (email, email_key, created_at, updated_at) values (${email}, ${email}, ${NOW}, ${NOW}) returning id`);
  return row!.id;
}

test('an old id has one owner, and an account one old id at each e-service', async () => {
  const [one, other] = [await resident(), await resident()];
  const tie = (accountId: string, id: string) => tieLegacyId(db.database, { accountId, source: 'a', id }, NOW);
  expect(await tie(one, '1')).toBe('tied');
  expect(await tie(one, '1')).toBe('tied');
  expect(await tie(other, '1')).toBe('taken');
  expect(await tie(one, '2')).toBe('other_id');
  expect(await tie(other, '2')).toBe('tied');
});

test('an e-service learns its own old id only', async () => {
  const accountId = await resident();
  await tieLegacyId(db.database, { accountId, source: 'b', id: 'b-1' }, NOW);
  await tieLegacyId(db.database, { accountId, source: 'c', id: 'c-1' }, NOW);
  expect(await legacyId(db.database, accountId, 'b')).toEqual({ id: 'b-1' });
  expect(await legacyId(db.database, accountId, 'c')).toEqual({ id: 'c-1' });
  expect(await legacyId(db.database, accountId, 'd')).toBeUndefined();
  expect(await sourcesOf(db.database, accountId)).toEqual(['b', 'c']);
  expect(await knownSources(db.database)).toEqual(expect.arrayContaining(['b', 'c']));
});

test('a tie taken back leaves no doubt, stays on record, and can be given to another', async () => {
  const [one, other] = [await resident(), await resident()];
  await tieLegacyId(db.database, { accountId: one, source: 'e', id: '1' }, NOW);
  expect(await untieLegacyId(db.database, { accountId: one, source: 'e', id: '1' })).toBe(true);
  expect(await untieLegacyId(db.database, { accountId: one, source: 'e', id: '1' })).toBe(false);
  expect(await legacyId(db.database, one, 'e')).toBeUndefined();
  expect(await tieLegacyId(db.database, { accountId: other, source: 'e', id: '1' }, NOW)).toBe('tied');
  expect(await tiesOfAccount(db.database, one)).toEqual([{ source: 'e', id: '1', doubt: 'unlinked' }]);
});

test('an account that goes takes its ties and doubts along, whoever deletes it, and nobody else’s', async () => {
  const [one, other] = [await resident(), await resident()];
  await tieLegacyId(db.database, { accountId: one, source: 'f', id: '1' }, NOW);
  await tieLegacyId(db.database, { accountId: one, source: 'g', id: '1' }, NOW);
  await untieLegacyId(db.database, { accountId: one, source: 'g', id: '1' });
  await tieLegacyId(db.database, { accountId: other, source: 'f', id: '2' }, NOW);
  await db.database.query(sql`delete from accounts where id = ${one}`);
  expect(await tiesOfAccount(db.database, one)).toEqual([]);
  expect(await tiesOfAccount(db.database, other)).toEqual([{ source: 'f', id: '2', doubt: undefined }]);
  expect(await tieLegacyId(db.database, { accountId: other, source: 'g', id: '1' }, NOW)).toBe('tied');
});

test('an id that could be no sub, or looks like one of ours, is not usable', () => {
  expect(['1', 'U 77', 'x'.repeat(255)].every(isUsable)).toBe(true);
  expect(['', 'ä', 'x'.repeat(256), 'a\nb', 'tunnus-1', 'TUNNUS-1'].some(isUsable)).toBe(false);
});
