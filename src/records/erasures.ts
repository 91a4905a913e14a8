/**
 * Owns the table `erasures`: what stays of accounts that were erased, as keyed hashes alone, so that no import brings
 * them back, and the lock that keeps it so.
 */
import { sql, type Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Account } from './accounts.ts';

/**
 * Held shared by each batch that an import merges, and alone by whoever changes whose an address or an old id is: who is erased
 * must not come back with a list.
 */
export const MERGE_LOCK = 7_112_025;

/**
 * Until the end of the transaction nobody else changes whose an address or an old id is: of two who do so at once, the
 * second sees what the first did. It waits for the batch that an import is merging, so the caller has written to no account
 * before, or the two would wait for each other.
 */
export async function holdIdentities(tx: Queryable): Promise<void> {
  await tx.query(sql`select pg_advisory_xact_lock(${MERGE_LOCK})`);
}

/** What is kept of what was erased: keyed hashes, one for each secret still in use. */
export const erasureDigests = {
  email: (sealer: Sealer, emailKey: string): Buffer[] => sealer.digests(emailKey, 'erased-email'),
  legacyId: (sealer: Sealer, source: string, legacyId: string): Buffer[] =>
    sealer.digests(`${source}\n${legacyId}`, 'erased-legacy-id'),
  account: (sealer: Sealer, id: string): Buffer[] => sealer.digests(id, 'erased-account'),
};

/** When an address, or an old id, was erased: the digests say which. */
export async function erasedAt(
  db: Queryable,
  kind: 'email' | 'legacy_id',
  digests: readonly Buffer[],
): Promise<Date | undefined> {
  const [row] = await db.query<{ at: Date }>(sql`
    select erased_at as at from erasures where kind = ${kind} and digest = any(${digests}::bytea[])
    order by erased_at desc limit 1`);
  return row?.at;
}

/**
 * Erases the account, under `holdIdentities`. Its address and old ids (which the caller read in `tx`) never come back by an
 * import.
 */
export async function eraseAccount(
  tx: Queryable,
  {
    account,
    legacyIds,
    sealer,
  }: {
    account: Account;
    legacyIds: readonly { source: string; id: string }[];
    sealer: Sealer;
  },
  now: Date,
): Promise<void> {
  await holdIdentities(tx);
  await tx.query(sql`select nextval('erasures_made')`);
  const emails = [sealer.digest(account.emailKey, 'erased-email')];
  const ids = legacyIds.map(({ source, id }) => erasureDigests.legacyId(sealer, source, id)[0]!);
  const own = erasureDigests.account(sealer, account.id)[0]!;
  await tx.query(sql`
    insert into erasures (kind, digest, erased_at)
    select 'account', ${own}::bytea, ${now}::timestamptz
    union
    select 'email', digest, ${now}::timestamptz from unnest(${emails}::bytea[]) as digest
    union
    select 'legacy_id', digest, ${now}::timestamptz from unnest(${ids}::bytea[]) as digest
    on conflict (kind, digest) do update set erased_at = excluded.erased_at`);
  await tx.query(sql`delete from accounts where id = ${account.id}`);
}
