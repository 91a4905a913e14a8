/**
 * Owns the table `artifacts`: what the provider remembers between requests (sessions, grants, codes, tokens, …).
 *
 * An id at rest is a hash, so whoever reads the table can use nothing in it. A row is as good as the proof behind it:
 * one whose account is gone, locked or past the row's epoch is not found at all. For that, and to spare a second
 * statement, reads join `accounts` (the one exception to 'one owner, one table'; they never write it).
 * Writes are fragments, composed into one statement by oidc/change.ts. What the payloads mean is the adapter's.
 */
import { sha256 } from '../platform/secrets.ts';
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { subjectsJson } from './subjects.ts';

export interface Artifact {
  id: Buffer;
  model: string;
  payload: string;
  accountId?: string;
  /** Of the proof behind the row; left out (outside a request) it is the account's at the time of writing. */
  epoch?: number;
  clientId?: string;
  grantHash?: Buffer;
  uidHash?: Buffer;
  expiresAt: Date;
}

/** The account's row as JSON without its password hash: what claims are made of. */
export type AccountRow = Record<string, unknown> & { id: string; epoch: number };

export interface FoundArtifact {
  payload: string;
  accountId: string | null;
  epoch: number | null;
  consumedAt: Date | null;
  account: AccountRow | null;
  /** The payloads of what belongs to it, read in the same statement. */
  grants?: { id: string; payload: string }[] | null;
  session?: string | null;
  /** Every `sub` that was given out for the account, by sector. */
  subjects?: Record<string, string> | null;
}

export function artifactId(model: string, id: string): Buffer {
  return sha256(`${model}:${id}`);
}

export function sessionUidHash(uid: string): Buffer {
  return sha256(`Session.uid:${uid}`);
}

const found = sql`a.payload, a.account_id as "accountId", a.epoch, a.consumed_at as "consumedAt",
  to_jsonb(account) - 'password_hash' as account`;
const alive = sql`(a.account_id is null or (account.epoch = a.epoch and account.locked_at is null))`;

/** One row, expired or not: the library judges expiry by itself, and breaks when expired rows hide. */
export async function findArtifact(db: Queryable, id: Buffer): Promise<FoundArtifact | undefined> {
  const rows = await db.query<FoundArtifact>(sql`
    select ${found} from artifacts a left join accounts account on account.id = a.account_id
    where a.id = ${id} and ${alive}`);
  return rows[0];
}

/** A session by its id or its uid, with the grants of its authorizations. */
export async function findSession(
  db: Queryable,
  by: { id: Buffer } | { uidHash: Buffer },
): Promise<FoundArtifact | undefined> {
  const which = 'id' in by ? sql`a.id = ${by.id}` : sql`a.uid_hash = ${by.uidHash}`;
  const rows = await db.query<FoundArtifact>(sql`
    select ${found}, grants.grants
    from artifacts a
    left join accounts account on account.id = a.account_id
    left join lateral (
      select jsonb_agg(jsonb_build_object('id', given.value ->> 'grantId', 'payload', g.payload)) as grants
      from jsonb_each(a.payload::jsonb -> 'authorizations') as given
      join artifacts g on g.id = sha256(convert_to('Grant:' || (given.value ->> 'grantId'), 'UTF8'))
      where g.account_id = a.account_id and g.epoch = a.epoch
    ) grants on true
    where ${which} and ${alive}`);
  return rows[0];
}

/** Said so where it is one, as it nearly always is: a plan for a list would read whole small tables. */
const oneOf = (ids: readonly Buffer[]): Sql => (ids.length === 1 ? sql`= ${ids[0]}` : sql`= any(${ids}::bytea[])`);

/** Codes or tokens, each with its grant, the account's `sub`s and, when it lives by one, its session. */
export function findTokens(db: Queryable, ids: readonly Buffer[]): Promise<(FoundArtifact & { id: Buffer })[]> {
  return db.query<FoundArtifact & { id: Buffer }>(sql`
    select a.id, ${found}, s.payload as session, (${subjectsJson(sql`a.account_id`)}) as subjects,
      case when g.id is not null
        then jsonb_build_array(jsonb_build_object('id', a.payload::jsonb ->> 'grantId', 'payload', g.payload))
      end as grants
    from artifacts a
    left join accounts account on account.id = a.account_id
    left join artifacts g
      on g.id = a.grant_hash and g.account_id is not distinct from a.account_id and g.epoch is not distinct from a.epoch
    left join artifacts s
      on a.payload like '%"expiresWithSession":true%'
      and s.uid_hash = sha256(convert_to('Session.uid:' || (a.payload::jsonb ->> 'sessionUid'), 'UTF8'))
      and s.account_id = a.account_id and s.epoch = a.epoch
    where a.id ${oneOf(ids)} and ${alive}`);
}

function rowsOf(artifacts: readonly Artifact[]): Sql {
  return sql`
    select v.id, v.model, v.payload, v.account_id,
      coalesce(v.epoch, (select epoch from accounts where accounts.id = v.account_id)),
      v.client_id, v.grant_hash, v.uid_hash, v.expires_at
    from unnest(
      ${artifacts.map((a) => a.id)}::bytea[], ${artifacts.map((a) => a.model)}::text[],
      ${artifacts.map((a) => a.payload)}::text[], ${artifacts.map((a) => a.accountId ?? null)}::uuid[],
      ${artifacts.map((a) => a.epoch ?? null)}::integer[], ${artifacts.map((a) => a.clientId ?? null)}::text[],
      ${artifacts.map((a) => a.grantHash ?? null)}::bytea[], ${artifacts.map((a) => a.uidHash ?? null)}::bytea[],
      ${artifacts.map((a) => a.expiresAt)}::timestamptz[]
    ) as v (id, model, payload, account_id, epoch, client_id, grant_hash, uid_hash, expires_at)`;
}

const columns = sql`id, model, payload, account_id, epoch, client_id, grant_hash, uid_hash, expires_at`;

export function savedArtifacts(artifacts: readonly Artifact[]): Sql {
  return sql`insert into artifacts (${columns}) ${rowsOf(artifacts)}
    on conflict (id) do update set payload = excluded.payload, account_id = excluded.account_id,
      epoch = excluded.epoch, expires_at = excluded.expires_at`;
}

/** What may exist once only (replay ids): a row when it is new or its former use has expired. */
export function firstArtifact(artifact: Artifact, now: Date): Sql {
  return sql`insert into artifacts (${columns}) ${rowsOf([artifact])}
    on conflict (id) do update set payload = excluded.payload, expires_at = excluded.expires_at
      where artifacts.expires_at < ${now} returning id`;
}

/** A session as it was read: its row's id, and its authorizations as JSON. */
export interface ReadSession {
  id: Buffer;
  authorizations: string | null;
}

/**
 * A session goes on from where it was read, under its new id when that changed. No row when it was ended meanwhile, or
 * when another tab renewed it or signed in to an e-service: writing over that would end what the other was just given.
 */
export function continuedSession(session: Artifact, read: ReadSession): Sql {
  return sql`update artifacts set id = ${session.id}, payload = ${session.payload}, account_id = ${session.accountId},
      epoch = ${session.epoch}, expires_at = ${session.expiresAt}
    where id = ${read.id} and uid_hash = ${session.uidHash}
      and payload::jsonb -> 'authorizations' is not distinct from ${read.authorizations}::jsonb returning id`;
}

/** A row when nobody had consumed it before; with `again`, also when that was after `since` and came no more than `most` times. */
export function consumedArtifact(id: Buffer, now: Date, again?: { since: Date; most: number }): Sql {
  if (!again)
    return sql`update artifacts set consumed_at = ${now} where id = ${id} and consumed_at is null returning id`;
  return sql`update artifacts set consumed_at = coalesce(consumed_at, ${now}),
      retries = retries + (consumed_at is not null)::integer
    where id = ${id} and (consumed_at is null or (consumed_at > ${again.since} and retries < ${again.most}::integer))
    returning id`;
}

/** Ends single rows, and all that was issued under a grant. */
export function removedArtifacts(ids: readonly Buffer[], grants: readonly Buffer[]): Sql {
  if (grants.length === 0) return sql`delete from artifacts where id = any(${ids}::bytea[])`;
  return sql`delete from artifacts where id = any(${ids}::bytea[]) or grant_hash = any(${grants}::bytea[])`;
}

/** Ends all that an e-service was given of an account: grants, and what was issued under them. */
export async function endGrantsOf(
  tx: Queryable,
  { accountId, clientId }: { accountId: string; clientId: string },
): Promise<void> {
  const grants = sql`select id from artifacts
    where model = 'Grant' and account_id = ${accountId} and client_id = ${clientId}`;
  await tx.query(sql`delete from artifacts where id in (${grants}) or grant_hash in (${grants})`);
}

/** How many sessions of the account live, and the e-services that they reach: from each one's authorizations. */
export async function liveSessions(
  db: Queryable,
  { id, epoch }: { id: string; epoch: number },
  now: Date,
): Promise<{ sessions: number; clients: string[] }> {
  const [row] = await db.query<{ sessions: number; clients: string[] | null }>(sql`
    select count(distinct a.id)::int as sessions, array_agg(distinct client order by client)
        filter (where client is not null) as clients
    from artifacts a
    left join lateral jsonb_object_keys(coalesce(a.payload::jsonb -> 'authorizations', '{}')) as client on true
    where a.account_id = ${id} and a.model = 'Session' and a.epoch = ${epoch} and a.expires_at > ${now}`);
  return { sessions: row?.sessions ?? 0, clients: row?.clients ?? [] };
}

/** Deletes the account's sessions and grants, and all that was issued under a grant. */
export async function eraseArtifacts(tx: Queryable, accountId: string): Promise<void> {
  await tx.query(sql`
    delete from artifacts where grant_hash in (
      select id from artifacts where account_id = ${accountId} and model = 'Grant')`);
  await tx.query(sql`delete from artifacts where account_id = ${accountId} and model in ('Session', 'Grant')`);
}

/** Deletes what no account's epoch can end: tokens of machines, pushed requests. */
export async function removeOwnerless(tx: Queryable): Promise<void> {
  await tx.query(sql`delete from artifacts where account_id is null`);
}

/** A row for each account that still stands behind its proof. */
export function standingProofs(proofs: ReadonlyMap<string, number>): Sql {
  const any = [...proofs].map(([id, epoch]) => sql`account.id = ${id}::uuid and account.epoch = ${epoch}::integer`);
  return sql`select account.id from accounts account
    where account.locked_at is null and (${any.reduce((all, one) => sql`${all} or ${one}`)})`;
}

const endedSession = (ranOut: Sql): Sql => sql`returning account_id, payload, ${ranOut} as ran_out`;
const standing = sql`exists (select 1 from accounts account
  where account.id = artifacts.account_id and account.epoch = artifacts.epoch and account.locked_at is null)`;

/** Ends sessions. This and the next three return what records/logouts.ts makes its orders from. */
export function endedSessions(ids: readonly Buffer[]): Sql {
  return sql`delete from artifacts where id = any(${ids}::bytea[]) and model = 'Session' ${endedSession(sql`false`)}`;
}

/** Takes one e-service out of the account's sessions, which live on; returns what they held. */
export function leftSessions({ accountId, clientId }: { accountId: string; clientId: string }): Sql {
  return sql`update artifacts session
    set payload = (session.payload::jsonb #- array['authorizations', ${clientId}::text])::text
    from (select id, account_id, payload from artifacts where account_id = ${accountId} and model = 'Session'
      and payload::jsonb -> 'authorizations' ? ${clientId} for update) held
    where session.id = held.id returning held.account_id, held.payload, false as ran_out`;
}

/** Those of an account that have outlived their proof: its epoch was raised, it was locked or erased. */
export function outlivedSessions(accountId: string): Sql {
  return sql`delete from artifacts where account_id = ${accountId} and model = 'Session' and not ${standing}
    ${endedSession(sql`false`)}`;
}

/** A batch of those that expired before a time; one that had also outlived its proof did not merely run out. */
export function expiredSessions(before: Date): Sql {
  return sql`delete from artifacts
    where id in (
      select id from artifacts where model = 'Session' and expires_at < ${before} order by expires_at limit 1000)
    ${endedSession(standing)}`;
}

/** Scalars for composing: when the oldest session, and the oldest of all else, expired or will. */
export const oldestSession: Sql = sql`(select min(expires_at) from artifacts where model = 'Session')`;
export const oldestArtifact: Sql = sql`(select expires_at from artifacts where model <> 'Session' order by expires_at limit 1)`;

/** Deletes what expired before a time, but sessions; the caller leaves the longest sign-in between (the library looks at expired rows). */
export async function sweepArtifacts(db: Queryable, expiredBefore: Date): Promise<number> {
  const rows = await db.query(sql`
    delete from artifacts where id in (
      select id from artifacts where expires_at < ${expiredBefore} and model <> 'Session' order by expires_at limit 1000)
    returning 1`);
  return rows.length;
}
