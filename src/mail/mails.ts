/**
 * The catalogue of mails: the name, the data and the words of each. Only this file puts a mail into the queue, in the
 * transaction that causes it and with the row that keeps what becomes of it, and only it knows what a mail says;
 * delivery.ts carries it to the mail server.
 *
 * What waits in the queue is sealed: it holds a link that opens an account. Text and HTML are made from the same blocks,
 * so that they cannot say different things.
 */
import { fileURLToPath } from 'node:url';
import { compileFile } from 'pug';
import type { Config, TextByLanguage } from '../config.ts';
import { sql } from '../platform/database.ts';
import type { Queryable, Sql } from '../platform/database.ts';
import { chooseLanguage } from '../platform/i18n.ts';
import type { Language, Texts, Translate } from '../platform/i18n.ts';
import type { Sealer } from '../platform/secrets.ts';
import { deviceName, type DeviceKind } from '../platform/user-agent.ts';
import { canonicalAddress } from '../records/addresses.ts';
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
  /** To the address that the account has now. */
  addressGiven(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  /** The last mail that an account's address gets. */
  accountErased(tx: Queryable, to: Stranger, now: Date): Promise<void>;
  /** To support, in support's language. */
  supportRequest(tx: Queryable, to: Stranger & SupportRequest, now: Date): Promise<void>;
  /** What of the account's mails has not gone out yet never will. */
  takeBack(tx: Queryable, accountId: string, now: Date): Promise<void>;
}

/** No account has the address, or no longer. */
type Stranger = Omit<Recipient, 'accountId'>;

/** A link and how long it works, in milliseconds. */
type Timed = Omit<LinkData, 'service'>;

type Notice =
  | 'password_changed'
  | 'unknown_address'
  | 'address_changed'
  | 'address_given'
  | 'account_erased'
  | 'email_taken'
  | 'email_restored'
  | 'email_undone'
  | 'details_changed'
  | 'leaving_undone';

type Order = Stranger &
  (
    | ({ mail: 'set_password' } & LinkData)
    | ({ mail: 'confirm_email' | 'email_changed' } & Timed)
    | ({ mail: 'dormant' | 'leaving' | 'leaving_reminder' } & ErasureData)
    | { mail: 'new_device'; device: DeviceKind; at: string }
    | ({ mail: 'support_request' } & SupportRequest)
    | { mail: Notice }
  );

/** Lower goes first: who waits for a link waits in front of a page. What was tried before comes after its kind. */
const PRIORITY: Readonly<Record<Order['mail'], number>> = {
  set_password: 0,
  confirm_email: 0,
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
    addressGiven: notice('address_given'),
    accountErased: notice('account_erased'),
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

export interface RenderedMail {
  mail: Order['mail'];
  to: string;
  language: Language;
  /** The sender's name beside `mail.from`. */
  brand: string;
  subject: string;
  text: string;
  html: string;
  /** Milliseconds, where it is of no use later. */
  goodFor?: number;
  /** A person wrote it, and an answer reaches them where they have an address for it. */
  person?: { replyTo?: string };
}

export interface MailWriterParts {
  sealer: Sealer;
  texts: Texts;
  config: Pick<Config, 'brand' | 'support' | 'languages'>;
}

/** `quote`: what a resident wrote, in lines; marked as such, so that it cannot pass for words of ours. */
type Block = { text: string } | { link: string } | { quote: string[] };

const inText = (block: Block): string =>
  'link' in block ? block.link : 'text' in block ? block.text : block.quote.map((line) => `> ${line}`).join('\n');

const MESSAGE_VIEW = fileURLToPath(new URL('../../views/mail/message.pug', import.meta.url));

/** Writes the mail that a job's payload orders; undefined where none of our secrets sealed it. */
export function mailWriter({ sealer, texts, config }: MailWriterParts): (payload: unknown) => RenderedMail | undefined {
  const toHtml = compileFile(MESSAGE_VIEW);
  return (payload) => {
    const sealed = (payload as { sealed?: unknown } | null)?.sealed;
    const opened = typeof sealed === 'string' ? sealer.open(sealed, PURPOSE) : undefined;
    if (opened === undefined) return undefined;
    const order = JSON.parse(opened) as Order;
    const language = chooseLanguage(config.languages, { own: order.locale });
    const t = texts.for(language);
    const brand = config.brand.name[language];
    const { subject, blocks } = words(order, {
      t,
      language,
      time: (ms) => texts.duration(language, ms, 'lasting'),
      day: (date) => texts.day(language, date),
    });
    const person = order.mail === 'support_request' ? { replyTo: plainAddress(order.newEmail) } : undefined;
    const foot = person ? [t('mail.support_request_answer')] : footLines(config.support, { t, language });
    return {
      mail: order.mail,
      to: order.email,
      language,
      brand,
      subject,
      text: [subject, ...blocks.map(inText), ...foot.slice(0, -1), `${foot.at(-1)}\n${brand}`, ''].join('\n\n'),
      html: toHtml({ language, brand, subject, blocks, foot }),
      goodFor: order.mail === 'set_password' ? order.lifetime : undefined,
      person,
    };
  };
}

/** For a header: other letters in an address are not for every mail program (RFC 6532). */
function plainAddress(address: string): string | undefined {
  const key = canonicalAddress(address);
  return key && /^[\x21-\x7e]+$/.test(key) ? key : undefined;
}

/** Subject and paragraphs of mails that only tell. */
const NOTICES: Readonly<Record<Notice, readonly string[]>> = {
  password_changed: ['mail.password_changed_subject', 'mail.password_changed_notice', 'mail.password_changed_not_you'],
  unknown_address: ['mail.unknown_address_subject', 'mail.unknown_address_notice', 'mail.unknown_address_not_you'],
  address_changed: ['mail.address_changed_subject', 'mail.address_changed_notice', 'mail.address_changed_not_you'],
  address_given: [
    'mail.address_given_subject',
    'mail.address_given_notice',
    'mail.address_given_password',
    'common.history',
    'mail.address_given_not_you',
  ],
  account_erased: ['mail.account_erased_subject', 'mail.account_erased_notice', 'mail.account_erased_not_you'],
  email_taken: ['mail.email_taken_subject', 'mail.email_taken_notice', 'mail.email_taken_not_you'],
  email_restored: [
    'mail.email_restored_subject',
    'mail.email_restored_notice',
    'mail.email_restored_password',
    'mail.email_restored_check',
  ],
  email_undone: ['mail.email_undone_subject', 'mail.email_undone_notice', 'mail.email_undone_not_you'],
  details_changed: ['mail.details_changed_subject', 'mail.details_changed_notice', 'mail.details_changed_not_you'],
  leaving_undone: ['mail.leaving_undone_subject', 'mail.leaving_undone_notice', 'mail.leaving_undone_not_you'],
};

function words(
  order: Order,
  {
    t,
    language,
    time,
    day: dayOf,
  }: { t: Translate; language: Language; time: (milliseconds: number) => string; day: (date: Date) => string },
): { subject: string; blocks: Block[] } {
  const { email } = order;
  switch (order.mail) {
    case 'set_password':
      return {
        subject: t('mail.set_password_subject'),
        blocks: [
          { text: t('mail.set_password_why', { email }) },
          ...(order.service ? [{ text: t('common.service', { service: order.service[language] }) }] : []),
          { text: t('mail.set_password_open') },
          { link: order.link },
          { text: t('common.lifetime', { time: time(order.lifetime) }) },
          { text: t('common.history') },
          { text: t('mail.set_password_not_you') },
        ],
      };
    case 'new_device': {
      const [day, device] = [dayOf(new Date(order.at)), deviceName(t, order.device)];
      return {
        subject: t('mail.new_device_subject'),
        blocks: [
          { text: t('mail.new_device_notice', { email, day, device }) },
          { text: t('mail.new_device_you') },
          { text: t('mail.new_device_not_you') },
        ],
      };
    }
    case 'dormant': {
      const day = order.day[language];
      return {
        subject: t('mail.dormant_subject', { day }),
        blocks: [
          { text: t('mail.dormant_why', { email }) },
          { text: t('mail.dormant_when', { day }) },
          { text: t('mail.dormant_keep') },
          { link: order.link },
          { text: t('mail.dormant_ignore') },
        ],
      };
    }
    case 'confirm_email':
      return {
        subject: t('mail.confirm_email_subject'),
        blocks: [
          { text: t('mail.confirm_email_why', { email }) },
          { text: t('mail.confirm_email_open') },
          { link: order.link },
          { text: t('common.lifetime', { time: time(order.lifetime) }) },
          { text: t('mail.confirm_email_not_you') },
        ],
      };
    case 'email_changed':
      return {
        subject: t('mail.email_changed_subject'),
        blocks: [
          { text: t('mail.email_changed_notice', { email }) },
          { text: t('mail.email_changed_undo') },
          { link: order.link },
          { text: t('common.lifetime', { time: time(order.lifetime) }) },
          { text: t('mail.email_changed_keep') },
        ],
      };
    case 'leaving': {
      const day = order.day[language];
      return {
        subject: t('mail.leaving_subject', { day }),
        blocks: [
          { text: t('mail.leaving_notice', { email, day }) },
          { text: t('mail.leaving_undo') },
          { link: order.link },
          { text: t('mail.leaving_not_you') },
        ],
      };
    }
    case 'leaving_reminder': {
      const day = order.day[language];
      return {
        subject: t('mail.leaving_reminder_subject', { day }),
        blocks: [
          { text: t('mail.leaving_reminder_notice', { email, day }) },
          { text: t('mail.leaving_undo') },
          { link: order.link },
          { text: t('mail.leaving_reminder_ignore') },
        ],
      };
    }
    case 'support_request':
      return {
        subject: t('mail.support_request_subject'),
        blocks: [
          { text: t('mail.support_request_notice') },
          { text: t('mail.support_request_old') },
          { quote: [order.oldEmail] },
          { text: t('mail.support_request_new') },
          { quote: [order.newEmail] },
          { text: t('mail.support_request_name') },
          { quote: [order.name] },
          { text: t('mail.support_request_services') },
          { quote: order.services ? order.services.split('\n') : [t('mail.support_request_nothing')] },
          { text: t('common.service', { service: order.service[language] }) },
          { text: t('mail.support_request_check') },
        ],
      };
    default: {
      const [subject, ...lines] = NOTICES[order.mail].map((key) => t(key, { email }));
      return { subject: subject!, blocks: lines.map((text) => ({ text })) };
    }
  }
}

function footLines(
  { email, phone, hours }: Config['support'],
  { t, language }: { t: Translate; language: Language },
): string[] {
  const contact = [email, phone].filter(Boolean).join(', ');
  const reachable = contact ? [t('common.support', { contact })] : [];
  const open = contact && hours ? [hours[language]] : [];
  return [...reachable, ...open, t('mail.about')];
}
