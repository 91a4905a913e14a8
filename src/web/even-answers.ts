/**
 * Owns when the answers of a sign-in leave under `conceal`: at whole beats after the request came, so that the time of an
 * answer does not tell whose address it was. What an address or a link brings about is put off anyway (journeys/put-off.ts), and
 * how long a wrong password takes is even-checks.ts's. A right password leads out of the sign-in at once: it tells all.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Middleware } from 'koa';

/** In milliseconds. */
const BEAT = 50;
const FORM = /^\/sign-in\/[^/]+(\/[^/]+)?\/?$/;

export const evenAnswers: Middleware = async (ctx, next) => {
  const concerned = ctx.method === 'POST' && FORM.test(ctx.path);
  const came = performance.now();
  try {
    await next();
  } finally {
    const out = ctx.status === 303 && !ctx.response.get('Location').startsWith('/sign-in/');
    if (concerned && !out) await pause(BEAT - ((performance.now() - came) % BEAT));
  }
};
