/**
 * Owns what each mail says. Text and HTML are made from the same blocks, so that they cannot say different things.
 */
import { fileURLToPath } from 'node:url';
import type { Config } from '../config.ts';
import { chooseLanguage } from '../platform/i18n.ts';
import type { Language, Texts, Translate } from '../platform/i18n.ts';
import type { Sealer } from '../platform/secrets.ts';
import { deviceName } from '../platform/user-agent.ts';
import { canonicalAddress } from '../records/addresses.ts';
import { FEW_CODES } from '../records/one-time-codes.ts';
import { orderFrom, type FactorChange, type Notice, type Order } from './mails.ts';

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
export function mailWriter({
  sealer,
  texts,
  config,
}: MailWriterParts): (payload: unknown) => Promise<RenderedMail | undefined> {
  // The compiler comes with the first mail: it takes some fifteen megabytes.
  let toHtml: ((locals: object) => string) | undefined;
  return async (payload) => {
    const order = orderFrom(payload, sealer);
    if (!order) return undefined;
    toHtml ??= (await import('pug')).compileFile(MESSAGE_VIEW);
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
      goodFor: order.mail === 'set_password' || order.mail === 'register' ? order.lifetime : undefined,
      person,
    };
  };
}

/** For a header: other letters in an address are not for every mail program (RFC 6532). */
function plainAddress(address: string): string | undefined {
  const key = canonicalAddress(address);
  return key && /^[\x21-\x7e]+$/.test(key) ? key : undefined;
}

/** The texts that tell of each change. */
const FACTOR_CHANGES: Readonly<Record<FactorChange, string>> = {
  passkey_added: 'mail.passkey_added',
  passkey_removed: 'mail.passkey_removed',
  authenticator_added: 'mail.authenticator_added',
  authenticator_removed: 'mail.authenticator_removed',
  recovery_codes_made: 'mail.recovery_codes_made',
  two_steps_on: 'mail.two_steps_on',
  two_steps_off: 'mail.two_steps_off',
  removed_by_support: 'mail.removed_by_support',
};

/** Subject and paragraphs of mails that only tell. */
const NOTICES: Readonly<Record<Notice, readonly string[]>> = {
  password_changed: ['mail.password_changed_subject', 'mail.password_changed_notice', 'mail.password_changed_not_you'],
  unknown_address: ['mail.unknown_address_subject', 'mail.unknown_address_notice', 'mail.unknown_address_not_you'],
  address_changed: ['mail.address_changed_subject', 'mail.address_changed_notice', 'mail.address_changed_not_you'],
  account_erased: ['mail.account_erased_subject', 'mail.account_erased_notice', 'mail.account_erased_not_you'],
  email_taken: ['mail.email_taken_subject', 'mail.email_taken_notice', 'mail.email_taken_not_you'],
  email_restored: [
    'mail.email_restored_subject',
    'mail.email_restored_notice',
    'mail.email_restored_password',
    'mail.email_restored_factors',
    'mail.email_restored_check',
  ],
  email_undone: ['mail.email_undone_subject', 'mail.email_undone_notice', 'mail.email_undone_not_you'],
  details_changed: ['mail.details_changed_subject', 'mail.details_changed_notice', 'mail.details_changed_not_you'],
  account_exists: ['mail.account_exists_subject', 'mail.account_exists_notice', 'mail.account_exists_not_you'],
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
    case 'address_given':
      return {
        subject: t('mail.address_given_subject'),
        blocks: [
          { text: t('mail.address_given_notice', { email }) },
          // Who has a passkey is not mailed a link by giving the address.
          {
            text: order.keeps?.includes('passkey') ? t('mail.address_given_passkey') : t('mail.address_given_password'),
          },
          ...(order.keeps?.length ? [{ text: t('mail.address_given_factors') }] : []),
          { text: t('common.history') },
          { text: t('mail.address_given_not_you') },
        ],
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
    case 'recovery_code_used':
      return {
        subject: t('mail.recovery_code_used_subject'),
        blocks: [
          { text: t('mail.recovery_code_used_notice', { email }) },
          { text: t('account-recovery-codes.left', { count: order.left }) },
          ...(order.left <= FEW_CODES ? [{ text: t('mail.recovery_code_used_make') }] : []),
          { text: t('mail.recovery_code_used_not_you') },
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
