/**
 * Lets the provider take up a sign-in's outcome in the request that brought its proof: what the browser would ask for next
 * (the way back, `/auth/<uid>`) is answered at once, and all of it is written by one statement.
 *
 * The cookie of that way back stays with its path; in its place stands that the gate has seen this browser hold the sign-in.
 */
import type { Context, Middleware } from 'koa';
import { current } from './unit-of-work.ts';

export function takeUp(provider: Middleware, { resumeCookie }: { resumeCookie: string }): Middleware {
  return async (ctx, next) => {
    await next();
    const uid = current()?.outcome?.uid;
    if (uid === undefined) return;
    // The answer that leads there gives way to the answer from there; its cookies stay.
    ctx.body = null;
    ctx.remove('Location');
    ctx.status = 404;
    await provider(onTheWayBack(ctx, uid, resumeCookie), () => Promise.resolve());
  };
}

/** The same context, as if the browser had gone on. */
function onTheWayBack(ctx: Context, uid: string, resumeCookie: string): Context {
  const get: typeof ctx.cookies.get = (name, options) => (name === resumeCookie ? uid : ctx.cookies.get(name, options));
  return Object.create(ctx, {
    method: { value: 'GET' },
    path: { value: `/auth/${uid}` },
    cookies: { value: Object.create(ctx.cookies, { get: { value: get } }) as typeof ctx.cookies },
  }) as Context;
}
