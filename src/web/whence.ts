/** Owns how pages say in coarse words where somebody came from: by which device, and from which network. */
import { isIPv6 } from 'node:net';
import type { Context } from 'koa';
import { deviceName, type DeviceKind } from '../platform/user-agent.ts';
import { networkOf } from '../records/throttle.ts';
import { pageOf } from './page.ts';

export const deviceWords = (ctx: Context, device: DeviceKind | null | undefined): string =>
  device ? deviceName(pageOf(ctx).t, device) : pageOf(ctx).t('whence.unknown');

/** No more than a network can be told without asking somebody else where it is. */
export function networkWords(ctx: Context, place: string | null | undefined): string {
  const { t } = pageOf(ctx);
  if (!place) return t('whence.unknown');
  const network = coarsePlace(place);
  return network === coarsePlace(ctx.ip) ? t('whence.same', { network }) : t('whence.network', { network });
}

/** An address without what would tell one household from another: an IPv4 /24, an IPv6 /48. */
function coarsePlace(ip: string): string {
  const network = networkOf(ip);
  return isIPv6(ip) && network.endsWith('::/64')
    ? `${network.split(':').slice(0, 3).join(':')}::/48`
    : network.replace(/\.\d+$/, '.x');
}
