/**
 * Owns the putting off of what an address brings about under `conceal`: a job, the same for every address, that does it after
 * the answer. Sealed, since the queue would else list who was asked for.
 */
import { sql, type Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Errand, RegistrationErrand } from './sign-in.ts';

export const PUT_OFF_JOB = 'put_off';

const PURPOSE = 'put-off';
/** Whoever waits for a link that long has asked for another one. */
const MOST_TRIES = 5;
/** As far as the longest address and the longest names of an e-service go: the length of a job tells nothing either. */
const LENGTH = 1024;

export async function putOff(
  db: Queryable,
  { sealer, errand }: { sealer: Sealer; errand: Errand | RegistrationErrand },
): Promise<void> {
  const payload = JSON.stringify({ sealed: sealer.seal(JSON.stringify(errand).padEnd(LENGTH), PURPOSE) });
  await db.query(sql`
    select graphile_worker.add_job(${PUT_OFF_JOB}::text, payload := ${payload}::json, max_attempts := ${MOST_TRIES}::int)`);
}

/** Undefined where none of our secrets sealed it. */
export function putOffErrand(payload: unknown, sealer: Sealer): Errand | RegistrationErrand | undefined {
  const sealed = (payload as { sealed?: unknown } | null)?.sealed;
  const opened = typeof sealed === 'string' ? sealer.open(sealed, PURPOSE) : undefined;
  return opened === undefined ? undefined : (JSON.parse(opened) as Errand | RegistrationErrand);
}
