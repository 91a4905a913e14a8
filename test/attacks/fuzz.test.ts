/** Whatever stands in whichever form or request: an answer below 500, in time, and no secret in the log. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fuzz, MARK } from '../support/fuzz.ts';
import { endpointPlaces, formPlaces, type Place } from '../support/places.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
let places: Place[];

beforeAll(async () => {
  world = await startWorld();
  places = [...(await formPlaces(world)), ...endpointPlaces()];
});
afterAll(() => world.close());

test('five hundred inputs, the same each time', async () => {
  await fuzz(world.tunnus.port, places, { count: 500, seed: 20_261_124 });
  expect(world.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  expect(world.log.filter((line) => line.includes(MARK))).toEqual([]);
});
