/**
 * The headers that every page of ours carries: nothing from elsewhere, nothing inline, no frame, no trace in caches
 * and referrers. Pages with a form that leads to an e-service name its origin, or Chromium would stop the redirect.
 */
import type { Context } from 'koa';

export function setSecurityHeaders(
  ctx: Context,
  { https, formTargets }: { https: boolean; formTargets: readonly string[] },
): void {
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
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'Cache-Control': 'no-store',
  });
  if (https) ctx.set('Strict-Transport-Security', 'max-age=31536000');
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
