/**
 * Owns the tables `passkeys`, `authenticators`, `recovery_codes` and `factor_removals`: what a resident has besides the password.
 *
 * The secret of an authenticator app is sealed, recovery codes are keyed digests, of a passkey only the public half is here.
 * What is good for one use (a code, an answer of a passkey) is spent by a fragment that gives one row, in the statement that
 * rests on it: of two at once one gets it. A change begins with `heldAtEpoch` and ends with `settleFactors`, which notes in
 * the account what each look-up must know and raises its epoch.
 */
import { NIL_UUID, sql, type Queryable, type Sql } from '../platform/database.ts';
import { sha256, type Sealer } from '../platform/secrets.ts';
import { setFactors } from './accounts.ts';
import type { AccountRow } from './artifacts.ts';
import type { SealedKind } from './seals.ts';

export interface NewPasskey {
  /** base64url */
  credentialId: string;
  /** COSE (RFC 9052) */
  publicKey: Buffer;
  counter: number;
  /** It may live on several devices. */
  backupEligible: boolean;
  backedUp: boolean;
  transports: string[];
}

export interface Passkey extends NewPasskey {
  id: string;
  accountId: string;
  /** As the resident called it; may be empty. */
  name: string;
  createdAt: Date;
  usedAt?: Date;
}

export interface Authenticator {
  sealed: string;
  /** The time step of the last code that was taken (RFC 6238, 5.2: a code is good once). */
  lastStep: number;
  createdAt: Date;
  usedAt?: Date;
}

/** What is to be removed: a passkey by its id, the app, or all that there is. */
export type Removable = 'authenticator' | 'all' | (string & {});

export interface Removal {
  factor: Removable;
  actor: string;
  askedAt: Date;
  dueAt: Date;
}

export interface Factors {
  passkeys: Passkey[];
  authenticator?: Authenticator;
  /** How many recovery codes are left. */
  codes: number;
  removal?: Removal;
}

interface PasskeyRow {
  id: string;
  account_id: string;
  credential_id: string;
  public_key: string;
  counter: number;
  backup_eligible: boolean;
  backed_up: boolean;
  transports: string[];
  name: string;
  created_at: string;
  used_at: string | null;
}

const optionalTime = (at: string | null): Date | undefined => (at === null ? undefined : new Date(at));

function passkeyFromRow(row: PasskeyRow): Passkey {
  return {
    id: row.id,
    accountId: row.account_id,
    credentialId: Buffer.from(row.credential_id, 'hex').toString('base64url'),
    publicKey: Buffer.from(row.public_key, 'hex'),
    counter: row.counter,
    backupEligible: row.backup_eligible,
    backedUp: row.backed_up,
    transports: row.transports,
    name: row.name,
    createdAt: new Date(row.created_at),
    usedAt: optionalTime(row.used_at),
  };
}

const passkeyJson = sql`to_jsonb(p) || jsonb_build_object('credential_id', encode(p.credential_id, 'hex'),
  'public_key', encode(p.public_key, 'hex'))`;

interface FactorsRow {
  passkeys: PasskeyRow[] | null;
  authenticator: { sealed: string; last_step: number; created_at: string; used_at: string | null } | null;
  codes: number;
  removal: { factor: string; actor: string; asked_at: string; due_at: string } | null;
}

/** A scalar query for composing, for `factorsFromJson`. */
export function factorsJson(accountId: string): Sql {
  return sql`select jsonb_build_object(
    'passkeys', (select jsonb_agg(${passkeyJson} order by p.created_at, p.id) from passkeys p where p.account_id = ${accountId}),
    'authenticator', (select to_jsonb(a) from authenticators a where a.account_id = ${accountId}),
    'codes', (select count(*) from recovery_codes c where c.account_id = ${accountId} and c.spent_at is null),
    'removal', (select to_jsonb(r) - 'token_hash' from factor_removals r where r.account_id = ${accountId}))`;
}

export function factorsFromJson(json: unknown): Factors {
  const { passkeys, authenticator, codes, removal } = json as FactorsRow;
  return {
    passkeys: (passkeys ?? []).map(passkeyFromRow),
    authenticator: authenticator
      ? {
          sealed: authenticator.sealed,
          lastStep: authenticator.last_step,
          createdAt: new Date(authenticator.created_at),
          usedAt: optionalTime(authenticator.used_at),
        }
      : undefined,
    codes,
    removal: removal
      ? {
          factor: removal.factor,
          actor: removal.actor,
          askedAt: new Date(removal.asked_at),
          dueAt: new Date(removal.due_at),
        }
      : undefined,
  };
}

export async function factorsOf(db: Queryable, accountId: string): Promise<Factors> {
  const [row] = await db.query<{ factors: unknown }>(sql`select (${factorsJson(accountId)}) as factors`);
  return factorsFromJson(row!.factors);
}

/** The passkey of a credential id (base64url), with the account that it opens. */
export async function passkeyOf(
  db: Queryable,
  credentialId: string,
): Promise<{ passkey: Passkey; account: AccountRow } | undefined> {
  const id = Buffer.from(credentialId, 'base64url');
  const [row] = await db.query<{ passkey: PasskeyRow; account: AccountRow }>(sql`
    select ${passkeyJson} as passkey, to_jsonb(account) - 'password_hash' as account
    from passkeys p join accounts account on account.id = p.account_id where p.credential_id = ${id}`);
  return row && { passkey: passkeyFromRow(row.passkey), account: row.account };
}

/** False: this credential is somebody's already. */
export async function addPasskey(
  tx: Queryable,
  { accountId, name, ...passkey }: NewPasskey & { accountId: string; name: string },
  now: Date,
): Promise<boolean> {
  const rows = await tx.query(sql`
    insert into passkeys (account_id, credential_id, public_key, counter, backup_eligible, backed_up, transports, name, created_at)
    values (${accountId}, ${Buffer.from(passkey.credentialId, 'base64url')}, ${passkey.publicKey}, ${passkey.counter},
      ${passkey.backupEligible}, ${passkey.backedUp}, ${passkey.transports}::text[], ${name}, ${now})
    on conflict (credential_id) do nothing returning 1`);
  return rows.length === 1;
}

/** One row: this challenge was not answered with the passkey before, and nobody else has used it since it was read. */
export function usedPasskey(
  { id, from, to, backedUp, challenge }: { id: string; from: number; to: number; backedUp: boolean; challenge: string },
  now: Date,
): Sql {
  return sql`update passkeys set counter = ${to}, backed_up = ${backedUp}, challenge = ${challenge}, used_at = ${now}
    where id = ${id} and counter = ${from} and challenge is distinct from ${challenge} returning id`;
}

export async function removePasskey(
  tx: Queryable,
  { accountId, id }: { accountId: string; id: string },
): Promise<boolean> {
  const rows = await tx.query(
    sql`delete from passkeys where account_id = ${accountId} and id::text = ${id} returning 1`,
  );
  return rows.length === 1;
}

/** False: there is one already. */
export async function addAuthenticator(
  tx: Queryable,
  { accountId, sealed, step }: { accountId: string; sealed: string; step: number },
  now: Date,
): Promise<boolean> {
  const rows = await tx.query(sql`
    insert into authenticators (account_id, sealed, last_step, created_at, used_at)
    values (${accountId}, ${sealed}, ${step}, ${now}, ${now}) on conflict (account_id) do nothing returning 1`);
  return rows.length === 1;
}

/** One row: no code of this time step, or of a later one, was taken before. */
export function usedStep({ accountId, step }: { accountId: string; step: number }, now: Date): Sql {
  return sql`update authenticators set last_step = ${step}, used_at = ${now}
    where account_id = ${accountId} and last_step < ${step} returning account_id`;
}

export async function removeAuthenticator(tx: Queryable, accountId: string): Promise<boolean> {
  const rows = await tx.query(sql`delete from authenticators where account_id = ${accountId} returning 1`);
  return rows.length === 1;
}

/** The form in which recovery codes rest: by the digest key, so that nobody who has the database can try them out. */
export const recoveryDigests = (sealer: Sealer, accountId: string, code: string): Buffer[] =>
  sealer.digests(`${accountId} ${code}`, 'recovery-code');

/** The former ones are good no more. */
export async function replaceRecoveryCodes(
  tx: Queryable,
  { accountId, digests }: { accountId: string; digests: readonly Buffer[] },
  now: Date,
): Promise<void> {
  await tx.query(sql`delete from recovery_codes where account_id = ${accountId}`);
  await tx.query(sql`
    insert into recovery_codes (account_id, digest, created_at)
    select ${accountId}, digest, ${now}::timestamptz from unnest(${digests}::bytea[]) as digest`);
}

export async function knowsRecoveryCode(
  db: Queryable,
  { accountId, digests }: { accountId: string; digests: readonly Buffer[] },
): Promise<boolean> {
  const rows = await db.query(sql`
    select 1 from recovery_codes where account_id = ${accountId} and digest = any(${digests}::bytea[]) and spent_at is null`);
  return rows.length === 1;
}

/** One row: it was not spent before. */
export function spentRecoveryCode(
  { accountId, digests }: { accountId: string; digests: readonly Buffer[] },
  now: Date,
): Sql {
  return sql`update recovery_codes set spent_at = ${now}
    where account_id = ${accountId} and digest = any(${digests}::bytea[]) and spent_at is null returning account_id`;
}

const TABLES = [sql`passkeys`, sql`authenticators`, sql`recovery_codes`];

/** Statements for composing: of these accounts (a query of their ids) no factor stays. The caller notes so in `accounts`. */
export const forgottenFactors = (accounts: Sql): Sql[] =>
  TABLES.map((table) => sql`delete from ${table} where account_id in (${accounts})`);

/** What was set up since is gone, or all: it may have been somebody else's doing. */
export async function forgetFactors(
  tx: Queryable,
  { accountId, since = new Date(0) }: { accountId: string; since?: Date },
  now: Date,
): Promise<void> {
  const gone: unknown[] = [];
  for (const table of TABLES)
    gone.push(
      ...(await tx.query(
        sql`delete from ${table} where account_id = ${accountId} and created_at >= ${since} returning 1`,
      )),
    );
  if (gone.length > 0) await settleFactors(tx, accountId, now);
}

/**
 * Ends a change of factors: recovery codes go with the last of them, and the account notes what there is.
 * @returns the account's new epoch
 */
export async function settleFactors(tx: Queryable, accountId: string, now: Date): Promise<number> {
  const [has] = await tx.query<{ factors: string[] }>(sql`
    select array(select 'passkey' where exists (select 1 from passkeys where account_id = ${accountId})
      union all select 'authenticator' where exists (select 1 from authenticators where account_id = ${accountId})) as factors`);
  if (has!.factors.length === 0) await tx.query(sql`delete from recovery_codes where account_id = ${accountId}`);
  return setFactors(tx, { accountId, factors: has!.factors }, now);
}

/** Replaces a removal that waits. The token calls it off; only its hash rests here. */
export async function askRemoval(
  tx: Queryable,
  { accountId, token, removal }: { accountId: string; token: string; removal: Removal },
): Promise<void> {
  const { factor, actor, askedAt, dueAt } = removal;
  await tx.query(sql`
    insert into factor_removals (account_id, factor, actor, token_hash, asked_at, due_at)
    values (${accountId}, ${factor}, ${actor}, ${sha256(token)}, ${askedAt}, ${dueAt})
    on conflict (account_id) do update set factor = excluded.factor, actor = excluded.actor,
      token_hash = excluded.token_hash, asked_at = excluded.asked_at, due_at = excluded.due_at`);
}

/** Whose removal a token calls off. */
export async function removalByToken(db: Queryable, token: string): Promise<{ accountId: string } | undefined> {
  const [row] = await db.query<{ accountId: string }>(sql`
    select account_id as "accountId" from factor_removals where token_hash = ${sha256(token)}`);
  return row;
}

/** A statement for composing: the removal that waits is called off. One row where there was one. */
export function droppedRemoval(accountId: string): Sql {
  return sql`delete from factor_removals where account_id = ${accountId} returning account_id`;
}

/** Every removal that waits is called off; says how many. */
export async function dropEveryRemoval(tx: Queryable): Promise<number> {
  return (await tx.query(sql`delete from factor_removals returning 1`)).length;
}

/** Some of those whose time has come. */
export function dueRemovals(db: Queryable, now: Date): Promise<{ accountId: string }[]> {
  return db.query(sql`
    select account_id as "accountId" from factor_removals where due_at <= ${now} order by due_at limit 100`);
}

/** Takes a due removal out, for whoever carries it out: of two nodes one gets it. */
export async function takeRemoval(tx: Queryable, accountId: string, now: Date): Promise<Removal | undefined> {
  const [row] = await tx.query<{ factor: string; actor: string; asked_at: Date; due_at: Date }>(sql`
    delete from factor_removals where account_id = ${accountId} and due_at <= ${now}
    returning factor, actor, asked_at, due_at`);
  return row && { factor: row.factor, actor: row.actor, askedAt: row.asked_at, dueAt: row.due_at };
}

export const AUTHENTICATOR_PURPOSE = 'authenticator';

/** For sealing the secrets of authenticator apps anew (records/seals.ts). */
export const authenticatorSeals: SealedKind = {
  name: 'authenticator apps',
  purpose: AUTHENTICATOR_PURPOSE,
  read: (db, { after = NIL_UUID, limit }) =>
    db.query(sql`
      select account_id as id, sealed from authenticators
      where account_id > ${after}::uuid order by account_id limit ${limit}`),
  async replace(db, values) {
    for (const { id, from, to } of values)
      await db.query(sql`update authenticators set sealed = ${to} where account_id = ${id} and sealed = ${from}`);
  },
};
