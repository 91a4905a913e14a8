/**
 * Owns the table `nodes`: which processes serve on this database. Each writes its row anew every few seconds and takes it away
 * when it stops; one that was killed is seen to have gone silent for a day, or until another one starts in its place.
 */
import { notWaitingForDisk, sql, type Queryable, type Sql } from '../platform/database.ts';

export interface NodeRow {
  id: string;
  /** Host and port. */
  name: string;
  version: string;
  /** A keyed hash of all that must be alike on every node. */
  configuration: string;
  startedAt: Date;
  seenAt: Date;
  /** It finishes what is under way and takes nothing new. */
  stopping: boolean;
}

export async function beat(db: Queryable, node: Omit<NodeRow, 'seenAt'>, now: Date): Promise<void> {
  await db.query(sql`
    with beaten as (
      insert into nodes (id, name, version, configuration, started_at, seen_at, stopping)
      values (${node.id}, ${node.name}, ${node.version}, ${node.configuration}, ${node.startedAt}, ${now}, ${node.stopping})
      on conflict (id) do update
        set configuration = excluded.configuration, seen_at = excluded.seen_at, stopping = excluded.stopping)
    select ${notWaitingForDisk}`);
}

/** Whoever listened there before was killed, and is not missed. */
export async function takePlace(db: Queryable, name: string): Promise<void> {
  await db.query(sql`delete from nodes where name = ${name}`);
}

export async function leave(db: Queryable, id: string): Promise<void> {
  await db.query(sql`delete from nodes where id = ${id}`);
}

/** What a backup brings back is of nodes that are no more; one that runs is here again with its next beat. */
export async function forgetNodes(tx: Queryable): Promise<void> {
  await tx.query(sql`delete from nodes`);
}

/** Those of the last day. */
export function nodes(db: Queryable): Promise<NodeRow[]> {
  return db.query<NodeRow>(sql`
    select id, name, version, configuration, started_at as "startedAt", seen_at as "seenAt", stopping
    from nodes order by name, started_at, id`);
}

const SEEN_FOR_DAYS = 1;

export async function sweepNodes(db: Queryable, now: Date): Promise<number> {
  const before = new Date(now.getTime() - SEEN_FOR_DAYS * 86_400_000);
  return (await db.query(sql`delete from nodes where seen_at < ${before} returning 1`)).length;
}

/** A scalar for composing: when the oldest row is to go. */
export const dueNode: Sql = sql`(select min(seen_at) + make_interval(hours => ${24 * SEEN_FOR_DAYS}::int) from nodes)`;
