/**
 * Owns the table `devices`: with which kinds of device (browser and system) each resident signed in during the last 90 days,
 * so that the first sign-in with another kind can be told to them. The last one of an account stays for as long as the account:
 * it tells a resident who comes back after a long time from one who never signed in here.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import type { DeviceKind } from '../platform/user-agent.ts';

const DAY = 86_400_000;
const KEPT = 90 * DAY;
const before = (now: Date): Date => new Date(now.getTime() - KEPT);

/**
 * A condition: the account signed in before, and with no such browser or no such system within 90 days. Never so at the first
 * sign-in ever, nor at the first since this is kept.
 */
export function isNewKind({ accountId, kind }: { accountId: string; kind: DeviceKind }, now: Date): Sql {
  const lately = sql`from devices d where d.account_id = ${accountId}::uuid and d.seen_at > ${before(now)}::timestamptz`;
  return sql`exists (select from devices d where d.account_id = ${accountId}::uuid)
    and not (exists (select ${lately} and d.browser = ${kind.browser}) and exists (select ${lately} and d.system = ${kind.system}))`;
}

/** Statements for composing, each once: the account signed in with this kind of device; what is older than 90 days goes. */
export function notedKind({ accountId, kind }: { accountId: string; kind: DeviceKind }, now: Date): Sql[] {
  const { browser, system } = kind;
  return [
    sql`insert into devices (account_id, browser, system, seen_at) values (${accountId}, ${browser}, ${system}, ${now})
      on conflict (account_id, browser, system) do update set seen_at = greatest(devices.seen_at, excluded.seen_at)`,
    sql`delete from devices where account_id = ${accountId} and seen_at < ${before(now)}
      and (browser, system) <> (${browser}, ${system})`,
  ];
}

/** Of residents who have not signed in since: what passed its 90 days within the last week, but for the last one of each account. */
export async function sweepDevices(db: Queryable, now: Date, batch = 1000): Promise<number> {
  const rows = await db.query(sql`
    delete from devices where (account_id, browser, system) in (
      select d.account_id, d.browser, d.system from devices d
      where d.seen_at < ${before(now)} and d.seen_at > ${new Date(before(now).getTime() - 7 * DAY)} and exists (
        select from devices later where later.account_id = d.account_id
          and (later.seen_at, later.browser, later.system) > (d.seen_at, d.browser, d.system))
      limit ${batch})
    returning 1`);
  return rows.length;
}
