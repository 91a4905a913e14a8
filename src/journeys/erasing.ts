/**
 * Owns what erasing a resident means, whoever asks for it: the account goes with its links, mails, ties, sessions and grants;
 * what is personal in its audit rows goes too. Keyed hashes of the address and of each (source, id) stay, so that no import
 * brings them back, and every `sub` stays, so that nobody else is ever given it.
 */
import type { Mails } from '../mail/mails.ts';
import type { Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Account } from '../records/accounts.ts';
import { eraseAccount } from '../records/erasures.ts';
import { eraseArtifacts } from '../records/artifacts.ts';
import { auditRow, depersonalise } from '../records/audit.ts';
import { tiesOfAccount } from '../records/legacy-ids.ts';
import type { Told } from '../records/logouts.ts';
import { forgetRegistrations } from '../records/registrations.ts';
import { signOutEverywhere } from './signing-out.ts';

export interface ErasingParts {
  sealer: Sealer;
  mails: Mails;
  /** E-services that are told of a sign-out. */
  told: readonly Told[];
}

/** Within a transaction that read the account under `holdIdentities`. The last mail to its address says so. */
export async function eraseResident(
  tx: Queryable,
  { account, actor, sealer, mails, told }: ErasingParts & { account: Account; actor: string },
  now: Date,
): Promise<void> {
  await mails.takeBack(tx, account.id, now);
  await signOutEverywhere(tx, { accountId: account.id, told }, now);
  await eraseQuietly(tx, { account, actor, sealer, at: now }, now);
  await mails.accountErased(tx, { email: account.email, locale: account.locale }, now);
}

/** The same, telling neither the resident nor any e-service: they were told before. `at`: when it was erased first. */
export async function eraseQuietly(
  tx: Queryable,
  { account, actor, sealer, at }: { account: Account; actor: string; sealer: Sealer; at: Date },
  now: Date,
): Promise<void> {
  const legacyIds = await tiesOfAccount(tx, account.id);
  await eraseArtifacts(tx, account.id);
  await forgetRegistrations(tx, account.emailKey);
  await eraseAccount(tx, { account, legacyIds, sealer }, at);
  await depersonalise(tx, account.id);
  await tx.query(auditRow({ kind: 'account_erased', accountId: account.id, actor }, now));
}
