/**
 * Whether this machine's clock may be believed, by the database's. Seconds between nodes break nothing; a clock that jumped by a year
 * must not make one node sweep what all others live from.
 */
import { sql, type Queryable } from './database.ts';
import type { Log } from './telemetry.ts';

/** Seconds. E-services do not bear more in a token either. */
export const MOST_APART = 300;

export const CLOCKS_DIFFER = 'the clocks of this machine and of the database differ';

/** How many seconds the machine's clock is ahead of the database's; below zero, behind. `at`: what it shows now. */
export async function secondsAhead(db: Queryable, at: Date): Promise<number> {
  const [row] = await db.query<{ now: Date }>(sql`select clock_timestamp() as now`);
  return Math.round((at.getTime() - row!.now.getTime()) / 1000);
}

/** Before anything goes for good because of its age: is it the machine's clock that is wrong? */
export function clockKeeper({ database, log }: { database: Queryable; log: Log }): () => Promise<boolean> {
  return async () => {
    const ahead = await secondsAhead(database, new Date());
    if (Math.abs(ahead) <= MOST_APART) return true;
    log.error({ ahead }, `${CLOCKS_DIFFER}: nothing is removed for its age`);
    return false;
  };
}
