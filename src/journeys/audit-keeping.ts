/**
 * Owns how the audit is kept: each closed minute is sealed and told to the log, its months are made ahead, and those whose
 * time is over are dropped whole.
 */
import type { Database } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';
import { dropMonth, holdMonths, makeMonths, months } from '../records/audit-months.ts';
import { anchorSeals, sealSome } from '../records/audit-seals.ts';
import { auditRow } from '../records/audit.ts';

export interface AuditKeepingParts {
  database: Database;
  sealer: Sealer;
  log: Log;
  /** How long events are kept, in milliseconds. */
  retention: number;
}

/** Milliseconds for sealing; what is left waits a minute. */
const SEAL_LIMIT = 20_000;

export type AuditKeeping = ReturnType<typeof auditKeeping>;

export function auditKeeping({ database, sealer, log, retention }: AuditKeepingParts) {
  /** An event may come to the log twice (a commit that fails), never not at all: its id says which it is. */
  async function sealNext(): Promise<number> {
    return database.transaction(async (tx) => {
      const { seals, events } = await sealSome(tx, sealer);
      for (const event of events) log.info({ audit: event }, 'audit');
      for (const { nth, minute, events, digest } of seals)
        log.info({ seal: { nth, minute, events, digest: digest.toString('hex') } }, 'audit sealed');
      return seals.length;
    });
  }

  return {
    async seal(): Promise<void> {
      const until = performance.now() + SEAL_LIMIT;
      while ((await sealNext()) > 0 && performance.now() < until);
    },

    async keepMonths(now: Date): Promise<void> {
      const before = new Date(now.getTime() - retention);
      await database.transaction(async (tx) => {
        await holdMonths(tx);
        const made = await makeMonths(tx, now);
        if (made > 0) log.info({ made }, 'months of the audit were made');
        for (const month of await months(tx)) {
          if (month.after > before) break;
          if (!(await anchorSeals(tx, sealer, month.after))) {
            log.warn({ month: month.name }, 'a month of the audit is not sealed to its end and stays');
            break;
          }
          await dropMonth(tx, month);
          await tx.query(auditRow({ kind: 'audit_dropped', actor: 'system', detail: { month: month.name } }, now));
          log.info({ month: month.name }, 'a month of the audit was dropped');
        }
      });
    },
  };
}
