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
import { setDetails, setOwnPassword, type Account, type Details } from '../records/accounts.ts';
import { auditRow } from '../records/audit.ts';
import { endLinks, endUndos } from '../records/links.ts';
import { hashPassword, verifyPassword, type Hashing } from '../records/passwords.ts';
import { giveBack } from '../records/throttle.ts';
import { whereFrom, type Allowances, type Visitor, type Whence } from './allowances.ts';
import { mailLink } from './link-mail.ts';
import { lookUp, withinTry } from './look-up.ts';
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
  (Refusal & { refused: 'wrong_password' | 'too_many_tries' | PasswordFault }) | { epoch: number };

export function accountChanges(parts: AccountChangeParts) {
  const { database, sealer, hashing, newPasswords, mails, allowances } = parts;
  return {
    /**
     * Changes the password. Raises the account's epoch, which ends every session and grant; the caller carries its own on.
     * @returns the new epoch
     */
    async changePassword(
      { account, current, next, visitor }: { account: Account; current: string; next: string; visitor: Visitor },
      now: Date,
    ): Promise<PasswordChange> {
      const counted = allowances.password(account.emailKey, visitor);
      const looked = await lookUp(database, { emailKey: account.emailKey, counting: counted }, now);
      const { wait } = looked;
      if (wait > 0) return { refused: 'too_many_tries', retryAfter: wait };
      const verdict = await withinTry(database, counted, () =>
        verifyPassword(looked.passwordHash, current, { sealer, hashing, asker: { known: true, whose: account.id } }),
      );
      if (!verdict.ok || looked.account?.id !== account.id) return { refused: 'wrong_password' };
      const fault = await withinTry(database, counted, () => newPasswords.fault(next, account));
      if (fault) {
        await database.query(giveBack(counted));
        return { refused: fault };
      }
      const hash = await withinTry(database, counted, () => hashPassword(next, hashing, account.id));
      const epoch = await database.transaction(async (tx) => {
        const raised = await setOwnPassword(tx, { accountId: account.id, epoch: account.epoch, hash }, now);
        if (raised === undefined) return undefined;
        await endLinks(tx, account.id, now);
        await endUndos(tx, account.id, now);
        await tx.query(giveBack(counted));
        await tx.query(auditRow({ kind: 'password_changed', accountId: account.id, ...whereFrom(visitor) }, now));
        await mails.passwordChanged(tx, { accountId: account.id, email: account.email, locale: account.locale }, now);
        return raised;
      });
      // The account changed meanwhile: what was shown as the current password allows nothing any more.
      return epoch === undefined ? { refused: 'wrong_password' } : { epoch };
    },

    /** Who signs in by passkeys alone sets a first password as everybody does: by a mailed link. */
    askPassword: (
      { account, language, from }: { account: Account; language: string; from: Whence },
      now: Date,
    ): Promise<boolean> => mailLink(parts, { account, origin: { language, place: from.place } }, now),

    /** @returns refused where the account is no longer as the resident was shown it: another tab may have changed it */
    async changeDetails(
      { account, shown, wanted, from }: { account: Account; shown: string; wanted: Details; from: Whence },
      now: Date,
    ): Promise<(Refusal & { refused: 'changed_meanwhile' }) | { changed: boolean }> {
      const changed = DETAILS.filter((name) => (account[name] ?? '') !== (wanted[name] ?? ''));
      if (changed.length === 0) return { changed: false };
      if (shown !== markOf(account)) return { refused: 'changed_meanwhile' };
      const { id: accountId, email } = account;
      return database.transaction(async (tx) => {
        const change = { accountId, before: account, after: wanted };
        if (!(await setDetails(tx, change, now))) return { refused: 'changed_meanwhile' };
        const personal = changed.some((name) => name !== 'locale');
        const kind = personal ? 'details_changed' : 'language_changed';
        // Which of them, never what they are.
        await tx.query(auditRow({ kind, accountId, ...from, detail: { changed: changed.join(' ') } }, now));
        if (personal) await mails.detailsChanged(tx, { accountId, email, locale: wanted.locale }, now);
        return { changed: true };
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
