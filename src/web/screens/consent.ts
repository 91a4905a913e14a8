/** Asks what an e-service that is not the city's own may know. */
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import type { Screen, ScreenParts } from '../screen.ts';
import { inSignIn, textOf } from '../sign-in-pages.ts';

export function consentScreen(parts: ScreenParts): Screen {
  const inPrompt = (work: Parameters<typeof inSignIn>[1]) => inSignIn(parts, work, { prompt: 'consent' });
  return {
    path: '/sign-in/:uid/consent',
    get: inPrompt(async (ctx, { underWay, service }) => {
      const scopes = (textOf(underWay.params['scope']) ?? '').split(' ');
      await pageOf(ctx).render('consent', { service, scopes });
    }),
    post: inPrompt(async (ctx, { underWay }) => {
      const { answer } = await readForm(ctx, { answer: { max: 10, required: true } });
      if (answer === 'yes') {
        const grantId = await parts.consent.agree(underWay);
        return parts.gate.finish(ctx, underWay, { consent: { grantId } });
      }
      await parts.gate.finish(ctx, underWay, {
        error: 'access_denied',
        error_description: 'the resident did not agree',
      });
    }),
  };
}
