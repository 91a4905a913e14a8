/** The three lists in the orders that import-accounts.test.ts leaves out. */
import { expect, test } from '@jest/globals';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { testDatabase } from '../support/database.ts';
import { everybodyOnce } from '../support/three-lists.ts';

test.each([
  ['asiointi', 'varaukset', 'kartta'],
  ['kartta', 'asiointi', 'varaukset'],
  ['kartta', 'varaukset', 'asiointi'],
  ['varaukset', 'asiointi', 'kartta'],
] as const)('%s, %s, %s: everybody is there once, and the second time changes nothing', async (...order) => {
  expect.hasAssertions();
  const db = await testDatabase();
  const parts = {
    database: db.database,
    sealer: makeSealer(['a secret of thirty-two characters!']),
    log: makeLog({ level: 'silent' }),
  };
  await everybodyOnce(parts, order, new Date('2026-11-23T10:00:00Z')).finally(() => db.drop());
});
