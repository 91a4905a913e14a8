/** SIGKILL at any moment leaves nothing half-done. `npm run test:long` kills a hundred times. */
import { test } from '@jest/globals';
import { killAtRandom } from '../support/kills.ts';

test('a provider killed ten times on a resident’s way in leaves nothing half-done, and each resident gets in', async () => {
  await killAtRandom({ times: 10, seed: 1 });
}, 120_000);
