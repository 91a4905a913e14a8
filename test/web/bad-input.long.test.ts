/** The same promise as bad-input.test.ts, by the whole tables and by many requests at random. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sweep, TABLES, wrongWith } from '../support/bad-input.ts';
import { endpointPlaces, formPlaces, OPEN, type Place } from '../support/places.ts';
import { startWorld, type World } from '../support/world.ts';

const LIMIT = 15 * 60_000;
/** Another one by SEED=…; a failure names it. */
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

let world: World;
let places: Place[];

beforeAll(async () => {
  world = await startWorld({ settings: OPEN });
  places = [...(await formPlaces(world)), ...endpointPlaces()];
});
afterAll(() => world.close());

test.each(Object.keys(TABLES))(
  '%s',
  async (name) => {
    expect(await wrongWith(world.tunnus.port, TABLES[name]!(places))).toEqual([]);
  },
  LIMIT,
);

test(
  `five thousand requests put together at random (seed ${seed}) are all answered calmly`,
  async () => {
    expect(await sweep(world.tunnus.port, places, { seed, count: 5_000 })).toEqual([]);
  },
  LIMIT,
);

test('after all that nothing of ours has failed', () => {
  expect(world.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});
