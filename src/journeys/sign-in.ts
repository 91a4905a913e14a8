/**
 * Owns the rules of signing in: whose address it is, whether the password proves it, when a link is mailed.
 * Knows no HTTP. What happens when stands in states.ts; who may try how often in allowances.ts.
 */
import type { Config } from '../config.ts';
import type { Mails } from '../mail/mails.ts';
import type { Database, Sql } from '../platform/database.ts';
import { Problem, type Refusal } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { accountByKey, rehashedRow, type Account } from '../records/accounts.ts';
import type { AccountRow } from '../records/artifacts.ts';
import { canonicalAddress, displayAddress } from '../records/addresses.ts';
import { auditRow } from '../records/audit.ts';
import { mayComeIn } from '../records/hashing.ts';
import { lastLinkMail, type MailOutcome } from '../records/mail-outcomes.ts';
import { hashPassword, verifyPassword, type Hashing } from '../records/passwords.ts';
import { giveBack, giveBackOwed, neighbourhoodOf, owe, take } from '../records/throttle.ts';
import type { Asker } from '../records/waiting-line.ts';
import { whereFrom, type Allowances, type Visitor } from './allowances.ts';
import type { EvenChecks } from './even-checks.ts';
import { mailLink, type LinkOrigin } from './link-mail.ts';
import { putOff, putOffErrand } from './put-off.ts';
import { lookUp, withinTry } from './look-up.ts';
import { signedIn } from './signed-in.ts';
import { whatHappens, type AccountState, type Page } from './states.ts';

export interface SignInParts {
  database: Database;
  sealer: Sealer;
  hashing: Hashing;
  config: Pick<Config, 'links' | 'issuer'> & { signIn: Pick<Config['signIn'], 'unknownAddress'> };
  mails: Mails;
  allowances: Allowances;
  /** Under `conceal`. */
  evenChecks?: EvenChecks;
}

/** Where a sign-in comes from: goes along with the link that it asks for. */
export type Origin = LinkOrigin & { clientId: string };

/** An address was given, or a link asked for: what is to be done about it. */
export interface Errand {
  at: 'address' | 'ask_link';
  emailKey: string;
  origin: Origin;
}

/** A new account was asked for: registration.ts carries it out. */
export interface RegistrationErrand {
  at: 'register';
  /** As it is to be written. */
  email: string;
  emailKey: string;
  origin: Origin;
}

export interface Proof {
  accountId: string;
  epoch: number;
  emailKey: string;
  /** The account as it was looked up. */
  account: AccountRow;
}

export type Identified = (Refusal & { refused: 'email_invalid' | 'too_many_tries' }) | { page: Page };

export type Tried =
  (Refusal & { refused: 'wrong_password' | 'too_many_tries' }) | { page: Page; proof?: Proof; writes?: Sql[] };

export type LinkTrouble = 'returned' | 'late' | 'undelivered';

const TROUBLES: Partial<Record<MailOutcome, LinkTrouble>> = {
  refused: 'returned',
  bounced: 'returned',
  delayed: 'late',
  given_up: 'undelivered',
};

export function stateOf(account: Account | undefined): AccountState {
  if (!account) return 'unknown';
  if (account.lockedAt) return 'locked';
  if (account.passwordState !== 'none') return 'has_password';
  return account.factors.includes('passkey') ? 'passkey_only' : 'no_password';
}

/**
 * Does a second step come after the password? It does where the resident has an authenticator app, has chosen so, or the
 * request needs one (`mfa`) and there is a way to it. A passkey alone forces nothing: it is another first step.
 */
export function secondStepOf(
  { factors, twoSteps }: Pick<Account, 'factors' | 'twoSteps'>,
  { mfa }: { mfa: boolean },
): 'none' | 'asked' {
  if (factors.includes('authenticator')) return 'asked';
  return factors.includes('passkey') && (twoSteps || mfa) ? 'asked' : 'none';
}

/** In what turn a password is checked while many are. */
const askerOf = ({ device, place }: Visitor, emailKey: string): Asker =>
  device ? { known: true, whose: emailKey } : { known: false, whose: neighbourhoodOf(place) };

function unlessBusy(error: unknown): undefined {
  if (!(error instanceof Problem)) throw error;
}

export function signIn(parts: SignInParts) {
  const { database, sealer, hashing, config, mails, allowances, evenChecks } = parts;
  const setting = config.signIn.unknownAddress;

  /** The one mail that goes to a typed address, in its canonical form, in a fixed text. */
  async function tellStranger(emailKey: string, origin: Origin, now: Date): Promise<void> {
    await database.transaction(async (tx) => {
      if ((await take(tx, allowances.stranger(emailKey), now)) > 0) return;
      await mails.unknownAddress(tx, { email: emailKey, locale: origin.language }, now);
    });
  }

  /** What an address brings about: where the table says so, a mail. */
  async function carryOut({ at, emailKey, origin }: Errand, account: Account | undefined, now: Date): Promise<Page> {
    const row = whatHappens({ at, account: stateOf(account), setting });
    if (row.mail === 'set_password' && account) await mailLink(parts, { account, origin }, now);
    if (row.mail === 'unknown_address') await tellStranger(emailKey, origin, now);
    return row.page;
  }

  /**
   * The page, or the wait of a place that has caused mails enough. Under `conceal` the mail is put off until after the answer,
   * for every address alike: what is done before it tells nothing, neither by its time nor by its faults.
   */
  async function answer(
    errand: Errand,
    { account, visitor }: { account?: Account; visitor: Visitor },
    now: Date,
  ): Promise<{ page: Page } | (Refusal & { refused: 'too_many_tries' })> {
    if (setting === 'conceal') {
      await putOff(database, { sealer, errand });
      return { page: whatHappens({ at: errand.at, account: 'unknown', setting }).page };
    }
    const mails = whatHappens({ at: errand.at, account: stateOf(account), setting }).mail !== undefined;
    const wait = mails ? await take(database, allowances.linksFrom(visitor), now) : 0;
    return wait > 0 ? { refused: 'too_many_tries', retryAfter: wait } : { page: await carryOut(errand, account, now) };
  }

  return {
    /** The address step. `keep` makes the sign-in's row, in the statement that counts the try. */
    async identify(
      {
        typed,
        visitor,
        origin,
        keep,
      }: { typed: string; visitor: Visitor; origin: Origin; keep: (email: string) => Sql },
      now: Date,
    ): Promise<Identified> {
      const emailKey = canonicalAddress(typed);
      if (!emailKey) return { refused: 'email_invalid' };
      const probe = allowances.probe(visitor);
      const key = allowances.owed(emailKey, visitor);
      const also = [keep(displayAddress(typed)), owe(key, now)];
      const { wait, account } = await lookUp(database, { emailKey, counting: probe, also }, now);
      if (wait > 0) return { refused: 'too_many_tries', retryAfter: wait };
      const answered = await answer({ at: 'address', emailKey, origin }, { account, visitor }, now);
      // A known address was no probe: a link gives it back at once, a password later. (Under `conceal` a link gives nothing back.)
      if ('page' in answered && answered.page === 'link-sent')
        await database.query(giveBackOwed({ allowances: probe, key }, now));
      return answered;
    },

    /** 'Forgot your password?' and 'send again'. */
    async askLink(
      { email, visitor, origin }: { email: string; visitor: Visitor; origin: Origin },
      now: Date,
    ): Promise<{ page: Page } | Refusal> {
      const emailKey = canonicalAddress(email);
      if (!emailKey) return { refused: 'email_invalid' };
      const probe = allowances.probe(visitor);
      const { wait, account } = await lookUp(database, { emailKey, counting: probe }, now);
      if (wait > 0) return { refused: 'too_many_tries', retryAfter: wait };
      if (account && setting === 'tell') await database.query(giveBack(probe));
      return answer({ at: 'ask_link', emailKey, origin }, { account, visitor }, now);
    },

    /** What was put off under `conceal`. */
    async carryOutLater(payload: unknown, now: Date): Promise<void> {
      const errand = putOffErrand(payload, sealer);
      if (errand && errand.at !== 'register')
        await carryOut(errand, await accountByKey(database, errand.emailKey), now);
    },

    /**
     * What the page of a mailed link tells of the mails before: `returned`, one came back; `late`, one is still being tried;
     * `undelivered`, one was given up. Nothing where that would tell who has an account.
     */
    async linkTrouble(email: string, now: Date): Promise<LinkTrouble | undefined> {
      const emailKey = canonicalAddress(email);
      if (!emailKey || setting === 'conceal') return undefined;
      const outcome = await lastLinkMail(database, emailKey, now);
      return outcome && TROUBLES[outcome];
    },

    /**
     * The password step. A right password comes back as a proof, with the statements that belong to its success (what was
     * counted is given back, the audit row, the time of sign-in): they go out with the write that finishes the sign-in, or keeps
     * what was shown until the second step.
     * @param mfa the request needs two steps
     */
    async tryPassword(
      {
        email,
        password,
        visitor,
        clientId,
        mfa = false,
      }: { email: string; password: string; visitor: Visitor; clientId: string; mfa?: boolean },
      now: Date,
    ): Promise<Tried> {
      const emailKey = canonicalAddress(email);
      if (!emailKey) return { refused: 'wrong_password' };
      const asker = askerOf(visitor, emailKey);
      mayComeIn(asker);
      const counted = allowances.password(emailKey, visitor);
      // Whatever comes of it is written before it is answered: the audit row of a refusal, or the success.
      const looked = await lookUp(database, { emailKey, counting: counted, followed: true }, now);
      const { wait, account, passwordHash } = looked;
      if (wait > 0) return { refused: 'too_many_tries', retryAfter: wait };

      const verdict = await withinTry(database, counted, () =>
        verifyPassword(passwordHash, password, { sealer, hashing, asker, refused: evenChecks?.fill }),
      );
      const row = whatHappens({
        at: 'password',
        account: stateOf(account),
        proof: verdict.ok ? 'right' : 'wrong',
        second: account && secondStepOf(account, { mfa }),
      });
      if (!account || (row.page !== 'e-service' && row.page !== 'second-step')) {
        await database.query(
          auditRow({ kind: 'sign_in_refused', accountId: account?.id, clientId, ...whereFrom(visitor) }, now),
        );
        return row.page === 'locked' ? { page: 'locked' } : { refused: 'wrong_password' };
      }
      // A failure to upgrade the hash must not fail the sign-in: the old one still verifies.
      const better = verdict.rehash ? await hashPassword(password, hashing, account.id).catch(unlessBusy) : undefined;
      const rehashed = better === undefined ? undefined : { from: passwordHash!, to: better };
      const probe = { allowances: allowances.probe(visitor), key: allowances.owed(emailKey, visitor) };
      const success =
        row.page === 'e-service'
          ? signedIn(mails, { account, visitor, clientId, amr: 'pwd', rehashed }, now)
          : // The second step ends it; what the password gives is here now.
            rehashed
            ? [rehashedRow({ accountId: account.id, rehashed })]
            : [];
      return {
        page: row.page,
        proof: { accountId: account.id, epoch: account.epoch, emailKey, account: looked.row! },
        writes: [giveBack(counted), giveBackOwed(probe, now), ...success],
      };
    },
  };
}

export type SignIn = ReturnType<typeof signIn>;
