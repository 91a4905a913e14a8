/** Setting up an authenticator app: a QR code and the key as text; it counts once a code of it came back. */
import { inAccount, type Visit } from '../account-pages.ts';
import { readForm } from '../form.ts';
import { qrCode } from '../qr-code.ts';
import { goOn, type Screen, type ScreenParts } from '../screen.ts';

export function accountAuthenticatorScreen(parts: ScreenParts): Screen {
  const { factorChanges } = parts;
  /** The same key again where a code was wrong: it may be in the app by now. */
  const localsOf = async ({ account }: Visit, earlier?: string): Promise<object> => {
    const { secret, uri, sealed } = factorChanges.newAuthenticator(account, earlier);
    return { qr: await qrCode(uri), key: secret.replace(/(.{4})(?=.)/g, '$1 '), sealed, email: account.email };
  };
  return {
    path: '/account/authenticator',
    get: inAccount(
      parts,
      async (ctx, visit) => {
        if (visit.account.factors.includes('authenticator')) return goOn(ctx, visit.url('/account/factors'));
        await visit.render('account-authenticator', await localsOf(visit));
      },
      { fresh: true },
    ),
    post: inAccount(
      parts,
      async (ctx, visit) => {
        const { account, amr, from, url, refuse } = visit;
        const { sealed, code } = await readForm(ctx, {
          sealed: { max: 500, required: true },
          code: { max: 100, required: true },
        });
        const added = await factorChanges.addAuthenticator({ account, from, sealed, code }, parts.clock());
        if ('refused' in added) {
          if (added.refused !== 'wrong_proof') return goOn(ctx, url('/account/factors', { changed: 'meanwhile' }));
          return refuse('account-authenticator', await localsOf(visit, sealed), [
            { field: 'code', key: 'account-authenticator.wrong' },
          ]);
        }
        // Password and app were both shown, a moment ago: this session is as good as one that began with both.
        const shown = [...new Set([...amr.filter((name) => name !== 'mfa'), 'otp', 'mfa'])];
        await parts.session.carryOn(ctx, { accountId: account.id, epoch: added.epoch, amr: shown });
        goOn(ctx, url('/account/recovery-codes', { first: 'yes' }));
      },
      { fresh: true },
    ),
  };
}
