/**
 * Owns how residents leave by themselves: asking for their account to be erased, the two weeks in which signing in takes that
 * back, the reminder, and the end. From the asking on nobody is signed in any more, and e-services are told.
 */
import type { Config } from '../config.ts';
import type { Database } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import {
  accountById,
  holdLeaving,
  leavingBefore,
  noteReminder,
  startLeaving,
  stopLeaving,
  type Account,
} from '../records/accounts.ts';
import { holdIdentities } from '../records/erasures.ts';
import { auditRow } from '../records/audit.ts';
import { endLinks } from '../records/links.ts';
import type { Whence } from './allowances.ts';
import { daysInWords } from './days.ts';
import { eraseResident, type ErasingParts } from './erasing.ts';

export interface LeaveParts extends Omit<ErasingParts, 'told'> {
  database: Database;
  config: Pick<Config, 'issuer' | 'timeZone'>;
  told: () => ErasingParts['told'];
}

const DAY = 86_400_000;
/** Between the asking and the end, in milliseconds. */
export const WAIT = 14 * DAY;
/** So long before the end there is a reminder. */
export const REMIND = 3 * DAY;
/** One run ends well before a job counts as dead. */
const AT_ONCE = 200;

export function leaving(parts: LeaveParts) {
  const { database, config, mails } = parts;

  const mailOf = ({ id: accountId, email, locale }: Account, leavesAt: Date) => ({
    accountId,
    email,
    locale,
    link: `${config.issuer}/account`,
    day: daysInWords(leavesAt, config.timeZone),
  });

  return {
    /** @returns when the account is erased, also where another tab has asked for it first; refused where it has changed otherwise */
    ask: (
      { account, from }: { account: Account; from: Whence },
      now: Date,
    ): Promise<{ leavesAt: Date } | (Refusal & { refused: 'outrun' })> =>
      database.transaction(async (tx) => {
        const leavesAt = new Date(now.getTime() + WAIT);
        const { id: accountId, epoch } = account;
        if (!(await startLeaving(tx, { accountId, epoch, leavesAt }, now))) {
          const asked = (await accountById(tx, accountId))?.leavesAt;
          return asked ? { leavesAt: asked } : { refused: 'outrun' };
        }
        await endLinks(tx, accountId, now);
        await tx.query(auditRow({ kind: 'leaving_asked', accountId, ...from }, now));
        await mails.leaving(tx, mailOf(account, leavesAt), now);
        return { leavesAt };
      }),

    /** The resident has signed in. */
    undo: ({ accountId, from }: { accountId: string; from: Whence }, now: Date): Promise<void> =>
      database.transaction(async (tx) => {
        if (!(await stopLeaving(tx, accountId, now))) return;
        await tx.query(auditRow({ kind: 'leaving_undone', accountId, ...from }, now));
        await mails.leavingUndone(tx, { accountId, ...(await accountById(tx, accountId))! }, now);
      }),

    /** One run of the job: erases whose time has come, then reminds who is next. */
    async carryOut(now: Date): Promise<{ reminded: number; erased: number }> {
      const done = { reminded: 0, erased: 0 };
      for (const id of await leavingBefore(database, { before: now, reminded: true, limit: AT_ONCE })) {
        const erased = await database.transaction(async (tx) => {
          await holdIdentities(tx);
          const account = await holdLeaving(tx, { id, before: now });
          if (account) await eraseResident(tx, { ...parts, told: parts.told(), account, actor: 'resident' }, now);
          return account !== undefined;
        });
        if (erased) done.erased += 1;
      }
      const before = new Date(now.getTime() + REMIND);
      for (const id of await leavingBefore(database, { before, reminded: false, limit: AT_ONCE })) {
        const reminded = await database.transaction(async (tx) => {
          const account = await holdLeaving(tx, { id, before });
          if (!account || !(await noteReminder(tx, id, now))) return false;
          await tx.query(auditRow({ kind: 'leaving_reminded', accountId: id, actor: 'system' }, now));
          await mails.leavingReminder(tx, mailOf(account, account.leavesAt!), now);
          return true;
        });
        if (reminded) done.reminded += 1;
      }
      return done;
    },
  };
}

export type Leaving = ReturnType<typeof leaving>;
