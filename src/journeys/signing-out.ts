/**
 * Owns signing a resident out everywhere at once. The queue would tell the e-services a little later by itself; where the
 * account is about to go, or to be known by another `sub`, they are told by the one that they know.
 */
import type { Queryable } from '../platform/database.ts';
import { raiseEpoch } from '../records/accounts.ts';
import { outlivedSessions } from '../records/artifacts.ts';
import { endWithLogouts, type Told } from '../records/logouts.ts';

/** Ends every session, grant and token of the account; comes before what changes its `sub`. */
export async function signOutEverywhere(
  tx: Queryable,
  { accountId, told }: { accountId: string; told: readonly Told[] },
  now: Date,
): Promise<void> {
  await raiseEpoch(tx, accountId, now);
  await endWithLogouts(tx, { ending: outlivedSessions(accountId), told }, now);
}
