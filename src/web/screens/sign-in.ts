/** The address step: asks for the e-mail address only. */
import { metrics } from '../../platform/telemetry.ts';
import { displayAddress } from '../../records/addresses.ts';
import { addedFacts } from '../../records/interactions.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { emailOf, firstStepOf, inFirstSteps, originOf, textOf, tooMany } from '../sign-in-pages.ts';

export function signInScreen(parts: ScreenParts): Screen {
  const open = parts.config.signIn.registration === 'open';
  const localsOf = (uid: string): object => ({ uid, open, passkey: parts.factorProofs.asked(uid) });
  return {
    path: '/sign-in/:uid',
    get: inFirstSteps(parts, async (ctx, { underWay, service }) => {
      const { session, params } = underWay;
      const known = session && (await parts.session.account(session.accountId));
      const email = emailOf(underWay) ?? known?.email ?? textOf(params['login_hint']) ?? '';
      // Who is signed in, but has shown too little for this request, goes on from there.
      if (firstStepOf(underWay, parts.clock())?.since !== undefined)
        return goOn(ctx, `/sign-in/${underWay.uid}/second-step`);
      // Who is signed in already was asked once more (prompt=login, max_age): the page says why.
      const again = known !== undefined;
      await pageOf(ctx).render('sign-in', { ...localsOf(underWay.uid), service, email: email.slice(0, 320), again });
    }),
    post: inFirstSteps(parts, async (ctx, { underWay, service }) => {
      const page = pageOf(ctx);
      const { email: typed } = await readForm(ctx, { email: { max: 1000, required: true } });
      const now = parts.clock();
      const identified = await parts.signIn.identify(
        {
          typed,
          visitor: parts.visitors.of(ctx),
          origin: originOf(ctx, { underWay, service }),
          keep: (email) => addedFacts(underWay.row, { email }, now),
        },
        now,
      );
      const outcome = 'refused' in identified ? identified.refused : identified.page.replaceAll('-', '_');
      metrics.signIns.inc({ step: 'address', outcome, client: underWay.clientId });
      if ('refused' in identified && identified.refused === 'email_invalid') {
        const locals = { ...localsOf(underWay.uid), service, email: typed };
        return page.refuse('sign-in', locals, [{ field: 'email', key: 'sign-in.email_invalid' }]);
      }
      // Only now is there a row: what is no address was not looked up and has made none.
      parts.gate.keepAddress(ctx, underWay, displayAddress(typed));
      if ('refused' in identified) return tooMany(ctx, identified.retryAfter, service);
      goOn(ctx, `/sign-in/${underWay.uid}/${identified.page}`);
    }),
  };
}
