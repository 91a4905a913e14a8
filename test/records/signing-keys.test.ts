/** A signing key's state follows from its times and the clock alone. */
import { expect, test } from '@jest/globals';
import { keyState, type SigningKey } from '../../src/records/signing-keys.ts';

const at = (hour: number) => new Date(Date.UTC(2026, 0, 1, hour));
const key: SigningKey = {
  kid: 'k',
  alg: 'ES256',
  publicJwk: {},
  privateJwk: 'sealed',
  publishedAt: at(0),
  activeAt: at(1),
  retiresAt: at(2),
  removedAt: at(3),
};

test.each([
  [0, 'next'],
  [1, 'active'],
  [2, 'retired'],
])('at hour %i it is %s', (hour, state) => {
  expect(keyState(key, at(hour))).toBe(state);
});
