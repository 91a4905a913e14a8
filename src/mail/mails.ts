/**
 * The catalogue of mails: the name, the data and the words of each. Only this file puts a mail into the queue, in the
 * transaction that causes it and with the row that keeps what becomes of it, and only it knows what a mail says; jobs.ts
 * carries it to the mail server.
 *
 * What waits in the queue is sealed: it holds a link that opens an account. Text and HTML are made from the same blocks,
 * so that they cannot say different things.
 */
import { fileURLToPath } from 'node:url';
import { compileFile } from 'pug';
import type { Config, TextByLanguage } from '../config.ts';
import { sql } from '../platform/database.ts';
import type { Queryable } from '../platform/database.ts';
import { chooseLanguage } from '../platform/i18n.ts';
import type { Language, Texts, Translate } from '../platform/i18n.ts';
import type { Sealer } from '../platform/secrets.ts';
import { canonicalAddress } from '../records/addresses.ts';
import { queuedMail, withdrawnMails } from '../records/mail-outcomes.ts';

/** The name of the job that carries a mail. */
export const MAIL_JOB = 'mail';

const PURPOSE = 'mail';
/** With the queue's growing pauses about a day: a link that old would be of no use. */
const MOST_TRIES = 12;

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

export interface DormantData {
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
export type FactorChange = keyof typeof FACTOR_CHANGES;

export interface Mails {
  setPassword(tx: Queryable, to: Recipient & LinkData, now: Date): Promise<void>;
  passwordChanged(tx: Queryable, to: Recipient, now: Date): Promise<void>;
  /** Before an account that nobody ever used is erased. */
  dormant(tx: Queryable, to: Recipient & DormantData, now: Date): Promise<void>;
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
  /** After each change of a resident's factors. */
  factorChanged(tx: Queryable, to: Recipient & { change: FactorChange }, now: Date): Promise<void>;
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

/** The texts that tell of each change. */
const FACTOR_CHANGES = {
  passkey_added: 'mail.passkey_added',
  passkey_removed: 'mail.passkey_removed',
  authenticator_added: 'mail.authenticator_added',
  authenticator_removed: 'mail.authenticator_removed',
  recovery_codes_made: 'mail.recovery_codes_made',
  two_steps_on: 'mail.two_steps_on',
  two_steps_off: 'mail.two_steps_off',
  removed_by_support: 'mail.removed_by_support',
} as const;

/** No account has the address, or no longer. */
type Stranger = Omit<Recipient, 'accountId'>;

type Notice =
  'password_changed' | 'unknown_address' | 'address_changed' | 'address_given' | 'account_erased' | 'account_exists';

type Order = Stranger &
  (
    | ({ mail: 'set_password' | 'register' } & LinkData)
    | { mail: 'factor_changed'; change: FactorChange }
    | ({ mail: 'factor_removal' } & RemovalData)
    | ({ mail: 'dormant' } & DormantData)
    | ({ mail: 'support_request' } & SupportRequest)
    | { mail: Notice }
  );

/** Lower goes first: who waits for a link waits in front of a page. */
const PRIORITY: Readonly<Record<Order['mail'], number>> = {
  set_password: 0,
  register: 0,
  factor_changed: 5,
  factor_removal: 5,
  password_changed: 5,
  address_changed: 5,
  address_given: 5,
  account_erased: 5,
  account_exists: 10,
  support_request: 5,
  unknown_address: 10,
  dormant: 20,
};

export function makeMails({ sealer }: { sealer: Sealer }): Mails {
  const enqueue = async (tx: Queryable, { accountId, ...order }: Order & Recipient, now: Date): Promise<void> => {
    const payload = JSON.stringify({ sealed: sealer.seal(JSON.stringify(order), PURPOSE) });
    await tx.query(sql`
      with kept as (${queuedMail({ accountId, kind: order.mail }, now)})
      select graphile_worker.add_job(${MAIL_JOB}::text, payload := ${payload}::json, job_key := kept.id::text,
        max_attempts := ${MOST_TRIES}::int, priority := ${PRIORITY[order.mail]}::int) from kept`);
  };
  const notice =
    (mail: Notice) =>
    (tx: Queryable, { accountId, email, locale }: Recipient, now: Date): Promise<void> =>
      enqueue(tx, { mail, accountId, email, locale }, now);
  return {
    setPassword: (tx, { accountId, email, locale, link, service, lifetime }, now) =>
      enqueue(tx, { mail: 'set_password', accountId, email, locale, link, service, lifetime }, now),
    passwordChanged: notice('password_changed'),
    dormant: (tx, { accountId, email, locale, link, day }, now) =>
      enqueue(tx, { mail: 'dormant', accountId, email, locale, link, day }, now),
    unknownAddress: notice('unknown_address'),
    addressChanged: notice('address_changed'),
    addressGiven: notice('address_given'),
    accountErased: notice('account_erased'),
    accountExists: notice('account_exists'),
    factorChanged: (tx, { accountId, email, locale, change }, now) =>
      enqueue(tx, { mail: 'factor_changed', accountId, email, locale, change }, now),
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

export interface RenderedMail {
  mail: Order['mail'];
  to: string;
  language: Language;
  /** The sender's name beside `mail.from`. */
  brand: string;
  subject: string;
  text: string;
  html: string;
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
    const { subject, blocks } = words(order, { t, language, time: (ms) => texts.duration(language, ms, 'lasting') });
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
      person,
    };
  };
}

/** For a header: other letters in an address are not for every mail program (RFC 6532). */
function plainAddress(address: string): string | undefined {
  const key = canonicalAddress(address);
  return key && /^[\x21-\x7e]+$/.test(key) ? key : undefined;
}

function words(
  order: Order,
  { t, language, time }: { t: Translate; language: Language; time: (milliseconds: number) => string },
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
    case 'register':
      return {
        subject: t('mail.register_subject'),
        blocks: [
          { text: t('mail.register_why', { email }) },
          ...(order.service ? [{ text: t('common.service', { service: order.service[language] }) }] : []),
          { text: t('mail.register_open') },
          { link: order.link },
          { text: t('common.lifetime', { time: time(order.lifetime) }) },
          { text: t('mail.register_not_you') },
        ],
      };
    case 'account_exists':
      return {
        subject: t('mail.account_exists_subject'),
        blocks: [{ text: t('mail.account_exists_notice', { email }) }, { text: t('mail.account_exists_not_you') }],
      };
    case 'factor_changed':
      return {
        subject: t('mail.factor_changed_subject'),
        blocks: [
          { text: t('mail.factor_changed_whose', { email }) },
          { text: t(FACTOR_CHANGES[order.change]) },
          { text: t('mail.factor_changed_not_you') },
        ],
      };
    case 'factor_removal':
      return {
        subject: t('mail.factor_removal_subject'),
        blocks: [
          { text: t('mail.factor_removal_notice', { email }) },
          { text: t('mail.factor_removal_when', { time: time(order.lifetime) }) },
          { text: t('mail.factor_removal_call_off') },
          { link: order.link },
        ],
      };
    case 'password_changed':
      return {
        subject: t('mail.password_changed_subject'),
        blocks: [{ text: t('mail.password_changed_notice', { email }) }, { text: t('mail.password_changed_not_you') }],
      };
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
    case 'unknown_address':
      return {
        subject: t('mail.unknown_address_subject'),
        blocks: [{ text: t('mail.unknown_address_notice', { email }) }, { text: t('mail.unknown_address_not_you') }],
      };
    case 'address_changed':
      return {
        subject: t('mail.address_changed_subject'),
        blocks: [{ text: t('mail.address_changed_notice', { email }) }, { text: t('mail.address_changed_not_you') }],
      };
    case 'address_given':
      return {
        subject: t('mail.address_given_subject'),
        blocks: [
          { text: t('mail.address_given_notice', { email }) },
          { text: t('mail.address_given_password') },
          { text: t('common.history') },
          { text: t('mail.address_given_not_you') },
        ],
      };
    case 'account_erased':
      return {
        subject: t('mail.account_erased_subject'),
        blocks: [{ text: t('mail.account_erased_notice', { email }) }, { text: t('mail.account_erased_not_you') }],
      };
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
