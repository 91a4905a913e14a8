/**
 * Owns the tables `import_rows` and `import_changes` and the set-based half of `accounts` and `legacy_ids`: what a whole list
 * does to them.
 *
 * A list is staged as it stands, judged there as a whole (who is twice, whose id is another's), and compared with what is
 * known; only what it changes is merged, in batches small enough that a resident who signs in meanwhile does not wait.
 * Every step may be run again.
 */
import { sql, type Queryable, type Session, type Sql } from '../platform/database.ts';
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
  createdAt?: string;
  passwordHash?: string;
  /** The row is left out. */
  problem?: string;
  /** The id is not tied. */
  doubt?: string;
  hashProblem?: string;
  detail?: string;
  /** The resident had the account, or this id, erased. */
  erased?: boolean;
}

export const COPY_ROWS = `copy import_rows (line, legacy_id, email, email_key, given_name, family_name, phone_number, locale,
  created_at, password_hash, problem, doubt, hash_problem, detail, erased) from stdin`;

const SPECIAL = /[\\\n\r\t]/;
const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
function cell(value: string | undefined): string {
  if (!value) return '\t\\N';
  return `\t${SPECIAL.test(value) ? value.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char]!) : value}`;
}

/** A row as a line of COPY's text format. */
export function copyLine(row: StagedRow): string {
  const person = cell(row.legacyId) + cell(row.email) + cell(row.emailKey) + cell(row.givenName) + cell(row.familyName);
  const more = cell(row.phoneNumber) + cell(row.locale) + cell(row.createdAt) + cell(row.passwordHash);
  const verdict = cell(row.problem) + cell(row.doubt) + cell(row.hashProblem) + cell(row.detail);
  return `${row.line}${person}${more}${verdict}\t${row.erased ? 't' : 'f'}\n`;
}

/** An id longer than that is in doubt anyway; so much of it tells support whose it is. */
const LONGEST_ID = 255;
const KEPT_ID = sql`left(r.legacy_id, 255)`;

export async function clearRows(db: Queryable): Promise<void> {
  await db.query(sql`truncate import_rows, import_changes`);
}

/** What only the whole list can tell. */
export async function judgeRows(db: Session, source: string): Promise<void> {
  // Sorts and joins of a million rows; and when the importing process is killed, its statement ends soon. The sizes of the
  // tables are what the plans need, and a small sample tells those.
  await db.script(`
    set work_mem = '64MB'; set client_connection_check_interval = '200ms'; set default_statistics_target = 10;
    analyze import_rows (line, legacy_id, email_key, problem, doubt); analyze accounts (id, email_key); analyze legacy_ids`);
  await db.query(sql`
    update import_rows r set problem = 'duplicate_legacy_id' from (
      select legacy_id, min(line) as first from import_rows where problem is null
      group by legacy_id having count(*) > 1) d
    where r.legacy_id = d.legacy_id and r.line > d.first and r.problem is null`);
  // An id with another address than before: the old tie stays, and the row makes nobody an account. Set-email does this too.
  // An address with another id in this source since an earlier import: whose it is is in doubt.
  await db.query(sql`
    with known as materialized (
      select l.legacy_id, l.doubt, a.email_key from legacy_ids l join accounts a on a.id = l.account_id
      where l.source = ${source}),
    moved as materialized (
      select r.line, r.email_key, k.legacy_id from import_rows r join known k on k.legacy_id = ${KEPT_ID}
      where r.problem is null and k.email_key <> r.email_key and k.doubt is distinct from 'unlinked'),
    judged as (
      select line, 'email_conflict' as problem from moved m where not exists (
        select 1 from known k where k.legacy_id = m.legacy_id and k.email_key = m.email_key)
      union all
      select r.line, null from import_rows r join known k on k.email_key = r.email_key
      where r.problem is null and r.doubt is null and k.legacy_id <> ${KEPT_ID} and k.doubt is distinct from 'unlinked')
    update import_rows r set problem = j.problem, doubt = case when j.problem is null then 'shared_email' else r.doubt end
    from (select line, max(problem) as problem from judged group by line) j where r.line = j.line`);
  await db.query(sql`
    update import_rows r set doubt = 'shared_email', first_line = s.first from (
      select email_key, min(line) as first from import_rows where problem is null
      group by email_key having count(*) > 1) s
    where r.email_key = s.email_key and r.problem is null`);
  await db.query(sql`update import_rows set problem = 'erased' where problem is null and erased`);
  await db.query(sql`
    update import_rows r set name_mismatch = true from accounts a
    where a.email_key = r.email_key and r.problem is null and coalesce(r.doubt, '') <> 'shared_email'
      and (a.given_name <> r.given_name or a.family_name <> r.family_name)
      and (${differ(sql`a.given_name`, sql`r.given_name`)} or ${differ(sql`a.family_name`, sql`r.family_name`)})
      and exists (select 1 from legacy_ids l where l.account_id = a.id and l.source <> ${source})`);
}

function differ(a: Sql, b: Sql): Sql {
  const plain = (name: Sql): Sql => sql`nullif(lower(regexp_replace(normalize(${name}), '\\s', '', 'g')), '')`;
  return sql`coalesce(${plain(a)} <> ${plain(b)}, false)`;
}

/** Compares the judged list with what is known, and notes what it changes. */
export async function findChanges(db: Session, source: string): Promise<void> {
  await db.query(sql`
    insert into import_changes
    select coalesce(r.first_line, r.line), r.line, a.id, a.id is not null and known.account_id is null
    from import_rows r
    left join accounts a on a.email_key = r.email_key
    left join legacy_ids l on l.source = ${source} and l.account_id = a.id and l.legacy_id = ${KEPT_ID}
    left join (select distinct account_id from legacy_ids where source = ${source}) known on known.account_id = a.id
    where r.problem is null and l.account_id is null
    order by 1, 2`);
  await db.script('analyze import_changes');
}

/** What an import comes to: rows of the file, people by what happens to them, rows and old ids by what does not. */
export interface Counts {
  rows: number;
  created: number;
  joined: number;
  unchanged: number;
  /** Rows whose old id is tied to nobody until an admin says whose it is. */
  inDoubt: number;
  /** Old ids that the list no longer has. */
  gone: number;
}

export async function countRows(db: Queryable, source: string): Promise<Counts> {
  // Most people have one row; only those who share an address must be told apart.
  const peopleIn = (among: Sql): Sql =>
    sql`count(*) filter (where ${among} and first_line is null) + count(distinct first_line) filter (where ${among})`;
  const [counts] = await db.query<Counts & { people: number }>(sql`
    with staged as (select count(*) as rows, ${peopleIn(sql`problem is null`)} as people from import_rows),
    changed as (
      select count(distinct nth) filter (where account_id is null) as created,
        count(distinct nth) filter (where joins) as joined
      from import_changes)
    select staged.*, changed.*,
      (select count(*) from import_rows r where problem is null and doubt is not null and not exists (
        select 1 from legacy_ids l join accounts a on a.id = l.account_id
        where l.source = ${source} and l.legacy_id = ${KEPT_ID} and l.doubt is null and a.email_key = r.email_key))
        as "inDoubt",
      (select count(distinct l.legacy_id) from legacy_ids l where l.source = ${source}
        and not exists (select 1 from import_rows r where ${KEPT_ID} = l.legacy_id)) as gone
    from staged, changed`);
  const { people, rows, created, joined, inDoubt, gone } = counts!;
  return { rows, created, joined, unchanged: people - created - joined, inDoubt, gone };
}

/** How many rows change something, and up to where they are numbered. */
export async function extentOfChanges(db: Queryable): Promise<{ rows: number; last: number }> {
  const [extent] = await db.query<{ rows: number; last: number }>(sql`
    select count(*) as rows, coalesce(max(nth), 0) as last from import_changes`);
  return extent!;
}

export interface Batch {
  source: string;
  /** The changes numbered above `after`, up to `upTo`. */
  after: number;
  upTo: number;
}

/**
 * Merges some changes: who joins, who is new, then the ties. Whoever was erased, or took another address, since the list was
 * judged is left as they are. Gives the number of ties written. Where somebody took an address or an id meanwhile it throws
 * a unique violation, and a second try with `yielding` leaves those to the next import: looking first costs a third more.
 */
export async function mergeChanges(
  tx: Queryable,
  { source, after, upTo, joins, yielding = false }: Batch & { joins: boolean; yielding?: boolean },
  now: Date,
): Promise<number> {
  const orYield = yielding ? sql`on conflict do nothing` : sql``;
  const own = (value: Sql): Sql => sql`case when r.doubt is distinct from 'shared_email' then ${value} end`;
  // Of rows that share an address only the address goes on: their names and passwords may be somebody else's.
  const changes = sql`batch as materialized (
      select c.nth, c.line, c.account_id, c.joins, r.email, r.email_key, ${KEPT_ID} as legacy_id, r.doubt,
        ${own(sql`r.given_name`)} as given_name, ${own(sql`r.family_name`)} as family_name,
        ${own(sql`r.phone_number`)} as phone_number, ${own(sql`r.locale`)} as locale, ${own(sql`r.created_at`)} as created_at,
        case when r.doubt is null then r.password_hash end as password_hash
      from import_changes c
      -- row by row: the planner would rather read the whole list again for each batch
      cross join lateral (select * from import_rows where import_rows.line = c.line offset 0) r
      where c.nth > ${after} and c.nth <= ${upTo} order by c.nth, c.line)`;
  // An old password proves only its own list, and one that the resident set without ever using a mailed link only that.
  if (joins) {
    await tx.query(sql`
      with ${changes},
      joining as materialized (
        select distinct on (a.id) a.id, c.given_name, c.family_name, c.phone_number, c.locale
        from batch c join accounts a on a.id = c.account_id and a.email_key = c.email_key where c.joins),
      locked as materialized (
        select id, password_state = 'own' and email_verified as proven from accounts
        where id in (select id from joining) order by id for no key update)
      update accounts a set epoch = a.epoch + 1, updated_at = ${now},
        password_state = case when locked.proven then 'own' else 'none' end,
        password_hash = case when locked.proven then a.password_hash end,
        password_list = null,
        given_name = coalesce(a.given_name, j.given_name), family_name = coalesce(a.family_name, j.family_name),
        phone_number = coalesce(a.phone_number, j.phone_number), locale = coalesce(a.locale, j.locale)
      from joining j join locked on locked.id = j.id where a.id = j.id`);
  }
  // Whoever is made here has no tie yet. Of whoever was there an admin may have settled this id meanwhile.
  const [merged] = await tx.query<{ ties: number }>(sql`
    with ${changes},
    made as (
      insert into accounts (email, email_key, given_name, family_name, phone_number, locale,
        password_state, password_hash, password_list, created_at, updated_at)
      select distinct on (c.nth) c.email, c.email_key, c.given_name, c.family_name, c.phone_number, c.locale,
        case when c.password_hash is null then 'none' else 'list' end, c.password_hash,
        case when c.password_hash is not null then ${source} end, coalesce(c.created_at, ${now}), ${now}
      from batch c where c.account_id is null order by c.nth, c.line
      ${orYield} returning id, email_key),
    ties as (
      select c.nth, c.line, c.legacy_id, c.doubt, made.id from batch c join made on made.email_key = c.email_key
      union all
      select c.nth, c.line, c.legacy_id, c.doubt, a.id
      from batch c join accounts a on a.id = c.account_id and a.email_key = c.email_key
      where not exists (select 1 from legacy_ids l
        where l.account_id = a.id and l.source = ${source} and l.legacy_id = c.legacy_id)),
    tied as (
      insert into legacy_ids (source, legacy_id, account_id, doubt, created_at)
      select ${source}, legacy_id, id, doubt, ${now} from ties order by nth, line ${orYield} returning 1)
    select count(*) as ties from tied`);
  return merged!.ties;
}

/** What was erased so far, for `isErased`: its digests, and the number of the last erasure. */
export interface Erased {
  upTo: number;
  digests: Set<string>;
}

const PAGE = 10_000;

export async function erasedSoFar(db: Queryable): Promise<Erased> {
  const upTo = await lastErasure(db);
  const digests = new Set<string>();
  for (let after = Buffer.alloc(0); ;) {
    const page = await db.query<{ digest: Buffer }>(sql`
      select distinct digest from erasures where digest > ${after} order by digest limit ${PAGE}`);
    if (page.length === 0) return { upTo, digests };
    for (const { digest } of page) digests.add(digest.toString('latin1'));
    after = page.at(-1)!.digest as Buffer<ArrayBuffer>;
  }
}

async function lastErasure(db: Queryable): Promise<number> {
  const [row] = await db.query<{ last: number }>(sql`
    select case when is_called then last_value else 0 end as last from erasures_made`);
  return row!.last;
}

export function isErased(
  { digests }: Erased,
  { source, legacyId, emailKey }: { source: string; legacyId: string; emailKey: string },
  sealer: Sealer,
): boolean {
  if (digests.size === 0) return false;
  return [
    ...erasureDigests.email(sealer, emailKey),
    ...erasureDigests.legacyId(sealer, source, legacyId.slice(0, LONGEST_ID)),
  ].some((digest) => digests.has(digest.toString('latin1')));
}

/** Leaves out of a batch who was erased since the list was judged. The caller holds off further erasures. */
export async function leaveOutNewlyErased(
  tx: Queryable,
  { source, after, upTo, erased }: Batch & { erased: Erased },
  sealer: Sealer,
): Promise<void> {
  if ((await lastErasure(tx)) === erased.upTo) return;
  const now = await erasedSoFar(tx);
  const rows = await tx.query<{ line: number; legacyId: string; emailKey: string }>(sql`
    select line, r.legacy_id as "legacyId", r.email_key as "emailKey" from import_changes join import_rows r using (line)
    where nth > ${after} and nth <= ${upTo}`);
  const lines = rows.filter((row) => isErased(now, { source, ...row }, sealer)).map(({ line }) => line);
  await tx.query(sql`
    delete from import_changes where nth > ${after} and nth <= ${upTo} and line = any(${lines}::int[])`);
}

export interface Complaint {
  line: number;
  legacyId: string | null;
  email: string | null;
  problem: string;
  detail: string | null;
}

/** The report, some lines at a time: a row may have several problems, each is a line of its own. */
export async function* complaints(db: Session): AsyncGenerator<Complaint[]> {
  await db.script(`
    declare complaints no scroll cursor with hold for
    select r.line, r.legacy_id as "legacyId", r.email, p.problem,
      case p.problem when 'invalid_hash' then r.hash_problem when 'malformed_row' then r.detail end as detail
    from import_rows r
    cross join lateral (values (1, r.problem), (2, case when r.problem is null then r.doubt end),
      (3, case when r.problem is null and r.hash_problem is not null then 'invalid_hash' end),
      (4, case when r.problem is null and r.name_mismatch then 'name_mismatch' end)) as p (nth, problem)
    where (r.problem is not null or r.doubt is not null or r.hash_problem is not null or r.name_mismatch)
      and p.problem is not null
    order by r.line, p.nth`);
  for (let page: Complaint[]; (page = await db.query(sql`fetch 1000 from complaints`)).length > 0;) yield page;
  await db.script('close complaints');
}
