/** The second question to who lost their address: the name. */
import { nameFrom } from '../../journeys/support-request.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { inRequest } from '../request-pages.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function yourNameScreen(parts: ScreenParts): Screen {
  return {
    path: '/sign-in/:uid/your-name',
    get: inRequest(parts, 'name', (ctx, { service, request }) =>
      pageOf(ctx).render('your-name', { service, name: request.name }),
    ),
    post: inRequest(parts, 'name', async (ctx, { service, uid, note }) => {
      const typed = (await readForm(ctx, { name: { max: 200, required: true } })).name;
      const answer = nameFrom(typed);
      if ('refused' in answer)
        return pageOf(ctx).refuse('your-name', { service, name: typed }, [{ field: 'name', key: 'your-name.missing' }]);
      note(answer);
      goOn(ctx, `/sign-in/${uid}/your-services`);
    }),
  };
}
