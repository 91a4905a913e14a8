/**
 * The bar that shows how far a long command is: on a terminal only, one line that is written over and cleared at the end.
 * In a pipe there is nothing of it.
 */

export interface Step {
  /** What is done, in a word or two: 'reading'. */
  name: string;
  /** In whatever unit the step counts its work in. */
  done: number;
  total: number;
  /** What people count, with its name: '120000 rows'. */
  count?: { number: number; of: string };
}

export interface ProgressBar {
  show(step: Step): void;
  clear(): void;
}

const REDRAW = 100;
const WIDTH = 24;

export function progressBar(
  terminal: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'>,
  clock: () => number = () => performance.now(),
): ProgressBar {
  if (!terminal.isTTY) return { show() {}, clear() {} };
  let step = '';
  let begun = 0;
  let drawn = -Infinity;
  return {
    show({ name, done, total, count }) {
      const now = clock();
      if (name !== step) [step, begun, drawn] = [name, now, -Infinity];
      if (now - drawn < REDRAW && done < total) return;
      drawn = now;
      const seconds = (now - begun) / 1000;
      const part = total > 0 ? Math.min(1, done / total) : 1;
      const bar = '#'.repeat(Math.round(part * WIDTH)).padEnd(WIDTH, '.');
      const words = [`${name.padEnd(9)} [${bar}] ${String(Math.floor(part * 100)).padStart(3)} %`];
      if (count) words.push(`${count.number} ${count.of}`);
      if (count && seconds > 0) words.push(`${Math.round(count.number / seconds)}/s`);
      if (part > 0 && part < 1) words.push(`${inWords(Math.ceil((seconds * (1 - part)) / part))} left`);
      terminal.write(`\r\x1b[K${words.join(', ').slice(0, (terminal.columns || 80) - 1)}`);
    },
    clear() {
      if (step) terminal.write('\r\x1b[K');
      step = '';
    },
  };
}

function inWords(seconds: number): string {
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
