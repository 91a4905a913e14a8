/** For those who no longer have the address: where support can answer them is the first of three questions. */
import { newEmailFrom } from '../../journeys/support-request.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { inRequest } from '../request-pages.ts';

export function addressLostScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/address-lost',
    get: inRequest(parts, 'address', (ctx, { service, uid, email, request }) =>
      pageOf(ctx).render('address-lost', { service, uid, email, newEmail: request.newEmail }),
    ),
    post: inRequest(parts, 'address', async (ctx, { service, uid, email, note }) => {
      const typed = (await readForm(ctx, { email: { max: 1024, required: true } })).email;
      const answer = newEmailFrom(typed, email);
      if ('refused' in answer) {
        const key = answer.refused === 'same_address' ? 'address-lost.same' : 'sign-in.email_invalid';
        const locals = { service, uid, email, newEmail: typed };
        return pageOf(ctx).refuse('address-lost', locals, [{ field: 'email', key, values: { email } }]);
      }
      note(answer);
      goOn(ctx, `/sign-in/${uid}/your-name`);
    }),
  };
}
