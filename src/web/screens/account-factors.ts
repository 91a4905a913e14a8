/** The ways to sign in: passkeys, authenticator app, recovery codes; what there is, and removing it. */
import type { Changed } from '../../journeys/factor-changes.ts';
import { inAccount } from '../account-pages.ts';
import { readForm, readQuery } from '../form.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function accountFactorsScreen(parts: ScreenParts): Screen {
  const { factorChanges } = parts;
  return {
    path: '/account/factors',
    get: inAccount(
      parts,
      async (ctx, { account, render }) => {
        const factors = await factorChanges.factors(account);
        await render('account-factors', {
          hasPassword: account.passwordState !== 'none',
          twoSteps: account.twoSteps || factors.authenticator !== undefined,
          changed: readQuery(ctx, 'changed', 20),
          ...factors,
        });
      },
      { fresh: true },
    ),
    /** Removes one of them, or chooses whether a second step is asked for. */
    post: inAccount(
      parts,
      async (ctx, { account, from, url }) => {
        const { remove, two_steps: twoSteps } = await readForm(ctx, { remove: { max: 50 }, two_steps: { max: 5 } });
        const now = parts.clock();
        const changer = { account, from };
        const act = (): Promise<Changed> => {
          if (remove === 'authenticator') return factorChanges.removeAuthenticator(changer, now);
          if (remove) return factorChanges.removePasskey({ ...changer, id: remove }, now);
          return factorChanges.chooseTwoSteps({ ...changer, twoSteps: twoSteps === 'yes' }, now);
        };
        const changed = await act();
        // What another tab has done first, or is nobody's here: the page shows how it stands.
        if ('refused' in changed) return goOn(ctx, url('/account/factors', { changed: 'meanwhile' }));
        await parts.session.carryOn(ctx, { accountId: account.id, epoch: changed.epoch });
        goOn(ctx, url('/account/factors', { changed: 'yes' }));
      },
      { fresh: true },
    ),
  };
}
