/**
 * Makes the city's one colour readable: as text and behind text, on our light and on our dark ground. A colour too pale
 * or too dark for WCAG's 4.5:1 is darkened or lightened just as far as needed; its hue stays.
 */

type Rgb = readonly [number, number, number];

const DEFAULT_COLOR = '#0050a0';
const LIGHT_GROUND: Rgb = [0xf2, 0xf4, 0xf7];
const DARK_GROUND: Rgb = [0x24, 0x28, 0x30];
const WHITE: Rgb = [255, 255, 255];
const BLACK: Rgb = [0, 0, 0];
// A little over 4.5, since the browser rounds colours too.
const READABLE = 4.6;

/** The style sheet with the custom properties that page.css stands on. */
export function brandStyle(color: string | undefined): string {
  const brand = parseColor(color ?? '') ?? parseColor(DEFAULT_COLOR)!;
  const onLight = hex(readableOn(brand, { ground: LIGHT_GROUND, towards: BLACK }));
  const onDark = hex(readableOn(brand, { ground: DARK_GROUND, towards: WHITE }));
  return [
    `:root{--brand:${hex(brand)};--accent:${onLight};--on-accent:#fff}`,
    `@media (prefers-color-scheme:dark){:root{--accent:${onDark};--on-accent:#14171c}}`,
    '',
  ].join('\n');
}

function parseColor(color: string): Rgb | undefined {
  const digits = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(color.trim())?.[1];
  if (!digits) return undefined;
  const full = digits.length === 3 ? [...digits].map((digit) => digit + digit).join('') : digits;
  const at = (index: number): number => Number.parseInt(full.slice(index, index + 2), 16);
  return [at(0), at(2), at(4)];
}

function readableOn(color: Rgb, { ground, towards }: { ground: Rgb; towards: Rgb }): Rgb {
  for (let share = 0; share < 1; share += 0.05) {
    const mixed = color.map((part, i) => Math.round(part + (towards[i]! - part) * share)) as unknown as Rgb;
    if (contrast(mixed, ground) >= READABLE) return mixed;
  }
  return towards;
}

/** WCAG 2.2: the ratio of the two relative luminances. */
export function contrast(a: Rgb, b: Rgb): number {
  const [darker, lighter] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(color: Rgb): number {
  const [r, g, b] = color.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function hex(color: Rgb): string {
  return `#${color.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}
