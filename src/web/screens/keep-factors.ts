/** The link of the mail that tells of a removal by support: calls it off. GET changes nothing, mail scanners fetch. */
import type { Context } from 'koa';
import type { Account } from '../../records/accounts.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { tokenOf, type Screen, type ScreenParts } from '../screen.ts';

export function keepFactorsScreen(parts: ScreenParts): Screen {
  const show = async (ctx: Context, account: Account | undefined, { done }: { done: boolean }): Promise<void> => {
    const page = pageOf(ctx);
    page.preferLanguage(undefined, account?.locale);
    const status = account ? 200 : ctx.method === 'POST' ? 409 : 410;
    await page.render('keep-factors', { email: account?.email, done }, { status });
  };
  return {
    path: '/keep-factors/:token',
    get: async (ctx) => show(ctx, await parts.factorRemovals.waiting(tokenOf(ctx)), { done: false }),
    post: async (ctx) => {
      await readForm(ctx, {});
      await show(ctx, await parts.factorRemovals.callOff(tokenOf(ctx), parts.clock()), { done: true });
    },
  };
}
