/**
 * Owns who is knocking: the network address and the device cookie.
 *
 * The device cookie (OWASP, 'Slow Down Online Guessing Attacks with Device Cookies') names the addresses that signed in on
 * this browser before; each has an allowance of its own, so that an attack on an address does not lock its owner out.
 * It proves nothing else and signs nobody in.
 */
import type { Context } from 'koa';
import type { Visitor } from '../journeys/allowances.ts';
import { randomToken, sameSecret, type Sealer } from '../platform/secrets.ts';
import { deviceOf } from '../platform/user-agent.ts';
import { networkOf } from '../records/throttle.ts';
import { writeCookie } from './form.ts';

const PURPOSE = 'device';
const YEAR = 365 * 86_400_000;
/** A family's shared device; the oldest address makes room. */
const MOST_ADDRESSES = 5;

export interface Visitors {
  of(ctx: Context, emailKey?: string): Visitor;
  /** Remembers that this address signed in on this device. */
  remember(ctx: Context, emailKey: string): void;
}

export function visitors({ sealer, issuer }: { sealer: Sealer; issuer: string }): Visitors {
  const secure = issuer.startsWith('https:');
  const cookie = secure ? '__Host-tunnus_device' : 'tunnus_device';
  const mark = (id: string, emailKey: string): string =>
    sealer.digest(`${id} ${emailKey}`, PURPOSE).toString('base64url');
  const read = (ctx: Context): { id?: string; marks: string[] } => {
    const [id, ...marks] = (ctx.cookies.get(cookie, { signed: false }) ?? '').split('.');
    return id && /^[\w-]{22}$/.test(id) ? { id, marks: marks.slice(0, MOST_ADDRESSES) } : { marks: [] };
  };
  return {
    of(ctx, emailKey) {
      const place = ctx.ip;
      const { id, marks } = read(ctx);
      const known =
        id !== undefined &&
        emailKey !== undefined &&
        sealer
          .digests(`${id} ${emailKey}`, PURPOSE)
          .some((digest) => marks.some((given) => sameSecret(given, digest.toString('base64url'))));
      const kind = deviceOf(ctx.get('User-Agent'));
      return { place, network: networkOf(place), kind, ...(known ? { device: id } : {}) };
    },
    remember(ctx, emailKey) {
      const { id = randomToken(16), marks } = read(ctx);
      const own = mark(id, emailKey);
      const value = [id, own, ...marks.filter((given) => given !== own)].slice(0, MOST_ADDRESSES + 1).join('.');
      writeCookie(ctx, { name: cookie, value, secure, maxAge: YEAR });
    },
  };
}
