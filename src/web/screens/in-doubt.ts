/** At an e-service whose old list leaves it open whose history it is: nobody gets in there before support has looked. */
import { pageOf } from '../page.ts';
import { readForm } from '../form.ts';
import type { Screen, ScreenParts } from '../screen.ts';
import { inSignIn } from '../sign-in-pages.ts';

export function inDoubtScreen(parts: ScreenParts): Screen {
  const inPrompt = (work: Parameters<typeof inSignIn>[1]) => inSignIn(parts, work, { prompt: 'in_doubt' });
  return {
    path: '/sign-in/:uid/in-doubt',
    get: inPrompt((ctx, { service }) => pageOf(ctx).render('in-doubt', { service }, { status: 403 })),
    /** 'Back to the e-service': it is told that access was denied. */
    post: inPrompt(async (ctx, { underWay }) => {
      await readForm(ctx, {});
      await parts.gate.finish(ctx, underWay, {
        error: 'access_denied',
        error_description: 'the tie to the old user list is in doubt',
      });
    }),
  };
}
