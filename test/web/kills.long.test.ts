/** SIGKILL at any moment leaves nothing half-done: a hundred moments. */
import { test } from '@jest/globals';
import { killAtRandom } from '../support/kills.ts';

test('a provider killed a hundred times leaves nothing half-done, and each resident gets in', async () => {
  await killAtRandom({ times: 100, seed: 2 });
}, 600_000);
