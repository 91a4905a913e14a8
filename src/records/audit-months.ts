/**
 * Owns the months that the table `audit` is made of: making them ahead, and dropping those whose time is over, whole. The
 * work is done by functions of sql/0013_audit_months.sql, since a table's name is no value.
 */
import { sql, type Queryable } from '../platform/database.ts';

const MADE_AHEAD = 3;

/** Held by whoever makes or drops a month, so that two nodes do not at once. */
const LOCK = 7_112_026;

export interface Month {
  /** The name of its table, like `audit_2026_11`. */
  name: string;
  first: Date;
  /** The first moment of the next month. */
  after: Date;
}

/** Until the end of the transaction nobody else makes or drops a month. */
export async function holdMonths(tx: Queryable): Promise<void> {
  await tx.query(sql`select pg_advisory_xact_lock(${LOCK}::bigint)`);
}

/** Under `holdMonths`: makes those that will be needed soon; says how many there were none of yet. */
export async function makeMonths(tx: Queryable, now: Date): Promise<number> {
  const made = await tx.query(sql`
    select 1 from generate_series(0, ${MADE_AHEAD}::int) as ahead
    where make_audit_month(
      (date_trunc('month', ${now}::timestamptz at time zone 'UTC') + ahead * interval '1 month') at time zone 'UTC')`);
  return made.length;
}

/** Oldest first. */
export function months(db: Queryable): Promise<Month[]> {
  return db.query<Month & Record<string, unknown>>(sql`select name, first, after from audit_months()`);
}

/** Under `holdMonths`. */
export async function dropMonth(tx: Queryable, { name }: Month): Promise<void> {
  await tx.query(sql`select drop_audit_month(${name})`);
}
