/** Once in a while after a password: a passkey for the next time, which can be declined for good. */
import type { Context } from 'koa';
import { whereFrom } from '../../journeys/allowances.ts';
import { FRESH } from '../account-pages.ts';
import { readForm } from '../form.ts';
import { pageOf } from '../page.ts';
import { goOn, LONGEST_PASSKEY, type Screen, type ScreenParts } from '../screen.ts';
import { inSignIn, type Opened } from '../sign-in-pages.ts';

export function passkeyOfferScreen(parts: ScreenParts): Screen {
  const inOffer = (work: Parameters<typeof inSignIn>[1]) => inSignIn(parts, work, { prompt: 'passkey_offer' });
  const goBack = (ctx: Context, { underWay }: Opened, epoch: number): Promise<void> =>
    parts.gate.finish(ctx, underWay, { login: { ...underWay.login!, epoch, offer: undefined } });

  return {
    path: '/sign-in/:uid/passkey-offer',
    get: inOffer(async (ctx, { service }) => {
      const here = await parts.session.current(ctx);
      if (!here) return goOn(ctx, '/account');
      const passkey = await parts.factorChanges.passkeyOptions(here.account);
      await pageOf(ctx).render('passkey-offer', { service, email: here.account.email, passkey });
    }),
    post: inOffer(async (ctx, opened) => {
      const { answer, passkey } = await readForm(ctx, { answer: { max: 10 }, passkey: { max: LONGEST_PASSKEY } });
      const now = parts.clock();
      const here = await parts.session.current(ctx);
      if (!here) return goOn(ctx, '/account');
      const { account } = here;
      if (!passkey) {
        await parts.factorChanges.putOff(account, { forGood: answer === 'never' }, now);
        return goBack(ctx, opened, account.epoch);
      }
      // As on the resident's own pages: a session that was left open adds nothing.
      if (now.getTime() / 1000 - here.signedInAt > FRESH) return goBack(ctx, opened, account.epoch);
      const changer = { account, from: whereFrom(parts.visitors.of(ctx)) };
      const added = await parts.factorChanges.addPasskey({ answer: passkey, name: '', ...changer }, now);
      if ('refused' in added) {
        const locals = {
          service: opened.service,
          email: account.email,
          passkey: await parts.factorChanges.passkeyOptions(account),
        };
        return pageOf(ctx).refuse('passkey-offer', locals, [{ field: 'passkey', key: 'account-passkey.refused' }]);
      }
      await parts.session.carryOn(ctx, { accountId: account.id, epoch: added.epoch });
      await goBack(ctx, opened, added.epoch);
    }),
  };
}
