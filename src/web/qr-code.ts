/** Draws a QR code as the outline of one SVG path: markup of the page itself, so that no image and no style is needed. */

/** In modules: readers want four of white around it (ISO/IEC 18004). */
const QUIET = 4;

/** `path` is the `d` of a path within a square of `size`. */
export async function qrCode(text: string): Promise<{ size: number; path: string }> {
  // Few ever come here: loaded with the first.
  const { create } = await import('qrcode');
  const { modules } = create(text, { errorCorrectionLevel: 'M' });
  const rows = Array.from({ length: modules.size }, (_, y) => y);
  const path = rows.flatMap((y) =>
    rows.filter((x) => modules.get(y, x)).map((x) => `M${x + QUIET} ${y + QUIET}h1v1h-1z`),
  );
  return { size: modules.size + 2 * QUIET, path: path.join('') };
}
