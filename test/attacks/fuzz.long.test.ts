/** The same promise as fuzz.test.ts, a hundred thousand times, by another seed each time. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fuzz, MARK } from '../support/fuzz.ts';
import { endpointPlaces, formPlaces, type Place } from '../support/places.ts';
import { startWorld, type World } from '../support/world.ts';

const LIMIT = 15 * 60_000;
const COUNT = Number(process.env['INPUTS'] ?? 100_000);
/** Another one by SEED=…; a failure names it. */
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

let world: World;
let places: Place[];

beforeAll(async () => {
  world = await startWorld();
  places = [...(await formPlaces(world)), ...endpointPlaces()];
});
afterAll(() => world.close());

test(
  `${COUNT} inputs (seed ${seed}) are all answered calmly`,
  async () => {
    await fuzz(world.tunnus.port, places, { count: COUNT, seed });
    expect(world.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
    expect(world.log.filter((line) => line.includes(MARK))).toEqual([]);
  },
  LIMIT,
);
