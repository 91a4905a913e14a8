/**
 * Owns what operators ask: /health/live, /health/ready and, on a port of its own that is never public, /metrics.
 * Answers tell no versions and no details of the inside.
 */
import type { Middleware } from 'koa';
import Koa from 'koa';
import type { Database } from '../platform/database.ts';
import { metrics } from '../platform/telemetry.ts';

export interface Readiness {
  database: Pick<Database, 'ping'>;
  /** True while the process is stopping: it takes nothing new. */
  stopping: () => boolean;
}

export function health({ database, stopping }: Readiness): Middleware {
  return async (ctx, next) => {
    const asked = ctx.path === '/health/live' || ctx.path === '/health/ready';
    if (!asked || !(ctx.method === 'GET' || ctx.method === 'HEAD')) {
      await next();
      return;
    }
    ctx.set('Cache-Control', 'no-store');
    const missing: string[] = [];
    if (ctx.path === '/health/ready') {
      if (stopping()) missing.push('stopping');
      else await database.ping().catch(() => missing.push('database'));
    }
    ctx.status = missing.length ? 503 : 200;
    ctx.body = missing.length ? { status: 'unavailable', notReady: missing } : { status: 'ok' };
  };
}

/** `count` brings up to date what is counted for a scrape; it never fails. */
export function operationsApp(readiness: Readiness, count: () => Promise<void>): Koa {
  const app = new Koa();
  app.use(health(readiness));
  app.use(async (ctx) => {
    if (ctx.path !== '/metrics') return;
    await count();
    ctx.type = metrics.registry.contentType;
    ctx.body = await metrics.registry.metrics();
  });
  return app;
}
