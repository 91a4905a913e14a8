/** A new account is asked for, where the city lets residents make their own (`signIn.registration: open`). */
import { current } from '../../oidc/unit-of-work.ts';
import { Problem } from '../../platform/refusal.ts';
import { displayAddress } from '../../records/addresses.ts';
import { addedFacts } from '../../records/interactions.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { emailOf, inSignIn, originOf, tooMany } from '../sign-in-pages.ts';

export function registerScreen(parts: ScreenParts): Screen {
  const inRegistration = (work: Parameters<typeof inSignIn>[1]) =>
    parts.config.signIn.registration === 'open'
      ? inSignIn(parts, work)
      : () => Promise.reject(new Problem('not_found', 404));
  return {
    path: '/sign-in/:uid/register',
    get: inRegistration(async (ctx, { underWay, service }) => {
      await pageOf(ctx).render('register', { service, uid: underWay.uid, email: emailOf(underWay) ?? '' });
    }),
    post: inRegistration(async (ctx, { underWay, service }) => {
      const { email: typed } = await readForm(ctx, { email: { max: 1000, required: true } });
      const origin = originOf(ctx, { underWay, service });
      const now = parts.clock();
      const asked = await parts.registration.ask({ typed, visitor: parts.visitors.of(ctx), origin }, now);
      if ('refused' in asked && asked.refused === 'email_invalid') {
        const locals = { service, uid: underWay.uid, email: typed };
        return pageOf(ctx).refuse('register', locals, [{ field: 'email', key: 'sign-in.email_invalid' }]);
      }
      const email = displayAddress(typed);
      current()!.also(addedFacts(underWay.row, { email }, now));
      parts.gate.keepAddress(ctx, underWay, email);
      if ('refused' in asked) return tooMany(ctx, asked.retryAfter, service);
      goOn(ctx, `/sign-in/${underWay.uid}/${asked.page}`);
    }),
  };
}
