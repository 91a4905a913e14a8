/**
 * Owns how residents change the address of their account: a link to the new address confirms it, one to the old address undoes
 * it for seven days. Ids, history and every `sub` stay as they are.
 *
 * Who has taken an account over may change its address too, so undoing is made for its owner. Its link outlives further changes
 * of address; setting a password ends it like every link, and whoever holds it has a new one mailed to the old address, with the
 * time of the first. Undoing gives the old address back, ends every session, link and password and every factor
 * that is newer, and takes back an order to erase the account. Whether somebody else has the new address is told to its mailbox alone.
 */
import type { Config } from '../config.ts';
import type { Mails } from '../mail/mails.ts';
import type { Database, Transaction } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import {
  accountById,
  accountByKey,
  changeEmail,
  forgetPassword,
  stopLeaving,
  type Account,
} from '../records/accounts.ts';
import { holdIdentities } from '../records/erasures.ts';
import { canonicalAddress, displayAddress } from '../records/addresses.ts';
import { auditRow } from '../records/audit.ts';
import { forgetFactors } from '../records/factors.ts';
import {
  addressesAskedFor,
  endAddressLinks,
  endLaterUndos,
  endLinks,
  findLink,
  isToken,
  makeAnew,
  makeLink,
  spendLink,
  type Link,
} from '../records/links.ts';
import { take } from '../records/throttle.ts';
import { whereFrom, type Allowances, type Visitor, type Whence } from './allowances.ts';

export interface EmailChangeParts {
  database: Database;
  config: Pick<Config, 'links' | 'issuer'>;
  mails: Mails;
  allowances: Allowances;
}

/** How long the old address can undo, in milliseconds. */
export const UNDO_LIFETIME = 7 * 86_400_000;

/** What was set up so long before a change of address goes with its undoing: whoever took the account over begins anywhere. */
const TAKEN_BEFORE = 86_400_000;

type Purpose = 'confirm_email' | 'undo_email';

/** What a link of these is worth. `ended`: another change came between. `taken`: somebody else has the address by now. */
export type EmailLink =
  | { step: 'ask'; email: string; account: Account; link: Link }
  | { step: 'done'; email: string; account: Account; epoch?: number }
  /** A password was set since: the old address may ask for a new link. */
  | { step: 'again'; email: string; account: Account; link: Link }
  | { step: 'mailed'; email: string; account: Account }
  | {
      step: 'over';
      why: 'unknown' | 'used' | 'expired' | 'ended' | 'taken' | 'locked';
      account?: Account;
      /** Seconds to wait, for a place that has opened too many links that never were. */
      wait?: number;
    };

export interface Knock {
  token: string;
  visitor: Visitor;
}

/** Takes back the whole transaction: the link is no longer what was seen. */
const OUTRUN = new Error('outrun');

export function emailChanges({ database, config, mails, allowances }: EmailChangeParts) {
  async function open(
    db: Database | Transaction,
    { token, purpose }: { token: string; purpose: Purpose },
    now: Date,
  ): Promise<EmailLink> {
    const link = await findLink(db, { token, purpose }, now);
    const account = link && (await accountById(db, link.accountId));
    if (!link || !account) return { step: 'over', why: 'unknown' };
    if (account.lockedAt) return { step: 'over', why: 'locked', account };
    const email = link.email!;
    if (link.state === 'used' && account.email === email) return { step: 'done', email, account };
    if (link.state === 'ended' && purpose === 'undo_email' && link.expiresAt > now)
      return { step: 'again', email, account, link };
    if (link.state !== 'live') return { step: 'over', why: link.state, account };
    // A link that somebody else asked for must not outlive what ended their session.
    if (link.epoch !== undefined && link.epoch !== account.epoch) return { step: 'over', why: 'ended', account };
    return { step: 'ask', email, account, link };
  }

  /** The same way to undo once more, to the address that it is for; past what it gets in an hour the page is the same. */
  async function mailAnew(
    tx: Transaction,
    { email, account, link, from }: { email: string; account: Account; link: Link; from: Whence },
    now: Date,
  ): Promise<EmailLink> {
    const { id: accountId, locale } = account;
    if ((await take(tx, allowances.link(canonicalAddress(email)!), now)) === 0) {
      const way = `${config.issuer}/undo-email/${await makeAnew(tx, link)}`;
      const lifetime = link.expiresAt.getTime() - now.getTime();
      await mails.emailChanged(tx, { accountId, email, locale, link: way, lifetime }, now);
      await tx.query(auditRow({ kind: 'email_undo_asked', accountId, ...from }, now));
    }
    return { step: 'mailed', email, account };
  }

  /** Whoever holds a link did not guess it. */
  async function counted(opened: EmailLink, { token, visitor }: Knock, now: Date): Promise<EmailLink> {
    if (opened.step !== 'over' || opened.why !== 'unknown' || !isToken(token)) return opened;
    const wait = await take(database, allowances.linkGuess(visitor), now);
    return wait > 0 ? { ...opened, wait } : opened;
  }

  /** Spends a link in the transaction of what it does. Alone of its kind: of two at once the second sees what the first did. */
  async function spend(
    which: Knock & { purpose: Purpose },
    work: (tx: Transaction, asked: { email: string; account: Account; link: Link }) => Promise<EmailLink>,
    now: Date,
  ): Promise<EmailLink> {
    const spent = await database
      .transaction(async (tx) => {
        await holdIdentities(tx);
        const asked = await open(tx, which, now);
        if (asked.step === 'again') return mailAnew(tx, { ...asked, from: whereFrom(which.visitor) }, now);
        return asked.step === 'ask' ? work(tx, asked) : asked;
      })
      .catch((error: unknown) => {
        if (error !== OUTRUN) throw error;
        return open(database, which, now);
      });
    return counted(spent, which, now);
  }

  return {
    /** Mails a link to the address that the resident wants; where somebody else has it, that mailbox is told so instead. */
    async ask(
      { account, typed, language, from }: { account: Account; typed: string; language: string; from: Whence },
      now: Date,
    ): Promise<
      | (Refusal & { refused: 'email_invalid' | 'same_email' })
      | (Required<Refusal> & { refused: 'too_many_tries' })
      | { email: string }
    > {
      const emailKey = canonicalAddress(typed);
      if (!emailKey) return { refused: 'email_invalid' };
      const email = displayAddress(typed);
      if (email === account.email) return { refused: 'same_email' };
      const { id: accountId, epoch, locale = language } = account;
      return database.transaction(async (tx) => {
        const wait = await take(tx, allowances.newEmail({ accountId, emailKey }), now);
        if (wait > 0) return { refused: 'too_many_tries', retryAfter: wait };
        const owner = await accountByKey(tx, emailKey);
        const { lifetime } = config.links;
        // Also where somebody else has the address, so that what waits looks the same; nobody ever sees that token.
        const token = await makeLink(tx, { accountId, purpose: 'confirm_email', email, epoch, lifetime }, now);
        if (owner && owner.id !== accountId) {
          const to = { accountId: owner.id, email: owner.email, locale: owner.locale ?? language };
          await mails.emailTaken(tx, to, now);
        } else {
          const link = `${config.issuer}/confirm-email/${token}`;
          await mails.confirmEmail(tx, { accountId, email, locale, link, lifetime }, now);
        }
        await tx.query(auditRow({ kind: 'email_change_asked', accountId, ...from }, now));
        return { email };
      });
    },

    /** The addresses that wait for their confirmation, the last asked for first. */
    waiting: ({ id: accountId, epoch }: Account, now: Date): Promise<string[]> =>
      addressesAskedFor(database, { accountId, epoch }, now),

    /** The resident wants none of them: their links are void. False: none waited any more. */
    callOff: ({ account: { id: accountId }, from }: { account: Account; from: Whence }, now: Date): Promise<boolean> =>
      database.transaction(async (tx) => {
        if (!(await endAddressLinks(tx, accountId, now))) return false;
        await tx.query(auditRow({ kind: 'email_change_called_off', accountId, ...from }, now));
        return true;
      }),

    /** GET: says what the link is worth and changes nothing, however often a mail scanner fetches it. */
    opened: async (which: Knock & { purpose: Purpose }, now: Date): Promise<EmailLink> =>
      counted(await open(database, which, now), which, now),

    /** POST: the account has the new address. Ends all its sessions; the caller carries its own on. */
    confirm: ({ token, visitor }: Knock, now: Date): Promise<EmailLink> =>
      spend(
        { token, visitor, purpose: 'confirm_email' },
        async (tx, { email, account, link }) => {
          const { id: accountId, locale } = account;
          const came = await changeEmail(tx, { accountId, email, verified: true }, now);
          if (came === 'taken') return { step: 'over', why: 'taken', account };
          if (!(await spendLink(tx, link.id, now))) throw OUTRUN;
          await endLinks(tx, accountId, now);
          if (came === 'changed') {
            const undo = { purpose: 'undo_email', email: account.email, lifetime: UNDO_LIFETIME } as const;
            const way = `${config.issuer}/undo-email/${await makeLink(tx, { accountId, ...undo }, now)}`;
            const old = { accountId, email: account.email, locale, link: way, lifetime: UNDO_LIFETIME };
            await mails.emailChanged(tx, old, now);
          }
          const detail = { respelt: came === 'respelt' };
          await tx.query(auditRow({ kind: 'email_changed', accountId, ...whereFrom(visitor), detail }, now));
          const { epoch } = (await accountById(tx, accountId))!;
          return { step: 'done', email, account, epoch };
        },
        now,
      ),

    /**
     * POST: all is as before the change, but for what lets in whoever made it: the password, which they may know, and passkeys
     * and apps that were set up shortly before the change or since.
     */
    undo: ({ token, visitor }: Knock, now: Date): Promise<EmailLink> =>
      spend(
        { token, visitor, purpose: 'undo_email' },
        async (tx, { email, account, link }) => {
          const { id: accountId, locale } = account;
          const came = await changeEmail(tx, { accountId, email, verified: true }, now);
          if (came === 'taken') return { step: 'over', why: 'taken', account };
          await forgetPassword(tx, accountId, now);
          const since = new Date(link.createdAt.getTime() - TAKEN_BEFORE);
          await forgetFactors(tx, { accountId, since }, now);
          await stopLeaving(tx, accountId, now);
          if (!(await spendLink(tx, link.id, now))) throw OUTRUN;
          await endLinks(tx, accountId, now);
          await endLaterUndos(tx, { accountId, after: link.createdAt }, now);
          // What has not gone out yet would go to the address that is no longer the account's.
          await mails.takeBack(tx, accountId, now);
          await mails.emailRestored(tx, { accountId, email, locale }, now);
          if (came === 'changed') await mails.emailUndone(tx, { accountId, email: account.email, locale }, now);
          await tx.query(auditRow({ kind: 'email_change_undone', accountId, ...whereFrom(visitor) }, now));
          return { step: 'done', email, account };
        },
        now,
      ),
  };
}

export type EmailChanges = ReturnType<typeof emailChanges>;
