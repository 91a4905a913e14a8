/** After the password, or where the present session has shown too little: a code, a recovery code, or a passkey. */
import type { Context } from 'koa';
import { acrOf } from '../../oidc/claims.ts';
import { metrics } from '../../platform/telemetry.ts';
import type { Account } from '../../records/accounts.ts';
import { readForm } from '../form.ts';
import { pageOf, type FieldError } from '../page.ts';
import { goOn, LONGEST_PASSKEY, type Screen, type ScreenParts } from '../screen.ts';
import { finishSignIn, firstStepOf, inSignIn, tooMany, type FirstStep, type Opened } from '../sign-in-pages.ts';

type Work = (ctx: Context, opened: Opened, shown: { first: FirstStep; account: Account }) => Promise<void>;

export function secondStepScreen(parts: ScreenParts): Screen {
  /** What was shown before must still stand: a change of the account since then begins the sign-in anew. */
  const afterFirst = (work: Work) =>
    inSignIn(parts, async (ctx, opened) => {
      const first = firstStepOf(opened.underWay, parts.clock());
      const account = first && (await parts.session.account(first.accountId));
      if (!account || account.epoch !== first.epoch || account.lockedAt)
        return goOn(ctx, `/sign-in/${opened.underWay.uid}`);
      await work(ctx, opened, { first, account });
    });

  async function show(
    ctx: Context,
    { underWay: { uid, clientId }, service }: Opened,
    { account, errors }: { account: Account; errors?: FieldError[] },
  ): Promise<void> {
    const { authenticator, codes, passkeys } = await parts.factorProofs.factors(account);
    const page = pageOf(ctx);
    if (!authenticator && passkeys.length === 0) {
      const query = new URLSearchParams({ client_id: clientId, sign_in: uid }).toString();
      return page.render('add-second-step', { service, setUp: `/account/factors?${query}` });
    }
    const passkey = passkeys.length ? parts.factorProofs.asked(uid, passkeys) : undefined;
    const locals = { service, uid, email: account.email, app: authenticator !== undefined, codes: codes > 0, passkey };
    await (errors ? page.refuse('second-step', locals, errors) : page.render('second-step', locals));
  }

  return {
    path: '/sign-in/:uid/second-step',
    get: afterFirst(async (ctx, opened, { first, account }) => {
      // A second step was set up meanwhile, and shown with that.
      if (first.since !== undefined && first.amr.includes('mfa')) {
        const { accountId, epoch, amr, since: ts } = first;
        const login = { accountId, epoch, amr: [...amr], acr: acrOf(amr), ts };
        return parts.gate.finish(ctx, opened.underWay, { login });
      }
      await show(ctx, opened, { account });
    }),
    post: afterFirst(async (ctx, opened, { first, account }) => {
      const { code, passkey: answer } = await readForm(ctx, { code: { max: 100 }, passkey: { max: LONGEST_PASSKEY } });
      const now = parts.clock();
      const { uid, clientId } = opened.underWay;
      const attempt = { after: first, visitor: parts.visitors.of(ctx), clientId };
      const proved = answer
        ? await parts.factorProofs.byPasskey({ answer, uid, ...attempt }, now)
        : await parts.factorProofs.byCode({ code, ...attempt }, now);
      if ('refused' in proved) {
        metrics.signIns.inc({ step: 'second_step', outcome: proved.refused, client: clientId });
        if (proved.refused === 'too_many_tries') return tooMany(ctx, proved.retryAfter, opened.service);
        const error = answer
          ? { field: 'passkey', key: 'passkey.refused' }
          : { field: 'code', key: 'second-step.wrong' };
        return show(ctx, opened, { account, errors: [error] });
      }
      const { page, proof } = proved;
      if (!proof) return goOn(ctx, `/sign-in/${uid}/${page}`);
      // The sign-in is as old as its first step where that was a session's.
      await finishSignIn(ctx, parts, { underWay: opened.underWay, proof, ...proof, ts: first.since, now });
    }),
  };
}
