/**
 * Owns what support does about a resident's factors: list them, and remove what the resident has lost.
 *
 * Whoever talks support into that would get past the second step; so nothing goes at once. The resident is told, and for three
 * days may call it off by the link in that mail, or by signing in with what is to be removed, which then is not lost. A mail
 * tells of the end as well.
 */
import type { Config } from '../config.ts';
import type { Mails } from '../mail/mails.ts';
import type { Database, Queryable, Sql } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import { randomToken, type Sealer } from '../platform/secrets.ts';
import { accountById, heldAccount, type Account } from '../records/accounts.ts';
import { auditRow } from '../records/audit.ts';
import {
  askRemoval,
  droppedRemoval,
  dueRemovals,
  factorsOf,
  removalByToken,
  removeAuthenticator,
  removePasskey,
  settleFactors,
  takeRemoval,
  type Factors,
  type Removable,
  type Removal,
} from '../records/factors.ts';
import { isToken } from '../records/links.ts';
import { secondStepOf } from './sign-in.ts';
import { cleanReason, findAccount, type NotFound } from './support.ts';

export interface FactorRemovalParts {
  database: Database;
  sealer: Sealer;
  mails: Mails;
  config: Pick<Config, 'issuer'>;
}

/** What support sees of it: nothing that proves anything. */
export interface FactorsPicture {
  passkeys: { id: string; name: string; backedUp: boolean; createdAt: Date; usedAt?: Date }[];
  authenticator?: { createdAt: Date; usedAt?: Date };
  codes: number;
  /** A second step is asked for after the password. */
  secondStep: boolean;
  removal?: Removal;
}

export const REMOVAL_WAITS = 72 * 3_600_000;

/** What a sign-in calls off, since what it was made with is not lost. */
export function callOffBySigningIn(
  { removal }: Factors,
  { accountId, used }: { accountId: string; used: Removable },
  now: Date,
): Sql[] {
  if (!removal || (removal.factor !== 'all' && removal.factor !== used)) return [];
  return [droppedRemoval(accountId), calledOff(accountId, 'sign-in', now)];
}

const calledOff = (accountId: string, by: string, now: Date): Sql =>
  auditRow({ kind: 'factor_removal_called_off', accountId, detail: { by } }, now);

const has = (factors: Factors, factor: Removable): boolean =>
  factor === 'all'
    ? factors.passkeys.length > 0 || factors.authenticator !== undefined
    : factor === 'authenticator'
      ? factors.authenticator !== undefined
      : factors.passkeys.some(({ id }) => id === factor);

export function factorRemovals({ database, sealer, mails, config }: FactorRemovalParts) {
  async function waiting(tx: Queryable, token: string): Promise<Account | undefined> {
    const removal = isToken(token) ? await removalByToken(tx, token) : undefined;
    return removal && accountById(tx, removal.accountId);
  }

  /** False: another node has done it, or it was called off just now. */
  function carryOut(accountId: string, now: Date): Promise<boolean> {
    return database.transaction(async (tx) => {
      // The account before what is its, as every change of it.
      await tx.query(heldAccount(accountId));
      const removal = await takeRemoval(tx, accountId, now);
      const account = removal && (await accountById(tx, accountId));
      if (!account) return false;
      const { factor, actor } = removal;
      const factors = await factorsOf(tx, accountId);
      const gone = factors.passkeys.filter(({ id }) => factor === 'all' || factor === id);
      for (const { id } of gone) await removePasskey(tx, { accountId, id });
      if (factor === 'all' || factor === 'authenticator') await removeAuthenticator(tx, accountId);
      await settleFactors(tx, accountId, now);
      await tx.query(auditRow({ kind: 'factor_removed', accountId, actor, detail: { factor } }, now));
      await mails.factorChanged(tx, { ...recipient(account), change: 'removed_by_support' }, now);
      return true;
    });
  }

  return {
    /** What the resident has besides the password; looking has its audit row. */
    list: ({ email, actor }: { email: string; actor: string }, now: Date): Promise<FactorsPicture | NotFound> =>
      database.transaction(async (tx) => {
        const found = await findAccount(tx, sealer, email);
        if ('refused' in found) return found;
        const { account } = found;
        const { passkeys, authenticator, codes, removal } = await factorsOf(tx, account.id);
        await tx.query(auditRow({ kind: 'account_viewed', accountId: account.id, actor }, now));
        return {
          passkeys: passkeys.map(({ id, name, backedUp, createdAt, usedAt }) => ({
            id,
            name,
            backedUp,
            createdAt,
            usedAt,
          })),
          authenticator: authenticator && { createdAt: authenticator.createdAt, usedAt: authenticator.usedAt },
          codes,
          secondStep: secondStepOf(account, { mfa: false }) === 'asked',
          removal,
        };
      }),

    /** Begins the waiting time, or begins it anew. */
    ask: (
      { email, factor, reason, actor }: { email: string; factor: Removable; reason: string; actor: string },
      now: Date,
    ): Promise<{ dueAt: Date } | NotFound | (Refusal & { refused: 'bad_reason' | 'no_such_factor' })> =>
      database.transaction(async (tx) => {
        const told = cleanReason(reason);
        if (told === undefined) return { refused: 'bad_reason' };
        const found = await findAccount(tx, sealer, email);
        if ('refused' in found) return found;
        const { account } = found;
        const { id: accountId } = account;
        if (!has(await factorsOf(tx, accountId), factor)) return { refused: 'no_such_factor' };
        const token = randomToken();
        const dueAt = new Date(now.getTime() + REMOVAL_WAITS);
        await askRemoval(tx, { accountId, token, removal: { factor, actor, askedAt: now, dueAt } });
        const detail = { factor, reason: told };
        await tx.query(auditRow({ kind: 'factor_removal_asked', accountId, actor, detail }, now));
        const link = `${config.issuer}/keep-factors/${token}`;
        await mails.factorRemoval(tx, { ...recipient(account), link, lifetime: REMOVAL_WAITS }, now);
        return { dueAt };
      }),

    /** GET: whose removal the link calls off; changes nothing. Undefined: called off or done already, or never asked for. */
    waiting: (token: string): Promise<Account | undefined> => waiting(database, token),

    /** POST: what support was to remove stays. */
    callOff: (token: string, now: Date): Promise<Account | undefined> =>
      database.transaction(async (tx) => {
        const account = await waiting(tx, token);
        if (!account || (await tx.query(droppedRemoval(account.id))).length === 0) return undefined;
        await tx.query(calledOff(account.id, 'link', now));
        return account;
      }),

    /** Carries out what is due; for the sweep. */
    removeDue: async (db: Queryable, now: Date): Promise<number> => {
      let done = 0;
      for (const { accountId } of await dueRemovals(db, now)) if (await carryOut(accountId, now)) done += 1;
      return done;
    },
  };
}

const recipient = ({ id, email, locale }: Account) => ({ accountId: id, email, locale });

export type FactorRemovals = ReturnType<typeof factorRemovals>;

/** What support does of these, for the commands. */
export function factorSupport({ actor, ...parts }: FactorRemovalParts & { actor: string }) {
  const { list, ask } = factorRemovals(parts);
  return {
    factors: (email: string, now: Date) => list({ email, actor }, now),
    removeFactor: (which: { email: string; factor: Removable; reason: string }, now: Date) =>
      ask({ ...which, actor }, now),
  };
}

export type FactorSupport = ReturnType<typeof factorSupport>;
