/**
 * Owns the table `links`: mailed one-time links. Only the hash of a token rests here.
 *
 * A link works once, on any device, and for its own purpose. Asking for a new one ends no older one (else a flood would lock
 * out); setting the password ends them all. One that undoes a change of address may then be mailed anew: whoever took an account
 * over would begin with the password. Opening a link changes nothing about it: mail scanners fetch. When a person first did is noted.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { randomToken, sha256 } from '../platform/secrets.ts';
import { heldAccount } from './accounts.ts';

/** Whose mailbox a link proves, and what for. */
export type LinkPurpose = 'set_password' | 'confirm_email' | 'undo_email';
export type LinkState = 'live' | 'used' | 'expired' | 'ended';

export interface Link {
  id: string;
  accountId: string;
  /** The e-service that the sign-in came from. */
  clientId?: string;
  /** The sign-in that it came from. */
  interactionUid?: string;
  /** The language of that sign-in, where the e-service asked for one. */
  uiLocales?: string;
  /** The address that it gives the account. */
  email?: string;
  /** Of the account when an address was to be confirmed: what ended proofs since has ended the link. */
  epoch?: number;
  state: LinkState;
  createdAt: Date;
  expiresAt: Date;
  /** A person has opened it before. */
  opened: boolean;
}

interface LinkRow {
  id: string;
  account_id: string;
  client_id: string | null;
  interaction_uid: string | null;
  ui_locales: string | null;
  email: string | null;
  epoch: number | null;
  created_at: Date;
  expires_at: Date;
  spent_at: Date | null;
  ended_at: Date | null;
  opened_at: Date | null;
}

function fromRow(row: LinkRow, now: Date): Link {
  return {
    id: row.id,
    accountId: row.account_id,
    clientId: row.client_id ?? undefined,
    interactionUid: row.interaction_uid ?? undefined,
    uiLocales: row.ui_locales ?? undefined,
    email: row.email ?? undefined,
    epoch: row.epoch ?? undefined,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    state: row.spent_at ? 'used' : row.ended_at ? 'ended' : row.expires_at <= now ? 'expired' : 'live',
    opened: row.opened_at !== null,
  };
}

export interface NewLink {
  accountId: string;
  purpose: LinkPurpose;
  email?: string;
  epoch?: number;
  clientId?: string;
  interactionUid?: string;
  uiLocales?: string;
  /** Milliseconds. */
  lifetime: number;
}

/** Makes a link and returns its token: the only time that it is seen. */
export async function makeLink(tx: Queryable, link: NewLink, now: Date): Promise<string> {
  const token = randomToken();
  await tx.query(sql`
    insert into links (token_hash, account_id, purpose, email, epoch, client_id, interaction_uid, ui_locales, created_at,
      expires_at)
    values (${sha256(token)}, ${link.accountId}, ${link.purpose}, ${link.email ?? null}, ${link.epoch ?? null},
      ${link.clientId ?? null}, ${link.interactionUid ?? null}, ${link.uiLocales ?? null}, ${now},
      ${new Date(now.getTime() + link.lifetime)})`);
  return token;
}

/** In the shape of a mailed link's: 32 random bytes. */
export const isToken = (token: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(token);

/** A link of one purpose: of another it is as unknown as any. */
export async function findLink(
  db: Queryable,
  { token, purpose }: { token: string; purpose: LinkPurpose },
  now: Date,
): Promise<Link | undefined> {
  if (!isToken(token)) return undefined;
  const [row] = await db.query<LinkRow>(sql`
    select id, account_id, client_id, interaction_uid, ui_locales, email, epoch, created_at, expires_at, spent_at, ended_at,
      opened_at
    from links where token_hash = ${sha256(token)} and purpose = ${purpose}`);
  return row && fromRow(row, now);
}

/** Notes the first time only. The account before its links, as every change of it, so that no two wait for each other. */
export async function noteOpened(db: Queryable, { id, accountId }: Link, now: Date): Promise<void> {
  await db.query(sql`
    update links set opened_at = ${now} from (${heldAccount(accountId)}) as account
    where links.id = ${id} and links.account_id = account.id and links.opened_at is null`);
}

/** Spends a live link, exactly once: of two at the same time, one gets false. */
export async function spendLink(tx: Queryable, id: string, now: Date): Promise<boolean> {
  const rows = await tx.query(sql`
    update links set spent_at = ${now}
    where id = ${id} and spent_at is null and ended_at is null and expires_at > ${now} returning id`);
  return rows.length === 1;
}

/** Ends every other link of the account that still stands, but for those that undo a change of address. */
export async function endLinks(tx: Queryable, accountId: string, now: Date): Promise<void> {
  await tx.query(sql`
    update links set ended_at = ${now}
    where account_id = ${accountId} and purpose <> 'undo_email' and spent_at is null and ended_at is null`);
}

/**
 * Ends the links that would undo what came after a change that is undone itself. Those of earlier changes stay: whoever took
 * the account over and changed the address twice must not void the first undo by the second.
 */
export async function endLaterUndos(
  tx: Queryable,
  { accountId, after }: { accountId: string; after: Date },
  now: Date,
): Promise<void> {
  await tx.query(sql`
    update links set ended_at = coalesce(ended_at, ${now}), expires_at = least(expires_at, ${now})
    where account_id = ${accountId} and purpose = 'undo_email' and created_at >= ${after} and spent_at is null`);
}

/** A password was set: what undoes a change of address ends with all other links. Until its time is up it can be made anew. */
export async function endUndos(tx: Queryable, accountId: string, now: Date): Promise<void> {
  await tx.query(sql`
    update links set ended_at = ${now}
    where account_id = ${accountId} and purpose = 'undo_email' and spent_at is null and ended_at is null`);
}

/** Makes a link for what an ended one was for, with its times. Returns its token. */
export async function makeAnew(tx: Queryable, { id }: Link): Promise<string> {
  const token = randomToken();
  await tx.query(sql`
    insert into links (token_hash, account_id, purpose, email, created_at, expires_at)
    select ${sha256(token)}, account_id, purpose, email, created_at, expires_at from links where id = ${id}`);
  return token;
}

/** Ends every link of all accounts that still stands; says how many. */
export async function endEveryLink(tx: Queryable, now: Date): Promise<number> {
  const [row] = await tx.query<{ count: number }>(sql`
    with ended as (
      update links set ended_at = coalesce(ended_at, ${now}), expires_at = least(expires_at, ${now})
      where spent_at is null and (ended_at is null or purpose = 'undo_email' and expires_at > ${now}) returning 1)
    select count(*) as count from ended`);
  return row!.count;
}

/** Forgets every link of the account: none says any more whose it was, or mails a new one. */
export async function forgetLinks(tx: Queryable, accountId: string): Promise<void> {
  await tx.query(sql`delete from links where account_id = ${accountId}`);
}

/** The links of the account that still set a password, newest first. */
export async function liveLinks(
  db: Queryable,
  accountId: string,
  now: Date,
): Promise<{ createdAt: Date; expiresAt: Date }[]> {
  return db.query(sql`
    select created_at as "createdAt", expires_at as "expiresAt" from links
    where account_id = ${accountId} and purpose = 'set_password' and spent_at is null and ended_at is null
      and expires_at > ${now}
    order by created_at desc limit 20`);
}

/** The addresses that the account's owner wants and has not confirmed yet, the last asked for first; ten at most. */
export async function addressesAskedFor(
  db: Queryable,
  { accountId, epoch }: { accountId: string; epoch: number },
  now: Date,
): Promise<string[]> {
  const rows = await db.query<{ email: string }>(sql`
    select email from links
    where account_id = ${accountId} and purpose = 'confirm_email' and epoch = ${epoch} and spent_at is null
      and ended_at is null and expires_at > ${now}
    group by email order by max(created_at) desc limit 10`);
  return rows.map(({ email }) => email);
}

/** The addresses that links give the account, or gave it: those that it was to have, and those that it had. */
export function addressesOfLinks(
  db: Queryable,
  accountId: string,
): Promise<{ email: string; purpose: LinkPurpose; createdAt: Date }[]> {
  return db.query(sql`
    select email, purpose, created_at as "createdAt" from links
    where account_id = ${accountId} and email is not null order by created_at desc`);
}

/** Ends the links to those addresses. The account before its links. False: there was none. */
export async function endAddressLinks(tx: Queryable, accountId: string, now: Date): Promise<boolean> {
  await tx.query(heldAccount(accountId));
  const rows = await tx.query(sql`
    update links set ended_at = ${now} where account_id = ${accountId} and purpose = 'confirm_email'
      and spent_at is null and ended_at is null and expires_at > ${now} returning id`);
  return rows.length > 0;
}

/** How long after its end a link is still known, so that its page can say 'used' or 'expired' rather than 'unknown'. */
const REMEMBERED_DAYS = 90;

/** A scalar for composing: when the oldest link is to go. */
export const dueLink: Sql = sql`(select min(expires_at) + make_interval(hours => ${24 * REMEMBERED_DAYS}::int) from links)`;

export async function sweepLinks(db: Queryable, now: Date, batch = 1000): Promise<number> {
  const before = new Date(now.getTime() - REMEMBERED_DAYS * 86_400_000);
  const rows = await db.query(sql`
    delete from links where id in (select id from links where expires_at < ${before} limit ${batch}) returning 1`);
  return rows.length;
}
