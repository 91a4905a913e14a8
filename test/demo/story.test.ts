import { expect, test } from '@jest/globals';
import { check } from '../../src/demo/check.ts';

test('the demo lives the whole story by itself, and tells each step', async () => {
  const lines: string[] = [];
  const outcome = await check((line) => lines.push(line));
  expect(lines.filter((line) => line.startsWith('✗'))).toEqual([]);
  expect({ outcome, last: lines.at(-1) }).toEqual({ outcome: 0, last: 'The whole story works.' });
}, 150_000);
