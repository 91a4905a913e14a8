/** Owns how pages say in coarse words where somebody came from: by which device, and from which network. */
import type { Context } from 'koa';
import { deviceName, type DeviceKind } from '../platform/user-agent.ts';
import { neighbourhoodOf } from '../records/throttle.ts';
import { pageOf } from './page.ts';

export const deviceWords = (ctx: Context, device: DeviceKind | null | undefined): string =>
  device ? deviceName(pageOf(ctx).t, device) : pageOf(ctx).t('whence.unknown');

/** No more than a network can be told without asking somebody else where it is. */
export function networkWords(ctx: Context, place: string | null | undefined): string {
  const { t } = pageOf(ctx);
  if (!place) return t('whence.unknown');
  const network = neighbourhoodOf(place);
  return network === neighbourhoodOf(ctx.ip) ? t('whence.same', { network }) : t('whence.network', { network });
}
