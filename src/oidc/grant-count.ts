/**
 * Owns counting what the token endpoint answered. It stands around the unit of work: an answer that was lost, or that could
 * not be written, counts as what the e-service got instead.
 */
import type { Middleware } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { metrics } from '../platform/telemetry.ts';

/** What is asked for may be any text: a label must not. */
const GRANT_TYPES: readonly unknown[] = ['authorization_code', 'refresh_token', 'client_credentials'];

export const countGrants: Middleware = async (ctx, next) => {
  await next();
  const { oidc } = ctx as Partial<KoaContextWithOIDC>;
  if (oidc?.route !== 'token') return;
  const wanted = oidc.params?.['grant_type'];
  const error = (ctx.body as { error?: string } | undefined)?.error;
  metrics.grants.inc({
    grant_type: GRANT_TYPES.includes(wanted) ? (wanted as string) : 'other',
    outcome: ctx.status < 400 ? 'given' : (error ?? 'failed'),
    client: oidc.client?.clientId ?? 'unknown',
  });
};
