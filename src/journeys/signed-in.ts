/**
 * Owns what a sign-in that succeeded leaves behind, however it was proved: the time, the audit row, the kind of device, and the
 * mail to the resident where that kind is new. All of it goes out with the write that finishes the sign-in.
 */
import type { Mails } from '../mail/mails.ts';
import type { Sql } from '../platform/database.ts';
import { signedInRow, type Account } from '../records/accounts.ts';
import { auditRow } from '../records/audit.ts';
import { isNewKind, notedKind } from '../records/devices.ts';
import { whereFrom, type Visitor } from './allowances.ts';

export interface SignedIn {
  account: Account;
  visitor: Visitor;
  clientId: string;
  /** RFC 8176, for the audit. */
  amr: string;
  /** The same password in a better hash. */
  rehashed?: { from: string; to: string };
}

/** Statements for composing into one. */
export function signedIn(mails: Mails, { account, visitor, clientId, amr, rehashed }: SignedIn, now: Date): Sql[] {
  const { id: accountId, email, locale } = account;
  const { kind } = visitor;
  return [
    signedInRow({ accountId, rehashed }, now),
    auditRow({ kind: 'signed_in', accountId, clientId, ...whereFrom(visitor), detail: { amr } }, now),
    ...notedKind({ accountId, kind }, now),
    mails.newDevice({ accountId, email, locale, device: kind, when: isNewKind({ accountId, kind }, now) }, now),
  ];
}
