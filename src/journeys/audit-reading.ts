/** Owns what operators ask of the audit: which events there are, and whether they still stand as they were sealed. */
import { beginSnapshot, type Database } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { accountByKey } from '../records/accounts.ts';
import { canonicalAddress } from '../records/addresses.ts';
import { hasSeal, verifySeals, type Verified } from '../records/audit-seals.ts';
import { AUDIT_KINDS, listEvents, type AuditFilter, type ListedEvent } from '../records/audit.ts';

export type { Verified } from '../records/audit-seals.ts';

export interface Wanted extends Omit<AuditFilter, 'accountId'> {
  /** An address, or the id of an account, which outlives it. */
  account?: string;
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The events that fit, oldest first; refused: `unknown_account`, `unknown_kind` (with those that there are). */
export async function readAudit(
  db: Database,
  { account, ...filter }: Wanted,
): Promise<AsyncGenerator<ListedEvent[]> | (Refusal & { known?: readonly string[] })> {
  if (filter.kind !== undefined && !AUDIT_KINDS.some((kind) => kind === filter.kind))
    return { refused: 'unknown_kind', known: AUDIT_KINDS };
  if (account === undefined) return listEvents(db, filter);
  if (ID.test(account)) return listEvents(db, { ...filter, accountId: account });
  const key = canonicalAddress(account);
  const found = key && (await accountByKey(db, key));
  return found ? listEvents(db, { ...filter, accountId: found.id }) : { refused: 'unknown_account' };
}

export type AuditVerdict = Verified & {
  /** Of the seal that was asked for; undefined where none was. */
  inChain?: boolean;
};

/** Checks all of it in one moment's picture, however long that takes. */
export function verifyAudit(db: Database, sealer: Sealer, digest?: string): Promise<AuditVerdict> {
  return db.session(async (session) => {
    await beginSnapshot(session);
    const verified = await verifySeals(session, sealer);
    return { ...verified, ...(digest !== undefined && { inChain: await hasSeal(session, digest) }) };
  });
}
