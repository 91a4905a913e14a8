/**
 * Owns the table `accounts`: one row a resident, found by the canonical form of the address.
 *
 * Every change that must end proofs (password, address, another list, lock) raises `epoch`; sessions, grants and sign-ins
 * carry the epoch they were made under. The password hash is no part of an Account: it leaves this file only for checking.
 * Setting up accounts from lists is journeys/import-accounts.ts's, in the set-based statements of account-lists.ts.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { canonicalAddress, displayAddress } from './addresses.ts';

/** 'none': no password yet; 'list': vouched for by one old list only; 'own': set by the resident. */
export type PasswordState = 'none' | 'list' | 'own';

/** What a resident has besides the password. */
export type Factor = 'passkey' | 'authenticator';

export interface Account {
  id: string;
  /** As the resident or the list wrote it: for display and for mail. */
  email: string;
  emailKey: string;
  emailVerified: boolean;
  givenName?: string;
  familyName?: string;
  phoneNumber?: string;
  locale?: string;
  passwordState: PasswordState;
  lockedAt?: Date;
  epoch: number;
  createdAt: Date;
  updatedAt: Date;
  signedInAt?: Date;
  /** When it is erased, as the resident has asked. */
  leavesAt?: Date;
  /** What there is of each kind; kept by factors.ts. */
  factors: readonly Factor[];
  /** Asks for a second step after the password also where there is no authenticator app. */
  twoSteps: boolean;
  /** When a passkey may be offered next; none was offered yet where it is left out. */
  passkeyOfferAfter?: Date;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value ? value : undefined);
const time = (value: unknown): Date | undefined =>
  value instanceof Date ? value : typeof value === 'string' ? new Date(value) : undefined;

/** From a row of `accounts`, or from its to_jsonb, in which times are text. */
export function accountFromRow(row: Record<string, unknown>): Account {
  return {
    id: row['id'] as string,
    email: row['email'] as string,
    emailKey: row['email_key'] as string,
    emailVerified: row['email_verified'] as boolean,
    givenName: text(row['given_name']),
    familyName: text(row['family_name']),
    phoneNumber: text(row['phone_number']),
    locale: text(row['locale']),
    passwordState: row['password_state'] as PasswordState,
    lockedAt: time(row['locked_at']),
    epoch: row['epoch'] as number,
    createdAt: time(row['created_at'])!,
    updatedAt: time(row['updated_at'])!,
    signedInAt: time(row['signed_in_at']),
    leavesAt: time(row['leaves_at']),
    factors: (row['factors'] as Factor[] | null) ?? [],
    twoSteps: row['two_steps'] as boolean,
    passkeyOfferAfter: time(row['passkey_offer_after']),
  };
}

/** A scalar query for composing: the account with its password hash as JSON, or null. */
export function accountJson(emailKey: string): Sql {
  return sql`select to_jsonb(a) from accounts a where a.email_key = ${emailKey}`;
}

/** The same by its id, without the password hash, where it still is at this epoch and open. */
export function accountAtEpochJson({ accountId, epoch }: { accountId: string; epoch: number }): Sql {
  return sql`select to_jsonb(a) - 'password_hash' from accounts a
    where a.id = ${accountId} and a.epoch = ${epoch} and a.locked_at is null`;
}

/** A query for composing: the account, which stays until the transaction ends. */
export function heldAccount(id: string): Sql {
  return sql`select id from accounts where id = ${id} for key share`;
}

const COLUMNS = sql`id, email, email_key, email_verified, given_name, family_name, phone_number, locale, password_state,
  locked_at, epoch, created_at, updated_at, signed_in_at, leaves_at, factors, two_steps, passkey_offer_after`;

async function one(db: Queryable, statement: Sql): Promise<Account | undefined> {
  const [row] = await db.query(statement);
  return row && accountFromRow(row);
}

export function accountByKey(db: Queryable, emailKey: string): Promise<Account | undefined> {
  return one(db, sql`select ${COLUMNS} from accounts where email_key = ${emailKey}`);
}

export function accountById(db: Queryable, id: string): Promise<Account | undefined> {
  return one(db, sql`select ${COLUMNS} from accounts where id = ${id}`);
}

/**
 * The resident's own password. Raises the epoch and returns it; undefined, with nothing written, where the account is no
 * longer at the epoch under which the change was allowed.
 */
export async function setOwnPassword(
  tx: Queryable,
  {
    accountId,
    epoch,
    hash,
    emailVerified,
  }: { accountId: string; epoch: number; hash: string; emailVerified?: boolean },
  now: Date,
): Promise<number | undefined> {
  const [row] = await tx.query<{ epoch: number }>(sql`
    update accounts set password_state = 'own', password_hash = ${hash}, password_list = null, epoch = epoch + 1,
      email_verified = email_verified or ${emailVerified ?? false}, updated_at = ${now}
    where id = ${accountId} and epoch = ${epoch} returning epoch`);
  return row?.epoch;
}

/** The same password in a better hash: ends no proof. Does nothing where the hash is another by now. */
export async function replaceHash(
  db: Queryable,
  { accountId, from, to }: { accountId: string; from: string; to: string },
  now: Date,
): Promise<void> {
  await db.query(sql`
    update accounts set password_hash = ${to}, updated_at = ${now}
    where id = ${accountId} and password_hash = ${from}`);
}

/**
 * What opens the account now may rest on an old list's password alone: nobody has proved the address since. (Without any
 * password it was support that gave another address, and what the resident has besides stays.)
 */
export const restsOnList = ({ emailVerified, passwordState }: Account): boolean =>
  !emailVerified && passwordState !== 'none';

/** The same of a row `accounts a`. */
export const rowRestsOnList = sql`not a.email_verified and a.password_state <> 'none'`;

/** What residents tell of themselves. */
export type Details = Pick<Account, 'givenName' | 'familyName' | 'phoneNumber' | 'locale'>;

/** False, with nothing written, where they are no longer what they were `before`. */
export async function setDetails(
  tx: Queryable,
  { accountId, before, after }: { accountId: string; before: Details; after: Details },
  now: Date,
): Promise<boolean> {
  const row = (details: Details): Sql => sql`(${details.givenName ?? ''}, ${details.familyName ?? ''},
    ${details.phoneNumber ?? ''}, ${details.locale ?? ''})`;
  const rows = await tx.query(sql`
    update accounts set (given_name, family_name, phone_number, locale) = (select nullif(g, ''), nullif(f, ''),
      nullif(p, ''), nullif(l, '') from (values ${row(after)}) as v (g, f, p, l)), updated_at = ${now}
    where id = ${accountId} and (coalesce(given_name, ''), coalesce(family_name, ''), coalesce(phone_number, ''),
      coalesce(locale, '')) = ${row(before)} returning 1`);
  return rows.length === 1;
}

/** How many passwords rest on which pepper, by its id. */
export function countPeppers(db: Queryable): Promise<{ pepper: string; count: number }[]> {
  return db.query(sql`
    select split_part(password_hash, '$', 2) as pepper, count(*) from accounts
    where password_hash like 'peppered$%' group by 1 order by 1`);
}

/** Of passwords that cost alike to check, by form and parameters, one each; of fifty kinds at most. */
export async function oneHashOfEachKind(db: Queryable): Promise<string[]> {
  const form = String.raw`^(\$(argon2id\$[^$]*|scrypt|pbkdf2[^$]*|6\$rounds)[$=][^$]*|pbkdf2_sha256\$\d+|\$2[aby]\$\d+|[^$:]*)`;
  const rows = await db.query<{ hash: string }>(sql`
    select min(password_hash) as hash from accounts where password_hash is not null
    group by substring(password_hash from ${form}) order by 1 limit 50`);
  return rows.map(({ hash }) => hash);
}

/** The same password in a better hash; it is laid down where the old one is still there. */
export interface Rehashed {
  from: string;
  to: string;
}

/** A statement for composing: what a first step alone writes, where a second one is to come. */
export function rehashedRow({ accountId, rehashed: { from, to } }: { accountId: string; rehashed: Rehashed }): Sql {
  return sql`update accounts set password_hash = ${to} where id = ${accountId} and password_hash = ${from}`;
}

/** A statement for composing: the resident signed in. Who was about to leave stays. */
export function signedInRow({ accountId, rehashed }: { accountId: string; rehashed?: Rehashed }, now: Date): Sql {
  const hash = rehashed
    ? sql`, password_hash = case when password_hash = ${rehashed.from} then ${rehashed.to} else password_hash end`
    : sql``;
  return sql`update accounts set signed_in_at = ${now}, leaves_at = null, leave_reminded_at = null ${hash} where id = ${accountId}`;
}

/**
 * The account is to be erased at `leavesAt`. Raises the epoch: nobody stays signed in. False, with nothing written, where it is
 * no longer at the epoch under which that was asked.
 */
export async function startLeaving(
  tx: Queryable,
  { accountId, epoch, leavesAt }: { accountId: string; epoch: number; leavesAt: Date },
  now: Date,
): Promise<boolean> {
  const rows = await tx.query(sql`
    update accounts set leaves_at = ${leavesAt}, leave_reminded_at = null, epoch = epoch + 1, updated_at = ${now}
    where id = ${accountId} and epoch = ${epoch} and leaves_at is null returning 1`);
  return rows.length === 1;
}

/** False: it was not about to leave. */
export async function stopLeaving(tx: Queryable, accountId: string, now: Date): Promise<boolean> {
  const rows = await tx.query(sql`
    update accounts set leaves_at = null, leave_reminded_at = null, updated_at = ${now}
    where id = ${accountId} and leaves_at is not null returning 1`);
  return rows.length === 1;
}

/** Whoever is about to leave has time until then to think it over, and is reminded anew. */
export async function putOffEveryLeaving(tx: Queryable, until: Date): Promise<void> {
  await tx.query(sql`update accounts set leaves_at = ${until}, leave_reminded_at = null where leaves_at is not null`);
}

/** Some of those who leave before a time; without those who were reminded of it. */
export async function leavingBefore(
  db: Queryable,
  { before, reminded, limit }: { before: Date; reminded: boolean; limit: number },
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(sql`
    select id from accounts where leaves_at <= ${before} and (${reminded}::boolean or leave_reminded_at is null)
    order by leaves_at limit ${limit}`);
  return rows.map(({ id }) => id);
}

/** The account, held, if it still leaves before that time. */
export function holdLeaving(tx: Queryable, { id, before }: { id: string; before: Date }): Promise<Account | undefined> {
  return one(tx, sql`select ${COLUMNS} from accounts where id = ${id} and leaves_at <= ${before} for update`);
}

/** False: the resident was reminded already. */
export async function noteReminder(tx: Queryable, accountId: string, now: Date): Promise<boolean> {
  const rows = await tx.query(sql`
    update accounts set leave_reminded_at = ${now} where id = ${accountId} and leave_reminded_at is null returning 1`);
  return rows.length === 1;
}

/** The account where it still is at this epoch and open; it stays so until the transaction ends. */
export function heldAtEpoch(
  tx: Queryable,
  { accountId, epoch }: { accountId: string; epoch: number },
): Promise<Account | undefined> {
  return one(
    tx,
    sql`select ${COLUMNS} from accounts where id = ${accountId} and epoch = ${epoch} and locked_at is null for update`,
  );
}

/** Notes which factors there are (factors.ts). Raises the epoch and returns it. */
export async function setFactors(
  tx: Queryable,
  { accountId, factors }: { accountId: string; factors: readonly string[] },
  now: Date,
): Promise<number> {
  const [row] = await tx.query<{ epoch: number }>(sql`
    update accounts set factors = nullif(${factors}::text[], '{}'), two_steps = two_steps and ${factors.length > 0},
      epoch = epoch + 1, updated_at = ${now}
    where id = ${accountId} returning epoch`);
  return row!.epoch;
}

/** Whether a second step is asked for after the password where there is no authenticator app. Raises the epoch and returns it. */
export async function setTwoSteps(
  tx: Queryable,
  { accountId, twoSteps }: { accountId: string; twoSteps: boolean },
  now: Date,
): Promise<number> {
  const [row] = await tx.query<{ epoch: number }>(sql`
    update accounts set two_steps = ${twoSteps}, epoch = epoch + 1, updated_at = ${now}
    where id = ${accountId} returning epoch`);
  return row!.epoch;
}

/** A statement for composing: no passkey is offered before this time. */
export function putOffPasskey(accountId: string, until: Date): Sql {
  return sql`update accounts set passkey_offer_after = ${until} where id = ${accountId}`;
}

/** Makes the account of a resident who came by a mailed link; false where somebody has the address by now. */
export async function makeAccount(
  tx: Queryable,
  account: {
    id: string;
    email: string;
    emailKey: string;
    givenName?: string;
    familyName?: string;
    locale: string;
    /** None: a passkey is the way in. */
    passwordHash?: string;
  },
  now: Date,
): Promise<boolean> {
  const { id, email, emailKey, givenName, familyName, locale, passwordHash } = account;
  const rows = await tx.query(sql`
    insert into accounts (id, email, email_key, email_verified, given_name, family_name, locale, password_state,
      password_hash, created_at, updated_at)
    values (${id}, ${email}, ${emailKey}, true, ${givenName || null}, ${familyName || null}, ${locale},
      ${passwordHash ? 'own' : 'none'}, ${passwordHash ?? null}, ${now}, ${now})
    on conflict do nothing returning 1`);
  return rows.length === 1;
}

/** Ends every session and grant of the account. */
export async function raiseEpoch(tx: Queryable, accountId: string, now: Date): Promise<void> {
  await tx.query(sql`update accounts set epoch = epoch + 1, updated_at = ${now} where id = ${accountId}`);
}

/** The same where the account is at this epoch; returns the new one. */
export async function raiseEpochFrom(
  tx: Queryable,
  { id, epoch }: Pick<Account, 'id' | 'epoch'>,
  now: Date,
): Promise<number | undefined> {
  const [row] = await tx.query<{ epoch: number }>(sql`
    update accounts set epoch = epoch + 1, updated_at = ${now} where id = ${id} and epoch = ${epoch} returning epoch`);
  return row?.epoch;
}

/** Ends every session and grant of all accounts; says how many accounts. */
export async function raiseEveryEpoch(tx: Queryable): Promise<number> {
  const [row] = await tx.query<{ count: number }>(sql`
    with raised as (update accounts set epoch = epoch + 1 returning 1) select count(*) as count from raised`);
  return row!.count;
}

/** A password that one old list vouched for proves nothing on another list (`source`): it goes when the account joins that. */
export async function dropListPassword(
  tx: Queryable,
  { accountId, source }: { accountId: string; source: string },
  now: Date,
): Promise<void> {
  await tx.query(sql`
    update accounts set password_state = 'none', password_hash = null, password_list = null, updated_at = ${now}
    where id = ${accountId} and password_state = 'list' and password_list <> ${source}`);
}

/** False: it was locked already, and keeps the time of that. */
export async function lockAccount(tx: Queryable, accountId: string, now: Date): Promise<boolean> {
  const rows = await tx.query(sql`
    update accounts set locked_at = ${now}, epoch = epoch + 1, updated_at = ${now}
    where id = ${accountId} and locked_at is null returning 1`);
  return rows.length === 1;
}

/** False: it was not locked. */
export async function unlockAccount(tx: Queryable, accountId: string, now: Date): Promise<boolean> {
  const rows = await tx.query(sql`
    update accounts set locked_at = null, updated_at = ${now}
    where id = ${accountId} and locked_at is not null returning 1`);
  return rows.length === 1;
}

/** No password opens the account any more, and nothing that was proved before holds. */
export async function forgetPassword(tx: Queryable, accountId: string, now: Date): Promise<void> {
  await tx.query(sql`
    update accounts set password_state = 'none', password_hash = null, password_list = null, epoch = epoch + 1,
      updated_at = ${now} where id = ${accountId}`);
}

/**
 * Gives the account another address, under `holdIdentities`, and raises the epoch. `verified`: a link to that address was used.
 * 'respelt': the same address written otherwise, which ends nothing.
 */
export async function changeEmail(
  tx: Queryable,
  { accountId, email, verified }: { accountId: string; email: string; verified: boolean },
  now: Date,
): Promise<'changed' | 'respelt' | 'unchanged' | 'taken'> {
  const [emailKey, written] = [canonicalAddress(email), displayAddress(email)];
  if (!emailKey) throw new Error('not an address');
  const [known] = await tx.query<{ id: string; email: string }>(sql`
    select id, email from accounts where email_key = ${emailKey}`);
  if (known && known.id !== accountId) return 'taken';
  if (known?.email === written) return 'unchanged';
  if (known) {
    await tx.query(sql`
      update accounts set email = ${written}, email_verified = email_verified or ${verified}, updated_at = ${now}
      where id = ${accountId}`);
    return 'respelt';
  }
  await tx.query(sql`
    update accounts set email = ${written}, email_key = ${emailKey}, email_verified = ${verified}, epoch = epoch + 1,
      updated_at = ${now} where id = ${accountId}`);
  return 'changed';
}
