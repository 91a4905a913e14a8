/** Draws a QR code as the outline of one SVG path: markup of the page itself, so that no image and no style is needed. */

/** In modules: readers want four of white around it (ISO/IEC 18004). */
const QUIET = 4;

/** `path` is the `d` of a path within a square of `size`. */
export async function qrCode(text: string): Promise<{ size: number; path: string }> {
  // Few ever come here: loaded with the first.
  const { encodeQR } = await import('qr');
  const rows = encodeQR(text, 'raw', { ecc: 'medium', border: QUIET });
  const dark = rows.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')));
  return { size: rows.length, path: dark.join('') };
}
