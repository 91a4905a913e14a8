import { describe, expect, test } from '@jest/globals';
import { makeSealer, randomToken, sameSecret, sha256 } from '../../src/platform/secrets.ts';

const first = 'a'.repeat(32);
const second = 'b'.repeat(32);

describe('sealing', () => {
  test('opens what it sealed, and never seals twice alike', () => {
    const sealer = makeSealer([first]);
    const sealed = sealer.seal('Hyvää päivää', 'note');
    expect(sealer.open(sealed, 'note')).toBe('Hyvää päivää');
    expect(sealer.open(sealer.seal('', 'note'), 'note')).toBe('');
    expect(sealer.seal('Hyvää päivää', 'note')).not.toBe(sealed);
    expect(sealed).toMatch(/^v1\.[\w-]+$/);
  });

  test('opens nothing that was sealed for another purpose', () => {
    const sealer = makeSealer([first]);
    expect(sealer.open(sealer.seal('plain', 'cookie'), 'key')).toBeUndefined();
  });

  test('opens nothing that was changed, wherever the change is', () => {
    const sealer = makeSealer([first]);
    const sealed = sealer.seal('plain', 'note');
    for (let index = 0; index < sealed.length; index += 1) {
      const other = sealed[index] === 'A' ? 'B' : 'A';
      const changed = sealed.slice(0, index) + other + sealed.slice(index + 1);
      expect(sealer.open(changed, 'note')).toBeUndefined();
    }
    for (const broken of ['', 'v1.', sealed.slice(0, -1), `${sealed}A`, `${sealed}=`, ` ${sealed}`])
      expect(sealer.open(broken, 'note')).toBeUndefined();
  });

  test('while secrets change the first seals and all open', () => {
    const before = makeSealer([first]);
    const during = makeSealer([second, first]);
    const after = makeSealer([second]);
    expect(during.open(before.seal('old', 'note'), 'note')).toBe('old');
    expect(after.open(during.seal('new', 'note'), 'note')).toBe('new');
    expect(before.open(during.seal('new', 'note'), 'note')).toBeUndefined();
  });
});

test('keyed hashes differ by purpose and secret, and an earlier secret can still be asked', () => {
  const before = makeSealer([first]);
  const during = makeSealer([second, first]);
  expect(before.digest('value', 'a')).toEqual(before.digest('value', 'a'));
  expect(before.digest('value', 'a')).not.toEqual(before.digest('value', 'b'));
  expect(during.digests('value', 'a')).toEqual([during.digest('value', 'a'), before.digest('value', 'a')]);
});

test('cookies are signed by the first secret and verified by all', () => {
  expect(makeSealer([second, first]).cookieKeys).toEqual([
    ...makeSealer([second]).cookieKeys,
    ...makeSealer([first]).cookieKeys,
  ]);
});

test('there is no sealing without a secret', () => {
  expect(() => makeSealer([])).toThrow('needs a secret');
});

test('tokens are long, fit into a URL, and never repeat', () => {
  expect(randomToken()).toMatch(/^[\w-]{43}$/);
  expect(randomToken()).not.toBe(randomToken());
});

test('secrets compare by their content', () => {
  expect(sameSecret('one', 'one')).toBe(true);
  expect(sameSecret('one', 'two')).toBe(false);
  expect(sameSecret('one', 'one more')).toBe(false);
  expect(sha256('')).toHaveLength(32);
});
