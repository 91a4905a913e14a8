/**
 * Owns what residents change of their own account: password, name, phone number and language. Each change is one transaction
 * with its audit row and its mail. Their address is email-change.ts's.
 */
import type { Config } from '../config.ts';
import type { Mails } from '../mail/mails.ts';
import type { Database } from '../platform/database.ts';
import { oneLine } from '../platform/one-line.ts';
import type { Refusal } from '../platform/refusal.ts';
import { sha256, type Sealer } from '../platform/secrets.ts';
import { accountById, setDetails, setOwnPassword, type Account, type Details } from '../records/accounts.ts';
import { auditRow } from '../records/audit.ts';
import { endLinks, endUndos } from '../records/links.ts';
import { hashPassword, verifyPassword, type Hashing } from '../records/passwords.ts';
import { giveBack } from '../records/throttle.ts';
import { whereFrom, type Allowances, type Visitor, type Whence } from './allowances.ts';
import { mailLink } from './link-mail.ts';
import { lookUp, withinTry, type LookedUp } from './look-up.ts';
import type { NewPasswords, PasswordFault } from './new-password.ts';

export interface AccountChangeParts {
  database: Database;
  sealer: Sealer;
  hashing: Hashing;
  newPasswords: NewPasswords;
  config: Pick<Config, 'links' | 'issuer'>;
  mails: Mails;
  allowances: Allowances;
}

export type PasswordChange =
  (Refusal & { refused: 'wrong_password' | 'too_many_tries' | PasswordFault }) | { epoch?: number };

export function accountChanges(parts: AccountChangeParts) {
  const { database, sealer, hashing, newPasswords, mails, allowances } = parts;
  return {
    /**
     * Changes the password. Raises the account's epoch, which ends every session and grant; the caller carries its own on.
     * @returns the new epoch; none where the other half of a double click came first and set this very password
     */
    async changePassword(
      { account, current, next, visitor }: { account: Account; current: string; next: string; visitor: Visitor },
      now: Date,
    ): Promise<PasswordChange> {
      const { id: accountId, emailKey, email, locale, epoch: before } = account;
      const counted = allowances.password(emailKey, visitor);
      const isRight = async (hash: string | undefined, password: string): Promise<boolean> => {
        const asker = { known: true, whose: accountId };
        const work = () => verifyPassword(hash, password, { sealer, hashing, asker });
        return (await withinTry(database, counted, work)).ok;
      };
      /** What was shown as the current password allows nothing once the account has changed; but it may be this very change. */
      const outrun = async ({ account: present, passwordHash }: LookedUp): Promise<PasswordChange> => {
        const same = present?.id === accountId && present.epoch === before + 1 && (await isRight(passwordHash, next));
        if (!same) return { refused: 'wrong_password' };
        await database.query(giveBack(counted));
        return {};
      };

      const looked = await lookUp(database, { emailKey, counting: counted }, now);
      if (looked.wait > 0) return { refused: 'too_many_tries', retryAfter: looked.wait };
      if (!(await isRight(looked.passwordHash, current)) || looked.account?.id !== accountId) return outrun(looked);
      const fault = await withinTry(database, counted, () => newPasswords.fault(next, account));
      if (fault) {
        await database.query(giveBack(counted));
        return { refused: fault };
      }
      const hash = await withinTry(database, counted, () => hashPassword(next, hashing, accountId));
      const epoch = await database.transaction(async (tx) => {
        const raised = await setOwnPassword(tx, { accountId, epoch: before, hash }, now);
        if (raised === undefined) return undefined;
        await endLinks(tx, accountId, now);
        await endUndos(tx, accountId, now);
        await tx.query(giveBack(counted));
        await tx.query(auditRow({ kind: 'password_changed', accountId, ...whereFrom(visitor) }, now));
        await mails.passwordChanged(tx, { accountId, email, locale }, now);
        return raised;
      });
      return epoch === undefined ? outrun(await lookUp(database, { emailKey, counting: [] }, now)) : { epoch };
    },

    /** Who signs in by passkeys alone sets a first password as everybody does: by a mailed link. */
    askPassword: (
      { account, language, from }: { account: Account; language: string; from: Whence },
      now: Date,
    ): Promise<boolean> => mailLink(parts, { account, origin: { language, place: from.place } }, now),

    /** @returns refused where the account is no longer as the resident was shown it: another tab may have changed it otherwise */
    async changeDetails(
      { account, shown, wanted, from }: { account: Account; shown: string; wanted: Details; from: Whence },
      now: Date,
    ): Promise<(Refusal & { refused: 'changed_meanwhile'; present: Details }) | { saved: true }> {
      const changed = DETAILS.filter((name) => (account[name] ?? '') !== (wanted[name] ?? ''));
      if (changed.length === 0) return { saved: true };
      if (shown !== markOf(account)) return { refused: 'changed_meanwhile', present: account };
      const { id: accountId, email } = account;
      return database.transaction(async (tx) => {
        const change = { accountId, before: account, after: wanted };
        if (!(await setDetails(tx, change, now))) {
          const present = (await accountById(tx, accountId)) ?? account;
          // The other half of a double click.
          if (markOf(present) === markOf(wanted)) return { saved: true };
          return { refused: 'changed_meanwhile', present };
        }
        const personal = changed.some((name) => name !== 'locale');
        const kind = personal ? 'details_changed' : 'language_changed';
        // Which of them, never what they are.
        await tx.query(auditRow({ kind, accountId, ...from, detail: { changed: changed.join(' ') } }, now));
        if (personal) await mails.detailsChanged(tx, { accountId, email, locale: wanted.locale }, now);
        return { saved: true };
      });
    },
  };
}

const DETAILS = ['givenName', 'familyName', 'phoneNumber', 'locale'] as const;

/** What a form showed, in short: by it a form of another tab is told from one that is up to date. */
export const markOf = (details: Details): string =>
  sha256(JSON.stringify(DETAILS.map((name) => details[name] ?? ''))).toString('base64url');

const LONGEST_NAME = 100;

/** A name or nothing; undefined where it is too long. */
export function nameFrom(typed: string): { name: string | undefined } | undefined {
  const name = oneLine(typed);
  return name.length <= LONGEST_NAME ? { name: name || undefined } : undefined;
}

/** A phone number in digits, as people write it in their own country or abroad; or nothing. Undefined where it is none. */
export function phoneFrom(typed: string): { phone: string | undefined } | undefined {
  const phone = oneLine(typed)
    .replace(/[\s().\-\u2010-\u2015]/g, '')
    .replace(/^00/, '+');
  return /^(?:|\+?[0-9]{5,15})$/.test(phone) ? { phone: phone || undefined } : undefined;
}

export type AccountChanges = ReturnType<typeof accountChanges>;
