/** The sign-ins of the last ninety days, good and failed, page by page. */
import { MOST_PAGES, SHOWN_DAYS } from '../../journeys/sign-in-history.ts';
import { inAccount } from '../account-pages.ts';
import { readQuery } from '../form.ts';
import { pageOf } from '../page.ts';
import type { Screen, ScreenParts } from '../screen.ts';
import { deviceWords, networkWords } from '../whence.ts';

export function accountSignInsScreen(parts: ScreenParts): Screen {
  return {
    path: '/account/sign-ins',
    get: inAccount(parts, async (ctx, { account, url, render }) => {
      const { language } = pageOf(ctx);
      const asked = readQuery(ctx, 'page', 4) ?? '1';
      const page = /^\d+$/.test(asked) ? Math.min(Math.max(1, Number(asked)), MOST_PAGES) : 1;
      const { events, more } = await parts.signInHistory.page(account, page, parts.clock());
      const signIns = events.map(({ at, good, clientId, place, device }) => ({
        at,
        good,
        service: parts.client(clientId ?? undefined)?.client_name[language],
        device: device && deviceWords(ctx, device),
        network: networkWords(ctx, place),
      }));
      const to = (number: number): string => url('/account/sign-ins', { page: String(number) });
      await render('account-sign-ins', {
        signIns,
        days: SHOWN_DAYS,
        newer: page > 1 ? to(page - 1) : undefined,
        older: more ? to(page + 1) : undefined,
      });
    }),
  };
}
