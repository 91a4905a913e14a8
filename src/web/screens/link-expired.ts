/** 'Ask for a new link', where the old one came too late: mailed to the stored address of that link's account. */
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, serviceOf, tokenOf, type Screen, type ScreenParts } from '../screen.ts';

export function linkExpiredScreen(parts: ScreenParts): Screen {
  return {
    path: '/set-password/:token/link-expired',
    get: async (ctx) => goOn(ctx, `/set-password/${tokenOf(ctx)}`),
    post: async (ctx) => {
      await readForm(ctx, {});
      const token = tokenOf(ctx);
      const page = pageOf(ctx);
      const renewed = await parts.passwordLink.renew(
        {
          token,
          clientNames: (clientId) => serviceOf(parts, clientId, page.language)?.names,
          language: page.language,
          place: ctx.ip,
        },
        parts.clock(),
      );
      if ('refused' in renewed) return goOn(ctx, `/set-password/${token}`);
      const { account, link } = renewed;
      page.preferLanguage(undefined, account.locale ?? link.uiLocales);
      const lifetime = page.duration(parts.config.links.lifetime, 'lasting');
      await page.render('link-sent', { email: account.email, lifetime });
    },
  };
}
