/**
 * Owns the table `import_rows` and the set-based half of `accounts` and `legacy_ids`: what a whole list does to them.
 *
 * A list is staged as it stands, judged there as a whole (who is twice, whose id is another's), and only then merged, in
 * batches small enough that a resident who signs in meanwhile does not wait. Every step may be run again.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { erasureDigests } from './accounts.ts';
import type { Sealer } from '../platform/secrets.ts';

/** One staged row, in the order of the table's columns. */
export interface StagedRow {
  line: number;
  legacyId?: string;
  email?: string;
  emailKey?: string;
  givenName?: string;
  familyName?: string;
  phoneNumber?: string;
  locale?: string;
  createdAt?: Date;
  /** A weak hash is sealed until it is wrapped: it must not rest readable, not even here. */
  passwordHash?: string;
  /** The row is left out. */
  problem?: string;
  /** The id is not tied. */
  doubt?: string;
  hashProblem?: string;
  detail?: string;
}

export const COPY_ROWS = `copy import_rows (line, legacy_id, email, email_key, given_name, family_name, phone_number, locale,
  created_at, password_hash, problem, doubt, hash_problem, detail) from stdin`;

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const cell = (value: string | number | Date | undefined): string =>
  value === undefined || value === ''
    ? '\\N'
    : (value instanceof Date ? value.toISOString() : String(value)).replace(/[\\\n\r\t]/g, (char) => ESCAPES[char]!);

/** A row as a line of COPY's text format. */
export function copyLine(row: StagedRow): string {
  const { line, legacyId, email, emailKey, givenName, familyName, phoneNumber, locale } = row;
  const { createdAt, passwordHash, problem, doubt, hashProblem, detail } = row;
  const person = [line, legacyId, email, emailKey, givenName, familyName, phoneNumber, locale, createdAt, passwordHash];
  return `${[...person, problem, doubt, hashProblem, detail].map(cell).join('\t')}\n`;
}

/** An id longer than that is in doubt anyway; so much of it tells support whose it is. */
const KEPT_ID = sql`left(r.legacy_id, 255)`;

export async function clearRows(db: Queryable): Promise<void> {
  await db.query(sql`truncate import_rows`);
}

/** What only the whole list can tell. */
export async function judgeRows(db: Queryable, source: string): Promise<void> {
  await db.query(sql`analyze import_rows`);
  await db.query(sql`
    update import_rows set problem = 'duplicate_legacy_id' from (
      select line as at, row_number() over (partition by legacy_id order by line) as nth from import_rows
      where problem is null) as counted
    where line = counted.at and counted.nth > 1`);
  // An id with another address than before: the old tie stays, and the row makes nobody an account. Set-email does this too.
  await db.query(sql`
    update import_rows r set problem = 'email_conflict'
    where r.problem is null and r.doubt is null
      and exists (select 1 from legacy_ids l join accounts a on a.id = l.account_id
        where l.source = ${source} and l.legacy_id = r.legacy_id and a.email_key <> r.email_key)
      and not exists (select 1 from legacy_ids l join accounts a on a.id = l.account_id
        where l.source = ${source} and l.legacy_id = r.legacy_id and a.email_key = r.email_key)`);
  await db.query(sql`
    update import_rows set doubt = 'shared_email'
    where problem is null and email_key in (
      select email_key from import_rows where problem is null group by email_key having count(*) > 1)`);
  // The address has another id in this source since an earlier import.
  await db.query(sql`
    update import_rows r set doubt = 'shared_email'
    where r.problem is null and r.doubt is null and exists (
      select 1 from accounts a join legacy_ids l on l.account_id = a.id and l.source = ${source}
      where a.email_key = r.email_key and l.legacy_id <> r.legacy_id and l.doubt is distinct from 'unlinked')`);
  await db.query(sql`
    update import_rows r set name_mismatch = true from accounts a
    where a.email_key = r.email_key and r.problem is null and r.doubt is distinct from 'shared_email'
      and (${differ(sql`a.given_name`, sql`r.given_name`)} or ${differ(sql`a.family_name`, sql`r.family_name`)})
      and exists (select 1 from legacy_ids l where l.account_id = a.id and l.source <> ${source})`);
}

function differ(a: Sql, b: Sql): Sql {
  const plain = (name: Sql): Sql => sql`nullif(lower(regexp_replace(normalize(${name}), '\\s', '', 'g')), '')`;
  return sql`coalesce(${plain(a)} <> ${plain(b)}, false)`;
}

const PAGE = 5_000;

/** Leaves out whoever had the account, or this old id, erased. */
export async function leaveOutErased(db: Queryable, source: string, sealer: Sealer): Promise<void> {
  const [any] = await db.query(sql`select 1 from erasures limit 1`);
  if (!any) return;
  for (let after = 0; ;) {
    const rows = await db.query<{ line: number; id: string; key: string }>(sql`
      select line, ${KEPT_ID} as id, email_key as key from import_rows r
      where line > ${after} and problem is null order by line limit ${PAGE}`);
    if (rows.length === 0) return;
    after = rows.at(-1)!.line;
    const digests = rows.flatMap(({ line, id, key }) => [
      ...erasureDigests.email(sealer, key).map((digest) => ({ line, kind: 'email', digest })),
      ...erasureDigests.legacyId(sealer, source, id).map((digest) => ({ line, kind: 'legacy_id', digest })),
    ]);
    await db.query(sql`
      update import_rows set problem = 'erased' where line in (
        select d.line from unnest(${digests.map((d) => d.line)}::int[], ${digests.map((d) => d.kind)}::text[],
          ${digests.map((d) => d.digest)}::bytea[]) as d (line, kind, digest)
        join erasures e on e.kind = d.kind and e.digest = d.digest)`);
  }
}

/** Rows that will make an account, with a hash that must be wrapped first. */
export function rowsToWrap(db: Queryable, after: number): Promise<{ line: number; hash: string }[]> {
  return db.query(sql`
    select line, substr(password_hash, 8) as hash from import_rows r
    where line > ${after} and problem is null and doubt is null and password_hash like 'sealed:%'
      and not exists (select 1 from accounts a where a.email_key = r.email_key)
    order by line limit 200`);
}

export async function keepWrapped(db: Queryable, wrapped: readonly { line: number; hash: string }[]): Promise<void> {
  await db.query(sql`
    update import_rows set password_hash = w.hash
    from unnest(${wrapped.map((w) => w.line)}::int[], ${wrapped.map((w) => w.hash)}::text[]) as w (line, hash)
    where import_rows.line = w.line`);
}

export interface Counts {
  rows: number;
  created: number;
  joined: number;
  unchanged: number;
  gone: number;
}

export async function countRows(db: Queryable, source: string): Promise<Counts> {
  const [counts] = await db.query<Counts>(sql`
    with people as (
      select a.id, exists (select 1 from legacy_ids l where l.account_id = a.id and l.source = ${source}) as known
      from (select distinct email_key from import_rows where problem is null) r
      left join accounts a on a.email_key = r.email_key)
    select (select count(*) from import_rows) as rows,
      (select count(*) from people where id is null) as created,
      (select count(*) from people where id is not null and not known) as joined,
      (select count(*) from people where known) as unchanged,
      (select count(distinct l.legacy_id) from legacy_ids l where l.source = ${source}
        and not exists (select 1 from import_rows r where ${KEPT_ID} = l.legacy_id)) as gone`);
  return counts!;
}

export async function lastLine(db: Queryable): Promise<number> {
  const [last] = await db.query<{ line: number | null }>(sql`select max(line) as line from import_rows`);
  return last?.line ?? 0;
}

/** Merges the rows of some lines: accounts first, then who joins, then the ties. */
export async function mergeRows(
  tx: Queryable,
  { source, from, to }: { source: string; from: number; to: number },
  now: Date,
): Promise<void> {
  const batch = sql`(select * from import_rows where line >= ${from} and line < ${to} and problem is null) as r`;
  // An old password proves only its own list: it goes with this account alone. A row in doubt brings none.
  const password = sql`r.doubt is null and r.password_hash is not null and r.password_hash not like 'sealed:%'`;
  await tx.query(sql`
    with joining as materialized (
      select a.id, r.given_name, r.family_name, r.phone_number, r.locale
      from ${batch} join accounts a on a.email_key = r.email_key
      where not exists (select 1 from legacy_ids l where l.account_id = a.id and l.source = ${source})
      order by a.id for update of a)
    update accounts a set epoch = a.epoch + 1, updated_at = ${now},
      password_state = case when a.password_state = 'list' then 'none' else a.password_state end,
      password_hash = case when a.password_state = 'list' then null else a.password_hash end,
      password_list = null,
      given_name = coalesce(a.given_name, j.given_name), family_name = coalesce(a.family_name, j.family_name),
      phone_number = coalesce(a.phone_number, j.phone_number), locale = coalesce(a.locale, j.locale)
    from joining j where a.id = j.id`);
  await tx.query(sql`
    insert into accounts (email, email_key, given_name, family_name, phone_number, locale,
      password_state, password_hash, password_list, created_at, updated_at)
    select distinct on (r.email_key) r.email, r.email_key, r.given_name, r.family_name, r.phone_number, r.locale,
      case when ${password} then 'list' else 'none' end, case when ${password} then r.password_hash end,
      case when ${password} then ${source} end, coalesce(r.created_at, ${now}), ${now}
    from ${batch} where not exists (select 1 from accounts a where a.email_key = r.email_key)
    order by r.email_key, r.line on conflict (email_key) do nothing`);
  await tx.query(sql`
    insert into legacy_ids (source, legacy_id, account_id, doubt, created_at)
    select ${source}, ${KEPT_ID}, a.id, r.doubt, ${now}
    from ${batch} join accounts a on a.email_key = r.email_key
    where not exists (select 1 from legacy_ids l
      where l.source = ${source} and l.account_id = a.id and l.legacy_id = ${KEPT_ID})
    order by r.line on conflict do nothing`);
}

export interface Complaint {
  line: number;
  legacyId: string | null;
  email: string | null;
  problem: string;
  detail: string | null;
}

/** The report, a page at a time: a row may have several problems, each is a line of its own. */
export function complaints(db: Queryable, after: number): Promise<Complaint[]> {
  return db.query(sql`
    select r.line, r.legacy_id as "legacyId", r.email, p.problem,
      case p.problem when 'invalid_hash' then r.hash_problem when 'malformed_row' then r.detail end as detail
    from (select * from import_rows
      where line > ${after} and (problem is not null or doubt is not null or hash_problem is not null or name_mismatch)
      order by line limit 1000) as r
    cross join lateral (values (1, r.problem), (2, case when r.problem is null then r.doubt end),
      (3, case when r.problem is null and r.hash_problem is not null then 'invalid_hash' end),
      (4, case when r.problem is null and r.name_mismatch then 'name_mismatch' end)) as p (nth, problem)
    where p.problem is not null order by r.line, p.nth`);
}
