/**
 * Owns the mailed link: first password and forgotten password are one machine. Opening it changes nothing; posting its form
 * spends it in the transaction that writes the password. It changes account and link, never a sign-in of any browser: who
 * started a sign-in with somebody else's address gains nothing by their setting a password.
 */
import type { Config, TextByLanguage } from '../config.ts';
import type { Refusal } from '../platform/refusal.ts';
import { accountById, restsOnList, setOwnPassword, type Account } from '../records/accounts.ts';
import { auditRow } from '../records/audit.ts';
import { forgetFactors } from '../records/factors.ts';
import { endLinks, endUndos, findLink, isToken, noteOpened, spendLink, type Link } from '../records/links.ts';
import { hashPassword, type Hashing } from '../records/passwords.ts';
import { whereFrom, type Visitor } from './allowances.ts';
import { take } from '../records/throttle.ts';
import { mailLink, type LinkMailParts } from './link-mail.ts';
import type { NewPasswords, PasswordFault } from './new-password.ts';
import { stateOf } from './sign-in.ts';
import { whatHappens, type Page } from './states.ts';

export interface PasswordLinkParts extends LinkMailParts {
  config: Pick<Config, 'links' | 'issuer'>;
  hashing: Hashing;
  newPasswords: NewPasswords;
}

export interface Opened {
  page: Page;
  /** Seconds to wait, for a place that has opened too many links that never were. */
  wait?: number;
  account?: Account;
  link?: Link;
}

/** Takes back the whole transaction: the link or the account is no longer what was seen. */
const OUTRUN = new Error('outrun');

export function passwordLink(parts: PasswordLinkParts) {
  const { database, hashing, newPasswords, mails, allowances } = parts;
  /** One that works is opened whatever was guessed from its place: whoever holds it did not guess it. */
  async function knock(
    at: 'link_opened' | 'link_posted',
    { token, visitor }: { token: string; visitor: Visitor },
    now: Date,
  ): Promise<Opened> {
    const opened = await open(at, token, now);
    if (opened.page !== 'link-unknown' || !isToken(token)) return opened;
    const wait = await take(database, allowances.linkGuess(visitor), now);
    return wait > 0 ? { ...opened, wait } : opened;
  }

  async function open(at: 'link_opened' | 'link_posted', token: string, now: Date): Promise<Opened> {
    const link = await findLink(database, { token, purpose: 'set_password' }, now);
    const account = link && (await accountById(database, link.accountId));
    const state = account ? stateOf(account) : 'unknown';
    const row = whatHappens({ at, account: state, link: account && link ? link.state : 'unknown' });
    return { page: row.page, account, link };
  }

  /** POST: spends the link and sets the password, or says why not; a refused password leaves the link as it was. */
  async function setPassword(
    { token, password, visitor }: { token: string; password: string; visitor: Visitor },
    now: Date,
  ): Promise<Opened | { refused: PasswordFault; account: Account; link: Link }> {
    const opened = await knock('link_posted', { token, visitor }, now);
    const { account, link } = opened;
    if (opened.page !== 'password-set' || !account || !link) return opened;
    const fault = await newPasswords.fault(password, account);
    if (fault) return { refused: fault, account, link };

    const hash = await hashPassword(password, hashing, account.id);
    const done = await database
      .transaction(async (tx) => {
        // The account before its links, as every change of it: in two orders, two changes would wait for each other.
        const { id: accountId, epoch } = account;
        const raised = await setOwnPassword(tx, { accountId, epoch, hash, emailVerified: true }, now);
        if (raised === undefined || !(await spendLink(tx, link.id, now))) throw OUTRUN;
        await endLinks(tx, accountId, now);
        await endUndos(tx, accountId, now);
        // Whoever had that password may have set them up.
        if (restsOnList(account)) await forgetFactors(tx, { accountId }, now);
        await tx.query(
          auditRow({ kind: 'password_set', accountId, clientId: link.clientId, ...whereFrom(visitor) }, now),
        );
        const locale = account.locale ?? link.uiLocales;
        await mails.passwordChanged(tx, { accountId, email: account.email, locale }, now);
        return true;
      })
      .catch((error: unknown) => {
        if (error !== OUTRUN) throw error;
        return false;
      });
    // Mostly what came first ended the link, and the page says so; where the link still works, it is tried anew.
    return done ? opened : setPassword({ token, password, visitor }, now);
  }

  return {
    /**
     * GET: says what the link is and changes nothing about it, however often a mail scanner fetches it. The first time that a
     * person's browser goes there is noted, for the figures of the move.
     */
    async opened(
      { token, visitor, byPerson = false }: { token: string; visitor: Visitor; byPerson?: boolean },
      now: Date,
    ): Promise<Opened> {
      const opened = await knock('link_opened', { token, visitor }, now);
      if (byPerson && opened.link?.state === 'live' && !opened.link.opened)
        await noteOpened(database, opened.link, now);
      return opened;
    },

    setPassword,

    /** 'Ask for a new link' on the page of an expired one: to the stored address of that link's account, never a typed one. */
    async renew(
      {
        token,
        clientNames,
        language,
        place,
      }: {
        token: string;
        clientNames: (clientId?: string) => TextByLanguage | undefined;
        language: string;
        place: string;
      },
      now: Date,
    ): Promise<{ account: Account; link: Link } | Refusal> {
      const { link, account, page } = await open('link_opened', token, now);
      if (!link || !account || page !== 'link-expired') return { refused: page };
      const { clientId, uiLocales } = link;
      const origin = {
        clientId,
        clientNames: clientNames(clientId),
        language: uiLocales ?? language,
        uiLocales,
        place,
      };
      await mailLink(parts, { account, origin }, now);
      return { account, link };
    },
  };
}

export type PasswordLink = ReturnType<typeof passwordLink>;
