/** Owns what residents see and take back of what e-services get: the list, and withdrawing an agreement. */
import type { Database } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import type { Account } from '../records/accounts.ts';
import { endGrantsOf, leftSessions } from '../records/artifacts.ts';
import { auditRow } from '../records/audit.ts';
import { endWithLogouts, type Told } from '../records/logouts.ts';
import { servicesOf, withdrawAgreement, type UsedService } from '../records/services.ts';

export type Withdrawal = (Refusal & { refused: 'no_agreement' }) | { withdrawn: true };

export interface AgreementParts {
  database: Database;
  /** The e-services that have a back channel. */
  told: () => readonly Told[];
}

export function agreements({ database, told }: AgreementParts) {
  return {
    services: (account: Account): Promise<UsedService[]> => servicesOf(database, account.id),

    /**
     * Ends the agreement with all that was issued under it: codes, tokens and grants. The resident is signed out there and
     * nowhere else, and the e-service asks again next time.
     * The row of the agreement goes first: a sign-in that rests on it waits for it, and then does not happen.
     */
    withdraw(
      { account, clientId, place }: { account: Account; clientId: string; place: string },
      now: Date,
    ): Promise<Withdrawal> {
      return database.transaction(async (tx) => {
        const of = { accountId: account.id, clientId };
        if (!(await withdrawAgreement(tx, of))) return { refused: 'no_agreement' };
        await endGrantsOf(tx, of);
        await endWithLogouts(
          tx,
          { ending: leftSessions(of), told: told().filter((service) => service.clientId === clientId) },
          now,
        );
        await tx.query(auditRow({ kind: 'agreement_withdrawn', ...of, place }, now));
        return { withdrawn: true };
      });
    },
  };
}

export type Agreements = ReturnType<typeof agreements>;
