/** The password step: carries its address as a visible read-only field, so that password managers work. */
import { metrics } from '../../platform/telemetry.ts';
import { canonicalAddress } from '../../records/addresses.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { emailOf, finishSignIn, inFirstSteps, tooMany } from '../sign-in-pages.ts';

export function passwordScreen(parts: ScreenParts): Screen {
  const conceal = parts.config.signIn.unknownAddress === 'conceal';
  return {
    path: '/sign-in/:uid/password',
    get: inFirstSteps(parts, async (ctx, { underWay, service }) => {
      const email = emailOf(underWay);
      if (!email) return goOn(ctx, `/sign-in/${underWay.uid}`);
      await pageOf(ctx).render('password', { service, email, uid: underWay.uid, conceal });
    }),
    post: inFirstSteps(parts, async (ctx, { underWay, service }) => {
      const email = emailOf(underWay);
      const { password } = await readForm(ctx, { password: { max: 4096, required: true } });
      if (!email) return goOn(ctx, `/sign-in/${underWay.uid}`);
      const now = parts.clock();
      const visitor = parts.visitors.of(ctx, canonicalAddress(email));
      const { clientId } = underWay;
      const tried = await parts.signIn.tryPassword({ email, password, visitor, clientId }, now);
      if ('refused' in tried) {
        metrics.signIns.inc({ step: 'password', outcome: tried.refused, client: clientId });
        if (tried.refused === 'too_many_tries') return tooMany(ctx, tried.retryAfter, service);
        const locals = { service, email, uid: underWay.uid, conceal };
        return pageOf(ctx).refuse('password', locals, [{ field: 'password', key: 'password.wrong' }]);
      }
      if (!tried.proof) {
        metrics.signIns.inc({ step: 'password', outcome: tried.page, client: clientId });
        return goOn(ctx, `/sign-in/${underWay.uid}/${tried.page}`);
      }
      await finishSignIn(ctx, parts, { underWay, proof: tried.proof, writes: tried.writes ?? [], now });
    }),
  };
}
