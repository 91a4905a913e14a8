/**
 * Owns the table `subjects`: the `sub` that a sector of e-services knows an account by.
 *
 * Written once, when it is first given out; unique both ways within its sector; never derived from a secret. It outlives the
 * account, and it stays when an admin gives the account another one (`retired_at`): so no `sub` is ever given to another
 * account. A pairwise `sub` cannot collide with an old id: it carries a prefix that `isReserved` keeps old ids from taking.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { randomToken } from '../platform/secrets.ts';

const PAIRWISE_PREFIX = 'tunnus-';

/** E-services that know residents by the ids of one old list share the `sub`, whatever their hosts. */
export function sectorOfList(source: string): string {
  return `legacy:${source}`;
}

export function isReserved(legacyId: string): boolean {
  return legacyId.toLowerCase().startsWith(PAIRWISE_PREFIX);
}

/**
 * The account's `sub` in this sector, made when there is none yet.
 * `wanted` is the old id that a `subject_type: legacy` e-service shall see; a `sub` already given out stays all the same.
 * Undefined: the wanted id was given to another account before, so the tie is in doubt.
 */
export async function subjectFor(
  db: Queryable,
  { sector, accountId, wanted }: { sector: string; accountId: string; wanted?: string },
  now: Date,
): Promise<string | undefined> {
  const known = await givenSubject(db, { sector, accountId });
  if (known !== undefined) return known;
  const sub = wanted ?? PAIRWISE_PREFIX + randomToken(24);
  const [row] = await db.query<{ sub: string }>(sql`
    insert into subjects (sector, account_id, sub, created_at)
    values (${sector}, ${accountId}, ${sub}, ${now})
    on conflict do nothing
    returning sub`);
  // Nothing written: another request was faster, or the wanted id is somebody else's.
  return row ? row.sub : givenSubject(db, { sector, accountId });
}

/** The `sub` that the account has in this sector now, if it was ever given out. */
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
