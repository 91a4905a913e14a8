/**
 * Owns when the answers of a sign-in leave under `conceal`: at whole beats after the request came, so that the time of an
 * answer does not tell whose address it was. What an address or a link brings about is put off anyway (journeys/put-off.ts);
 * a password is checked against whatever hash the account has, and an old list's may cost ten times ours. A right password
 * leads out of the sign-in at once: it tells all.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Middleware } from 'koa';

/** In milliseconds. */
const BEAT = 50;
/** Longer than the dearest of the usual old hashes takes, also on a busy machine (bcrypt at cost 12: 300 ms on a quiet one). */
const PASSWORD_BEAT = 1000;

const FORM = /^\/sign-in\/[^/]+(\/[^/]+)?\/?$/;

export const evenAnswers: Middleware = async (ctx, next) => {
  const [form, step] = ctx.method === 'POST' ? (FORM.exec(ctx.path) ?? []) : [];
  const came = performance.now();
  try {
    await next();
  } finally {
    const beat = step?.startsWith('/password') ? PASSWORD_BEAT : BEAT;
    const out = ctx.status === 303 && !ctx.response.get('Location').startsWith('/sign-in/');
    if (form !== undefined && !out) await pause(beat - ((performance.now() - came) % beat));
  }
};
