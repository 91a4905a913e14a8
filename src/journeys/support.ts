/**
 * Owns what support does for a resident: look, send a link again, lock and unlock. None of it can see or
 * set a password. Each act is one transaction with its audit row, which names who ran it.
 */
import type { Config } from '../config.ts';
import type { Database, Queryable } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import { accountByKey, lockAccount, unlockAccount, type Account } from '../records/accounts.ts';
import { canonicalAddress } from '../records/addresses.ts';
import { auditRow, recentEvents, type AuditEvent, type AuditRow } from '../records/audit.ts';
import { tiesOfAccount, type Tie } from '../records/legacy-ids.ts';
import { liveLinks } from '../records/links.ts';
import { subjectsOf } from '../records/subjects.ts';
import { mailLink, type LinkMailParts } from './link-mail.ts';
import { stateOf } from './sign-in.ts';
import type { AccountState } from './states.ts';

export interface AccountPicture {
  account: Account;
  state: AccountState;
  links: { live: number; newest?: Date };
  ties: Tie[];
  /** Sector of e-services to the `sub` given out there. */
  subjects: Record<string, string>;
  events: AuditRow[];
}

export interface SupportParts extends LinkMailParts {
  database: Database;
  config: LinkMailParts['config'] & Pick<Config, 'languages'>;
  /** `support:<operating system user>` */
  actor: string;
}

const EVENTS_SHOWN = 20;
const UNKNOWN = { refused: 'unknown_account' } as const;

export function support(parts: SupportParts) {
  const { database, actor } = parts;

  async function find(email: string): Promise<Account | undefined> {
    const key = canonicalAddress(email);
    return key ? accountByKey(database, key) : undefined;
  }

  async function changing(
    email: string,
    event: Omit<AuditEvent, 'accountId' | 'actor'>,
    { change, now }: { change: (tx: Queryable, account: Account) => Promise<void>; now: Date },
  ): Promise<{ done: true } | Refusal> {
    const account = await find(email);
    if (!account) return UNKNOWN;
    await database.transaction(async (tx) => {
      await change(tx, account);
      await tx.query(auditRow({ ...event, accountId: account.id, actor }, now));
    });
    return { done: true };
  }

  return {
    async show(email: string, now: Date): Promise<AccountPicture | Refusal> {
      const account = await find(email);
      if (!account) return UNKNOWN;
      const [links, ties, subjects, events] = await Promise.all([
        liveLinks(database, account.id, now),
        tiesOfAccount(database, account.id),
        subjectsOf(database, account.id),
        recentEvents(database, account.id, EVENTS_SHOWN),
      ]);
      return { account, state: stateOf(account), links, ties, subjects: Object.fromEntries(subjects), events };
    },

    async resend(email: string, now: Date): Promise<{ sent: boolean } | Refusal> {
      const account = await find(email);
      if (!account) return UNKNOWN;
      if (account.lockedAt) return { refused: 'account_locked' };
      return {
        sent: await mailLink(parts, { account, origin: { language: parts.config.languages[0] ?? 'fi', actor } }, now),
      };
    },

    lock: (email: string, now: Date) =>
      changing(email, { kind: 'account_locked' }, { change: (tx, account) => lockAccount(tx, account.id, now), now }),

    unlock: (email: string, now: Date) =>
      changing(
        email,
        { kind: 'account_unlocked' },
        { change: (tx, account) => unlockAccount(tx, account.id, now), now },
      ),
  };
}

export type Support = ReturnType<typeof support>;
