/**
 * Style sheet, script and logo of our pages, read once and served from memory under /assets/, with a hash of the content
 * in their address so that browsers may keep them for good. Compressed once, here. The style sheet begins with the city's colour,
 * and a city without a logo gets a plain mark in it.
 * Nothing else is ever loaded by a page.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import type { Middleware } from 'koa';
import type { Config } from '../config.ts';
import { brandMark, brandStyle } from './brand-color.ts';

const FOLDER = fileURLToPath(new URL('../../views/assets', import.meta.url));
const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
};

interface Asset {
  body: Buffer;
  compressed?: Buffer;
  type: string;
  version: string;
}

export interface Assets {
  /** The address of an asset by its short name: 'page.css', 'page.js', 'password.js', 'passkey.js', 'logo'. */
  url(name: string): string;
  middleware: Middleware;
}

export function loadAssets(brand: Config['brand']): Assets {
  const assets = new Map([
    ['page.css', asset(Buffer.from(brandStyle(brand.color) + readFileSync(join(FOLDER, 'page.css'), 'utf8')), '.css')],
    ['page.js', asset(readFileSync(join(FOLDER, 'page.js')), '.js')],
    ['password.js', asset(readFileSync(join(FOLDER, 'password.js')), '.js')],
    ['passkey.js', asset(readFileSync(join(FOLDER, 'passkey.js')), '.js')],
    ['logo', brand.logo ? asset(readFileSync(brand.logo), extname(brand.logo).toLowerCase()) : plainMark(brand.color)],
  ]);

  return {
    url(name) {
      const found = assets.get(name);
      if (!found) throw new Error(`no asset is called ${name}`);
      return `/assets/${name}?v=${found.version}`;
    },
    async middleware(ctx, next) {
      const found = ctx.path.startsWith('/assets/') ? assets.get(ctx.path.slice('/assets/'.length)) : undefined;
      if (!found || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) {
        await next();
        return;
      }
      const known = ctx.query.v === found.version;
      ctx.set({
        'Cache-Control': known ? 'public, max-age=31536000, immutable' : 'no-cache',
        'Cross-Origin-Resource-Policy': 'same-origin',
        // A logo opened by itself is a document: no script of its may run on our origin.
        'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
        Vary: 'Accept-Encoding',
      });
      ctx.type = found.type;
      if (found.compressed && ctx.acceptsEncodings('br', 'identity') === 'br') {
        ctx.set('Content-Encoding', 'br');
        ctx.body = found.compressed;
      } else {
        ctx.body = found.body;
      }
    },
  };
}

function plainMark(color: string | undefined): Asset {
  return asset(Buffer.from(brandMark(readFileSync(join(FOLDER, 'logo.svg'), 'utf8'), color)), '.svg');
}

function asset(body: Buffer, extension: string): Asset {
  const type = TYPES[extension];
  if (!type)
    throw new Error(`a logo must be a file ending in .svg, .png, .jpg or .webp, not ${extension || 'nothing'}`);
  const compressed = brotliCompressSync(body);
  return {
    body,
    compressed: compressed.length < body.length ? compressed : undefined,
    type,
    version: createHash('sha256').update(body).digest('base64url').slice(0, 12),
  };
}
