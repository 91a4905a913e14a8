/**
 * Owns the changes of who is who that support makes for a resident: another address, an old id tied or taken away, erasing.
 *
 * Each is one transaction with its audit row, alone of its kind (`holdIdentities`), between two batches of an import. Whoever
 * talks support into one of them must gain as little as can be: another address ends sessions, links and every password, and
 * leaves what stands as a second step; the old address is told; no id and no `sub` of one account is ever given to another.
 */
import type { Transaction } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import {
  changeEmail,
  dropListPassword,
  forgetPassword,
  restsOnList,
  type Account,
  type Factor,
} from '../records/accounts.ts';
import { erasedAt, erasureDigests, holdIdentities } from '../records/erasures.ts';
import { canonicalAddress, displayAddress } from '../records/addresses.ts';
import { liveSessions } from '../records/artifacts.ts';
import { auditRow } from '../records/audit.ts';
import { forgetFactors } from '../records/factors.ts';
import {
  isUsable,
  knownSources,
  ownerOfLegacyId,
  tieLegacyId,
  tiesOfAccount,
  untieLegacyId,
} from '../records/legacy-ids.ts';
import { forgetLinks, liveLinks } from '../records/links.ts';
import { changeSubject, givenSubject, ownerOfSubject, sectorOfList, subjectsOf } from '../records/subjects.ts';
import { eraseResident } from './erasing.ts';
import { signOutEverywhere } from './signing-out.ts';
import { cleanReason, findAccount, type NotFound, type SupportParts } from './support.ts';

/** What an act would do that cannot be undone by doing it the other way round. */
export type Warning =
  /** E-services that know the resident by `from` meet somebody whom they know by `to`, or by a new one of our making. */
  | { warning: 'sub_changes'; eServices: string[]; from: string; to?: string }
  /** No list that was imported has the id. */
  | { warning: 'id_on_no_list' }
  | { warning: 'erases'; email: string; ties: number; links: number; sessions: number; subs: number };

/** `warnings`: nothing is done before somebody says yes to them. `at`: when it was erased. */
export interface ChangeRefused extends Refusal {
  refused:
    | NotFound['refused']
    | 'bad_reason'
    | 'new_is_no_address'
    | 'address_taken'
    | 'unknown_source'
    | 'unusable_id'
    | 'id_taken'
    | 'other_id'
    | 'sub_taken'
    | 'no_such_id'
    | 'needs_yes';
  at?: Date;
  warnings?: Warning[];
  /** The lists that there are. */
  sources?: string[];
}

export interface Changed {
  /** False: it was so already, and nothing is written. */
  changed: boolean;
  /** The ways to sign in that the account keeps, where its address changed. */
  keeps?: readonly Factor[];
}

/** An old id of one list, for one account. */
export interface IdChange {
  email: string;
  source: string;
  id: string;
  yes?: boolean;
}

export function identityChanges(parts: SupportParts) {
  const { database, config, sealer, mails, told, actor } = parts;

  async function changing<T extends Changed>(
    email: string,
    change: (tx: Transaction, account: Account) => Promise<T | ChangeRefused>,
  ): Promise<T | Changed | ChangeRefused> {
    return database.transaction(async (tx) => {
      await holdIdentities(tx);
      const found = await findAccount(tx, sealer, email);
      return 'refused' in found ? found : change(tx, found.account);
    });
  }

  /** The e-services that know residents by the ids of this list, as people call them. */
  const knowingByIdsOf = (source: string): string[] =>
    config.clients
      .filter((client) => client.subject_type === 'legacy' && client.legacy_source === source)
      .map((client) => client.client_name[config.languages[0] ?? 'fi']);

  /** Why the id cannot be this account's, if so. */
  async function whyNot(
    tx: Transaction,
    account: Account,
    { source, id }: { source: string; id: string },
  ): Promise<ChangeRefused | undefined> {
    if (!isUsable(id)) return { refused: 'unusable_id' };
    const sources = [
      ...new Set([...(await knownSources(tx)), ...config.clients.flatMap((c) => c.legacy_source ?? [])]),
    ];
    const at = await erasedAt(tx, 'legacy_id', erasureDigests.legacyId(sealer, source, id));
    if (at) return { refused: 'erased_id', at };
    const { known, accountId: owner } = await ownerOfLegacyId(tx, { source, id });
    if (!known && !sources.includes(source)) return { refused: 'unknown_source', sources };
    if (owner !== undefined && owner !== account.id) return { refused: 'id_taken' };
    const ties = await tiesOfAccount(tx, account.id);
    if (ties.some((tie) => tie.source === source && !tie.doubt && tie.id !== id)) return { refused: 'other_id' };
    const knownAs = await ownerOfSubject(tx, { sector: sectorOfList(source), sub: id });
    return knownAs === undefined || knownAs === account.id ? undefined : { refused: 'sub_taken' };
  }

  return {
    setEmail({ from, to, reason }: { from: string; to: string; reason: string }, now: Date) {
      const why = cleanReason(reason);
      if (why === undefined) return Promise.resolve<ChangeRefused>({ refused: 'bad_reason' });
      if (!canonicalAddress(to)) return Promise.resolve<ChangeRefused>({ refused: 'new_is_no_address' });
      return changing(from, async (tx, account) => {
        const { id: accountId, locale = config.languages[0] } = account;
        const came = await changeEmail(tx, { accountId, email: to, verified: false }, now);
        if (came === 'taken') return { refused: 'address_taken' };
        if (came === 'unchanged') return { changed: false };
        const detail = { reason: why, respelt: came === 'respelt' };
        await tx.query(auditRow({ kind: 'email_changed', accountId, actor, detail }, now));
        if (came === 'respelt') return { changed: true };
        // Whoever could read the old mailbox could have set the password.
        await forgetPassword(tx, accountId, now);
        // A link that the old mailbox holds would open the account; an expired one would tell the new address.
        await forgetLinks(tx, accountId);
        await mails.takeBack(tx, accountId, now);
        await mails.addressChanged(tx, { accountId, email: account.email, locale }, now);
        // Passkeys and app stay: else whoever talks support into this would be past the second step.
        const keeps = account.factors;
        await mails.addressGiven(tx, { accountId, email: displayAddress(to), locale, keeps }, now);
        return { changed: true, ...(keeps.length > 0 && { keeps }) };
      });
    },

    /** Ties an old id to the account, on an admin's word. */
    link: ({ email, source, id, yes }: IdChange, now: Date) =>
      changing(email, async (tx, account) => {
        const refused = await whyNot(tx, account, { source, id });
        if (refused) return refused;
        const { known, accountId: owner } = await ownerOfLegacyId(tx, { source, id });
        if (owner === account.id) return { changed: false };
        const subject = { sector: sectorOfList(source), accountId: account.id };
        const from = await givenSubject(tx, subject);
        const subChanges = from !== undefined && from !== id;
        const warnings: Warning[] = [
          ...(subChanges ? [{ warning: 'sub_changes' as const, eServices: knowingByIdsOf(source), from, to: id }] : []),
          ...(known ? [] : [{ warning: 'id_on_no_list' as const }]),
        ];
        if (warnings.length && !yes) return { refused: 'needs_yes', warnings };
        const isListedElsewhere = (await tiesOfAccount(tx, account.id)).some(
          (tie) => tie.source !== source && tie.doubt !== 'unlinked',
        );
        await tieLegacyId(tx, { accountId: account.id, source, id }, now);
        await dropListPassword(tx, { accountId: account.id, source }, now);
        // As where an import joins two lists: what rests on the old password of the one opens nothing of the other.
        if (isListedElsewhere && restsOnList(account)) {
          await forgetPassword(tx, account.id, now);
          await forgetFactors(tx, { accountId: account.id }, now);
        }
        // Also what was taken away once, and is the account's own again.
        const hadIt = (await ownerOfSubject(tx, { sector: subject.sector, sub: id })) === account.id;
        await signOutEverywhere(tx, { accountId: account.id, told }, now);
        if (subChanges || hadIt) await changeSubject(tx, { ...subject, to: id }, now);
        const detail = { source, legacyId: id, subChanged: subChanges };
        await tx.query(auditRow({ kind: 'legacy_id_linked', accountId: account.id, actor, detail }, now));
        return { changed: true };
      }),

    /** Takes an old id away from the account, tied or in doubt: from then on it is as if the list never had it there. */
    unlink: ({ email, source, id, yes }: IdChange, now: Date) =>
      changing(email, async (tx, account) => {
        const tie = (await tiesOfAccount(tx, account.id)).find((each) => each.source === source && each.id === id);
        if (!tie) return { refused: 'no_such_id' };
        if (tie.doubt === 'unlinked') return { changed: false };
        const subject = { sector: sectorOfList(source), accountId: account.id };
        const subChanges = (await givenSubject(tx, subject)) === id;
        if (subChanges && !yes) {
          const warning: Warning = { warning: 'sub_changes', eServices: knowingByIdsOf(source), from: id };
          return { refused: 'needs_yes', warnings: [warning] };
        }
        await untieLegacyId(tx, { accountId: account.id, source, id });
        await signOutEverywhere(tx, { accountId: account.id, told }, now);
        if (subChanges) await changeSubject(tx, subject, now);
        const detail = { source, legacyId: id, subChanged: subChanges };
        await tx.query(auditRow({ kind: 'legacy_id_unlinked', accountId: account.id, actor, detail }, now));
        return { changed: true };
      }),

    erase: ({ email, yes }: { email: string; yes?: boolean }, now: Date) =>
      changing(email, async (tx, account) => {
        if (!yes) {
          const [ties, links, { sessions }, subs] = [
            await tiesOfAccount(tx, account.id),
            await liveLinks(tx, account.id, now),
            await liveSessions(tx, account, now),
            await subjectsOf(tx, account.id),
          ];
          const counts = { ties: ties.length, links: links.length, sessions, subs: subs.size };
          return { refused: 'needs_yes', warnings: [{ warning: 'erases', email: account.email, ...counts }] };
        }
        await eraseResident(tx, { account, actor, sealer, mails, told }, now);
        return { changed: true };
      }),
  };
}

export type IdentityChanges = ReturnType<typeof identityChanges>;
