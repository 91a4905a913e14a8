/**
 * Owns the table `mail_pace`: at what pace mails go out, for all nodes together. A lane hands out turns, one after the other;
 * its first are slow where it has to warm up. All of it by the database's clock, as the queue's own times.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';

export interface Lane {
  /** A digest: no receiving domain stands readable here. */
  key: string;
  /** Mails per minute. */
  pace: number;
  /** Milliseconds over which the pace grows evenly from a tenth of it; 0 for none. */
  warmUp: number;
}

/** What may go out at once, in seconds of a lane's pace: who waits for a single mail does not wait for a turn. */
const BURST = 10;
const SLOWEST = 0.1;

/** A statement for composing: takes the next turn in each lane, if `where` holds. Returns `turn_at`s. */
export function takeTurns(lanes: readonly Lane[], where: Sql): Sql {
  const sorted = [...lanes].sort((one, other) => (one.key < other.key ? -1 : 1));
  const grown = sql`extract(epoch from now() - p.began_at)::float8 / nullif(excluded.warm_up, 0)`;
  const share = sql`coalesce(least(1, ${SLOWEST}::float8 + ${1 - SLOWEST}::float8 * (${grown})), 1)`;
  return sql`
    insert into mail_pace as p (lane, gap, warm_up, began_at, turn_at)
    select lane, gap, warm_up, now(), now() - make_interval(secs => ${BURST}::float8)
    from unnest(${sorted.map(({ key }) => key)}::text[], ${sorted.map(({ pace }) => 60 / pace)}::float8[],
      ${sorted.map(({ warmUp }) => warmUp / 1000)}::float8[]) as wanted (lane, gap, warm_up)
    where ${where} order by lane
    on conflict (lane) do update set gap = excluded.gap, warm_up = excluded.warm_up,
      turn_at = greatest(now() - make_interval(secs => ${BURST}::float8),
        p.turn_at + make_interval(secs => excluded.gap / ${share}))
    returning turn_at`;
}

/** A lane that nothing used for so long is cold again. */
const REMEMBERED_DAYS = 30;

/** When the oldest row is to go. */
export const dueMailPace: Sql = sql`(select min(turn_at) + make_interval(hours => ${24 * REMEMBERED_DAYS}::int) from mail_pace)`;

export async function sweepMailPace(db: Queryable, now: Date, batch = 1000): Promise<number> {
  const before = new Date(now.getTime() - REMEMBERED_DAYS * 86_400_000);
  const rows = await db.query(sql`
    delete from mail_pace where lane in (select lane from mail_pace where turn_at < ${before} limit ${batch}) returning 1`);
  return rows.length;
}
