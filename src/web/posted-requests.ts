/**
 * Owns POST at the authorization endpoint (OpenID Connect Core 1.0, 3.1.2.1) and at the end-session endpoint (RP-Initiated
 * Logout 1.0, 2): it leads to the same request by GET. An e-service's form comes from another site, so browsers leave our
 * `SameSite=Lax` cookies out of it; with the GET that a redirect leads to they come along, and no cookie has to be laxer.
 */
import type { Middleware } from 'koa';
import { Problem } from '../platform/refusal.ts';
import { readForeignForm } from './form.ts';
import { goOn } from './screen.ts';

const ENDPOINTS = ['/auth', '/session/end'];
/** In characters: a proxy has room for 16 KB of an answer's headers (docs/operations.md), and this goes into one of them. */
const LONGEST = 12_288;

export const postedRequests: Middleware = async (ctx, next) => {
  if (ctx.method !== 'POST' || !ENDPOINTS.includes(ctx.path)) {
    await next();
    return;
  }
  const query = (await readForeignForm(ctx)).toString();
  if (query.length > LONGEST)
    throw new Problem('form_too_large', 413, { detail: `a request over ${LONGEST} characters` });
  goOn(ctx, `${ctx.path}?${query}`);
  ctx.set('Cache-Control', 'no-store');
};
