/**
 * Makes the city's one colour readable: as text and behind text, on our light and on our dark ground. A colour too pale
 * or too dark for WCAG's 4.5:1 is darkened or lightened just as far as needed; its hue stays.
 */
import { BLACK, contrast, parseColor, WHITE, type Rgb } from '../platform/color.ts';

const DEFAULT_COLOR = '#0050a0';
const LIGHT_GROUND: Rgb = [0xf2, 0xf4, 0xf7];
const DARK_GROUND: Rgb = [0x24, 0x28, 0x30];
// A little over 4.5, since the browser rounds colours too.
const READABLE = 4.6;

/** The style sheet with the custom properties that page.css stands on. */
export function brandStyle(color: string | undefined): string {
  const brand = brandOf(color);
  const onLight = hex(onLightGround(brand));
  const onDark = hex(readableOn(brand, { ground: DARK_GROUND, towards: WHITE }));
  return [
    `:root{--brand:${hex(brand)};--accent:${onLight};--on-accent:#fff}`,
    `@media (prefers-color-scheme:dark){:root{--accent:${onDark};--on-accent:#14171c}}`,
    '',
  ].join('\n');
}

/** The plain mark in the city's colour, as dark as its white sign needs. */
export function brandMark(svg: string, color: string | undefined): string {
  return svg.replaceAll(DEFAULT_COLOR, hex(onLightGround(brandOf(color))));
}

const brandOf = (color: string | undefined): Rgb => parseColor(color ?? '') ?? parseColor(DEFAULT_COLOR)!;

const onLightGround = (brand: Rgb): Rgb => readableOn(brand, { ground: LIGHT_GROUND, towards: BLACK });

function readableOn(color: Rgb, { ground, towards }: { ground: Rgb; towards: Rgb }): Rgb {
  for (let share = 0; share < 1; share += 0.05) {
    const mixed = color.map((part, i) => Math.round(part + (towards[i]! - part) * share)) as unknown as Rgb;
    if (contrast(mixed, ground) >= READABLE) return mixed;
  }
  return towards;
}

function hex(color: Rgb): string {
  return `#${color.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}
