/** Owns how pages say in coarse words where somebody came from: by which device, and from which network. */
import type { Context } from 'koa';
import { pageOf } from './page.ts';
import { coarsePlace } from './visitor.ts';

/** No more than a network can be told without asking somebody else where it is. */
export function networkWords(ctx: Context, place: string | null | undefined): string {
  const { t } = pageOf(ctx);
  if (!place) return t('whence.unknown');
  const network = coarsePlace(place);
  return network === coarsePlace(ctx.ip) ? t('whence.same', { network }) : t('whence.network', { network });
}
