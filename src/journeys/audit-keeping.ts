/** Owns how the audit is kept while the years go by: its months are made ahead. */
import type { Database } from '../platform/database.ts';
import type { Log } from '../platform/telemetry.ts';
import { holdMonths, makeMonths } from '../records/audit-months.ts';

export interface AuditKeepingParts {
  database: Database;
  log: Log;
}

export function auditKeeping({ database, log }: AuditKeepingParts) {
  return {
    async keepMonths(now: Date): Promise<void> {
      const made = await database.transaction(async (tx) => {
        await holdMonths(tx);
        return makeMonths(tx, now);
      });
      if (made > 0) log.info({ made }, 'months of the audit were made');
    },
  };
}
