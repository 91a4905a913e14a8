/**
 * Owns the throttle of e-services that prove themselves: failures are counted by e-service and place, and by place. A proof
 * that is right costs no SQL: only failures are counted, in the database for all nodes, and each node remembers who must wait.
 *
 * Nobody is kept out by what others get wrong: another place has allowances of its own, and so has, at one place, an e-service
 * that proved itself from there before. Tries in flight at once are all answered and all count.
 */
import type { Context, Middleware } from 'koa';
import { errors, type Provider } from 'oidc-provider';
import type { Config } from '../config.ts';
import type { Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { networkOf, take, type Allowance } from '../records/throttle.ts';
import { current } from './unit-of-work.ts';

export interface ClientTries {
  /** To be called for each new Provider. */
  watch(provider: Provider): void;
}

/** The library's names of the routes where a client proves itself. */
const ROUTES: ReadonlySet<unknown> = new Set(['token', 'introspection', 'revocation', 'pushed_authorization_request']);
/** What a node remembers at most; then it begins anew, and the database tells it again. */
const MOST_REMEMBERED = 10_000;

interface Claim {
  own: Allowance;
  place: Allowance;
}

/** Only `route` of it: the library sets it before it looks for the client. */
const routeOf = (ctx: Context): unknown => (ctx as unknown as { oidc?: { route?: string } }).oidc?.route;

function remember<Value>(known: Map<string, Value>, key: string, value: Value): void {
  if (known.size >= MOST_REMEMBERED) known.clear();
  known.set(key, value);
}

export function clientTries({
  sealer,
  config,
  database,
  clock,
}: {
  sealer: Sealer;
  config: Pick<Config, 'limits'>;
  database: Queryable;
  clock: () => Date;
}): ClientTries {
  /** Until when, by key, in milliseconds. */
  const waits = new Map<string, number>();
  const proven = new Map<string, true>();
  const claims = new WeakMap<Context, Claim>();

  function claimOf(ctx: Context, clientId: string): Claim {
    const digest = (value: string): string => sealer.digest(value, 'throttle').toString('base64url');
    const network = networkOf(ctx.ip);
    return {
      own: { key: `client:${digest(`${network} ${clientId}`)}`, limit: config.limits.clientPerPlace, growing: true },
      place: { key: `clients:${digest(network)}`, limit: config.limits.clientsPerPlace },
    };
  }

  const counted = ({ own, place }: Claim): Allowance[] => (proven.has(own.key) ? [own] : [own, place]);

  function secondsToWait(claim: Claim): number {
    const until = counted(claim).map(({ key }) => waits.get(key) ?? 0);
    return Math.ceil((Math.max(...until) - clock().getTime()) / 1000);
  }

  async function count(claim: Claim): Promise<void> {
    const now = clock();
    for (const allowance of counted(claim)) {
      const wait = await take(database, [allowance], now);
      if (wait === 0) continue;
      remember(waits, allowance.key, now.getTime() + wait * 1000);
      // What is refused to one e-service takes nothing from its neighbours.
      return;
    }
  }

  const answers: Middleware = async (ctx, next) => {
    await next();
    const claim = claims.get(ctx);
    if (!claim || ctx.status === 429) return;
    if (ctx.status < 400) return remember(proven, claim.own.key, true);
    if ((ctx.body as { error?: unknown } | undefined)?.error !== 'invalid_client') return;
    await count(claim);
    const wait = secondsToWait(claim);
    if (wait <= 0) return;
    const { error, error_description } = tooMany(ctx, wait);
    ctx.remove('WWW-Authenticate');
    ctx.status = 429;
    ctx.body = { error, error_description };
  };

  return {
    watch(provider) {
      provider.use(answers as never);
      const { Client: model } = provider;
      const find = model.find.bind(model);
      model.find = (id) => {
        const ctx = current()?.ctx;
        if (ctx && ROUTES.has(routeOf(ctx)) && !claims.has(ctx)) {
          const claim = claimOf(ctx, id);
          claims.set(ctx, claim);
          const wait = secondsToWait(claim);
          if (wait > 0) throw tooMany(ctx, wait);
        }
        return find(id);
      };
    },
  };
}

/** RFC 6585, 4; a program that does not know it takes the error for a failed proof, which it is (RFC 6749, 5.2). */
function tooMany(ctx: Context, wait: number) {
  ctx.set('Retry-After', String(wait));
  const description = `too many failures to authenticate from this network, try again in ${wait} seconds`;
  return Object.assign(new errors.CustomOIDCProviderError('invalid_client', description), {
    status: 429,
    statusCode: 429,
  });
}
