/**
 * Owns how a resident makes an account of their own (`signIn.registration: open`): the address, a mailed link, and behind it a
 * name where the e-service asks for one, and a password or a passkey.
 *
 * Nothing is made before the address is proved. An address that has an account is answered as `signIn.unknownAddress` says
 * (states.ts). One that was erased may come again: nothing of the old account ties itself to the new one.
 */
import type { Config } from '../config.ts';
import type { Mails } from '../mail/mails.ts';
import type { Database } from '../platform/database.ts';
import { oneLine } from '../platform/one-line.ts';
import type { Refusal } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { accountByKey, makeAccount, type Account } from '../records/accounts.ts';
import { canonicalAddress, displayAddress } from '../records/addresses.ts';
import { auditRow } from '../records/audit.ts';
import { addPasskey, settleFactors } from '../records/factors.ts';
import { isToken } from '../records/links.ts';
import { hashPassword, type Hashing } from '../records/passwords.ts';
import { findRegistration, makeRegistration, spendRegistration, type Registration } from '../records/registrations.ts';
import { take } from '../records/throttle.ts';
import { creationOptions, newPasskey } from '../records/webauthn.ts';
import type { Allowances, Visitor, Whence } from './allowances.ts';
import { mailLink } from './link-mail.ts';
import { lookUp } from './look-up.ts';
import type { NewPasswords, PasswordFault } from './new-password.ts';
import { putOff, putOffErrand } from './put-off.ts';
import { stateOf, type Origin, type RegistrationErrand } from './sign-in.ts';
import { whatHappens, type Page } from './states.ts';

export interface RegistrationParts {
  database: Database;
  sealer: Sealer;
  hashing: Hashing;
  newPasswords: NewPasswords;
  config: Pick<Config, 'signIn' | 'links' | 'issuer' | 'brand' | 'languages'>;
  mails: Mails;
  allowances: Allowances;
  /** The name by which passkeys know an account. */
  userHandle: (accountId: string) => string;
}

export type Opened = { state: 'unknown' } | Registration;

/** `passkey` is the browser's answer; without one, the password is taken. */
export interface NewResident {
  givenName: string;
  familyName: string;
  password: string;
  passkey: string;
}

export type RegistrationFault = 'no_name' | 'wrong_proof' | PasswordFault;

export type Registered = { registered: Registration } | { state: Opened['state'] } | { refused: RegistrationFault[] };

/** Takes the whole transaction back: the link was spent, or the address is somebody's by now. */
const OUTRUN = new Error('outrun');

export function registration(parts: RegistrationParts) {
  const { database, sealer, hashing, newPasswords, config, mails, allowances, userHandle } = parts;
  const setting = config.signIn.unknownAddress;
  const site = config.brand.name[config.languages[0] ?? 'fi'];

  async function opened(token: string, now: Date): Promise<Opened> {
    const found = isToken(token) ? await findRegistration(database, token, now) : undefined;
    return found ?? { state: 'unknown' };
  }

  const challenge = (token: string): string => sealer.digest(token, 'passkey-registration').toString('base64url');

  /** The link, its mail and its audit row, within the allowance of the address; past it no mail goes out. */
  async function mailRegistration({ email, emailKey, origin }: RegistrationErrand, now: Date): Promise<void> {
    const { clientId, clientNames, interactionUid, language, place } = origin;
    const { lifetime } = config.links;
    await database.transaction(async (tx) => {
      if ((await take(tx, allowances.link(emailKey), now)) > 0) return;
      const token = await makeRegistration(
        tx,
        { email, emailKey, locale: language, clientId, interactionUid, lifetime },
        now,
      );
      const link = `${config.issuer}/new-account/${token}`;
      await mails.register(tx, { email, locale: language, link, service: clientNames, lifetime }, now);
      await tx.query(auditRow({ kind: 'registration_requested', clientId, place }, now));
    });
  }

  /** What asking for an account brings about: where the table says so, a mail. */
  async function carryOut(errand: RegistrationErrand, account: Account | undefined, now: Date): Promise<Page> {
    const { emailKey, origin } = errand;
    const row = whatHappens({ at: 'register', setting, account: stateOf(account) });
    if (row.mail === 'register') await mailRegistration(errand, now);
    if (row.mail === 'set_password' && account) await mailLink(parts, { account, origin }, now);
    if (row.mail === 'account_exists' && account) {
      const { id: accountId, email, locale } = account;
      await database.transaction(async (tx) => {
        if ((await take(tx, allowances.link(emailKey), now)) > 0) return;
        await mails.accountExists(tx, { accountId, email, locale: locale ?? origin.language }, now);
      });
    }
    return row.page;
  }

  return {
    /** A new account is asked for. */
    async ask(
      { typed, visitor, origin }: { typed: string; visitor: Visitor; origin: Origin },
      now: Date,
    ): Promise<(Refusal & { refused: 'email_invalid' | 'too_many_tries' }) | { page: Page }> {
      const emailKey = canonicalAddress(typed);
      if (!emailKey) return { refused: 'email_invalid' };
      const counting = [...allowances.probe(visitor), ...allowances.linksFrom(visitor)];
      const { wait, account } = await lookUp(database, { emailKey, counting }, now);
      if (wait > 0) return { refused: 'too_many_tries', retryAfter: wait };
      const errand = { at: 'register', email: displayAddress(typed), emailKey, origin } as const;
      // As at the sign-in: what is done before the answer is the same for every address.
      if (setting === 'tell') return { page: await carryOut(errand, account, now) };
      await putOff(database, { sealer, errand });
      return { page: whatHappens({ at: 'register', setting, account: 'unknown' }).page };
    },

    /** What was put off under `conceal`. */
    async carryOutLater(payload: unknown, now: Date): Promise<void> {
      const errand = putOffErrand(payload, sealer);
      if (errand?.at === 'register') await carryOut(errand, await accountByKey(database, errand.emailKey), now);
    },

    /** GET: says what the link is, and changes nothing. */
    opened,

    /** What a browser is asked for to make a passkey instead of a password. */
    passkeyOptions: (token: string, { accountId, email }: Registration): object =>
      creationOptions({
        issuer: config.issuer,
        challenge: challenge(token),
        site,
        user: { handle: userHandle(accountId), email },
        known: [],
      }),

    /** POST: spends the link and makes the account, or says why not; a refusal leaves the link as it was. */
    async register(
      { token, resident, asksName, from }: { token: string; resident: NewResident; asksName: boolean; from: Whence },
      now: Date,
    ): Promise<Registered> {
      const found = await opened(token, now);
      if (found.state !== 'live') return { state: found.state };
      const { email, emailKey, accountId, locale, clientId } = found;
      const [givenName, familyName] = [oneLine(resident.givenName), oneLine(resident.familyName)];
      const asked = { issuer: config.issuer, challenge: challenge(token) };
      const passkey = resident.passkey ? await newPasskey(resident.passkey, asked) : undefined;
      const refused: RegistrationFault[] = [];
      if (asksName && !givenName && !familyName) refused.push('no_name');
      if (resident.passkey && !passkey) refused.push('wrong_proof');
      const weak = resident.passkey
        ? undefined
        : await newPasswords.fault(resident.password, { email, givenName, familyName });
      if (weak) refused.push(weak);
      if (refused.length > 0) return { refused };
      const passwordHash = passkey ? undefined : await hashPassword(resident.password, hashing, accountId);
      const made = await database
        .transaction(async (tx) => {
          const account = { id: accountId, email, emailKey, givenName, familyName, locale, passwordHash };
          if (!(await spendRegistration(tx, { token, emailKey }, now))) throw OUTRUN;
          if (!(await makeAccount(tx, account, now))) return 'taken';
          if (passkey) {
            if (!(await addPasskey(tx, { ...passkey, accountId, name: '' }, now))) throw OUTRUN;
            await settleFactors(tx, accountId, now);
          }
          const detail = { by: passkey ? 'passkey' : 'password' };
          await tx.query(auditRow({ kind: 'account_registered', accountId, clientId, ...from, detail }, now));
          return 'made';
        })
        .catch((error: unknown) => {
          if (error !== OUTRUN) throw error;
          return 'outrun';
        });
      if (made === 'made') return { registered: found };
      return { state: made === 'taken' ? 'used' : (await opened(token, now)).state };
    },
  };
}

export type RegistrationJourney = ReturnType<typeof registration>;
