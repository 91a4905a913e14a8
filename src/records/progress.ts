/**
 * Owns the table `progress`: when each resident first did each step of the move, and how many have.
 *
 * The database writes it by itself, in the transaction of the event (the triggers of sql/0004_move.sql), so that no writer of
 * an event can forget and the figures do not fall when old events are swept. A resident counts once for each step and list,
 * and once in all; one who was erased counts no more.
 */
import { sql, type Queryable, type Session, type Sql } from '../platform/database.ts';

/** The steps in their order: `imported` comes from the lists, `never_seen` is imported and nothing since. */
export const STEPS = [
  'imported', 'link_requested', 'mailed', 'mail_refused', 'link_opened', 'password_set', 'signed_in',
  'support_requested', 'never_seen',
] as const; // prettier-ignore

export type Step = (typeof STEPS)[number];
export type Counts = Record<Step, number>;

/** A row for each resident and list that they stand on, in doubt or not. Only rows in doubt can be several for one. */
const LISTED = sql`
  select source, account_id, created_at as imported_at from legacy_ids where doubt is null
  union all
  select source, account_id, min(created_at) from legacy_ids d where doubt is not null and not exists (
    select 1 from legacy_ids tie where tie.source = d.source and tie.account_id = d.account_id and tie.doubt is null)
  group by source, account_id`;
/** A row for each resident, however many lists they stand on. */
const IN_ALL = sql`
  select null::text as source, account_id, min(created_at) as imported_at from legacy_ids group by account_id`;

/** Residents by step; `source` null: in all, each once. */
export type SourceCounts = { source: string | null } & Counts;

export async function countsBySource(db: Queryable): Promise<SourceCounts[]> {
  return [...(await db.query<SourceCounts>(counted(IN_ALL))), ...(await db.query<SourceCounts>(counted(LISTED)))];
}

function counted(residents: Sql): Sql {
  return sql`
    select listed.source, count(*) as imported, count(p.link_requested_at) as link_requested, count(p.mailed_at) as mailed,
      count(p.mail_refused_at) as mail_refused, count(p.link_opened_at) as link_opened,
      count(p.password_set_at) as password_set, count(p.signed_in_at) as signed_in,
      count(p.support_requested_at) as support_requested, count(*) - count(p.account_id) as never_seen
    from (${residents}) as listed left join progress p on p.account_id = listed.account_id
    group by listed.source order by listed.source`;
}

export interface DayCount {
  source: string | null;
  /** `2026-11-24` in `timeZone`: when residents did the step first; of those never seen, when they were imported. */
  day: string;
  step: Step;
  residents: number;
}

/** The same by day, in the order of source, day and step. Sets the time zone of its session. */
export async function countsByDay(session: Session, timeZone: string): Promise<DayCount[]> {
  await session.query(sql`select set_config('timezone', ${timeZone}, false)`);
  return session.query<DayCount>(BY_DAY);
}

/**
 * Every resident once, along the index by account, with their lists as one text (`asiointi=2026-08-01 kartta?2026-08-05`, '?'
 * in doubt). Who stands on the same lists and did the same on the same days is put together: that leaves few rows to take
 * apart by list and step.
 */
const BY_DAY = sql`
  with people as (
    select account_id,
      string_agg(source || case when doubt is null then '=' else '?' end || created_at::date::text, ' ') as lists
    from legacy_ids group by account_id),
  together as materialized (
    select lists, p.account_id is null as unseen, p.link_requested_at::date as link_requested, p.mailed_at::date as mailed,
      p.mail_refused_at::date as mail_refused, p.link_opened_at::date as link_opened,
      p.password_set_at::date as password_set, p.signed_in_at::date as signed_in,
      p.support_requested_at::date as support_requested, count(*) as residents
    from people left join progress p on p.account_id = people.account_id
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9),
  ties as (
    select lists, split_part(replace(tie, '?', '='), '=', 1) as source, right(tie, 10)::date as day, tie like '%?%' as doubt
    from (select distinct lists from together) as several cross join unnest(string_to_array(lists, ' ')) as tie),
  listed as materialized (
    select lists, source, coalesce(min(day) filter (where not doubt), min(day)) as imported from ties group by lists, source
    union all
    select lists, null, min(day) from ties group by lists)
  select source, done.day::text, done.step, sum(residents)::bigint as residents
  from together join listed using (lists)
  cross join lateral (values ('imported', imported), ('link_requested', link_requested), ('mailed', mailed),
    ('mail_refused', mail_refused), ('link_opened', link_opened), ('password_set', password_set),
    ('signed_in', signed_in), ('support_requested', support_requested),
    ('never_seen', case when unseen then imported end)) as done (step, day)
  where done.day is not null group by source, done.day, done.step order by source nulls first, done.day, done.step`;
