/** Where the resident is signed in: each browser, and ending one or all others. */
import { OWN_CLIENT_ID } from '../../config/client-rules.ts';
import { inAccount } from '../account-pages.ts';
import { readForm, readQuery } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';
import { deviceWords, networkWords } from '../whence.ts';

export function accountSessionsScreen(parts: ScreenParts): Screen {
  return {
    path: '/account/sessions',
    get: inAccount(parts, async (ctx, { account, sessionUid, render }) => {
      const { language } = pageOf(ctx);
      const sessions = (await parts.sessions.list({ account, sessionUid }, parts.clock())).map((session) => ({
        ...session,
        device: deviceWords(ctx, session.device),
        network: networkWords(ctx, session.place),
        services: session.clientIds.flatMap((id) => {
          const client = parts.client(id);
          return client?.redirect_uris.length && id !== OWN_CLIENT_ID ? [client.client_name[language]] : [];
        }),
      }));
      await render('account-sessions', { sessions, ended: readQuery(ctx, 'ended', 10) });
    }),
    /** Ends one by its handle, or all but this one. */
    post: inAccount(parts, async (ctx, { account, from, url }) => {
      const { session } = await readForm(ctx, { session: { max: 100, required: true } });
      const now = parts.clock();
      if (session === 'others') {
        const epoch = await parts.sessions.endOthers({ account, from }, now);
        if (epoch === undefined) return goOn(ctx, url('/account/sessions'));
        await parts.session.carryOn(ctx, { accountId: account.id, epoch });
        return goOn(ctx, url('/account/sessions', { ended: 'others' }));
      }
      const ended = await parts.sessions.end({ account, handle: session, from }, now);
      goOn(ctx, url('/account/sessions', { ended: ended ? 'one' : 'none' }));
    }),
  };
}
