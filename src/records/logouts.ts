/**
 * Owns the table `logouts`: which e-services are to be told that a session has ended (OpenID Connect Back-Channel Logout
 * 1.0), and what became of each. A row puts its own job into the queue (a trigger), in the transaction that ends the session.
 *
 * The `sub` is noted with the row: an account may be erased, tied to another old id, or its e-service moved to another sector
 * before the e-service can be told. For that this record reads `subjects`. Where the e-service never got
 * one, none is noted: a logout token may name the session alone.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';

/** An e-service that is told. */
export interface Told {
  clientId: string;
  /** Within which its `sub` is unique; left out where `sub` is the account's id. */
  sector?: string;
  /** Told also when a session merely ran out. */
  onExpiry: boolean;
}

export interface LogoutKey {
  clientId: string;
  sid: string;
}

export type LogoutOutcome = 'delivered' | 'refused' | 'given_up' | 'gone';

/**
 * One for each e-service of the ended sessions, once. `ended` names their rows: account_id, payload, ran_out. An
 * e-service that was never answered (oidc/sign-out.ts) has not seen the `sid`.
 */
export function logoutsOf(ended: Sql, told: readonly Told[], now: Date): Sql {
  return sql`
    insert into logouts (client_id, sid, account_id, sub, ended_at)
    select t.client_id, given.value ->> 'sid', e.account_id,
      case when t.sector is null then e.account_id::text
        else (select s.sub from subjects s where s.sector = t.sector and s.account_id = e.account_id and s.retired_at is null) end,
      ${now}::timestamptz
    from ${ended} e
    cross join lateral jsonb_each(e.payload::jsonb -> 'authorizations') as given
    join unnest(${told.map((t) => t.clientId)}::text[], ${told.map((t) => t.sector ?? null)}::text[],
      ${told.map((t) => t.onExpiry)}::boolean[]) as t (client_id, sector, on_expiry) on t.client_id = given.key
    where given.value ->> 'answered' = 'true' and (t.on_expiry or not e.ran_out)
    on conflict do nothing`;
}

/** Ends sessions and orders their logouts in one statement. `ending` deletes and returns the rows; says how many. */
export async function endWithLogouts(
  db: Queryable,
  { ending, told }: { ending: Sql; told: readonly Told[] },
  now: Date,
): Promise<number> {
  const [row] = await db.query<{ ended: number }>(sql`
    with ended as (${ending}), ordered as (${logoutsOf(sql`ended`, told, now)})
    select count(*) as ended from ended`);
  return row!.ended;
}

/** What is still to be told; undefined when it is settled. */
export async function dueLogout(
  db: Queryable,
  { clientId, sid }: LogoutKey,
): Promise<{ accountId: string; sub: string | null } | undefined> {
  const [row] = await db.query<{ accountId: string; sub: string | null }>(sql`
    select account_id as "accountId", sub from logouts
    where client_id = ${clientId} and sid = ${sid} and outcome is null`);
  return row;
}

/** Notes an attempt; without an outcome there will be another. */
export async function noteAttempt(
  db: Queryable,
  { clientId, sid, outcome, reason }: LogoutKey & { outcome?: LogoutOutcome; reason?: string },
  now: Date,
): Promise<void> {
  await db.query(sql`
    update logouts set attempts = attempts + 1, outcome = ${outcome ?? null}, reason = ${reason ?? null},
      settled_at = case when ${outcome ?? null}::text is null then null else ${now}::timestamptz end
    where client_id = ${clientId} and sid = ${sid}`);
}

export interface LogoutTrouble {
  clientId: string;
  /** Sessions that the e-service was told of in vain, or not yet. */
  count: number;
  /** Of the last attempt. */
  reason: string;
  latest: Date;
}

/** The e-services that did not take logouts since a time, for operators. */
export function troubledLogouts(db: Queryable, since: Date): Promise<LogoutTrouble[]> {
  return db.query<LogoutTrouble>(sql`
    select client_id as "clientId", count(*) as count, max(ended_at) as latest,
      (array_agg(reason order by ended_at desc))[1] as reason
    from logouts
    where ended_at >= ${since} and attempts > 0 and outcome is distinct from 'delivered' and outcome is distinct from 'gone'
    group by client_id order by client_id`);
}

const KEPT = 30 * 86_400_000;

/** A scalar for composing: when the oldest row is to go. */
export const dueLogoutRow: Sql = sql`(select min(ended_at) + make_interval(secs => ${KEPT / 1000}::int) from logouts)`;

/** Long after the last attempt. */
export async function sweepLogouts(db: Queryable, now: Date): Promise<number> {
  const rows = await db.query(sql`
    delete from logouts where (client_id, sid) in
      (select client_id, sid from logouts where ended_at < ${new Date(now.getTime() - KEPT)} limit 5000)
    returning 1`);
  return rows.length;
}
