import { expect, test } from '@jest/globals';
import { progressBar } from '../../src/commands/progress-bar.ts';

function terminal(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, columns: 200, write: (text: string) => written.push(text) > 0 };
}

test('a terminal is shown the part done, the rows a second and the time left, on one line that goes at the end', () => {
  const screen = terminal(true);
  let now = 0;
  const bar = progressBar(screen, () => now);
  const step = { name: 'reading', total: 1000 };
  bar.show({ ...step, done: 0, count: { number: 0, of: 'rows' } });
  now = 10_000;
  bar.show({ ...step, done: 250, count: { number: 5000, of: 'rows' } });
  expect(screen.written.at(-1)).toBe(
    `\r\x1b[Kreading   [${'#'.repeat(6)}${'.'.repeat(18)}]  25 %, 5000 rows, 500/s, 30 s left`,
  );
  const drawn = screen.written.length;
  bar.show({ ...step, done: 251, count: { number: 5010, of: 'rows' } });
  expect(screen.written).toHaveLength(drawn);
  bar.show({ ...step, done: 1000, count: { number: 9000, of: 'rows' } });
  expect(screen.written.at(-1)).toContain('100 %');
  bar.clear();
  expect(screen.written.at(-1)).toBe('\r\x1b[K');
});

test('a pipe gets nothing of it', () => {
  const pipe = terminal(false);
  const bar = progressBar(pipe);
  bar.show({ name: 'reading', done: 1, total: 2 });
  bar.clear();
  expect(pipe.written).toEqual([]);
});
