/**
 * Owns the table `subjects`: the `sub` that a sector of e-services knows an account by.
 *
 * Written once, when it is first given out; unique both ways within its sector; never derived from a secret; it outlives the
 * account, so that no `sub` is ever given to another. A pairwise `sub` cannot collide with an old id: it carries a prefix
 * that `isReserved` keeps old ids from taking.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { randomToken } from '../platform/secrets.ts';

const PAIRWISE_PREFIX = 'tunnus-';

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

async function givenSubject(
  db: Queryable,
  { sector, accountId }: { sector: string; accountId: string },
): Promise<string | undefined> {
  const [row] = await db.query<{ sub: string }>(sql`
    select sub from subjects where sector = ${sector} and account_id = ${accountId}`);
  return row?.sub;
}

/** A scalar query for composing: what has been given out for the account that a column names, sector to sub, as JSON. */
export function subjectsJson(accountId: Sql): Sql {
  return sql`select jsonb_object_agg(sector, sub) from subjects where account_id = ${accountId}`;
}

/** What has been given out so far: sector to sub. */
export async function subjectsOf(db: Queryable, accountId: string): Promise<Map<string, string>> {
  const rows = await db.query<{ sector: string; sub: string }>(sql`
    select sector, sub from subjects where account_id = ${accountId}`);
  return new Map(rows.map((row) => [row.sector, row.sub]));
}
