/**
 * Waiting for what tells nobody that it has come: a row, a figure, a line of another process. What does tell is awaited itself:
 * a mail (mailbox.ts), a call to an e-service (e-services.ts), a notification.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { sql, type Database, type Queryable } from '../../src/platform/database.ts';
import { recentMails, type MailOutcome, type MailRow } from '../../src/records/mail-outcomes.ts';

/** Looks until there is something to see, and gives it. The limit is no promise: it says what did not come, instead of nothing. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  within = 20_000,
): Promise<Exclude<Awaited<T>, undefined | false>> {
  const limit = performance.now() + within;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen as Exclude<Awaited<T>, undefined | false>;
    if (performance.now() > limit) throw new Error(`not within ${within} ms: ${what}`);
    await pause(10);
  }
}

/** Whether somebody listens on this port of this machine. */
export async function isListenedOn(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Until a process listens that was just started. */
export function untilListening(port: number, started: ChildProcess): Promise<true> {
  return until(`a process that listens on ${port}`, () => {
    if (started.exitCode !== null) throw new Error(`the process ended with ${started.exitCode}`);
    return isListenedOn(port);
  });
}

/** Until the newest mail of an account has come to this. */
export function untilMail(db: Queryable, accountId: string, outcome: MailOutcome): Promise<MailRow> {
  return until(`a mail that is ${outcome}`, async () => {
    const [newest] = await recentMails(db, accountId, 1);
    return newest?.outcome === outcome && newest;
  });
}

/** Until a statement in this database waits for a lock that another holds. Not within a transaction: there the view stands still. */
export function untilBlocked(db: Database): Promise<true> {
  const waiting = sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return until('a statement that waits for a lock', async () => (await db.query(waiting)).length > 0);
}
