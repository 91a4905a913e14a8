/** Tells that a link was mailed with which an account is made. */
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { emailOf, inSignIn } from '../sign-in-pages.ts';

export function registrationSentScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/registration-sent',
    get: inSignIn(parts, async (ctx, { underWay, service }) => {
      const email = emailOf(underWay);
      if (!email) return goOn(ctx, `/sign-in/${underWay.uid}`);
      const page = pageOf(ctx);
      const lifetime = page.duration(parts.config.links.lifetime, 'lasting');
      await page.render('registration-sent', { service, uid: underWay.uid, email, lifetime });
    }),
  };
}
