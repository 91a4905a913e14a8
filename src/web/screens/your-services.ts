/** The third question to who lost their address: what they remember of e-services. Sends the request to support. */
import { LONGEST_TEXT, servicesFrom } from '../../journeys/support-request.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { inRequest } from '../request-pages.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { tooMany } from '../sign-in-pages.ts';

export function yourServicesScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/your-services',
    get: inRequest(parts, 'services', (ctx, { service, request }) =>
      pageOf(ctx).render('your-services', { service, services: request.services }),
    ),
    post: inRequest(parts, 'services', async (ctx, { service, uid, email, clientId, request, note }) => {
      const typed = (await readForm(ctx, { services: { max: 10 * LONGEST_TEXT, required: true } })).services;
      const answer = servicesFrom(typed);
      if ('refused' in answer) {
        const error = { field: 'services', key: 'your-services.too_long', values: { max: LONGEST_TEXT } };
        return pageOf(ctx).refuse('your-services', { service, services: typed }, [error]);
      }
      const { newEmail = '', name = '' } = request;
      const visitor = parts.visitors.of(ctx);
      const asked = await parts.supportRequests.ask(
        { email, newEmail, name, services: answer.services, visitor, clientId, service: service.names },
        parts.clock(),
      );
      if ('refused' in asked) {
        note({ services: typed });
        return tooMany(ctx, asked.retryAfter, service);
      }
      note({ sent: true, name: undefined, services: undefined });
      goOn(ctx, `/sign-in/${uid}/request-sent`);
    }),
  };
}
