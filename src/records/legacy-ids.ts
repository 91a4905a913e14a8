/**
 * Owns the table `legacy_ids`: what each e-service's old list said about who is who there.
 *
 * A tie in doubt is tied to nobody: history must never reach the wrong person, so only an admin's word makes it a tie.
 * 'unlinked' is an admin's word too: the id is not this account's, and the row keeps the next import from tying it again.
 * The set-based half, for whole lists, stands in account-lists.ts.
 */
import { sql, type Queryable } from '../platform/database.ts';
import { isReserved } from './subjects.ts';

export type Doubt = 'shared_email' | 'unusable_legacy_id' | 'mixed_script' | 'unlinked';

export interface Tie {
  source: string;
  id: string;
  doubt?: Doubt;
}

/** An id that can be a `sub`: at most 255 printable ASCII characters (OpenID Connect Core 1.0, 2), and none of our own. */
export function isUsable(legacyId: string): boolean {
  return /^[\x20-\x7e]{1,255}$/.test(legacyId) && !isReserved(legacyId);
}

export async function tiesOfAccount(db: Queryable, accountId: string): Promise<Tie[]> {
  const rows = await db.query<{ source: string; id: string; doubt: Doubt | null }>(sql`
    select source, legacy_id as id, doubt from legacy_ids where account_id = ${accountId} order by source, legacy_id`);
  return rows.map(({ source, id, doubt }) => ({ source, id, doubt: doubt ?? undefined }));
}

/** The lists that the account stands on, in doubt or not. */
export async function sourcesOf(db: Queryable, accountId: string): Promise<string[]> {
  return [...new Set((await tiesOfAccount(db, accountId)).map((tie) => tie.source))];
}

/** Every source that a list was imported under, but for one that ties nobody. */
export async function knownSources(db: Queryable): Promise<string[]> {
  // One step along the index for each source, however many rows it has.
  const rows = await db.query<{ source: string }>(sql`
    with recursive found (source) as (
      select min(source) from legacy_ids where doubt is null
      union all
      select (select min(l.source) from legacy_ids l where l.source > found.source and l.doubt is null) from found
      where found.source is not null)
    select source from found where source is not null`);
  return rows.map((row) => row.source);
}

/** The account's old id at one e-service; a tie outweighs doubts, and an id that an admin took away leaves no doubt. */
export async function legacyId(
  db: Queryable,
  accountId: string,
  source: string,
): Promise<{ id: string } | { doubt: Doubt } | undefined> {
  const [row] = await db.query<{ id: string; doubt: Doubt | null }>(sql`
    select legacy_id as id, doubt from legacy_ids
    where account_id = ${accountId} and source = ${source} and doubt is distinct from 'unlinked'
    order by doubt nulls first limit 1`);
  return row && (row.doubt ? { doubt: row.doubt } : { id: row.id });
}

/** The accounts that have this old id: the one that it is tied to first, then those where that is in doubt. */
export async function accountsOfLegacyId(
  db: Queryable,
  { source, id }: { source: string; id: string },
): Promise<string[]> {
  const rows = await rowsOf(db, { source, id });
  return rows.filter(({ doubt }) => doubt !== 'unlinked').map(({ accountId }) => accountId);
}

/** In two halves, as each has its index: the one tie, then doubts and what an admin took away. */
function rowsOf(
  db: Queryable,
  { source, id }: { source: string; id: string },
): Promise<{ accountId: string; doubt: Doubt | null }[]> {
  const those = sql`select account_id as "accountId", doubt from legacy_ids where source = ${source} and legacy_id = ${id}`;
  return db.query(sql`${those} and doubt is null union all ${those} and doubt is not null`);
}

/** Who has this old id: the account that it is tied to, and whether any list, or an admin, ever named it. */
export async function ownerOfLegacyId(
  db: Queryable,
  { source, id }: { source: string; id: string },
): Promise<{ known: boolean; accountId?: string }> {
  const rows = await rowsOf(db, { source, id });
  return { known: rows.length > 0, accountId: rows.find(({ doubt }) => doubt === null)?.accountId };
}

/**
 * Ties an old id on an admin's word, which settles every doubt about it: it is no other account's, and the account is no
 * other id of that list. 'taken': the id is tied to another account. 'other_id': the account is tied to another id there.
 */
export async function tieLegacyId(
  tx: Queryable,
  { accountId, source, id }: { accountId: string; source: string; id: string },
  now: Date,
): Promise<'tied' | 'taken' | 'other_id'> {
  if (!isUsable(id)) throw new Error('an id that cannot be tied');
  const [other] = await tx.query<{ sameId: boolean }>(sql`
    select legacy_id = ${id} as "sameId" from legacy_ids
    where source = ${source} and doubt is null and (legacy_id = ${id} or account_id = ${accountId})
      and not (legacy_id = ${id} and account_id = ${accountId})
    order by 1 desc limit 1`);
  if (other) return other.sameId ? 'taken' : 'other_id';
  await tx.query(sql`
    update legacy_ids set doubt = 'unlinked'
    where source = ${source} and (legacy_id = ${id} or account_id = ${accountId}) and doubt is not null`);
  await tx.query(sql`
    with settled as (
      update legacy_ids set doubt = null
      where source = ${source} and legacy_id = ${id} and account_id = ${accountId} returning 1)
    insert into legacy_ids (source, legacy_id, account_id, created_at)
    select ${source}, ${id}, ${accountId}, ${now} where not exists (select 1 from settled)`);
  return 'tied';
}

/** Takes an id away from the account, tied or in doubt. False: the account does not have it. */
export async function untieLegacyId(
  tx: Queryable,
  { accountId, source, id }: { accountId: string; source: string; id: string },
): Promise<boolean> {
  const rows = await tx.query(sql`
    update legacy_ids set doubt = 'unlinked'
    where source = ${source} and legacy_id = ${id} and account_id = ${accountId} and doubt is distinct from 'unlinked'
    returning 1`);
  return rows.length === 1;
}
