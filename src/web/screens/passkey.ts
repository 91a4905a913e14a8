/** Signing in with a passkey alone: it proves address and person at once. */
import { metrics } from '../../platform/telemetry.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, LONGEST_PASSKEY, type Screen, type ScreenParts } from '../screen.ts';
import { finishSignIn, inFirstSteps } from '../sign-in-pages.ts';

export function passkeyScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/passkey',
    get: inFirstSteps(parts, async (ctx, { underWay: { uid }, service }) => {
      await pageOf(ctx).render('passkey', { service, uid, passkey: parts.factorProofs.asked(uid) });
    }),
    post: inFirstSteps(parts, async (ctx, { underWay, service }) => {
      const { passkey: answer } = await readForm(ctx, { passkey: { max: LONGEST_PASSKEY, required: true } });
      const now = parts.clock();
      const { uid, clientId } = underWay;
      const visitor = parts.visitors.of(ctx);
      const proved = await parts.factorProofs.byPasskey({ answer, uid, visitor, clientId }, now);
      if ('refused' in proved) {
        metrics.signIns.inc({ step: 'passkey', outcome: proved.refused, client: clientId });
        const locals = { service, uid, passkey: parts.factorProofs.asked(uid) };
        return pageOf(ctx).refuse('passkey', locals, [{ field: 'passkey', key: 'passkey.refused' }]);
      }
      const { page, proof } = proved;
      if (!proof) return goOn(ctx, `/sign-in/${uid}/${page}`);
      await finishSignIn(ctx, parts, { underWay, proof, ...proof, now });
    }),
  };
}
