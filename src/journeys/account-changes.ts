/**
 * Owns what residents change of their own account: password and language. Each change is one transaction with its audit row
 * and its mail.
 */
import type { Mails } from '../mail/mails.ts';
import type { Database } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { setLocale, setOwnPassword, type Account } from '../records/accounts.ts';
import { auditRow } from '../records/audit.ts';
import { endLinks } from '../records/links.ts';
import { hashPassword, verifyPassword, type Hashing } from '../records/passwords.ts';
import { giveBack } from '../records/throttle.ts';
import { whereFrom, type Allowances, type Visitor } from './allowances.ts';
import { lookUp, withinTry } from './look-up.ts';
import type { NewPasswords, PasswordFault } from './new-password.ts';

export interface AccountChangeParts {
  database: Database;
  sealer: Sealer;
  hashing: Hashing;
  newPasswords: NewPasswords;
  mails: Mails;
  allowances: Allowances;
}

export type PasswordChange =
  (Refusal & { refused: 'wrong_password' | 'too_many_tries' | PasswordFault }) | { epoch: number };

export function accountChanges({ database, sealer, hashing, newPasswords, mails, allowances }: AccountChangeParts) {
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
        verifyPassword(looked.passwordHash, current, { sealer, hashing }),
      );
      if (!verdict.ok || looked.account?.id !== account.id) return { refused: 'wrong_password' };
      const fault = await withinTry(database, counted, () => newPasswords.fault(next, account));
      if (fault) {
        await database.query(giveBack(counted));
        return { refused: fault };
      }
      const hash = await withinTry(database, counted, () => hashPassword(next, hashing));
      const epoch = await database.transaction(async (tx) => {
        const raised = await setOwnPassword(tx, { accountId: account.id, epoch: account.epoch, hash }, now);
        if (raised === undefined) return undefined;
        await endLinks(tx, account.id, now);
        await tx.query(giveBack(counted));
        await tx.query(auditRow({ kind: 'password_changed', accountId: account.id, ...whereFrom(visitor) }, now));
        await mails.passwordChanged(tx, { accountId: account.id, email: account.email, locale: account.locale }, now);
        return raised;
      });
      // The account changed meanwhile: what was shown as the current password allows nothing any more.
      return epoch === undefined ? { refused: 'wrong_password' } : { epoch };
    },

    async chooseLanguage(account: Account, language: string, now: Date): Promise<void> {
      if (account.locale === language) return;
      await database.transaction(async (tx) => {
        await setLocale(tx, { accountId: account.id, locale: language }, now);
        await tx.query(auditRow({ kind: 'language_changed', accountId: account.id, detail: { language } }, now));
      });
    },
  };
}

export type AccountChanges = ReturnType<typeof accountChanges>;
