/**
 * Owns the table `import_rows` and the set-based half of `accounts` and `legacy_ids`: what a whole list does to them.
 *
 * A list is staged as it stands, judged there as a whole (who is twice, whose id is another's) and counted against what is
 * known. What it changes is merged in batches small enough that a resident who signs in meanwhile does not wait; each batch
 * compares again, so that it meets what is known by then. Every step may be run again.
 */
import { sql, type Database, type Queryable, type Session, type Sql } from '../platform/database.ts';
import { rowRestsOnList } from './accounts.ts';
import { erasureDigests } from './erasures.ts';
import { forgottenFactors } from './factors.ts';
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
  /** False: no row before this one has its id or its address. */
  again?: boolean;
}

const COPY_ROWS = `copy import_rows (line, legacy_id, email, email_key, given_name, family_name, phone_number, locale,
  created_at, password_hash, problem, doubt, hash_problem, detail, erased, again) from stdin (freeze, null '')`;

const SPECIAL = /[\\\n\r\t]/;
const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
function cell(value: string | undefined): string {
  if (!value) return '\t';
  return `\t${SPECIAL.test(value) ? value.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char]!) : value}`;
}

/** A row as a line of COPY's text format. */
export function copyLine(row: StagedRow): string {
  const person = cell(row.legacyId) + cell(row.email) + cell(row.emailKey) + cell(row.givenName) + cell(row.familyName);
  const more = cell(row.phoneNumber) + cell(row.locale) + cell(row.createdAt) + cell(row.passwordHash);
  const verdict = cell(row.problem) + cell(row.doubt) + cell(row.hashProblem) + cell(row.detail);
  return `${row.line}${person}${more}${verdict}\t${row.erased ? 't' : 'f'}\t${row.again ? 't' : 'f'}\n`;
}

/** An id longer than that is in doubt anyway; so much of it tells support whose it is. */
const LONGEST_ID = 255;
const KEPT_ID = sql`left(r.legacy_id, 255)`;

/** Stages a whole list, in lines of `copyLine`; whatever was staged before is gone. */
export async function stageRows(database: Database, lines: Iterable<string> | AsyncIterable<string>): Promise<void> {
  await database.transaction(async (tx) => {
    // In one transaction with the rows: so these count at once, and no later reading marks them one by one (`freeze`).
    await clearRows(tx);
    await tx.copyFrom(COPY_ROWS, lines);
  });
}

export async function clearRows(db: Queryable): Promise<void> {
  await db.query(sql`truncate import_rows`);
}

/** The row that comes first of those that share its address; nearly all are alone. */
const NTH = sql`coalesce(r.first_line, r.line)`;

/** What only the whole list can tell. */
export async function judgeRows(db: Session, source: string): Promise<void> {
  // What was written a moment ago needs no disk: a few rows are found along an index, where all would be read otherwise.
  async function amongFew(statement: Sql): Promise<void> {
    await db.script('set random_page_cost = 1.1');
    await db.query(statement);
    await db.script('reset random_page_cost');
  }
  // Sorts and joins of a million rows, of which few come out; and when the importing process is killed, its statement ends
  // soon. The sizes of the tables are what the plans need, and a small sample tells those.
  await db.script(`
    set work_mem = '64MB'; set parallel_tuple_cost = 0;
    set client_connection_check_interval = '200ms'; set default_statistics_target = 10;
    analyze import_rows (line, legacy_id, email_key, problem, doubt, again); analyze accounts (id, email_key); analyze legacy_ids`);
  // Only what came again while the list was read can be there twice; one reading finds all of it.
  await db.script(`
    create temp table alike as
    with candidates as (
      select line, legacy_id, email_key from import_rows
      where problem is null and (legacy_id in (select legacy_id from import_rows where again)
        or email_key in (select email_key from import_rows where again))),
    counted as (
      select *, count(*) over (partition by legacy_id) as ids, count(*) over (partition by email_key) as addresses
      from candidates)
    select line, legacy_id, email_key from counted where ids > 1 or addresses > 1;
    analyze alike`);
  await amongFew(sql`
    update import_rows r set problem = 'duplicate_legacy_id'
    from (select line, min(line) over (partition by legacy_id) as first from alike) d
    where ${NTH} = d.line and d.line > d.first`);
  // An id with another address than before: the old tie stays, and the row makes nobody an account. Set-email does this too.
  // Asked for by `exists`: a placeholder that thousands have for an address would be paired with itself otherwise.
  const stands = sql`l.source = ${source} and l.doubt is distinct from 'unlinked'`;
  await db.query(sql`
    create temp table moved as select r.line, r.email_key, ${KEPT_ID} as legacy_id from import_rows r
    where r.problem is null and exists (
      select 1 from legacy_ids l join accounts a on a.id = l.account_id
      where ${stands} and l.legacy_id = ${KEPT_ID} and a.email_key <> r.email_key)`);
  // An address with another id in this source since an earlier import: whose it is is in doubt.
  await db.query(sql`
    create temp table rivals as select r.line from import_rows r
    where r.problem is null and r.doubt is null and exists (
      select 1 from accounts a join legacy_ids l on l.account_id = a.id
      where ${stands} and a.email_key = r.email_key and l.legacy_id <> ${KEPT_ID})`);
  await db.script('analyze moved; analyze rivals');
  await amongFew(sql`
    update import_rows r set problem = 'email_conflict' from moved
    where ${NTH} = moved.line and not exists (
      select 1 from legacy_ids l join accounts a on a.id = l.account_id
      where l.source = ${source} and l.legacy_id = moved.legacy_id and a.email_key = moved.email_key)`);
  await amongFew(sql`
    update import_rows r set doubt = 'shared_email' from rivals where ${NTH} = rivals.line and r.problem is null`);
  await amongFew(sql`
    update import_rows r set doubt = 'shared_email', first_line = s.first
    from (
      select alike.line, min(alike.line) filter (where not r.erased) over address as first, count(*) over address as rows
      from alike join import_rows r on ${NTH} = alike.line where r.problem is null
      window address as (partition by alike.email_key)) s
    where ${NTH} = s.line and s.rows > 1`);
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

/** What merging needs to know: up to which line, how many rows change something, and whether any address has an account. */
export interface Extent {
  last: number;
  changes: number;
  known: boolean;
}

/**
 * The rows `r`; `a`, the account of the address, where the row is not left out; `tie`, where that account has the row's id
 * already: such a row changes nothing. `each`: row by row along the indexes, since for a batch the planner would rather read
 * all accounts.
 */
const compared = (source: string, each: Sql): Sql => sql`
  import_rows r
  left join lateral (select id from accounts where accounts.email_key = r.email_key ${each}) a on r.problem is null
  left join lateral (
    select true as noted, doubt from legacy_ids
    where source = ${source} and account_id = a.id and legacy_id = ${KEPT_ID} ${each}) tie on true`;

// Both as scalar queries, which go along an index row by row: `exists` may be answered by reading the whole list again.

/** Whether that account stands on other lists only. */
const isJoining = (source: string): Sql => sql`(tie.noted is null and a.id is not null and (
  select true from legacy_ids l where l.account_id = a.id and l.source = ${source} limit 1) is null)`;

/** Whether the id was tied to another account since the list was judged, or that account took another address. */
const isElsewhere = (source: string): Sql => sql`(
  select l.account_id is distinct from a.id from legacy_ids l
  where l.source = ${source} and l.legacy_id = ${KEPT_ID} and l.doubt is null) is true`;

export async function countRows(db: Queryable, source: string): Promise<{ counts: Counts; extent: Extent }> {
  const person = sql`r.problem is null and ${NTH} = r.line`;
  // Who joins is not looked for where nobody can.
  const [found] = await db.query<Counts & Extent & { people: number }>(sql`
    select found.*,
      case when known and changes > 0
        then (select count(*) from ${compared(source, sql``)} where ${person} and ${isJoining(source)}) else 0 end as joined,
      (select count(distinct l.legacy_id) from legacy_ids l where l.source = ${source}
        and not exists (select 1 from import_rows r where ${KEPT_ID} = l.legacy_id)) as gone
    from (
      select count(*) as rows, coalesce(max(r.line), 0) as last, count(a.id) > 0 as known,
        count(*) filter (where ${person}) as people,
        count(*) filter (where ${person} and a.id is null) as created,
        count(*) filter (where r.problem is null and tie.noted is null) as changes,
        count(*) filter (where r.problem is null and r.doubt is not null and (tie.noted is null or tie.doubt is not null))
          as "inDoubt"
      from ${compared(source, sql``)}) found`);
  const { people, rows, created, joined, inDoubt, gone, ...extent } = found!;
  return { counts: { rows, created, joined, unchanged: people - created - joined, inDoubt, gone }, extent };
}

export interface Batch {
  source: string;
  /** The rows numbered above `after`, up to `upTo`; those that share an address are numbered as the first of them. */
  after: number;
  upTo: number;
}

const inBatch = ({ after, upTo }: Batch): Sql => sql`${NTH} > ${after} and ${NTH} <= ${upTo} and r.problem is null`;

/**
 * Merges some rows: who joins, who is new, then the ties. Gives the number of ties written. `known`: some addresses have an
 * account; without it nobody is looked up, which would cost a third more. Where somebody took an address or an id meanwhile
 * it throws a unique violation, and a second try with `yielding` leaves those to the next import.
 */
export async function mergeRows(
  tx: Queryable,
  { joins, known, yielding = false, ...batch }: Batch & { joins: boolean; known: boolean; yielding?: boolean },
  now: Date,
): Promise<number> {
  const { source } = batch;
  const orYield = yielding ? sql`on conflict do nothing` : sql``;
  const own = (value: Sql): Sql => sql`case when r.doubt is distinct from 'shared_email' then ${value} end`;
  // Of rows that share an address only the address goes on: their names and passwords may be somebody else's.
  const fields = sql`r.line, r.email, r.email_key, ${KEPT_ID} as legacy_id, r.doubt,
    ${own(sql`r.given_name`)} as given_name, ${own(sql`r.family_name`)} as family_name,
    ${own(sql`r.phone_number`)} as phone_number, ${own(sql`r.locale`)} as locale, ${own(sql`r.created_at`)} as created_at,
    case when r.doubt is null then r.password_hash end as password_hash`;
  // Ids that are counted on from one of the batch's own (RFC 9562, 6.2), in the order of the addresses: what is written in
  // this order goes through the indexes by id and by address from page to page, where any other jumps about in one of them.
  const changes = sql`
    seed as materialized (select uuid_send(uuid_v7()) as id, (random() * 1e9)::integer as number),
    batch as materialized (
      select ${fields}, encode(overlay(seed.id placing
          int4send(seed.number + (rank() over (order by r.email_key))::integer) from 13), 'hex')::uuid as new_id,
        ${
          known
            ? sql`a.id as account_id, ${isJoining(source)} as joins
                from seed cross join ${compared(source, sql`offset 0`)}
                where ${inBatch(batch)} and tie.noted is null and not (${isElsewhere(source)})`
            : sql`null::uuid as account_id from seed cross join import_rows r where ${inBatch(batch)}`
        })`;
  // An old password proves only its own list, and what was set up with it, before any mailed link was used, only that.
  if (joins) {
    const [passkeys, apps, codes] = forgottenFactors(sql`select id from locked where rests_on_list`);
    await tx.query(sql`
      with ${changes},
      joining as materialized (
        select distinct on (account_id) account_id as id, given_name, family_name, phone_number, locale
        from batch where joins order by account_id, line),
      locked as materialized (
        select joining.*, ${rowRestsOnList} as rests_on_list, a.password_state = 'own' and a.email_verified as proven
        from joining join accounts a on a.id = joining.id order by a.id for no key update of a),
      no_passkeys as (${passkeys}), no_apps as (${apps}), no_codes as (${codes})
      update accounts a set epoch = a.epoch + 1, updated_at = ${now},
        password_state = case when j.proven then 'own' else 'none' end,
        password_hash = case when j.proven then a.password_hash end,
        password_list = null, factors = case when not j.rests_on_list then a.factors end,
        two_steps = a.two_steps and not j.rests_on_list,
        given_name = coalesce(a.given_name, j.given_name), family_name = coalesce(a.family_name, j.family_name),
        phone_number = coalesce(a.phone_number, j.phone_number), locale = coalesce(a.locale, j.locale)
      from locked j where a.id = j.id`);
  }
  const [merged] = await tx.query<{ ties: number }>(sql`
    with ${changes},
    made as (
      insert into accounts (id, email, email_key, given_name, family_name, phone_number, locale,
        password_state, password_hash, password_list, created_at, updated_at)
      select distinct on (email_key) new_id, email, email_key, given_name, family_name, phone_number, locale,
        case when password_hash is null then 'none' else 'list' end, password_hash,
        case when password_hash is not null then ${source} end, coalesce(created_at, ${now}), ${now}
      from batch where account_id is null order by email_key, line
      ${orYield} returning id),
    tied as (
      insert into legacy_ids (source, legacy_id, account_id, doubt, created_at)
      select ${source}, legacy_id, coalesce(account_id, new_id), doubt, ${now}
      from batch ${yielding ? sql`where account_id is not null or new_id in (select id from made)` : sql``}
      ${orYield} returning 1)
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
  { erased, ...batch }: Batch & { erased: Erased },
  sealer: Sealer,
): Promise<void> {
  if ((await lastErasure(tx)) === erased.upTo) return;
  const now = await erasedSoFar(tx);
  const rows = await tx.query<{ line: number; legacyId: string; emailKey: string }>(sql`
    select r.line, r.legacy_id as "legacyId", r.email_key as "emailKey" from import_rows r where ${inBatch(batch)}`);
  const lines = rows.filter((row) => isErased(now, { source: batch.source, ...row }, sealer)).map(({ line }) => line);
  await tx.query(sql`
    update import_rows r set problem = 'erased' where ${inBatch(batch)} and r.line = any(${lines}::int[])`);
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
