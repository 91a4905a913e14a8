/** Hostile values in every form and endpoint, many of them: a file of its own, so that it runs beside bad-input.long.test.ts. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fuzz, MARK } from '../support/fuzz.ts';
import { endpointPlaces, formPlaces, OPEN } from '../support/places.ts';
import { startWorld, type World } from '../support/world.ts';

const LIMIT = 15 * 60_000;
/** Another one by SEED=…; a failure names it. */
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

let world: World;

beforeAll(async () => {
  world = await startWorld({ settings: OPEN });
});
afterAll(() => world.close());

const VALUES = Number(process.env['INPUTS'] ?? 100_000);

test(
  `${VALUES} hostile values in whichever field (seed ${seed}) are all answered in time, and none stands in the log`,
  async () => {
    await fuzz(world.tunnus.port, [...(await formPlaces(world)), ...endpointPlaces()], { count: VALUES, seed });
    expect(world.log.filter((line) => line.includes(MARK))).toEqual([]);
    expect(world.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  },
  LIMIT,
);
