/** Tells that the resident is signed out, where no e-service asked to have them back. */
import { pageOf } from '../page.ts';
import type { Screen } from '../screen.ts';

export function signedOutScreen(): Screen {
  return { path: '/signed-out', get: (ctx) => pageOf(ctx).render('signed-out') };
}
