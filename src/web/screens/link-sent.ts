/** Tells that a link was mailed; sends it again; leads on to the password for who has set it meanwhile. */
import { metrics } from '../../platform/telemetry.ts';
import { readForm, readQuery } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { emailOf, inSignIn, originOf, tooMany } from '../sign-in-pages.ts';

export function linkSentScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/link-sent',
    get: inSignIn(parts, async (ctx, { service, underWay }) => {
      const email = emailOf(underWay);
      if (!email) return goOn(ctx, `/sign-in/${underWay.uid}`);
      const page = pageOf(ctx);
      const lifetime = page.duration(parts.config.links.lifetime, 'lasting');
      const again = readQuery(ctx, 'again', 1) !== undefined;
      const trouble = await parts.signIn.linkTrouble(email, parts.clock());
      await page.render('link-sent', { service, uid: underWay.uid, email, lifetime, again, trouble });
    }),
    /** 'Send the link again' here, and 'Forgot your password?' on the password page. */
    post: inSignIn(parts, async (ctx, { service, underWay }) => {
      await readForm(ctx, {});
      const email = emailOf(underWay);
      if (!email) return goOn(ctx, `/sign-in/${underWay.uid}`);
      const origin = originOf(ctx, { underWay, service });
      const asked = await parts.signIn.askLink({ email, visitor: parts.visitors.of(ctx), origin }, parts.clock());
      const outcome = 'refused' in asked ? asked.refused : asked.page.replaceAll('-', '_');
      metrics.signIns.inc({ step: 'link', outcome, client: underWay.clientId });
      if ('refused' in asked) return tooMany(ctx, asked.retryAfter, service);
      goOn(ctx, `/sign-in/${underWay.uid}/${asked.page}${asked.page === 'link-sent' ? '?again=1' : ''}`);
    }),
  };
}
