/**
 * Owns the table `mails`: what became of each mail that was put into the queue, for support and for the story of the move.
 *
 * A row has no address, no link and none of the mail server's words: of its answer only the reply code (RFC 5321, 4.2) and
 * the enhanced status (RFC 3463). It goes with its account. What waits in the queue, and what a mail says, is mail/mails.ts's.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';

/**
 * `sent`: the mail server took it. `delayed`: it could not take it yet, so it is tried again. `refused`: it will never take
 * it. `given_up`: not tried again, after too many tries or because what it says is no longer true. `bounced`: taken, but
 * never delivered.
 */
export type MailOutcome = 'queued' | 'sent' | 'delayed' | 'refused' | 'given_up' | 'bounced';

export interface MailRow {
  kind: string;
  queuedAt: Date;
  outcome: MailOutcome;
  outcomeAt: Date;
  tries: number;
  reply?: number;
  status?: string;
}

/** What a mail server answered: its reply code, and the enhanced status where it gives one. */
export interface Reply {
  reply?: number;
  status?: string;
}

/** A statement for composing: a mail is put into the queue. Returns its `id`, by which its job is called. */
export function queuedMail({ accountId, kind }: { accountId?: string; kind: string }, now: Date): Sql {
  return sql`insert into mails (account_id, kind, queued_at, outcome_at)
    values (${accountId ?? null}::uuid, ${kind}, ${now}, ${now}) returning id`;
}

/**
 * The same where a condition holds, with the job that carries it in one: as a part of a larger statement nothing reads what it
 * returns, and only what writes is run there. `job` makes the call that adds the job from the mail's id.
 */
export function queuedMailWhen(
  { accountId, kind, when, job }: { accountId: string; kind: string; when: Sql; job: (id: Sql) => Sql },
  now: Date,
): Sql {
  return sql`insert into mails (id, account_id, kind, queued_at, outcome_at)
    select mail.id, ${accountId}::uuid, ${kind}, ${now}::timestamptz, ${now}::timestamptz
    from (select gen_random_uuid() as id where ${when} offset 0) as mail
    where (${job(sql`mail.id::text`)}).id is not null returning id`;
}

/** Counts a try. False: the mail has come to its end already, or its account is gone; it must not go out. */
export async function beginTry(db: Queryable, id: string): Promise<boolean> {
  const rows = await db.query(sql`
    update mails set tries = tries + 1 where id = ${id} and outcome in ('queued', 'delayed') returning 1`);
  return rows.length === 1;
}

export async function keepOutcome(
  db: Queryable,
  { id, outcome, reply, status }: { id: string; outcome: MailOutcome } & Reply,
  now: Date,
): Promise<void> {
  await db.query(sql`
    update mails set outcome = ${outcome}, outcome_at = ${now}, reply = ${reply ?? null}, status = ${status ?? null}
    where id = ${id}`);
}

/** A statement for composing: the account's mails that have not gone out yet never will. Returns their `id`s. */
export function withdrawnMails(accountId: string, now: Date): Sql {
  return sql`
    update mails set outcome = 'given_up', outcome_at = ${now}
    where account_id = ${accountId} and outcome in ('queued', 'delayed') returning id`;
}

export interface MailsWaiting {
  /** Not tried yet. */
  queued: number;
  /** Tried in vain, and will be again. */
  delayed: number;
  /** When the one that waits longest was put into the queue. */
  since?: Date;
  /** Of those that came to a bad end since a time. */
  refused: number;
  givenUp: number;
  bounced: number;
}

/** What waits now, and what failed since a time. */
export async function mailsWaiting(db: Queryable, failedSince: Date): Promise<MailsWaiting> {
  const [row] = await db.query<Omit<MailsWaiting, 'since'> & { since: Date | null }>(sql`
    select waiting.*, failed.* from (
      select count(*) filter (where outcome = 'queued') as queued, count(*) filter (where outcome = 'delayed') as delayed,
        min(queued_at) as since
      from mails where outcome in ('queued', 'delayed')) as waiting
    cross join (
      select count(*) filter (where outcome = 'refused') as refused, count(*) filter (where outcome = 'given_up') as "givenUp",
        count(*) filter (where outcome = 'bounced') as bounced
      from mails where outcome in ('refused', 'given_up', 'bounced') and outcome_at > ${failedSince}) as failed`);
  return { ...row!, since: row!.since ?? undefined };
}

/** The newest mails of an account, newest first. */
export async function recentMails(db: Queryable, accountId: string, limit: number): Promise<MailRow[]> {
  const rows = await db.query<MailRow & { reply: number | null; status: string | null }>(sql`
    select kind, queued_at as "queuedAt", outcome, outcome_at as "outcomeAt", tries, reply, status
    from mails where account_id = ${accountId} order by queued_at desc limit ${limit}`);
  return rows.map(({ reply, status, ...row }) => ({ ...row, reply: reply ?? undefined, status: status ?? undefined }));
}

const KEPT_DAYS = 90;

/** A scalar for composing: when the oldest row is to go. */
export const dueMail: Sql = sql`(select min(queued_at) + make_interval(days => ${KEPT_DAYS}::int) from mails)`;

export async function sweepMails(db: Queryable, now: Date, batch = 1000): Promise<number> {
  const before = new Date(now.getTime() - KEPT_DAYS * 86_400_000);
  const rows = await db.query(sql`
    delete from mails where id in (select id from mails where queued_at < ${before} limit ${batch}) returning 1`);
  return rows.length;
}
