/** Asks what an e-service that is not the city's own may know. */
import { detailsOf } from '../details.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import type { Screen, ScreenParts } from '../screen.ts';
import { inSignIn } from '../sign-in-pages.ts';

export function consentScreen(parts: ScreenParts): Screen {
  const inPrompt = (work: Parameters<typeof inSignIn>[1]) => inSignIn(parts, work, { prompt: 'consent' });
  return {
    path: '/sign-in/:uid/consent',
    get: inPrompt(async (ctx, { underWay, service }) => {
      const page = pageOf(ctx);
      const { resources } = parts.config;
      const { asked, before } = await parts.consent.question(underWay);
      const { policy_uri: policy, tos_uri: terms } = parts.client(underWay.clientId)!;
      await page.render('consent', {
        service,
        asked: detailsOf(asked, page, resources),
        before: before && detailsOf(before, page, resources),
        // A name is easily another's; the host that the details go to is not.
        host: new URL(String(underWay.params['redirect_uri'])).host,
        links: { policy, terms },
      });
    }),
    post: inPrompt(async (ctx, { underWay }) => {
      const { answer } = await readForm(ctx, { answer: { max: 10, required: true } });
      if (answer === 'yes') {
        const grantId = await parts.consent.agree(underWay, ctx.ip);
        return parts.gate.finish(ctx, underWay, { consent: { grantId } });
      }
      await parts.gate.finish(ctx, underWay, {
        error: 'access_denied',
        error_description: 'the resident did not agree',
      });
    }),
  };
}
