/**
 * Owns the rule of refresh tokens, and what it means when a code or a refresh token comes a second time.
 *
 * A public client's refresh token is spent by its use (RFC 9700, 4.14.2). Its client may never have got the answer, so the same
 * token is a retry for a short while and gets another one of the same family; later it is in wrong hands, and the family
 * ends: the grant and all that was issued under it. A token that is bound to a key or to the client's own authentication
 * needs no rotation. The successor's value is nowhere kept, so a retry gets one of its own.
 */
import type { Client, Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type Provider from 'oidc-provider';
import type { Log } from '../platform/telemetry.ts';
import { auditRow } from '../records/audit.ts';
import { current } from './unit-of-work.ts';

/** How long a spent refresh token that comes again is taken for a retry, in milliseconds. */
const RETRY_WINDOW = 30_000;
/** How many tokens one spent token can still give in that time: as many as an app has requests under way at once. */
const MOST_RETRIES = 30;

/** May a token that was spent at this time still be presented again? */
export function isRetry(spentAt: Date, now: Date): boolean {
  return spentAt > retriesFrom(now).since;
}

/** For the statement that spends: it decides between two that come at the same time. */
export function retriesFrom(now: Date): { since: Date; most: number } {
  return { since: new Date(now.getTime() - RETRY_WINDOW), most: MOST_RETRIES };
}

/** @param lifetime of a family, in seconds */
export function refreshTokens(lifetime: number): Pick<
  Configuration,
  'issueRefreshToken' | 'expiresWithSession' | 'rotateRefreshToken'
> & {
  ttl: (ctx: KoaContextWithOIDC) => number;
} {
  return {
    // An e-service registered for refresh_token gets one with every code…
    issueRefreshToken: async (_ctx: KoaContextWithOIDC, client: Client) => client.grantTypeAllowed('refresh_token'),
    // …which without offline_access ends with the session.
    expiresWithSession: async (_ctx, token) => !token.scopes.has('offline_access'),
    // The library's default also rotates a confidential client's late in its life.
    rotateRefreshToken: (ctx) =>
      ctx.oidc.client?.clientAuthMethod === 'none' && !ctx.oidc.entities.RefreshToken!.isSenderConstrained(),
    // Whoever goes on rotating a stolen token must not outlive the first one.
    ttl: (ctx) => {
      const { RotatedRefreshToken: rotated } = ctx.oidc.entities;
      return rotated ? Math.max(1, rotated.remainingTTL) : lifetime;
    },
  };
}

/** Writes down who lost what was issued to them because a code or a refresh token came a second time. */
export function tellOfReuse(provider: Provider, { clock, log }: { clock: () => Date; log: Log }): void {
  provider.on('grant.revoked', (ctx: KoaContextWithOIDC) => {
    const { route, params, client, entities } = ctx.oidc;
    const unit = current();
    if (route !== 'token' || !unit) return;
    const code = unit.recall(`AuthorizationCode:${params?.['code'] as string}`);
    const { accountId } = entities.RefreshToken ?? (JSON.parse(code ?? '{}') as { accountId?: string });
    const reuse = { accountId, clientId: client?.clientId };
    const detail = { token: entities.RefreshToken ? 'refresh token' : 'code' };
    unit.also(auditRow({ kind: 'token_reused', ...reuse, place: ctx.ip, detail }, clock()));
    unit.onFlush(() => log.warn({ ...reuse, ...detail }, 'used a second time: all that was issued with it has ended'));
  });
}
