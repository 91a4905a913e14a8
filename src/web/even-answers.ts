/**
 * Owns when the answers of a sign-in leave under `conceal`: at whole beats after the request came, so that the time of an
 * answer does not tell whose address it was. What an address or a link brings about is put off anyway
 * (journeys/put-off.ts); a password is checked against whatever hash the account has, and an old list's may cost ten times ours.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Middleware } from 'koa';

/** In milliseconds. */
const BEAT = 50;
/** Longer than the dearest of the usual old hashes takes (bcrypt at cost 12: 300 ms). */
const PASSWORD_BEAT = 500;

const FORM = /^\/sign-in\/[^/]+(\/[^/]+)?\/?$/;

export const evenAnswers: Middleware = async (ctx, next) => {
  const [form, step] = ctx.method === 'POST' ? (FORM.exec(ctx.path) ?? []) : [];
  const came = performance.now();
  try {
    await next();
  } finally {
    const beat = step?.startsWith('/password') ? PASSWORD_BEAT : BEAT;
    if (form !== undefined) await pause(beat - ((performance.now() - came) % beat));
  }
};
