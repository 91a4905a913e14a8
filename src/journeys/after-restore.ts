/**
 * Owns what makes a restored database safe to serve. A backup brings back what had ended since: links that were used, sessions
 * that were signed out, sign-ins that had finished, mails that went out, residents who had themselves erased. All that could let
 * somebody in ends, and the erasures on the list are done again; passwords, old ids and every `sub` stay as the backup has them.
 * What was to be done by now may have been called off since: removals of factors end, and whoever was to be erased for being
 * unused, or by their own wish, is told anew and has the whole time again.
 */
import type { Database, Session } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { accountById, putOffEveryLeaving, raiseEveryEpoch } from '../records/accounts.ts';
import { erasureDigests, holdIdentities } from '../records/erasures.ts';
import { removeOwnerless } from '../records/artifacts.ts';
import { auditRow } from '../records/audit.ts';
import { forgetWarnings } from '../records/dormant.ts';
import { dropEveryRemoval } from '../records/factors.ts';
import { removeInteractions } from '../records/interactions.ts';
import { endEveryLink } from '../records/links.ts';
import { forgetNodes } from '../records/nodes.ts';
import { forgetEveryRegistration } from '../records/registrations.ts';
import { accountIdsPage, keepErasures, type Erasure } from '../records/whole-accounts.ts';
import { takeBackEveryMail } from '../mail/mails.ts';
import { eraseQuietly } from './erasing.ts';
import { readErasures } from './erasure-list.ts';
import { WAIT } from './leave.ts';

export interface Restored {
  /** Whose sessions, grants, codes and tokens ended: all accounts. */
  accounts: number;
  /** Mailed ones that were still good. */
  links: number;
  interactions: number;
  mails: number;
  /** Removals of a resident's factors that support had asked for. */
  removals: number;
  /** Accounts that the backup brought back and that the list erases. */
  erasedAgain: number;
}

/** `list`: the file that `tunnus accounts erasures` wrote last; none where there is none. One transaction: all of it or nothing. */
export async function afterRestore(
  { database, sealer }: { database: Database; sealer: Sealer },
  { list, actor }: { list?: string; actor: string },
  now: Date,
): Promise<Restored | { refused: string }> {
  const erasures = list === undefined ? [] : await readErasures(list, sealer);
  if ('refused' in erasures) return erasures;
  // A session has no limit of time: a million epochs take longer than a page may.
  return database.session(async (session) => {
    await session.script('begin');
    await holdIdentities(session);
    const erasedAgain = await eraseAgain(session, { erasures, sealer, actor }, now);
    const done: Restored = {
      accounts: await raiseEveryEpoch(session),
      links: (await endEveryLink(session, now)) + (await forgetEveryRegistration(session)),
      interactions: await removeInteractions(session),
      mails: await takeBackEveryMail(session, now),
      removals: await dropEveryRemoval(session),
      erasedAgain,
    };
    await putOffEveryLeaving(session, new Date(now.getTime() + WAIT));
    await forgetWarnings(session);
    await removeOwnerless(session);
    await forgetNodes(session);
    const { accounts: _all, ...detail } = done;
    await session.query(auditRow({ kind: 'database_restored', actor, detail }, now));
    await session.script('commit');
    return done;
  });
}

async function eraseAgain(
  tx: Session,
  { erasures, sealer, actor }: { erasures: readonly Erasure[]; sealer: Sealer; actor: string },
  now: Date,
): Promise<number> {
  const wanted = new Map(
    erasures.filter(({ kind }) => kind === 'account').map(({ digest, erased_at }) => [digest, new Date(erased_at)]),
  );
  let erased = 0;
  for (let page: string[], after; wanted.size && (page = await accountIdsPage(tx, after)).length > 0;) {
    for (const id of page) {
      const marks = erasureDigests.account(sealer, id).map((digest) => digest.toString('base64url'));
      const at = wanted.get(marks.find((mark) => wanted.has(mark)) ?? '');
      const account = at && (await accountById(tx, id));
      if (!account) continue;
      await eraseQuietly(tx, { account, sealer, actor, at }, now);
      erased += 1;
    }
    after = page.at(-1);
  }
  await keepErasures(tx, erasures);
  return erased;
}
