/** Figures and the table: medians, places after the point, and for each row whether its target is reached. */

export interface Row {
  number: string;
  name: string;
  /** The same of the straightforward PostgreSQL store. */
  naive?: string;
  value: string;
  target: string;
  /** What missed its target, and by how much. */
  misses: (string | undefined)[];
}

/** Prints the rows; returns how many of them miss their target. */
export function printTable(rows: readonly Row[]): number {
  const lines = rows.map(({ number, name, naive = '', value, target, misses }) => {
    const missed = misses.filter((miss) => miss !== undefined);
    const verdict = missed.length ? `not reached: ${missed.join(', ')}` : value.startsWith('not ') ? value : 'reached';
    return [number, name, naive, value, target, verdict];
  });
  printColumns(['#', 'what', 'naive', 'now', 'target', 'verdict'], lines);
  return lines.filter((cells) => cells.at(-1)!.startsWith('not reached')).length;
}

export function printColumns(head: readonly string[], lines: readonly string[][]): void {
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  console.log([line(head), line(widths.map((width) => '-'.repeat(width))), ...lines.map(line)].join('\n'));
}

/** The value below which this share of a sorted list lies. */
export function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

export function median(values: readonly number[]): number {
  return at(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

export function fixed(value: number, digits = Number.isInteger(value) || value >= 10 ? 0 : value < 3 ? 2 : 1): string {
  return value.toFixed(digits);
}
