/** The password step: carries its address as a visible read-only field, so that password managers work. */
import { metrics } from '../../platform/telemetry.ts';
import type { Proof } from '../../journeys/sign-in.ts';
import { accountFromRow } from '../../records/accounts.ts';
import { canonicalAddress } from '../../records/addresses.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, orBusy, type Screen, type ScreenParts } from '../screen.ts';
import { emailOf, finishSignIn, inFirstSteps, keepFirstStep, needsMfa, tooMany } from '../sign-in-pages.ts';

/** Once in a while, to who has none and has not declined for good. Whether the browser can make one was said with the form. */
function mayOffer({ account }: Proof, now: Date): boolean {
  const { factors, passkeyOfferAfter } = accountFromRow(account);
  return factors.length === 0 && (passkeyOfferAfter === undefined || passkeyOfferAfter <= now);
}

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
      const { password, passkeys } = await readForm(ctx, {
        password: { max: 4096, required: true },
        passkeys: { max: 5 },
      });
      if (!email) return goOn(ctx, `/sign-in/${underWay.uid}`);
      const now = parts.clock();
      const visitor = parts.visitors.of(ctx, canonicalAddress(email));
      const { clientId } = underWay;
      const mfa = needsMfa(underWay);
      const tried = await orBusy(parts.signIn.tryPassword({ email, password, visitor, clientId, mfa }, now));
      const locals = { service, email, uid: underWay.uid, conceal };
      if ('busy' in tried) {
        metrics.signIns.inc({ step: 'password', outcome: 'busy', client: clientId });
        return pageOf(ctx).askLater('password', locals, { field: 'password', key: 'busy.again', why: tried.busy });
      }
      if ('refused' in tried) {
        metrics.signIns.inc({ step: 'password', outcome: tried.refused, client: clientId });
        if (tried.refused === 'too_many_tries') return tooMany(ctx, tried.retryAfter, service);
        return pageOf(ctx).refuse('password', locals, [{ field: 'password', key: 'password.wrong' }]);
      }
      const { page, proof, writes = [] } = tried;
      if (proof && page === 'e-service') {
        const offer = passkeys === 'yes' && !mfa && mayOffer(proof, now);
        return finishSignIn(ctx, parts, { underWay, proof, amr: ['pwd'], writes, offer, now });
      }
      metrics.signIns.inc({ step: 'password', outcome: page, client: clientId });
      if (proof) keepFirstStep(ctx, parts, { underWay, proof, writes });
      goOn(ctx, `/sign-in/${underWay.uid}/${page}`);
    }),
  };
}
