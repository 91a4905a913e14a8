/**
 * Owns what support does for a resident whose account stays whose it is: look, send a link again, lock and unlock. None of it
 * can see or set a password. Each act is one transaction with its audit row, which names who ran it; looking has one too.
 */
import type { ClientConfig, Config } from '../config.ts';
import type { Queryable } from '../platform/database.ts';
import { oneLine } from '../platform/one-line.ts';
import type { Refusal } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { accountById, accountByKey, lockAccount, unlockAccount, type Account } from '../records/accounts.ts';
import { erasedAt, erasureDigests } from '../records/erasures.ts';
import { canonicalAddress } from '../records/addresses.ts';
import { liveSessions } from '../records/artifacts.ts';
import { auditRow, recentEvents, type AuditKind, type AuditRow } from '../records/audit.ts';
import { accountsOfLegacyId, tiesOfAccount, type Tie } from '../records/legacy-ids.ts';
import { liveLinks } from '../records/links.ts';
import type { Told } from '../records/logouts.ts';
import { recentMails, type MailRow } from '../records/mail-outcomes.ts';
import { subjectsOf } from '../records/subjects.ts';
import { levelOf, type Level } from '../records/throttle.ts';
import { mailLink, type LinkMailParts } from './link-mail.ts';
import { stateOf } from './sign-in.ts';
import type { AccountState } from './states.ts';

export interface SupportParts extends LinkMailParts {
  config: LinkMailParts['config'] & Pick<Config, 'languages' | 'clients'>;
  sealer: Sealer;
  /** Which e-services share a `sub`. */
  sectorOf: (client: ClientConfig) => string;
  /** E-services that are told of a sign-out. */
  told: readonly Told[];
  /** `support:<operating system user>` */
  actor: string;
}

/** Whose account: by its address, or by an old id. */
export type Whose = { email: string } | { source: string; id: string };

export interface AccountPicture {
  account: Account;
  state: AccountState;
  links: { createdAt: Date; expiresAt: Date }[];
  mails: MailRow[];
  /** What is counted against the address now, from all places together. */
  counted: { passwords?: Level; links?: Level };
  ties: Tie[];
  /** What each group of e-services knows the resident by; none where its e-services are no longer registered. */
  subjects: { eServices: string[]; sub: string }[];
  sessions: { sessions: number; clients: string[] };
  events: AuditRow[];
}

/** `at`: when the account, or whoever had the id, was erased. */
export interface NotFound extends Refusal {
  refused: 'not_an_address' | 'unknown_account' | 'unknown_id' | 'erased_account' | 'erased_id';
  at?: Date;
}

const EVENTS_SHOWN = 20;
const MAILS_SHOWN = 10;
const REASON_LENGTH = 500;

/** One line that may stand in an audit row; undefined where nothing is left of it or it is too long. */
export function cleanReason(text: string): string | undefined {
  const line = oneLine(text);
  return line && line.length <= REASON_LENGTH ? line : undefined;
}

/** The account of an address, or why there is none. */
export async function findAccount(
  db: Queryable,
  sealer: Sealer,
  email: string,
): Promise<{ account: Account } | NotFound> {
  const key = canonicalAddress(email);
  if (!key) return { refused: 'not_an_address' };
  const account = await accountByKey(db, key);
  if (account) return { account };
  const at = await erasedAt(db, 'email', erasureDigests.email(sealer, key));
  return at ? { refused: 'erased_account', at } : { refused: 'unknown_account' };
}

export function support(parts: SupportParts) {
  const { database, config, sealer, allowances, actor } = parts;

  async function find(tx: Queryable, whose: Whose): Promise<{ account: Account } | NotFound> {
    if ('email' in whose) return findAccount(tx, sealer, whose.email);
    const [accountId] = await accountsOfLegacyId(tx, whose);
    const account = accountId === undefined ? undefined : await accountById(tx, accountId);
    if (account) return { account };
    const at = await erasedAt(tx, 'legacy_id', erasureDigests.legacyId(sealer, whose.source, whose.id));
    return at ? { refused: 'erased_id', at } : { refused: 'unknown_id' };
  }

  async function countedAgainst(tx: Queryable, emailKey: string, now: Date): Promise<AccountPicture['counted']> {
    const { passwords, links } = allowances.ofAddress(emailKey);
    return { passwords: await levelOf(tx, passwords, now), links: await levelOf(tx, links, now) };
  }

  function byEService(subjects: ReadonlyMap<string, string>): AccountPicture['subjects'] {
    return [...subjects].map(([sector, sub]) => ({
      eServices: config.clients.filter((client) => parts.sectorOf(client) === sector).map((client) => client.client_id),
      sub,
    }));
  }

  /** Lock and unlock; nothing is written where it is so already. */
  async function switching(
    { email, reason }: { email: string; reason?: string },
    { kind, change }: { kind: AuditKind; change: typeof lockAccount },
    now: Date,
  ): Promise<{ changed: boolean } | NotFound | (Refusal & { refused: 'bad_reason' })> {
    const told = reason === undefined ? undefined : cleanReason(reason);
    if (reason !== undefined && told === undefined) return { refused: 'bad_reason' };
    return database.transaction(async (tx) => {
      const found = await findAccount(tx, sealer, email);
      if ('refused' in found) return found;
      const accountId = found.account.id;
      const changed = await change(tx, accountId, now);
      const detail = told === undefined ? undefined : { reason: told };
      if (changed) await tx.query(auditRow({ kind, accountId, actor, detail }, now));
      return { changed };
    });
  }

  return {
    /** On one connection: a command has none yet, and making one costs more than all that is asked. */
    show: (whose: Whose, now: Date): Promise<AccountPicture | NotFound> =>
      database.transaction(async (tx) => {
        const found = await find(tx, whose);
        if ('refused' in found) return found;
        const { account } = found;
        const picture = {
          account,
          state: stateOf(account),
          links: await liveLinks(tx, account.id, now),
          mails: await recentMails(tx, account.id, MAILS_SHOWN),
          counted: await countedAgainst(tx, account.emailKey, now),
          ties: await tiesOfAccount(tx, account.id),
          subjects: byEService(await subjectsOf(tx, account.id)),
          sessions: await liveSessions(tx, account, now),
          events: await recentEvents(tx, account.id, EVENTS_SHOWN),
        };
        await tx.query(auditRow({ kind: 'account_viewed', accountId: account.id, actor }, now));
        return picture;
      }),

    /** Mails a link that sets a password, within the allowance of the address. */
    async resend(
      email: string,
      now: Date,
    ): Promise<{ sent: true } | NotFound | (Refusal & { refused: 'account_locked' | 'enough_links' })> {
      const found = await findAccount(database, sealer, email);
      if ('refused' in found) return found;
      const { account } = found;
      if (account.lockedAt) return { refused: 'account_locked' };
      const origin = { language: config.languages[0] ?? 'fi', actor };
      return (await mailLink(parts, { account, origin }, now)) ? { sent: true } : { refused: 'enough_links' };
    },

    lock: (whom: { email: string; reason?: string }, now: Date) =>
      switching(whom, { kind: 'account_locked', change: lockAccount }, now),

    unlock: (whom: { email: string; reason?: string }, now: Date) =>
      switching(whom, { kind: 'account_unlocked', change: unlockAccount }, now),
  };
}

export type Support = ReturnType<typeof support>;
