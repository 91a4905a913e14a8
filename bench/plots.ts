/** Draws lines as SVG, plain enough to be read as text and as a picture on light and dark. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Plot {
  title: string;
  x: string;
  y: string;
  /** Names of the places along the x axis, evenly spaced. */
  places: string[];
  lines: { name: string; values: number[] }[];
}

const [WIDTH, HEIGHT] = [640, 360];
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 120, 40, 52];
const COLORS = ['#0b6e99', '#b3541e', '#5a7d2a', '#8a3d8f'];
const STEPS = 4;

export function writePlot(name: string, plot: Plot): void {
  const path = join(import.meta.dirname, '..', 'docs', 'images', `${name}.svg`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, draw(plot));
}

function draw({ title, x, y, places, lines }: Plot): string {
  const most = roundUp(Math.max(...lines.flatMap(({ values }) => values)));
  const across = (index: number) => LEFT + (index * (WIDTH - LEFT - RIGHT)) / Math.max(1, places.length - 1);
  const up = (value: number) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM);
  const text = (at: [number, number], content: string, more = '') =>
    `<text x="${at[0].toFixed(0)}" y="${at[1].toFixed(0)}" ${more}>${content}</text>`;
  const grid = Array.from({ length: STEPS + 1 }, (_, step) => (most * step) / STEPS).flatMap((value) => [
    `<path d="M${LEFT} ${up(value).toFixed(1)}H${WIDTH - RIGHT}" stroke="#888" stroke-opacity=".35"/>`,
    text([LEFT - 8, up(value) + 4], String(Number(value.toPrecision(3))), 'text-anchor="end"'),
  ]);
  const drawn = lines.flatMap((line, index) => {
    const color = COLORS[index % COLORS.length]!;
    const points = line.values.map((value, at) => `${across(at).toFixed(1)},${up(value).toFixed(1)}`);
    const end = line.values.at(-1)!;
    return [
      `<polyline points="${points.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`,
      ...points.map(
        (point) => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="3" fill="${color}"/>`,
      ),
      text([WIDTH - RIGHT + 8, up(end) + 4], line.name, `fill="${color}"`),
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#777">`,
    text([LEFT, 22], title, 'font-size="15"'),
    ...grid,
    ...places.map((place, index) => text([across(index), HEIGHT - BOTTOM + 18], place, 'text-anchor="middle"')),
    text([(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10], x, 'text-anchor="middle"'),
    text(
      [16, (TOP + HEIGHT - BOTTOM) / 2],
      y,
      `text-anchor="middle" transform="rotate(-90 16 ${(TOP + HEIGHT - BOTTOM) / 2})"`,
    ),
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}

function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].map((step) => step * unit).find((step) => step >= value)!;
}
