/** A new passkey for the resident's own account. */
import { oneLine } from '../../platform/one-line.ts';
import { inAccount, type Visit } from '../account-pages.ts';
import { readForm } from '../form.ts';
import { goOn, LONGEST_PASSKEY, type Screen, type ScreenParts } from '../screen.ts';

export function accountPasskeyScreen(parts: ScreenParts): Screen {
  const { factorChanges } = parts;
  const localsOf = async ({ account }: Visit): Promise<object> => ({
    passkey: await factorChanges.passkeyOptions(account),
  });
  const own = { fresh: true, keeps: ['name'] };
  return {
    path: '/account/passkey',
    get: inAccount(
      parts,
      async (_ctx, visit) => visit.render('account-passkey', { ...(await localsOf(visit)), name: visit.typed['name'] }),
      own,
    ),
    post: inAccount(
      parts,
      async (ctx, visit) => {
        const { account, from, url, refuse } = visit;
        const { passkey: answer, name } = await readForm(ctx, {
          passkey: { max: LONGEST_PASSKEY, required: true },
          name: { max: 200 },
        });
        const called = [...oneLine(name)].slice(0, LONGEST_NAME).join('');
        const added = await factorChanges.addPasskey({ account, from, answer, name: called }, parts.clock());
        if ('refused' in added) {
          if (added.refused === 'changed_meanwhile')
            return goOn(ctx, url('/account/factors', { changed: 'meanwhile' }));
          return refuse('account-passkey', { ...(await localsOf(visit)), name }, [
            { field: 'passkey', key: REFUSALS[added.refused] },
          ]);
        }
        await parts.session.carryOn(ctx, { accountId: account.id, epoch: added.epoch });
        goOn(ctx, url('/account/factors', { changed: 'passkey' }));
      },
      own,
    ),
  };
}

const REFUSALS = {
  wrong_proof: 'account-passkey.refused',
  nothing_there: 'account-passkey.refused',
  taken: 'account-passkey.taken',
  too_many: 'account-passkey.most',
} as const;

const LONGEST_NAME = 60;
