/**
 * The catalogue of mails: the name and the data of each. Only this file puts a mail into the queue, in the transaction that
 * causes it and with the row that keeps what becomes of it. What a mail says is writing.ts's; delivery.ts carries it to the mail
 * server.
 *
 * What waits in the queue is sealed: it holds a link that opens an account.
 */
import type { TextByLanguage } from '../config.ts';
import { sql } from '../platform/database.ts';
import type { Queryable, Sql } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { DeviceKind } from '../platform/user-agent.ts';
import { queuedMail, queuedMailWhen, withdrawnEverywhere, withdrawnMails } from '../records/mail-outcomes.ts';

/** The name of the job that carries a mail. */
export const MAIL_JOB = 'mail';

const PURPOSE = 'mail';

export interface Recipient {
  /** Whose mail it is; none where the address has no account. */
  accountId?: string;
  email: string;
  locale?: string | null;
}

export interface LinkData {
  link: string;
  /** The e-service that the resident was signing in to, as they know it: the mail's language may not be the page's. */
  service?: TextByLanguage;
  /** How long the link works, in milliseconds. */
  lifetime: number;
}

export interface ErasureData {
  /** Leads to signing in. */
  link: string;
  /** The day on which the account is erased, in words. */
  day: TextByLanguage;
}

/** What a resident who lost their address asks of support. The texts are the resident's own: cleaned, never trusted. */
export interface SupportRequest {
  /** The address that the account has, as it was typed at the sign-in. */
  oldEmail: string;
  /** Where the resident can be reached now; support answers to it. */
  newEmail: string;
  name: string;
  /** May be of several lines, or empty. */
  services: string;
  /** The e-service that the resident was signing in to. */
  service: TextByLanguage;
}

/** What became of the ways to sign in. */
export type FactorChange =
  | 'passkey_added'
  | 'passkey_removed'
  | 'authenticator_added'
  | 'authenticator_removed'
  | 'recovery_codes_made'
  | 'two_steps_on'
  | 'two_steps_off'
  | 'removed_by_support';

export interface Mails {
  setPassword(tx: Queryable, to: Recipient & LinkData, now: Date): Promise<void>;
  passwordChanged(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  /** A statement for composing: where `when` holds, the resident is told of a sign-in with a kind of device that is new. */
  newDevice(to: Recipient & { accountId: string; device: DeviceKind; when: Sql }, now: Date): Sql;
  /** Before an account that nobody ever used is erased. */
  dormant(tx: Queryable, to: Recipient & ErasureData, now: Date): Promise<void>;
  /** To an address that a resident wants for their account. It does not say whose: it may be mistyped. */
  confirmEmail(tx: Queryable, to: Recipient & Timed, now: Date): Promise<void>;
  /** To an address that somebody wants for their account, and that is another's already. */
  emailTaken(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  /** To the address that the account had, with the link that undoes the change. */
  emailChanged(tx: Queryable, to: Recipient & Timed, now: Date): Promise<void>;
  /** The change is undone: to the address that the account has again, and to the one that it had meanwhile. */
  emailRestored(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  emailUndone(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  detailsChanged(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  /** The resident has asked for the account to be erased; the reminder before; it stays after all. */
  leaving(tx: Queryable, to: Recipient & ErasureData, now: Date): Promise<void>;
  leavingReminder(tx: Queryable, to: Recipient & ErasureData, now: Date): Promise<void>;
  leavingUndone(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  /** The one mail that goes to an address without an account (under `conceal`). */
  unknownAddress(tx: Queryable, to: Stranger, now: Date): Promise<void>;
  /** To the address that the account had. It does not say which one it has now: somebody else may read it. */
  addressChanged(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  /** To the address that the account has now; `keeps`: the ways to sign in besides the password. */
  addressGiven(tx: Queryable, to: Recipient & { keeps: readonly string[] }, now: Date): Promise<void>;
  /** The last mail that an account's address gets. */
  accountErased(tx: Queryable, to: Stranger, now: Date): Promise<void>;
  /** To support, in support's language. */
  supportRequest(tx: Queryable, to: Stranger & SupportRequest, now: Date): Promise<void>;
  /** After each change of a resident's factors. */
  factorChanged(tx: Queryable, to: Recipient & { change: FactorChange }, now: Date): Promise<void>;
  /** A statement for composing: a sign-in took a recovery code, and so many are left. */
  recoveryCodeUsed(to: Recipient & { accountId: string; left: number }, now: Date): Sql;
  /** Support was asked to remove a factor; `link` calls that off, within `lifetime`. */
  factorRemoval(tx: Queryable, to: Recipient & RemovalData, now: Date): Promise<void>;
  /** A link that makes an account for the address. */
  register(tx: Queryable, to: Stranger & LinkData, now: Date): Promise<void>;
  /** Who asked for a new account has one (under `conceal`). */
  accountExists(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  /** What of the account's mails has not gone out yet never will. */
  takeBack(tx: Queryable, accountId: string, now: Date): Promise<void>;
}

export interface RemovalData {
  link: string;
  /** In milliseconds. */
  lifetime: number;
}

/** No account has the address, or no longer. */
type Stranger = Omit<Recipient, 'accountId'>;

/** A link and how long it works, in milliseconds. */
type Timed = Omit<LinkData, 'service'>;

/** Mails that only tell. */
export type Notice =
  | 'password_changed'
  | 'unknown_address'
  | 'address_changed'
  | 'account_erased'
  | 'email_taken'
  | 'email_restored'
  | 'email_undone'
  | 'details_changed'
  | 'leaving_undone'
  | 'account_exists';

/** A mail to be written. */
export type Order = Stranger &
  (
    | ({ mail: 'set_password' | 'register' } & LinkData)
    | ({ mail: 'confirm_email' | 'email_changed' } & Timed)
    | ({ mail: 'dormant' | 'leaving' | 'leaving_reminder' } & ErasureData)
    | { mail: 'new_device'; device: DeviceKind; at: string }
    | { mail: 'address_given'; keeps?: readonly string[] }
    | { mail: 'factor_changed'; change: FactorChange }
    | { mail: 'recovery_code_used'; left: number }
    | ({ mail: 'factor_removal' } & RemovalData)
    | ({ mail: 'support_request' } & SupportRequest)
    | { mail: Notice }
  );

/** Lower goes first: who waits for a link waits in front of a page. What was tried before comes after its kind. */
const PRIORITY: Readonly<Record<Order['mail'], number>> = {
  set_password: 0,
  confirm_email: 0,
  register: 0,
  factor_changed: 5,
  recovery_code_used: 5,
  factor_removal: 5,
  password_changed: 5,
  new_device: 5,
  address_changed: 5,
  address_given: 5,
  account_erased: 5,
  email_taken: 5,
  email_changed: 5,
  email_restored: 5,
  email_undone: 5,
  details_changed: 5,
  leaving: 5,
  leaving_reminder: 5,
  leaving_undone: 5,
  account_exists: 10,
  support_request: 5,
  unknown_address: 10,
  dormant: 20,
};

export function makeMails({ sealer }: { sealer: Sealer }): Mails {
  /** The call that adds the job of the mail with this id. */
  const addJob = (order: Order, id: Sql): Sql => {
    const payload = JSON.stringify({ sealed: sealer.seal(JSON.stringify(order), PURPOSE) });
    return sql`graphile_worker.add_job(${MAIL_JOB}::text, payload := ${payload}::json, job_key := ${id},
      priority := ${PRIORITY[order.mail]}::int)`;
  };
  const enqueue = async (tx: Queryable, { accountId, ...order }: Order & Recipient, now: Date): Promise<void> => {
    await tx.query(sql`
      with kept as (${queuedMail({ accountId, kind: order.mail }, now)})
      select ${addJob(order, sql`kept.id::text`)} from kept`);
  };
  const notice =
    (mail: Notice) =>
    (tx: Queryable, { accountId, email, locale }: Recipient, now: Date): Promise<void> =>
      enqueue(tx, { mail, accountId, email, locale }, now);
  const timed =
    (mail: 'confirm_email' | 'email_changed') =>
    (tx: Queryable, { accountId, email, locale, link, lifetime }: Recipient & Timed, now: Date): Promise<void> =>
      enqueue(tx, { mail, accountId, email, locale, link, lifetime }, now);
  const erasure =
    (mail: 'dormant' | 'leaving' | 'leaving_reminder') =>
    (tx: Queryable, { accountId, email, locale, link, day }: Recipient & ErasureData, now: Date): Promise<void> =>
      enqueue(tx, { mail, accountId, email, locale, link, day }, now);
  return {
    setPassword: (tx, { accountId, email, locale, link, service, lifetime }, now) =>
      enqueue(tx, { mail: 'set_password', accountId, email, locale, link, service, lifetime }, now),
    passwordChanged: notice('password_changed'),
    dormant: erasure('dormant'),
    confirmEmail: timed('confirm_email'),
    emailTaken: notice('email_taken'),
    emailChanged: timed('email_changed'),
    emailRestored: notice('email_restored'),
    emailUndone: notice('email_undone'),
    detailsChanged: notice('details_changed'),
    leaving: erasure('leaving'),
    leavingReminder: erasure('leaving_reminder'),
    leavingUndone: notice('leaving_undone'),
    newDevice({ accountId, email, locale, device, when }, now) {
      const order: Order = { mail: 'new_device', email, locale, device, at: now.toISOString() };
      return queuedMailWhen({ accountId, kind: order.mail, when, job: (id) => addJob(order, id) }, now);
    },
    unknownAddress: notice('unknown_address'),
    addressChanged: notice('address_changed'),
    addressGiven: (tx, { accountId, email, locale, keeps }, now) =>
      enqueue(tx, { mail: 'address_given', accountId, email, locale, keeps }, now),
    accountErased: notice('account_erased'),
    accountExists: notice('account_exists'),
    factorChanged: (tx, { accountId, email, locale, change }, now) =>
      enqueue(tx, { mail: 'factor_changed', accountId, email, locale, change }, now),
    recoveryCodeUsed({ accountId, email, locale, left }, now) {
      const order: Order = { mail: 'recovery_code_used', email, locale, left };
      return queuedMailWhen({ accountId, kind: order.mail, when: sql`true`, job: (id) => addJob(order, id) }, now);
    },
    factorRemoval: (tx, { accountId, email, locale, link, lifetime }, now) =>
      enqueue(tx, { mail: 'factor_removal', accountId, email, locale, link, lifetime }, now),
    register: (tx, { email, locale, link, service, lifetime }, now) =>
      enqueue(tx, { mail: 'register', email, locale, link, service, lifetime }, now),
    supportRequest: (tx, { email, locale, oldEmail, newEmail, name, services, service }, now) =>
      enqueue(tx, { mail: 'support_request', email, locale, oldEmail, newEmail, name, services, service }, now),
    async takeBack(tx, accountId, now) {
      await tx.query(sql`
        with gone as (${withdrawnMails(accountId, now)}) select graphile_worker.remove_job(id::text) from gone`);
    },
  };
}

/** What has not gone out yet to anybody never will; says how many mails that were. */
export async function takeBackEveryMail(tx: Queryable, now: Date): Promise<number> {
  const rows = await tx.query(sql`
    with gone as (${withdrawnEverywhere(now)}) select graphile_worker.remove_job(id::text) from gone`);
  return rows.length;
}

/** Who asked for it waits in front of a page. */
export const isAwaited = (mail: Order['mail']): boolean => PRIORITY[mail] === 0;

/** Puts a mail that is being carried back into the queue, to be taken up again in so many seconds. */
export async function putBack(
  db: Queryable,
  { id, payload, mail, seconds }: { id: string; payload: unknown; mail: Order['mail']; seconds: number },
): Promise<void> {
  await db.query(sql`
    select graphile_worker.add_job(${MAIL_JOB}::text, payload := ${JSON.stringify(payload)}::json, job_key := ${id},
      run_at := now() + make_interval(secs => ${seconds}::float8), priority := ${PRIORITY[mail] + 1}::int)`);
}

/** The mail that a job's payload orders; undefined where none of our secrets sealed it. */
export function orderFrom(payload: unknown, sealer: Sealer): Order | undefined {
  const sealed = (payload as { sealed?: unknown } | null)?.sealed;
  const opened = typeof sealed === 'string' ? sealer.open(sealed, PURPOSE) : undefined;
  return opened === undefined ? undefined : (JSON.parse(opened) as Order);
}
