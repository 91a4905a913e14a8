import { expect, test } from '@jest/globals';
import decodeQR from 'qr/decode.js';
import { qrCode } from '../../src/web/qr-code.ts';

const PIXELS = 4; // for each module

/** As a phone's camera has it before it. */
function pictured({ size, path }: { size: number; path: string }) {
  const width = size * PIXELS;
  const data = new Uint8Array(width * width * 4).fill(255);
  for (const [, x, y] of path.matchAll(/M(\d+) (\d+)h1v1h-1z/g))
    for (let row = 0; row < PIXELS; row += 1) {
      const start = ((Number(y) * PIXELS + row) * width + Number(x) * PIXELS) * 4;
      for (let column = 0; column < PIXELS; column += 1) data.fill(0, start + column * 4, start + column * 4 + 3);
    }
  return { width, height: width, data };
}

test.each([
  'otpauth://totp/Tunnus:maija@example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Tunnus',
  'Öljylamppu å',
])('what is drawn for %s reads as that again, with white around it', async (text) => {
  const drawn = await qrCode(text);
  expect(decodeQR(pictured(drawn))).toBe(text);
  const places = [...drawn.path.matchAll(/M(\d+) (\d+)h/g)].flatMap(([, x, y]) => [Number(x), Number(y)]);
  expect(Math.min(...places)).toBe(4);
  expect(Math.max(...places)).toBe(drawn.size - 5);
});
