/** Behind the link that an old address gets: it is the account's again, and whoever changed it is out. */
import { emailLinkScreen } from '../email-link-pages.ts';
import type { Screen, ScreenParts } from '../screen.ts';

export function undoEmailScreen(parts: ScreenParts): Screen {
  return emailLinkScreen(parts, {
    name: 'undo-email',
    purpose: 'undo_email',
    spend: (_ctx, knock) => parts.emailChanges.undo(knock, parts.clock()),
  });
}
