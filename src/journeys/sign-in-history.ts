/** Owns what residents see of the sign-ins to their account so far, and what on their account needs their attention. */
import type { Database } from '../platform/database.ts';
import type { Account } from '../records/accounts.ts';
import { signInEvents, type SignInEvent } from '../records/audit.ts';
import { factorsOf } from '../records/factors.ts';
import { recentMails } from '../records/mail-outcomes.ts';
import { FEW_CODES } from '../records/one-time-codes.ts';
import { secondStepOf } from './sign-in.ts';

/** How far back sign-ins are shown. */
export const SHOWN_DAYS = 90;
const A_PAGE = 20;
/** Nobody reads further; whoever guesses passwords for weeks makes no endless list. */
export const MOST_PAGES = 50;

/** `codes`: how many recovery codes are left, where that is too few. */
export interface Attention {
  emailBounces: boolean;
  noName: boolean;
  codes?: number;
}

/** Mails that go to another address than the account's own. */
const ELSEWHERE = ['confirm_email', 'email_changed', 'email_undone', 'address_changed'];
const FAILED = ['refused', 'given_up', 'bounced'];

export function signInHistory({ database }: { database: Database }) {
  /** Who has none needs some where a password alone does not let in. */
  async function fewCodes(account: Account): Promise<number | undefined> {
    if (account.factors.length === 0) return undefined;
    const { codes } = await factorsOf(database, account.id);
    const needed = codes > 0 || secondStepOf(account, { mfa: false }) === 'asked';
    return needed && codes <= FEW_CODES ? codes : undefined;
  }

  return {
    /** One page, from 1; `more` says whether there is another. */
    async page(account: Account, page: number, now: Date): Promise<{ events: SignInEvent[]; more: boolean }> {
      const since = new Date(now.getTime() - SHOWN_DAYS * 86_400_000);
      const asked = { limit: A_PAGE + 1, offset: (page - 1) * A_PAGE };
      const events = await signInEvents(database, { accountId: account.id, since }, asked);
      return { events: events.slice(0, A_PAGE), more: events.length > A_PAGE && page < MOST_PAGES };
    },

    async attention(account: Account): Promise<Attention> {
      const mails = await recentMails(database, account.id, 10);
      const last = mails.find(({ kind, outcome }) => !ELSEWHERE.includes(kind) && outcome !== 'queued');
      return {
        // One taken back before any try was not refused by anybody.
        emailBounces: last !== undefined && FAILED.includes(last.outcome) && last.tries > 0,
        noName: !account.givenName && !account.familyName,
        codes: await fewCodes(account),
      };
    },
  };
}

export type SignInHistory = ReturnType<typeof signInHistory>;
