/**
 * Owns the table `throttle`: failures by key, shared by all nodes, draining with time.
 *
 * Each key is a bucket. Three quarters of its limit fit at once, the last quarter drains within its period (an hour): so no
 * more than the limit passes within any such period, however the tries are spread. A try that does not fit is refused, fills
 * nothing and hears when it fits; nothing locks for good. Tries are counted before anything is looked up and given back when
 * they succeed, so that only failures stay. Keys are digests: no address stands readable here.
 *
 * Where the delays grow, the last third of the bucket asks for pauses that double with each failure, up to the pace at which
 * it drains: who mistypes often waits a minute, who guesses waits long.
 */
import { isIPv6 } from 'node:net';
import { sql, type Queryable, type Sql } from '../platform/database.ts';

/** Sums of fractions are not exact in binary. */
const FULL = 1.000_001;

export interface Allowance {
  /** Names what is counted, e.g. `password:address:<digest>`. */
  key: string;
  /** How many tries pass within any period at most; 2 or more, for something must fit and something must drain. */
  limit: number;
  /** The period. Default: one hour. */
  hours?: number;
  /** Whether a failure in the last third of the bucket asks for a pause, twice as long each time. */
  growing?: boolean;
}

/** What counts as one place: an IPv4 address, or the /64 of an IPv6 one, since who has one address of a /64 has them all. */
export function networkOf(ip: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  if (mapped) return mapped;
  if (!isIPv6(ip)) return ip;
  const [head = '', tail] = ip.split('%')[0]!.split('::');
  const left = head ? head.split(':') : [];
  const right = tail ? tail.split(':') : [];
  const groups =
    tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

/** An address without what tells one household from another: an IPv4 /24, an IPv6 /48. */
export function neighbourhoodOf(ip: string): string {
  const network = networkOf(ip);
  return network.endsWith('::/64')
    ? `${network.split(':').slice(0, 3).join(':')}::/48`
    : network.replace(/\.\d+$/, '.x');
}

/** The share of a bucket up to which tries with growing delays follow one another freely. */
const FREE = 2 / 3;

/** The share of its bucket that a try fills, and the seconds in which a full bucket runs empty. */
function bucketOf({ limit, hours = 1 }: Allowance): { cost: number; lasts: number } {
  const size = Math.min(limit - 1, Math.ceil((limit * 3) / 4));
  return { cost: 1 / size, lasts: (hours * 3600 * size) / (limit - size) };
}

/** As rows (key, cost, lasts), sorted, so that two statements that share keys lock them in one order. */
function buckets(allowances: readonly Allowance[]): Sql {
  const sorted = [...allowances].sort((a, b) => (a.key < b.key ? -1 : 1));
  const shapes = sorted.map(bucketOf);
  return sql`unnest(${sorted.map((a) => a.key)}::text[], ${shapes.map((s) => s.cost)}::float8[],
    ${shapes.map((s) => s.lasts)}::float8[], ${sorted.map((a) => a.growing ?? false)}::bool[]) as wanted (key, cost, lasts, growing)`;
}

/** Seconds that must lie between the last try and the next: half of what one takes to drain when one more fits, and so on down. */
const pause = ({ points, cost, lasts }: Record<'points' | 'cost' | 'lasts', Sql>): Sql => sql`
  (case when ${points} < ${FREE - 1e-6}::float8 then 0 else ${lasts} * ${cost} * power(2, (${points} - 1) / ${cost}) end)`;

/** A statement that counts one try against each allowance and returns the `key`s it fits in; to run alone or as a CTE. */
export function countTry(allowances: readonly Allowance[], now: Date): Sql {
  // What was inserted in vain has the try's cost as its points, and ends when a full bucket would have run empty.
  const lasts = sql`extract(epoch from excluded.expires_at - excluded.updated_at)::float8`;
  const since = sql`greatest(0, extract(epoch from excluded.updated_at - t.updated_at))::float8`;
  const level = sql`greatest(0, t.points - ${since} / ${lasts})`;
  const growing = allowances.filter((allowance) => allowance.growing).map(({ key }) => key);
  const rested = growing.length
    ? sql`and (excluded.key <> all(${growing}::text[])
        or ${since} >= ${pause({ points: sql`t.points`, cost: sql`excluded.points`, lasts })} - 0.001)`
    : sql``;
  return sql`
    insert into throttle as t (key, points, updated_at, expires_at)
    select key, cost, ${now}::timestamptz, ${now}::timestamptz + lasts * interval '1 second' from ${buckets(allowances)}
    on conflict (key) do update set
      points = ${level} + excluded.points,
      updated_at = greatest(t.updated_at, excluded.updated_at),
      expires_at = greatest(t.expires_at, excluded.expires_at)
    where ${level} + excluded.points <= ${FULL}::float8 ${rested}
    returning key`;
}

/**
 * Seconds until a try fits; 0 when it fitted everywhere. One that did not is taken out again where it did, so that waiting
 * as told is enough and trying on costs nothing.
 */
export async function waitAfter(
  db: Queryable,
  { wanted, fitted }: { wanted: readonly Allowance[]; fitted: readonly { key: string }[] },
  now: Date,
): Promise<number> {
  if (fitted.length === wanted.length) return 0;
  const within = new Set(fitted.map(({ key }) => key));
  const inVain = wanted.filter(({ key }) => within.has(key));
  if (inVain.length) await db.query(giveBack(inVain));
  const shape = { points: sql`t.points`, cost: sql`wanted.cost`, lasts: sql`wanted.lasts` };
  const [longest] = await db.query<{ seconds: number | null }>(sql`
    select max(greatest((t.points + wanted.cost - 1) * wanted.lasts, case when wanted.growing then ${pause(shape)} end)
      - extract(epoch from ${now}::timestamptz - t.updated_at))::float8 as seconds
    from throttle t join ${buckets(wanted)} on wanted.key = t.key`);
  // Less a moment for what is not exact.
  return Math.max(1, Math.ceil((longest?.seconds ?? 0) - 0.001));
}

/** Counts one try and says how many seconds to wait (0: go on). */
export async function take(db: Queryable, allowances: readonly Allowance[], now: Date): Promise<number> {
  const fitted = await db.query<{ key: string }>(countTry(allowances, now));
  return waitAfter(db, { wanted: allowances, fitted }, now);
}

export interface Level {
  /** How many tries are counted now, as far as they have not drained. */
  tries: number;
  limit: number;
  /** When a try fits again; left out where one fits now. */
  fitsAt?: Date;
  /** When nothing is counted any more. */
  emptyAt: Date;
}

/** What is counted now, changing nothing; undefined where nothing is. */
export async function levelOf(db: Queryable, allowance: Allowance, now: Date): Promise<Level | undefined> {
  const [row] = await db.query<{ points: number; at: Date }>(sql`
    select points, updated_at as at from throttle where key = ${allowance.key}`);
  const { cost, lasts } = bucketOf(allowance);
  const level = row ? row.points - Math.max(0, now.getTime() - row.at.getTime()) / 1000 / lasts : 0;
  if (level <= 0) return undefined;
  const after = (share: number): Date => new Date(now.getTime() + Math.ceil(share * lasts) * 1000);
  const over = level + cost - FULL;
  return {
    tries: Math.round(level / cost),
    limit: allowance.limit,
    ...(over > 0 ? { fitsAt: after(over) } : {}),
    emptyAt: after(level),
  };
}

/** A statement that gives back what one try counted. (It names its keys twice: a plan by the join alone may read the table.) */
export function giveBack(allowances: readonly Allowance[]): Sql {
  return sql`
    update throttle set points = greatest(0, throttle.points - due.cost)
    from (
      select t.key, wanted.cost from throttle t join ${buckets(allowances)} on wanted.key = t.key
      where t.key = any(${allowances.map(({ key }) => key)})
      order by t.key for update of t
    ) as due
    where throttle.key = due.key`;
}

/**
 * A CTE to stand beside a `countTry` that is named `tried`: where that try fits it notes for an hour under `key` that a
 * success gives it back later, in another request. Only as many successes as tries were noted give anything back, so nobody
 * empties a bucket by succeeding again and again.
 */
export function owe(key: string, now: Date): Sql {
  return sql`
    insert into throttle as t (key, points, updated_at, expires_at)
    select ${key}, 1, ${now}::timestamptz, ${now}::timestamptz + interval '1 hour' where exists (select 1 from tried)
    on conflict (key) do update set
      points = case when t.expires_at > excluded.updated_at then t.points else 0 end + 1,
      updated_at = excluded.updated_at, expires_at = excluded.expires_at`;
}

/** A statement that gives back one try of those noted under `key`; nothing where none is left. */
export function giveBackOwed({ allowances, key }: { allowances: readonly Allowance[]; key: string }, now: Date): Sql {
  return sql`
    update throttle set points = greatest(0, throttle.points - due.cost)
    from (
      select t.key, due.cost
      from (select key from throttle where key = ${key} and points >= 1 and expires_at > ${now} for update) owed
      cross join lateral (select owed.key, 1 union all select wanted.key, wanted.cost from ${buckets(allowances)}) as due (key, cost)
      join throttle t on t.key = due.key
      where t.key = any(${[key, ...allowances.map((allowance) => allowance.key)]})
      order by t.key for update of t
    ) as due
    where throttle.key = due.key`;
}

/** A scalar for composing: when the oldest bucket is to go. */
export const dueBucket: Sql = sql`(select min(expires_at) from throttle)`;

/** Removes at most `batch` buckets that have run empty; returns how many. */
export async function sweepThrottle(db: Queryable, now: Date, batch = 1000): Promise<number> {
  const rows = await db.query(sql`
    delete from throttle where key in (select key from throttle where expires_at < ${now} limit ${batch}) returning 1`);
  return rows.length;
}
