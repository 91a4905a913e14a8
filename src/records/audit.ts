/**
 * Owns the table `audit`: append-only events, written with the change that they tell of, in its transaction.
 * The kinds are a closed list. A row never holds a password, a token, a link, a code or an address. What is personal in it
 * (the place, the device, the detail) goes when the account is erased.
 *
 * The table is made of months (audit-months.ts), and what was written is sealed minute by minute (audit-seals.ts).
 */
import { sql, type Queryable, type Session, type Sql } from '../platform/database.ts';
import type { DeviceKind } from '../platform/user-agent.ts';

export const AUDIT_KINDS = [
  'signed_in',
  'sign_in_refused',
  'signed_out',
  'link_requested',
  'password_set',
  'password_changed',
  'language_changed',
  'details_changed',
  'session_ended',
  'other_sessions_ended',
  'account_locked',
  'account_unlocked',
  'account_erased',
  'dormancy_warned',
  'email_change_asked',
  'email_change_called_off',
  'email_changed',
  'email_change_undone',
  'email_undo_asked',
  'data_downloaded',
  'leaving_asked',
  'leaving_reminded',
  'leaving_undone',
  'legacy_id_linked',
  'legacy_id_unlinked',
  'account_viewed',
  'support_requested',
  'list_imported',
  'keys_replaced',
  'agreement_given',
  'agreement_withdrawn',
  'token_reused',
  'audit_dropped',
  'database_restored',
  'passkey_added',
  'passkey_removed',
  'authenticator_added',
  'authenticator_removed',
  'recovery_codes_made',
  'recovery_code_used',
  'two_steps_on',
  'two_steps_off',
  'factor_removal_asked',
  'factor_removal_called_off',
  'factor_removed',
  'registration_requested',
  'account_registered',
] as const;

export type AuditKind = (typeof AUDIT_KINDS)[number];
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

export interface SignInEvent {
  at: Date;
  good: boolean;
  clientId: string | null;
  place: string | null;
  device: DeviceKind | null;
}

/** Sign-ins to the account since a time, good and failed, newest first. */
export async function signInEvents(
  db: Queryable,
  { accountId, since }: { accountId: string; since: Date },
  { limit, offset }: { limit: number; offset: number },
): Promise<SignInEvent[]> {
  return db.query<SignInEvent>(sql`
    select at, kind = 'signed_in' as good, client_id as "clientId", place, device from audit
    where account_id = ${accountId} and at >= ${since} and kind in ('signed_in', 'sign_in_refused')
    order by at desc, id desc limit ${limit} offset ${offset}`);
}

/** Every event of an account, oldest first. */
export async function allEvents(db: Queryable, accountId: string): Promise<AuditRow[]> {
  return db.query<AuditRow>(sql`
    select at, kind, client_id, place, device, actor, detail from audit where account_id = ${accountId} order by at, id`);
}

export interface AuditFilter {
  accountId?: string;
  clientId?: string;
  kind?: string;
  /** From this time on. */
  since?: Date;
  /** Before this time. */
  until?: Date;
}

export type ListedEvent = AuditRow & { id: number; account_id: string | null };

const LISTED_AT_ONCE = 500;

/** All events that fit, in the order in which they were written, a page at a time. */
export async function* listEvents(db: Session, filter: AuditFilter): AsyncGenerator<ListedEvent[]> {
  const { accountId, clientId, kind, since, until } = filter;
  // Planned for what was asked: one account's events have an index, and so have those of a time.
  await db.script('set plan_cache_mode = force_custom_plan');
  const wanted = [
    accountId !== undefined && sql`account_id = ${accountId}::uuid`,
    clientId !== undefined && sql`client_id = ${clientId}`,
    kind !== undefined && sql`kind = ${kind}`,
    since && sql`at >= ${since}`,
    until && sql`at < ${until}`,
  ];
  const fits = wanted.filter((each) => each !== false && each !== undefined).reduce(both, sql`true`);
  let after = sql`true`;
  for (;;) {
    const page = await db.query<ListedEvent & { written: string }>(sql`
      select id, at, kind, account_id, client_id, place, device, actor, detail, written_at::text as written
      from audit where ${after} and ${fits} order by written_at, id limit ${LISTED_AT_ONCE}`);
    const last = page.at(-1);
    if (!last) return;
    yield page.map(({ written: _, ...event }) => event);
    // As text: a Date would lose what is below a millisecond.
    after = sql`(written_at, id) > (${last.written}::timestamptz, ${last.id}::bigint)`;
  }
}

const both = (one: Sql, other: Sql): Sql => sql`${one} and ${other}`;

/** What is personal in the account's events goes; that they happened stays. */
export async function depersonalise(tx: Queryable, accountId: string): Promise<void> {
  await tx.query(
    sql`update audit set place = null, device = null, detail = '{}', salt = null where account_id = ${accountId}`,
  );
}
