/** Failures are counted for all nodes, drain with time, and a success gives back what its try counted. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { countTry, giveBack, networkOf, sweepThrottle, take, type Allowance } from '../../src/records/throttle.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let place: TestDatabase;
const noon = new Date('2026-11-23T12:00:00Z');
const minutes = (count: number): Date => new Date(noon.getTime() + count * 60_000);
/** Three at once, and one more with every hour. */
const guess = [{ key: 'password:a', limit: 4 }];
const hour = 3600;

async function fill(allowances: readonly Allowance[], at = noon): Promise<number> {
  let passed = 0;
  while ((await take(place.database, allowances, at)) === 0) passed += 1;
  return passed;
}

beforeAll(async () => {
  place = await testDatabase();
});
afterAll(() => place.drop());
beforeEach(async () => {
  await place.database.query(sql`delete from throttle`);
});

test('three quarters of the limit fit at once, then the next waits', async () => {
  for (const _try of Array(3)) expect(await take(place.database, guess, noon)).toBe(0);
  expect(await take(place.database, guess, noon)).toBe(hour);
});

test.each([2, 3, 4, 5, 14, 15, 30, 80, 100])('of a limit of %i no more passes within any hour', async (limit) => {
  const passed: number[] = [];
  for (let minute = 0; minute <= 150; minute += 5) {
    const count = await fill([{ key: 'whole', limit }], minutes(minute));
    for (let one = 0; one < count; one += 1) passed.push(minute);
  }
  const within = passed.map((start) => passed.filter((at) => at >= start && at <= start + 60).length);
  expect(Math.max(...within)).toBeLessThanOrEqual(limit);
  expect(passed.length).toBeGreaterThan(limit);
});

test('an allowance may have a longer period', async () => {
  const daily = [{ key: 'stranger:a', limit: 3, hours: 24 }];
  expect(await fill(daily)).toBe(2);
  expect(await take(place.database, daily, minutes(60))).toBe(23 * hour);
});

test.each([2, 3, 7, 15, 30, 80, 100])('who waits as told is let through, at a limit of %i', async (limit) => {
  const wanted = [{ key: 'told', limit }];
  let at = noon;
  for (const _round of Array(5)) {
    await fill(wanted, at);
    const wait = await take(place.database, wanted, at);
    expect(await take(place.database, wanted, new Date(at.getTime() + (wait - 1) * 1000))).toBe(1);
    at = new Date(at.getTime() + wait * 1000);
    expect(await take(place.database, wanted, at)).toBe(0);
  }
});

test('who goes on trying waits no longer for it: there is no hard lock', async () => {
  for (const _try of Array(100)) await take(place.database, guess, noon);
  expect(await take(place.database, guess, noon)).toBe(hour);
  expect(await take(place.database, guess, minutes(45))).toBe(hour / 4);
  expect(await take(place.database, guess, minutes(60))).toBe(0);
});

test('a success gives its try back, and never more', async () => {
  await take(place.database, guess, noon);
  await place.database.query(giveBack(guess));
  await place.database.query(giveBack(guess));
  expect(await fill(guess)).toBe(3);
});

test('a full bucket empties with time', async () => {
  await fill(guess);
  expect(await fill(guess, minutes(180))).toBe(3);
});

test('one full bucket of several is enough to wait, and the others take nothing of what is refused', async () => {
  const wide = { key: 'password:b', limit: 20 };
  await fill(guess);
  for (const _try of Array(30)) expect(await take(place.database, [...guess, wide], noon)).toBe(hour);
  expect(await fill([wide])).toBe(15);
});

test('tries at the same time all count', async () => {
  const many = [{ key: 'many', limit: 20 }];
  const waits = await Promise.all(Array.from({ length: 40 }, () => take(place.database, many, noon)));
  expect(waits.filter((wait) => wait === 0)).toHaveLength(15);
});

test("a node whose clock is behind takes nothing back from the others' counts", async () => {
  await fill(guess);
  expect(await take(place.database, guess, minutes(-10))).toBe(70 * 60);
});

test('keys shared by two statements are locked in one order', async () => {
  const keys = ['x', 'y', 'z'].map((key) => ({ key, limit: 1000 }));
  const either = (i: number) => (i % 2 ? keys : [...keys].reverse());
  const all = Array.from({ length: 40 }, (_, i) =>
    i % 3 ? take(place.database, either(i), noon) : place.database.query(giveBack(either(i))),
  );
  await expect(Promise.all(all)).resolves.toHaveLength(40);
});

test('empty buckets are swept in batches', async () => {
  await place.database.query(
    countTry(
      ['a', 'b', 'c'].map((key) => ({ key, limit: 5 })),
      noon,
    ),
  );
  expect(await sweepThrottle(place.database, minutes(239))).toBe(0);
  expect(await sweepThrottle(place.database, minutes(241), 2)).toBe(2);
  expect(await sweepThrottle(place.database, minutes(241), 2)).toBe(1);
});

test('nothing to count means no wait', async () => {
  expect(await take(place.database, [], noon)).toBe(0);
});

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('%s is of the place %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});

describe('where the delays grow', () => {
  const own = [{ key: 'password:place:a', limit: 15, growing: true }];
  const size = 12;

  test('two thirds of the bucket are free, then each failure asks for twice the pause', async () => {
    let at = noon;
    const waits: number[] = [];
    for (let passed = 0; passed <= size;) {
      const wait = await take(place.database, own, at);
      if (wait === 0) passed += 1;
      else waits.push(wait);
      at = new Date(at.getTime() + wait * 1000);
      if (passed === size) break;
    }
    expect(waits).toHaveLength(4);
    // What drains meanwhile takes nothing off the pauses that follow one another.
    for (const [before, wait] of waits.slice(1).map((each, i) => [waits[i]!, each] as const)) {
      expect(wait / before).toBeGreaterThan(1.7);
      expect(wait / before).toBeLessThan(2.1);
    }
    expect(waits[0]).toBe(75);
  });

  test('a try before its time is refused, and waiting as told is enough', async () => {
    await fill(own);
    const wait = await take(place.database, own, noon);
    for (const early of [1, wait / 2, wait - 1]) {
      expect(await take(place.database, own, new Date(noon.getTime() + early * 1000))).toBe(Math.ceil(wait - early));
    }
    expect(await take(place.database, own, new Date(noon.getTime() + wait * 1000))).toBe(0);
  });

  test('who knows the password waits for nothing', async () => {
    for (let one = 0; one < 50; one += 1) {
      expect(await take(place.database, own, noon)).toBe(0);
      await place.database.query(giveBack(own));
    }
  });
});
