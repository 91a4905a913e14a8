/**
 * Owns the table `subjects` and the rule by which an e-service knows a resident: the `sub` that a sector of e-services knows
 * an account by.
 *
 * Written once, when it is first given out; unique both ways within its sector; never derived from a secret. It outlives the
 * account, and it stays when an admin gives the account another one (`retired_at`): so no `sub` is ever given to another
 * account. A pairwise `sub` cannot collide with an old id: it carries a prefix that `isReserved` keeps old ids from taking.
 * The rule reads `legacy_ids` and `accounts` too: it stands here once, for one resident who signs in and for all of them
 * before the day of the switch.
 */
import { NIL_UUID, sql, type Queryable, type Sql } from '../platform/database.ts';
import { randomToken } from '../platform/secrets.ts';

const PAIRWISE_PREFIX = 'tunnus-';

/** E-services that know residents by the ids of one old list share the `sub`, whatever their hosts. */
export function sectorOfList(source: string): string {
  return `legacy:${source}`;
}

export function isReserved(legacyId: string): boolean {
  return legacyId.toLowerCase().startsWith(PAIRWISE_PREFIX);
}

/** What decides by which `sub` an e-service knows residents. */
export interface Relation {
  sector: string;
  subjectType: 'public' | 'pairwise' | 'legacy';
  /** The e-service's old user list. */
  source?: string;
}

/**
 * Where a `sub` comes from. `given`: given out before, and stays; `old_id`: the tie to the old list; `new`: made when it is
 * first given out; `public`: the account's own id. Who is `in_doubt`, or whose old id is already the `sub` of another account
 * (`taken`), does not get in there.
 */
export type Naming = 'public' | 'given' | 'old_id' | 'new' | 'in_doubt' | 'taken';

/**
 * The rule: a query that gives each of `people` (a query with the column `id`) as the e-service knows them, with the columns
 * `id`, `naming`, `sub` (null: made when it is first given out, or kept from getting in), `legacy_id` (the claim) and `doubt`.
 */
export function named({ sector, subjectType, source }: Relation, people: Sql): Sql {
  const from = sql`from (${people}) as people
    left join lateral (
      select l.legacy_id, l.doubt from legacy_ids l
      where l.account_id = people.id and l.source = ${source ?? null} and coalesce(l.doubt, '') <> 'unlinked'
      order by l.doubt nulls first limit 1) as tie on true`;
  const claim = sql`case when tie.doubt is null then tie.legacy_id end as legacy_id, tie.doubt`;
  if (subjectType === 'public') {
    return sql`select people.id, 'public' as naming, people.id::text as sub, ${claim} ${from}`;
  }
  const given = sql`${from} left join subjects given
    on given.sector = ${sector} and given.account_id = people.id and given.retired_at is null`;
  if (subjectType === 'pairwise') {
    return sql`select people.id, case when given.sub is null then 'new' else 'given' end as naming, given.sub, ${claim}
      ${given}`;
  }
  // An old id that imitates the `sub` by which public e-services know another account would pass for that resident where
  // programs share a table of users, or after an e-service has changed its subject_type.
  const taken = sql`(
    exists (select 1 from subjects other
      where other.sector = ${sector} and other.sub = tie.legacy_id and other.account_id <> people.id)
    or exists (select 1 from accounts other where other.id <> people.id and other.id =
      case when tie.legacy_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then tie.legacy_id::uuid end))`;
  return sql`
    select id, naming, case naming when 'given' then given_sub when 'old_id' then legacy_id end as sub, legacy_id, doubt
    from (
      select people.id, given.sub as given_sub, ${claim},
        case when tie.doubt is not null then 'in_doubt' when given.sub is not null then 'given'
          when tie.legacy_id is null then 'new' when ${taken} then 'taken' else 'old_id' end as naming
      ${given}) as judged`;
}

/** How the e-service knows one resident, or would. */
export async function namingOf(db: Queryable, relation: Relation, accountId: string): Promise<Naming> {
  const [row] = await db.query<{ naming: Naming }>(named(relation, sql`select ${accountId}::uuid as id`));
  return row!.naming;
}

export interface NamedResident {
  id: string;
  email: string;
  naming: Naming;
  /** Null: made when it is first given out, or kept from getting in. */
  sub: string | null;
  legacy_id: string | null;
  doubt: string | null;
}

/** A page of all residents as the e-service would know them, in the order of their ids; begin with no `after`. */
export function namedResidents(
  db: Queryable,
  relation: Relation,
  { after = NIL_UUID, limit }: { after?: string; limit: number },
): Promise<NamedResident[]> {
  const people = sql`select id from accounts where id > ${after} order by id limit ${limit}`;
  return db.query(sql`
    select person.*, a.email from (${named(relation, people)}) as person join accounts a on a.id = person.id order by a.id`);
}

/** How many residents there are of each naming, with an old id and in doubt. */
export function namingCounts(
  db: Queryable,
  relation: Relation,
): Promise<{ naming: Naming; residents: number; with_legacy_id: number; in_doubt: number }[]> {
  return db.query(sql`
    select naming, count(*) as residents, count(legacy_id) as with_legacy_id, count(doubt) as in_doubt
    from (${named(relation, sql`select id from accounts`)}) as person group by naming`);
}

/** A statement for composing: gives the account its `sub` in this sector where it has none yet and is kept from none. */
export function firstSubject(relation: Relation, accountId: string, now: Date): Sql {
  const people = sql`select id from accounts where id = ${accountId}`;
  return sql`
    insert into subjects (sector, account_id, sub, created_at)
    select ${relation.sector}, id, coalesce(sub, ${PAIRWISE_PREFIX + randomToken(24)}), ${now}::timestamptz
    from (${named(relation, people)}) as person where naming in ('old_id', 'new')
    on conflict do nothing`;
}

/**
 * The account's `sub` in this sector, given out now where there is none yet; a `sub` given out before stays whatever a list
 * says now. Undefined: the resident is in doubt there, or the old id is somebody else's `sub`.
 */
export async function subjectFor(
  db: Queryable,
  relation: Relation,
  { accountId, now }: { accountId: string; now: Date },
): Promise<string | undefined> {
  const known = await givenSubject(db, { sector: relation.sector, accountId });
  if (known !== undefined) return known;
  await db.query(firstSubject(relation, accountId, now));
  // Read again: another request may have been faster.
  return givenSubject(db, { sector: relation.sector, accountId });
}

/** The `sub` that the account has in this sector now, if it was ever given out; also of one that was erased since. */
export async function givenSubject(
  db: Queryable,
  { sector, accountId }: { sector: string; accountId: string },
): Promise<string | undefined> {
  const [row] = await db.query<{ sub: string }>(sql`
    select sub from subjects where sector = ${sector} and account_id = ${accountId} and retired_at is null`);
  return row?.sub;
}

/** A scalar query for composing: what the account that a column names is known by now, sector to sub, as JSON. */
export function subjectsJson(accountId: Sql): Sql {
  return sql`select jsonb_object_agg(sector, sub) from subjects
    where account_id = ${accountId} and retired_at is null`;
}

/** The account that a `sub` was ever given out for: nobody else may have it. */
export async function ownerOfSubject(
  db: Queryable,
  { sector, sub }: { sector: string; sub: string },
): Promise<string | undefined> {
  const [row] = await db.query<{ id: string }>(sql`
    select account_id as id from subjects where sector = ${sector} and sub = ${sub}`);
  return row?.id;
}

/**
 * On an admin's word: retires the account's `sub` in this sector. `to` is the one that it has from now on, unless another
 * account ever had it, which is the caller's to ask; without `to`, a new one is made when it is next given out.
 */
export async function changeSubject(
  tx: Queryable,
  { sector, accountId, to }: { sector: string; accountId: string; to?: string },
  now: Date,
): Promise<void> {
  await tx.query(sql`
    update subjects set retired_at = ${now} where sector = ${sector} and account_id = ${accountId} and retired_at is null`);
  if (to === undefined) return;
  await tx.query(sql`
    insert into subjects as s (sector, account_id, sub, created_at) values (${sector}, ${accountId}, ${to}, ${now})
    on conflict (sector, sub) do update set retired_at = null where s.account_id = excluded.account_id`);
}

/** What the account is known by now: sector to sub. */
export async function subjectsOf(db: Queryable, accountId: string): Promise<Map<string, string>> {
  const rows = await db.query<{ sector: string; sub: string }>(sql`
    select sector, sub from subjects where account_id = ${accountId} and retired_at is null`);
  return new Map(rows.map((row) => [row.sector, row.sub]));
}
