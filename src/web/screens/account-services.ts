/** The e-services that the resident has signed in to: what each gets, and taking an agreement back. */
import { inAccount } from '../account-pages.ts';
import { detailsOf } from '../details.ts';
import { readForm, readQuery } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function accountServicesScreen(parts: ScreenParts): Screen {
  return {
    path: '/account/services',
    get: inAccount(parts, async (ctx, { account, render }) => {
      const page = pageOf(ctx);
      const services = (await parts.agreements.services(account)).flatMap((used) => {
        const client = parts.client(used.clientId);
        // One that was taken out has no name and gets nothing; it is back with its file.
        if (!client) return [];
        const details = detailsOf(used.given, page, parts.config.resources);
        return [{ ...used, details, name: client.client_name[page.language], asks: client.consent === 'ask' }];
      });
      services.sort((a, b) => a.name.localeCompare(b.name, page.language));
      await render('account-services', { services, withdrawn: readQuery(ctx, 'withdrawn', 5) === 'yes' });
    }),
    /** Withdraws the agreement with one. */
    post: inAccount(parts, async (ctx, { account, url }) => {
      const { client } = await readForm(ctx, { client: { max: 128, required: true } });
      const done = await parts.agreements.withdraw({ account, clientId: client, place: ctx.ip }, parts.clock());
      goOn(ctx, url('/account/services', 'refused' in done ? {} : { withdrawn: 'yes' }));
    }),
  };
}
