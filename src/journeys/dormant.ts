/**
 * Owns what becomes of dormant accounts: the report, erasing them on somebody's word, and, where `retention.dormant` asks for
 * it, the warning by mail and the erasing after it. Every erasing is the one of erasing.ts, in a transaction of its own.
 */
import type { Config } from '../config.ts';
import { beginSnapshot, type Database, type Queryable } from '../platform/database.ts';
import type { Account } from '../records/accounts.ts';
import { holdIdentities } from '../records/erasures.ts';
import { auditRow } from '../records/audit.ts';
import {
  dormantAccounts,
  holdDormant,
  noteWarning,
  unwarned,
  warned,
  warningsSince,
  type Dormancy,
  type DormantAccount,
} from '../records/dormant.ts';
import { daysInWords } from './days.ts';
import { eraseResident, type ErasingParts } from './erasing.ts';

export type { DormantAccount } from '../records/dormant.ts';

export interface DormantParts extends ErasingParts {
  database: Database;
  config: Pick<Config, 'retention' | 'issuer' | 'timeZone' | 'mail'>;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Between the warning and the erasing; also how long asking for a link keeps an account. */
const NOTICE = 30 * DAY;
/** An older warning is forgotten by whoever got it: they are warned again. */
const STALE = 90 * DAY;
/** Spread out: the lists of one day make a hundred thousand dormant accounts of one day. */
const WARNINGS_AN_HOUR = 1000;
/** One run ends well before a job counts as dead; six runs an hour. */
const AT_ONCE = 200;
const PAGE = 1000;

const ago = (now: Date, milliseconds: number): Date => new Date(now.getTime() - milliseconds);

/** The same day of the month, or the last one where that month is shorter. */
export function monthsBefore(now: Date, months: number): Date {
  const then = new Date(now);
  then.setUTCMonth(then.getUTCMonth() - months);
  if (then.getUTCDate() !== now.getUTCDate()) then.setUTCDate(0);
  return then;
}

export function dormantJourney(parts: DormantParts) {
  const { database, mails, config } = parts;

  /** False: the account is dormant no more. */
  async function eraseOne(
    id: string,
    { dormancy, actor }: { dormancy: Dormancy; actor: string },
    now: Date,
  ): Promise<boolean> {
    return database.transaction(async (tx) => {
      await holdIdentities(tx);
      const account = await holdDormant(tx, id, dormancy);
      if (!account) return false;
      await eraseResident(tx, { ...parts, account, actor }, now);
      return true;
    });
  }

  async function warnOne(tx: Queryable, account: Account, now: Date): Promise<boolean> {
    const { id: accountId, email, locale } = account;
    if (!(await noteWarning(tx, accountId, now))) return false;
    const day = daysInWords(new Date(now.getTime() + NOTICE), config.timeZone);
    await mails.dormant(tx, { accountId, email, locale, link: `${config.issuer}/account`, day }, now);
    await tx.query(auditRow({ kind: 'dormancy_warned', accountId, actor: 'system' }, now));
    return true;
  }

  return {
    /** `onPage` gets them page by page, in no order that means anything, and is waited for. */
    report(since: Date, onPage: (page: DormantAccount[]) => Promise<void>, now: Date): Promise<void> {
      const dormancy = { listedBefore: since, askedBefore: ago(now, NOTICE) };
      return database.session(async (session) => {
        for (let after: string | undefined, page: DormantAccount[]; ; after = page.at(-1)!.id) {
          page = await dormantAccounts(session, dormancy, { after, limit: PAGE });
          await onPage(page);
          if (page.length < PAGE) return;
        }
      });
    },

    /** Erases one that the report told of; whoever signed in since stays. */
    erase: (id: string, { since, actor }: { since: Date; actor: string }, now: Date) =>
      eraseOne(id, { dormancy: { listedBefore: since, askedBefore: ago(now, NOTICE) }, actor }, now),

    /**
     * One run of the job that `retention.dormant` asks for: first erases who was warned 30 days ago and did not come, then
     * warns who is next. Without a mail server nobody can be warned, so nobody is erased.
     */
    async retire(now: Date): Promise<{ warned: number; erased: number }> {
      const { dormant } = config.retention;
      const done = { warned: 0, erased: 0 };
      if (dormant === 'off' || !config.mail.url) return done;
      const staleBefore = ago(now, STALE);
      const toErase = { listedBefore: ago(now, dormant), askedBefore: ago(now, NOTICE) };
      const toWarn = { ...toErase, listedBefore: ago(now, dormant - NOTICE) };
      // No time limit: it looks through all accounts. At one moment: whom another node warns meanwhile takes nobody else's room.
      const [due, next] = await database.session(async (session) => {
        await beginSnapshot(session);
        const room = Math.max(0, WARNINGS_AN_HOUR - (await warningsSince(session, ago(now, HOUR))));
        return [
          await warned(session, toErase, { warnedBefore: ago(now, NOTICE), staleBefore, limit: AT_ONCE }),
          await unwarned(session, toWarn, { staleBefore, limit: Math.min(AT_ONCE, room) }),
        ];
      });
      for (const id of due) {
        if (await eraseOne(id, { dormancy: toErase, actor: 'system' }, now)) done.erased += 1;
      }
      for (const id of next) {
        const told = await database.transaction(async (tx) => {
          const account = await holdDormant(tx, id, toWarn);
          return account !== undefined && (await warnOne(tx, account, now));
        });
        if (told) done.warned += 1;
      }
      return done;
    },
  };
}

export type DormantJourney = ReturnType<typeof dormantJourney>;
