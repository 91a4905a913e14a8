/**
 * Owns the table `dormancy_warnings` and what a dormant account is: it came by a list, nobody ever set a password for it or
 * signed in with it, and no list brought it lately.
 *
 * Left alone are locked accounts, which support has its eye on, and whoever asked for a link lately. A sign-in with a list's
 * old password is a sign-in, also where another list has dropped that password since.
 */
import { NIL_UUID, sql, type Queryable, type Sql } from '../platform/database.ts';
import { accountFromRow, type Account } from './accounts.ts';

export interface Dormancy {
  /** No list brought the account since then. */
  listedBefore: Date;
  /** Nobody asked for a link since then. */
  askedBefore: Date;
}

export interface DormantAccount {
  id: string;
  email: string;
  sources: string[];
  /** When the last list brought it. */
  listedAt: Date;
  warnedAt?: Date;
}

/**
 * A condition on `accounts a`. Scalar queries go along an index account by account: for `exists` a page of a thousand may
 * begin with reading all lists.
 */
function isDormant({ listedBefore, askedBefore }: Dormancy): Sql {
  return sql`a.signed_in_at is null and a.password_state <> 'own' and a.locked_at is null
    and (select max(l.created_at) from legacy_ids l where l.account_id = a.id) < ${listedBefore}
    and (select true from links where links.account_id = a.id and links.created_at >= ${askedBefore} limit 1) is null`;
}

/** A page of dormant accounts, in the order of their ids; begin with no `after`. */
export async function dormantAccounts(
  db: Queryable,
  dormancy: Dormancy,
  { after = NIL_UUID, limit }: { after?: string; limit: number },
): Promise<DormantAccount[]> {
  const rows = await db.query<DormantAccount & { warnedAt: Date | null }>(sql`
    select a.id, a.email, lists.sources, lists.at as "listedAt", w.warned_at as "warnedAt"
    from accounts a
    join lateral (select array_agg(distinct l.source) as sources, max(l.created_at) as at
      from legacy_ids l where l.account_id = a.id) lists on true
    left join dormancy_warnings w on w.account_id = a.id
    where a.id > ${after} and ${isDormant(dormancy)} order by a.id limit ${limit}`);
  return rows.map(({ warnedAt, ...row }) => ({ ...row, warnedAt: warnedAt ?? undefined }));
}

/** A warning counts from its date until `staleBefore`, and for the lists that had brought the account by then. */
export interface WarningTimes {
  warnedBefore: Date;
  staleBefore: Date;
}

const freshWarning = (staleBefore: Date): Sql => sql`
  select w.warned_at from dormancy_warnings w where w.account_id = a.id and w.warned_at > ${staleBefore}
    and not exists (select 1 from legacy_ids l where l.account_id = a.id and l.created_at >= w.warned_at)`;

/** Dormant accounts whose residents have not been warned. */
export async function unwarned(
  db: Queryable,
  dormancy: Dormancy,
  { staleBefore, limit }: { staleBefore: Date; limit: number },
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    select a.id from accounts a
    where ${isDormant(dormancy)} and not exists (${freshWarning(staleBefore)}) order by a.id limit ${limit}`);
  return rows.map(({ id }) => id);
}

/** Dormant accounts whose residents were warned long enough ago. */
export async function warned(
  db: Queryable,
  dormancy: Dormancy,
  { warnedBefore, staleBefore, limit }: WarningTimes & { limit: number },
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    select a.id from dormancy_warnings due join accounts a on a.id = due.account_id
    where due.warned_at <= ${warnedBefore} and ${isDormant(dormancy)} and exists (${freshWarning(staleBefore)})
    order by due.warned_at limit ${limit}`);
  return rows.map(({ id }) => id);
}

export async function warningsSince(db: Queryable, since: Date): Promise<number> {
  const [row] = await db.query<{ count: number }>(sql`
    select count(*) from dormancy_warnings where warned_at > ${since}`);
  return row!.count;
}

/** False, with nothing written, where another node has warned them within the last day. */
export async function noteWarning(tx: Queryable, accountId: string, now: Date): Promise<boolean> {
  const rows = await tx.query(sql`
    insert into dormancy_warnings as w (account_id, warned_at) values (${accountId}, ${now})
    on conflict (account_id) do update set warned_at = excluded.warned_at
      where w.warned_at < excluded.warned_at - interval '1 day' returning 1`);
  return rows.length === 1;
}

/** Everybody is warned anew before anything is erased. */
export async function forgetWarnings(tx: Queryable): Promise<void> {
  await tx.query(sql`delete from dormancy_warnings`);
}

/** The account, held until the transaction ends, if it is dormant still: whoever signs in meanwhile comes first. */
export async function holdDormant(tx: Queryable, id: string, dormancy: Dormancy): Promise<Account | undefined> {
  const [row] = await tx.query(sql`select * from accounts a where a.id = ${id} and ${isDormant(dormancy)} for update`);
  return row && accountFromRow(row);
}
