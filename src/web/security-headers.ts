/**
 * Owns the headers that guard: those of every answer, and those of every page of ours (nothing from elsewhere, nothing
 * inline, no frame, no trace in caches). Pages with a form that leads to an e-service name its origin, or Chromium would stop
 * the redirect.
 */
import type { Context, Middleware } from 'koa';

/**
 * For redirects and the answers to programs as much as for pages; HSTS belongs to each answer over https (RFC 6797, 7.1). What
 * is no page of ours is nothing to show either: opened by itself, or in a frame, it loads and runs nothing.
 */
export function everyAnswer(issuer: string): Record<string, string> {
  return {
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Content-Security-Policy': "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    ...(issuer.startsWith('https:') && { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' }),
  };
}

export function guardEveryAnswer(issuer: string): Middleware {
  const headers = everyAnswer(issuer);
  return (ctx, next) => {
    ctx.set(headers);
    return next();
  };
}

export function setPageHeaders(ctx: Context, formTargets: readonly string[]): void {
  ctx.set({
    'Content-Security-Policy': [
      "default-src 'none'",
      "style-src 'self'",
      "script-src 'self'",
      "img-src 'self'",
      "base-uri 'none'",
      `form-action ${["'self'", ...formTargets].join(' ')}`,
      "frame-ancestors 'none'",
    ].join('; '),
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'Cache-Control': 'no-store',
  });
}

/**
 * The source by which `form-action` names a redirect's target. Chromium holds the whole chain of redirects against it, and an
 * e-service may lead on from its callback to another host of its own: so https: as a whole, the scheme of an app, or, on one
 * machine, the origin. Undefined for what would loosen the policy or break its grammar.
 */
export function formTarget(uri: string): string | undefined {
  if (!URL.canParse(uri)) return undefined;
  const { protocol, origin } = new URL(uri);
  if (protocol === 'http:') return origin;
  return ['data:', 'javascript:', 'blob:', 'file:'].includes(protocol) ? undefined : protocol;
}
