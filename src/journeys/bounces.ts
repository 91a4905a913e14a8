/**
 * Owns what a mail that came back means. Whoever sends a report can at most say that a mail which reached them did not: its id
 * stands nowhere else.
 */
import { readReport } from '../mail/delivery-report.ts';
import type { Queryable } from '../platform/database.ts';
import { keepBounce } from '../records/mail-outcomes.ts';

export { LONGEST_REPORT } from '../mail/delivery-report.ts';

/** `no_report`: nothing that failed for good. `not_ours`: no mail of ours, or it is known already that this one came back. */
export type Bounce = 'bounced' | 'no_report' | 'not_ours';

export async function takeReport(db: Queryable, raw: Uint8Array, now: Date): Promise<Bounce> {
  const report = await readReport(raw);
  if (!report) return 'no_report';
  return (await keepBounce(db, report, now)) ? 'bounced' : 'not_ours';
}
