/**
 * Owns the table `audit`: append-only events, written with the change that they tell of, in its transaction.
 * The kinds are a closed list. A row never holds a password, a token, a link, a code or an address. What is personal in it
 * (the place, the device, the detail) goes when the account is erased.
 *
 * The table is made of months (audit-months.ts), and what was written is sealed minute by minute (audit-seals.ts).
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import type { DeviceKind } from '../platform/user-agent.ts';

export type AuditKind =
  | 'signed_in'
  | 'sign_in_refused'
  | 'signed_out'
  | 'link_requested'
  | 'password_set'
  | 'password_changed'
  | 'language_changed'
  | 'account_locked'
  | 'account_unlocked'
  | 'account_erased'
  | 'dormancy_warned'
  | 'email_changed'
  | 'legacy_id_linked'
  | 'legacy_id_unlinked'
  | 'account_viewed'
  | 'support_requested'
  | 'list_imported'
  | 'keys_replaced'
  | 'agreement_given'
  | 'agreement_withdrawn'
  | 'token_reused'
  | 'passkey_added'
  | 'passkey_removed'
  | 'authenticator_added'
  | 'authenticator_removed'
  | 'recovery_codes_made'
  | 'two_steps_on'
  | 'two_steps_off'
  | 'factor_removal_asked'
  | 'factor_removal_called_off'
  | 'factor_removed'
  | 'registration_requested'
  | 'account_registered';

export interface AuditEvent {
  kind: AuditKind;
  accountId?: string;
  clientId?: string;
  /** Network address it came from. */
  place?: string;
  /** What it came from. */
  device?: DeviceKind;
  /** `resident`, `support:<operating system user>` or `system`. */
  actor?: string;
  detail?: Record<string, string | number | boolean>;
}

/** The statement that writes one event; to run alone or as a CTE beside the change. */
export function auditRow(event: AuditEvent, now: Date): Sql {
  return sql`
    insert into audit (at, kind, account_id, client_id, place, device, actor, detail)
    values (${now}, ${event.kind}, ${event.accountId ?? null}::uuid, ${event.clientId ?? null}, ${event.place ?? null},
      ${event.device ? JSON.stringify(event.device) : null}::jsonb, ${event.actor ?? 'resident'},
      ${JSON.stringify(event.detail ?? {})}::jsonb)`;
}

export interface AuditRow {
  at: Date;
  kind: AuditKind;
  client_id: string | null;
  place: string | null;
  device: DeviceKind | null;
  actor: string;
  detail: Record<string, unknown>;
}

/** The newest events of an account, newest first, without who looked at it. */
export async function recentEvents(db: Queryable, accountId: string, limit: number): Promise<AuditRow[]> {
  return db.query<AuditRow>(sql`
    select at, kind, client_id, place, device, actor, detail from audit
    where account_id = ${accountId} and kind <> 'account_viewed' order by at desc, id desc limit ${limit}`);
}

/** What is personal in the account's events goes; that they happened stays. */
export async function depersonalise(tx: Queryable, accountId: string): Promise<void> {
  await tx.query(
    sql`update audit set place = null, device = null, detail = '{}', salt = null where account_id = ${accountId}`,
  );
}
