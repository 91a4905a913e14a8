/** Behind the link of a new account: a name where the e-service asks for one, and a password or a passkey. */
import type { Context } from 'koa';
import { whereFrom } from '../../journeys/allowances.ts';
import type { Opened, RegistrationFault } from '../../journeys/registration.ts';
import type { Registration } from '../../records/registrations.ts';
import { readForm } from '../form.ts';
import { pageOf, type FieldError } from '../page.ts';
import {
  goOn,
  LONGEST_PASSKEY,
  orBusy,
  passwordError,
  serviceOf,
  tokenOf,
  type Screen,
  type ScreenParts,
} from '../screen.ts';
import { goToSignIn } from '../sign-in-pages.ts';

const STATUS = { unknown: 404, used: 410, expired: 410 } as const;

export function newAccountScreen(parts: ScreenParts): Screen {
  const { minLength } = parts.config.password;
  const asksName = ({ clientId }: Registration): boolean =>
    parts.client(clientId)?.scope.split(' ').includes('profile') ?? false;

  function localsOf(ctx: Context, opened: Registration): object {
    return {
      email: opened.email,
      minLength,
      asksName: asksName(opened),
      service: serviceOf(parts, opened.clientId, pageOf(ctx).language),
      passkey: parts.registration.passkeyOptions(tokenOf(ctx), opened),
    };
  }

  const errorOf = (fault: RegistrationFault): FieldError => {
    if (fault === 'no_name') return { field: 'givenName', key: 'your-name.missing' };
    if (fault === 'wrong_proof') return { field: 'passkey', key: 'account-passkey.refused' };
    return passwordError('password', fault, minLength);
  };

  const wayOn = (opened: Opened): string =>
    (opened.state !== 'unknown' && goToSignIn(parts, { clientId: opened.clientId, uid: opened.interactionUid })) ||
    '/account';

  async function showPast(ctx: Context, opened: Opened): Promise<void> {
    if (opened.state === 'live') return goOn(ctx, `/new-account/${tokenOf(ctx)}`);
    await pageOf(ctx).render(
      'new-account-past',
      { state: opened.state, signIn: wayOn(opened) },
      { status: STATUS[opened.state] },
    );
  }

  return {
    path: '/new-account/:token',
    get: async (ctx) => {
      const opened = await parts.registration.opened(tokenOf(ctx), parts.clock());
      if (opened.state !== 'live') return showPast(ctx, opened);
      pageOf(ctx).preferLanguage(undefined, opened.locale);
      await pageOf(ctx).render('new-account', localsOf(ctx, opened));
    },
    post: async (ctx) => {
      const resident = await readForm(ctx, {
        givenName: { max: 100 },
        familyName: { max: 100 },
        password: { max: 4096 },
        passkey: { max: LONGEST_PASSKEY },
      });
      const token = tokenOf(ctx);
      const now = parts.clock();
      const opened = await parts.registration.opened(token, now);
      if (opened.state !== 'live') return showPast(ctx, opened);
      const made = await orBusy(
        parts.registration.register(
          { token, resident, asksName: asksName(opened), from: whereFrom(parts.visitors.of(ctx)) },
          now,
        ),
      );
      if ('registered' in made) return goOn(ctx, `/account-made/${token}`);
      if ('state' in made) return showPast(ctx, await parts.registration.opened(token, now));
      pageOf(ctx).preferLanguage(undefined, opened.locale);
      const locals = { ...localsOf(ctx, opened), givenName: resident.givenName, familyName: resident.familyName };
      if ('busy' in made)
        return pageOf(ctx).askLater('new-account', locals, { field: 'password', key: 'busy.again', why: made.busy });
      await pageOf(ctx).refuse('new-account', locals, made.refused.map(errorOf));
    },
  };
}
