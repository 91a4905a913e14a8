/**
 * Owns the table `throttle`: failures by key, shared by all nodes, draining with time.
 *
 * Each key is a bucket that holds an hour's worth of tries. A try fills it by 1/limit, an hour empties it. A full bucket
 * refuses and says when the next try fits; it never locks for good. Tries are counted before anything is looked up and
 * given back when they succeed, so that only failures stay. Keys are digests: no address stands readable here.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';

const HOUR = 3_600_000;
/** Sums of 1/limit are not exact in binary. */
const FULL = 1.000_001;

export interface Allowance {
  /** Names what is counted, e.g. `password:address:<digest>`. */
  key: string;
  /** How many tries an hour's bucket holds. */
  limit: number;
}

export interface Counted {
  key: string;
  points: number;
}

/** A statement that counts one try against each allowance and returns `Counted` rows; to run alone or as a CTE. */
export function countTry(allowances: readonly Allowance[], now: Date): Sql {
  // Sorted, so that two statements that share keys lock them in one order.
  const sorted = [...allowances].sort((a, b) => (a.key < b.key ? -1 : 1));
  return sql`
    insert into throttle as t (key, points, updated_at, expires_at)
    select key, 1 / bucket, ${now}::timestamptz, ${new Date(now.getTime() + HOUR)}::timestamptz
    from unnest(${sorted.map((a) => a.key)}::text[], ${sorted.map((a) => a.limit)}::float8[]) as wanted (key, bucket)
    on conflict (key) do update set
      points = least(
        1 + excluded.points,
        greatest(0, t.points - greatest(0, extract(epoch from excluded.updated_at - t.updated_at)) / 3600) + excluded.points),
      updated_at = greatest(t.updated_at, excluded.updated_at),
      expires_at = greatest(t.expires_at, excluded.expires_at)
    returning key, points`;
}

/** Seconds until a try fits again; 0 when all of what was counted fits. */
export function waitAfter(counted: readonly Counted[]): number {
  const fullest = Math.max(0, ...counted.map((row) => row.points));
  return fullest <= FULL ? 0 : Math.max(1, Math.ceil((fullest - 1) * 3600));
}

/** Counts one try and says how many seconds to wait (0: go on). */
export async function take(db: Queryable, allowances: readonly Allowance[], now: Date): Promise<number> {
  return waitAfter(await db.query<Counted>(countTry(allowances, now)));
}

/** A statement that gives back what one successful try counted. */
export function giveBack(allowances: readonly Allowance[]): Sql {
  const sorted = [...allowances].sort((a, b) => (a.key < b.key ? -1 : 1));
  return sql`
    update throttle set points = greatest(0, throttle.points - 1 / wanted.bucket)
    from unnest(${sorted.map((a) => a.key)}::text[], ${sorted.map((a) => a.limit)}::float8[]) as wanted (key, bucket)
    where throttle.key = wanted.key`;
}

/** Removes at most `batch` buckets that have run empty; returns how many. */
export async function sweepThrottle(db: Queryable, now: Date, batch = 1000): Promise<number> {
  const rows = await db.query(sql`
    delete from throttle where key in (select key from throttle where expires_at < ${now} limit ${batch}) returning 1`);
  return rows.length;
}
