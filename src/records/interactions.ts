/**
 * Owns the table `interactions`: sign-ins under way, from their first POST on.
 *
 * A row holds the authorization request's parameters (payload), what the resident has shown so far (facts) and, once a
 * proof was given, whose it is and under which epoch. Facts live only here: nothing that a browser keeps can undo them.
 * What a payload means and who may see a row is oidc/interaction.ts's; reads join `accounts` as artifacts.ts does.
 */
import { sha256 } from '../platform/secrets.ts';
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import type { AccountRow } from './artifacts.ts';

export interface StoredInteraction {
  uidHash: Buffer;
  payload: string;
  accountId?: string;
  epoch?: number;
  expiresAt: Date;
}

export interface FoundInteraction {
  payload: string;
  facts: string;
  accountId: string | null;
  epoch: number | null;
  /** False when the account changed, was locked or left since its proof was given. */
  proofStands: boolean;
  account: AccountRow | null;
}

export function interactionHash(uid: string): Buffer {
  return sha256(`Interaction:${uid}`);
}

export async function findInteraction(db: Queryable, uidHash: Buffer): Promise<FoundInteraction | undefined> {
  const rows = await db.query<FoundInteraction>(sql`
    select i.payload, i.facts, i.account_id as "accountId", i.epoch,
      (i.account_id is null or (account.epoch = i.epoch and account.locked_at is null)) is true as "proofStands",
      to_jsonb(account) - 'password_hash' as account
    from interactions i left join accounts account on account.id = i.account_id
    where i.uid_hash = ${uidHash}`);
  return rows[0];
}

/** Writes the row with its result; facts stay. */
export function savedInteraction(interaction: StoredInteraction, now: Date): Sql {
  return sql`insert into interactions (uid_hash, payload, account_id, epoch, created_at, expires_at)
    values (${interaction.uidHash}, ${interaction.payload}, ${interaction.accountId ?? null}::uuid,
      ${interaction.epoch ?? null}::integer, ${now}::timestamptz, ${interaction.expiresAt}::timestamptz)
    on conflict (uid_hash) do update set payload = excluded.payload, account_id = excluded.account_id,
      epoch = excluded.epoch, expires_at = excluded.expires_at`;
}

/** The same for a row that is known to be there; no row when it was resumed meanwhile. */
export function continuedInteraction(interaction: StoredInteraction): Sql {
  return sql`update interactions set payload = ${interaction.payload},
      account_id = ${interaction.accountId ?? null}::uuid, epoch = ${interaction.epoch ?? null}::integer
    where uid_hash = ${interaction.uidHash} returning uid_hash`;
}

/**
 * Adds facts, and makes the row at the first: a fragment, to stand beside the throttle's in one statement.
 * Known facts of the same name are replaced, others stay, so nobody gets rid of them with an older cookie.
 */
export function addedFacts(interaction: StoredInteraction, facts: object, now: Date): Sql {
  return sql`insert into interactions (uid_hash, payload, facts, created_at, expires_at)
    values (${interaction.uidHash}, ${interaction.payload}, ${JSON.stringify(facts)}, ${now}::timestamptz,
      ${interaction.expiresAt}::timestamptz)
    on conflict (uid_hash) do update
      set facts = (interactions.facts::jsonb || excluded.facts::jsonb)::text
    returning facts`;
}

/** Ends every sign-in under way; says how many. */
export async function removeInteractions(tx: Queryable): Promise<number> {
  const [row] = await tx.query<{ count: number }>(sql`
    with removed as (delete from interactions returning 1) select count(*) as count from removed`);
  return row!.count;
}

/** A row when it was there: of two that resume, one gets it. */
export function removedInteraction(uidHash: Buffer): Sql {
  return sql`delete from interactions where uid_hash = ${uidHash} returning uid_hash`;
}

/** The caller leaves a day after expiry: a row whose request was too long for a cookie is all a late page knows. */
export async function sweepInteractions(db: Queryable, expiredBefore: Date, batch = 1000): Promise<number> {
  const rows = await db.query(sql`
    delete from interactions where uid_hash in (
      select uid_hash from interactions where expires_at < ${expiredBefore} limit ${batch}) returning 1`);
  return rows.length;
}

/** A scalar for composing: when the oldest expired or will. */
export const oldestInteraction: Sql = sql`(select min(expires_at) from interactions)`;
