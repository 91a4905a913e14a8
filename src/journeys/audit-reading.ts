/** Owns what operators ask of the audit: which events there are, and whether they still stand as they were sealed. */
import { beginSnapshot, type Database, type Queryable } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { accountByKey } from '../records/accounts.ts';
import { canonicalAddress } from '../records/addresses.ts';
import { hasSeal, verifySeals, type Verified } from '../records/audit-seals.ts';
import { AUDIT_KINDS, listEvents, type AuditFilter, type ListedEvent } from '../records/audit.ts';

export type { ListedEvent } from '../records/audit.ts';

export interface Wanted extends Omit<AuditFilter, 'accountId'> {
  /** An address, or the id of an account, which outlives it. */
  account?: string;
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Gives the events that fit to `onPage`, oldest first; refused: `unknown_account`, `unknown_kind` (with those that there are). */
export async function readAudit(
  db: Database,
  { account, ...filter }: Wanted,
  onPage: (page: ListedEvent[]) => void,
): Promise<(Refusal & { known?: readonly string[] }) | undefined> {
  if (filter.kind !== undefined && !AUDIT_KINDS.some((kind) => kind === filter.kind))
    return { refused: 'unknown_kind', known: AUDIT_KINDS };
  // A session has no limit of time: a year's events take longer than a page may.
  return db.session(async (session) => {
    const accountId = account === undefined ? undefined : await idOf(session, account);
    if (account !== undefined && accountId === undefined) return { refused: 'unknown_account' };
    for await (const page of listEvents(session, { ...filter, accountId })) onPage(page);
    return undefined;
  });
}

async function idOf(db: Queryable, account: string): Promise<string | undefined> {
  if (ID.test(account)) return account;
  const key = canonicalAddress(account);
  return key && (await accountByKey(db, key))?.id;
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
