/**
 * Owns what the pages behind the links that confirm or undo a change of address have in common. GET changes nothing, however
 * often a mail scanner fetches it; POST spends the link, on any device, and the page then says what came of it.
 */
import type { Context } from 'koa';
import type { EmailLink, Knock } from '../journeys/email-change.ts';
import { readForm } from './form.ts';
import { pageOf } from './page.ts';
import { goOn, tokenOf, type Screen, type ScreenParts } from './screen.ts';
import { tooMany } from './sign-in-pages.ts';

type Over = Extract<EmailLink, { step: 'over' }>['why'];

const OVER: Readonly<Record<Over, { status: number; text: string }>> = {
  unknown: { status: 404, text: 'email-link-over.unknown' },
  used: { status: 410, text: 'email-link-over.used' },
  expired: { status: 410, text: 'email-link-over.expired' },
  ended: { status: 410, text: 'email-link-over.ended' },
  taken: { status: 409, text: 'email-link-over.taken' },
  locked: { status: 403, text: 'locked.notice' },
};

export interface EmailLinkPage {
  name: 'confirm-email' | 'undo-email';
  purpose: 'confirm_email' | 'undo_email';
  spend: (ctx: Context, knock: Knock) => Promise<EmailLink>;
}

export function emailLinkScreen(parts: ScreenParts, { name, purpose, spend }: EmailLinkPage): Screen {
  const knockOf = (ctx: Context): Knock => ({
    token: tokenOf(ctx),
    visitor: parts.visitors.of(ctx),
  });

  const show = async (ctx: Context, opened: EmailLink): Promise<void> => {
    const page = pageOf(ctx);
    page.preferLanguage(undefined, opened.account?.locale);
    if (opened.step !== 'over') return page.render(name, { email: opened.email, step: opened.step });
    if (opened.wait) return tooMany(ctx, opened.wait);
    const { status, text } = OVER[opened.why];
    await page.render('email-link-over', { text: page.t(text) }, { status });
  };

  return {
    path: `/${name}/:token`,
    get: async (ctx) => show(ctx, await parts.emailChanges.opened({ ...knockOf(ctx), purpose }, parts.clock())),
    post: async (ctx) => {
      await readForm(ctx, {});
      const knock = knockOf(ctx);
      const spent = await spend(ctx, knock);
      if (spent.step !== 'done') return show(ctx, spent);
      goOn(ctx, `/${name}/${knock.token}`);
    },
  };
}
