/**
 * Owns the table `registrations`: accounts to be, each behind a mailed link. Only the hash of a link's token rests here.
 *
 * A link works once and on any device; opening it changes nothing. The id of the account is chosen with the link, so that a
 * passkey can be made for it before the account is there. Addresses that nobody proved are forgotten with their links.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { randomToken, sha256 } from '../platform/secrets.ts';

export interface NewRegistration {
  email: string;
  emailKey: string;
  locale: string;
  /** The e-service and the sign-in that it leads back to. */
  clientId?: string;
  interactionUid?: string;
}

export interface Registration extends NewRegistration {
  /** The account's, when it is made. */
  accountId: string;
  state: 'live' | 'used' | 'expired';
}

/** @returns its token: the only time that it is seen */
export async function makeRegistration(
  tx: Queryable,
  { lifetime, ...registration }: NewRegistration & { lifetime: number },
  now: Date,
): Promise<string> {
  const token = randomToken();
  const { email, emailKey, locale, clientId, interactionUid } = registration;
  await tx.query(sql`
    insert into registrations (token_hash, email, email_key, locale, client_id, interaction_uid, created_at, expires_at)
    values (${sha256(token)}, ${email}, ${emailKey}, ${locale}, ${clientId ?? null}, ${interactionUid ?? null}, ${now},
      ${new Date(now.getTime() + lifetime)})`);
  return token;
}

export async function findRegistration(db: Queryable, token: string, now: Date): Promise<Registration | undefined> {
  const [row] = await db.query<{
    account_id: string;
    email: string;
    email_key: string;
    locale: string;
    client_id: string | null;
    interaction_uid: string | null;
    expires_at: Date;
    spent_at: Date | null;
  }>(sql`
    select account_id, email, email_key, locale, client_id, interaction_uid, expires_at, spent_at
    from registrations where token_hash = ${sha256(token)}`);
  return (
    row && {
      accountId: row.account_id,
      email: row.email,
      emailKey: row.email_key,
      locale: row.locale,
      clientId: row.client_id ?? undefined,
      interactionUid: row.interaction_uid ?? undefined,
      state: row.spent_at ? 'used' : row.expires_at <= now ? 'expired' : 'live',
    }
  );
}

/** Spends every link of the address, this one among them; false where it was spent or expired meanwhile. */
export async function spendRegistration(
  tx: Queryable,
  { token, emailKey }: { token: string; emailKey: string },
  now: Date,
): Promise<boolean> {
  const rows = await tx.query<{ own: boolean }>(sql`
    update registrations set spent_at = ${now} where email_key = ${emailKey} and spent_at is null and expires_at > ${now}
    returning token_hash = ${sha256(token)} as own`);
  return rows.some(({ own }) => own);
}

/** When links to make an account were asked for with this address; of those that are not forgotten yet. */
export async function registrationsOf(db: Queryable, emailKey: string): Promise<{ askedAt: Date; expiresAt: Date }[]> {
  return db.query(sql`
    select created_at as "askedAt", expires_at as "expiresAt" from registrations where email_key = ${emailKey}
    order by created_at`);
}

/** Of an erased account's address nothing stays, and no link from before makes it anew. */
export async function forgetRegistrations(tx: Queryable, emailKey: string): Promise<void> {
  await tx.query(sql`delete from registrations where email_key = ${emailKey}`);
}

/** No link makes an account any more; says how many might have. */
export async function forgetEveryRegistration(tx: Queryable): Promise<number> {
  return (await tx.query(sql`delete from registrations returning 1`)).length;
}

/** For a day after its end a link's page says what it was. */
const REMEMBERED = 86_400_000;

/** A scalar for composing: when the oldest link is to go. */
export const dueRegistration: Sql = sql`(select min(expires_at) + interval '24 hours' from registrations)`;

export async function sweepRegistrations(db: Queryable, now: Date, batch = 1000): Promise<number> {
  const before = new Date(now.getTime() - REMEMBERED);
  const rows = await db.query(sql`
    delete from registrations
    where token_hash in (select token_hash from registrations where expires_at < ${before} limit ${batch}) returning 1`);
  return rows.length;
}
