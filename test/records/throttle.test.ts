/** Failures are counted for all nodes, drain with time, and a success gives back what its try counted. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { countTry, giveBack, sweepThrottle, take, waitAfter } from '../../src/records/throttle.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let place: TestDatabase;
const noon = new Date('2026-11-23T12:00:00Z');
const minutes = (count: number): Date => new Date(noon.getTime() + count * 60_000);
const guess = [{ key: 'password:a', limit: 4 }];

beforeAll(async () => {
  place = await testDatabase();
});
afterAll(() => place.drop());
beforeEach(async () => {
  await place.database.query(sql`delete from throttle`);
});

test('as many tries as the limit fit, then the next waits', async () => {
  for (const _try of Array(4)) expect(await take(place.database, guess, noon)).toBe(0);
  expect(await take(place.database, guess, noon)).toBe(900);
});

test('who goes on trying waits no longer than for one try: there is no hard lock', async () => {
  for (const _try of Array(100)) await take(place.database, guess, noon);
  expect(await take(place.database, guess, noon)).toBe(900);
  expect(await take(place.database, guess, minutes(31))).toBe(0);
});

test('a success gives its try back, and never more', async () => {
  await take(place.database, guess, noon);
  await place.database.query(giveBack(guess));
  await place.database.query(giveBack(guess));
  for (const _try of Array(4)) expect(await take(place.database, guess, noon)).toBe(0);
  expect(await take(place.database, guess, noon)).toBeGreaterThan(0);
});

test('an hour empties a full bucket', async () => {
  for (const _try of Array(4)) await take(place.database, guess, noon);
  for (const _try of Array(4)) expect(await take(place.database, guess, minutes(61))).toBe(0);
});

test('one full bucket of several is enough to wait', async () => {
  const several = [...guess, { key: 'password:b', limit: 100 }];
  for (const _try of Array(4)) await take(place.database, several, noon);
  expect(await take(place.database, several, noon)).toBe(900);
});

test('tries at the same time all count', async () => {
  await Promise.all(Array.from({ length: 20 }, () => take(place.database, [{ key: 'many', limit: 20 }], noon)));
  expect(await take(place.database, [{ key: 'many', limit: 20 }], noon)).toBeGreaterThan(0);
});

test("a node whose clock is behind takes nothing back from the others' counts", async () => {
  for (const _try of Array(4)) await take(place.database, guess, noon);
  expect(await take(place.database, guess, minutes(-10))).toBeGreaterThan(0);
});

test('keys shared by two statements are locked in one order', async () => {
  const keys = ['x', 'y', 'z'].map((key) => ({ key, limit: 1000 }));
  const both = Array.from({ length: 40 }, (_, i) => take(place.database, i % 2 ? keys : [...keys].reverse(), noon));
  await expect(Promise.all(both)).resolves.toHaveLength(40);
});

test('empty buckets are swept in batches', async () => {
  await place.database.query(
    countTry(
      ['a', 'b', 'c'].map((key) => ({ key, limit: 5 })),
      noon,
    ),
  );
  expect(await sweepThrottle(place.database, minutes(30))).toBe(0);
  expect(await sweepThrottle(place.database, minutes(61), 2)).toBe(2);
  expect(await sweepThrottle(place.database, minutes(61), 2)).toBe(1);
});

test('nothing counted means no wait', () => {
  expect(waitAfter([])).toBe(0);
});
