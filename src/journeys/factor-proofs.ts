/**
 * Owns what proves a resident besides the password: a passkey by itself, and, after a password, a second step: a passkey, a code
 * of the authenticator app, or a recovery code.
 *
 * A good proof comes back with a statement that spends it, for the write that rests on it: of two at once, one signs in. Codes
 * are counted before they are looked at, since they can be guessed; the answers of passkeys cannot.
 */
import type { Config } from '../config.ts';
import type { Mails } from '../mail/mails.ts';
import { sql, type Database, type Sql } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { accountAtEpochJson, accountFromRow, type Account } from '../records/accounts.ts';
import type { AccountRow } from '../records/artifacts.ts';
import { auditRow } from '../records/audit.ts';
import {
  AUTHENTICATOR_PURPOSE,
  factorsFromJson,
  factorsJson,
  factorsOf,
  knowsRecoveryCode,
  passkeyOf,
  recoveryDigests,
  spentRecoveryCode,
  usedPasskey,
  usedStep,
  type Factors,
  type Passkey,
} from '../records/factors.ts';
import { readCode, stepOfCode } from '../records/one-time-codes.ts';
import { countTry, giveBack, waitAfter } from '../records/throttle.ts';
import { answerOf, claimedPasskey, requestOptions } from '../records/webauthn.ts';
import { whereFrom, type Allowances, type Visitor } from './allowances.ts';
import { callOffBySigningIn } from './factor-removals.ts';
import { stateOf } from './sign-in.ts';
import { signedIn } from './signed-in.ts';
import { whatHappens, type Page } from './states.ts';

export interface FactorProofParts {
  database: Database;
  mails: Mails;
  sealer: Sealer;
  config: Pick<Config, 'issuer'>;
  allowances: Allowances;
}

/** What was shown, by the names of RFC 8176. */
export type Amr = readonly ('pwd' | 'otp' | 'hwk' | 'swk' | 'user' | 'mfa')[];

export interface FactorProof {
  accountId: string;
  epoch: number;
  emailKey: string;
  account: AccountRow;
  amr: Amr;
  /** Gives one row where the proof was not used before. */
  spends: Sql;
  /** What belongs to a sign-in that rests on it. */
  writes: Sql[];
}

export type Proved = (Refusal & { refused: 'wrong_proof' | 'too_many_tries' }) | { page: Page; proof?: FactorProof };

interface Attempt {
  visitor: Visitor;
  clientId: string;
}

/**
 * Of a passkey that verified its user. One that may live on several devices is no key in hardware; of the others nothing more is
 * known than that they do not leave theirs, since nobody is asked for attestation.
 */
const amrOfPasskey = ({ backupEligible }: Passkey): Amr => [backupEligible ? 'swk' : 'hwk', 'user', 'mfa'];

/** Each once, `mfa` last. */
const together = (first: Amr, second: Amr): Amr => [
  ...new Set([...first, ...second].filter((name) => name !== 'mfa')),
  'mfa',
];

export function factorProofs({ database, mails, sealer, config, allowances }: FactorProofParts) {
  const challenge = (uid: string): string => sealer.digest(uid, 'passkey-sign-in').toString('base64url');

  function proofOf(
    { account, amr, spends, removal }: { account: AccountRow; amr: Amr; spends: Sql; removal: Sql[] },
    { visitor, clientId }: Attempt,
    now: Date,
  ): FactorProof {
    const { id: accountId, epoch } = account;
    return {
      accountId,
      epoch,
      emailKey: account['email_key'] as string,
      account,
      amr,
      spends,
      writes: [
        ...signedIn(mails, { account: accountFromRow(account), visitor, clientId, amr: amr.join(' ') }, now),
        ...removal,
      ],
    };
  }

  const refused = (
    { accountId, step }: { accountId: string; step: string },
    { visitor, clientId }: Attempt,
    now: Date,
  ): Sql => auditRow({ kind: 'sign_in_refused', accountId, clientId, ...whereFrom(visitor), detail: { step } }, now);

  /** The resident is told: a code that somebody else used is missed by nobody. */
  function codeUsed({ account, left }: { account: AccountRow; left: number }, { visitor }: Attempt, now: Date): Sql[] {
    const { id: accountId, email, locale } = accountFromRow(account);
    return [
      auditRow({ kind: 'recovery_code_used', accountId, ...whereFrom(visitor), detail: { left } }, now),
      mails.recoveryCodeUsed({ accountId, email, locale, left }, now),
    ];
  }

  return {
    /**
     * What the sign-in `uid` asks a browser for: any passkey of this site, or one of `known`. Whoever does not hold that
     * sign-in's cookie gets nowhere with an answer.
     */
    asked: (uid: string, known?: readonly Passkey[]): object =>
      requestOptions({ issuer: config.issuer, challenge: challenge(uid), known }),

    factors: (account: Account): Promise<Factors> => factorsOf(database, account.id),

    /**
     * A passkey that answers the sign-in `uid`: by itself, or, where `after` a first step, for that account only.
     */
    async byPasskey(
      {
        answer,
        uid,
        after,
        ...attempt
      }: Attempt & { answer: string; uid: string; after?: { accountId: string; epoch: number; amr: Amr } },
      now: Date,
    ): Promise<Proved> {
      const at = after ? 'second_step' : 'passkey';
      const claimed = claimedPasskey(answer);
      const found = claimed && (await passkeyOf(database, claimed.credentialId));
      const account = found && accountFromRow(found.account);
      const passkey = found?.passkey;
      const its = passkey && { issuer: config.issuer, challenge: challenge(uid), passkey };
      const good = its && isFor(claimed!, passkey.accountId) ? await answerOf(answer, its) : undefined;
      const refuse = async (accountId: string | undefined): Promise<Proved> => {
        if (accountId) await database.query(refused({ accountId, step: 'passkey' }, attempt, now));
        return { refused: 'wrong_proof' };
      };
      // Somebody else's passkey is no second step, whatever becomes of their own account.
      if (after && (account?.id !== after.accountId || account.epoch !== after.epoch)) return refuse(after.accountId);
      const row = whatHappens({ at, account: stateOf(account), proof: good ? 'right' : 'wrong' });
      if (!found || !good || row.page !== 'e-service') {
        const told = await refuse(account?.id);
        return row.page === 'locked' ? { page: 'locked' } : told;
      }
      const amr = together(after?.amr ?? [], amrOfPasskey(found.passkey));
      const { counter: to, backedUp } = good;
      const { id, counter: from } = found.passkey;
      const spends = usedPasskey({ id, from, to, backedUp, challenge: challenge(uid) }, now);
      const removal = callOffBySigningIn(
        await factorsOf(database, account!.id),
        { accountId: account!.id, used: id },
        now,
      );
      return { page: row.page, proof: proofOf({ account: found.account, amr, spends, removal }, attempt, now) };
    },

    /** A code after a first step: of the app, or a recovery code. */
    async byCode(
      { code, after, ...attempt }: Attempt & { code: string; after: { accountId: string; epoch: number; amr: Amr } },
      now: Date,
    ): Promise<Proved> {
      const counted = allowances.code(after.accountId);
      const [looked] = await database.query<{
        fitted: { key: string }[];
        account: AccountRow | null;
        factors: unknown;
      }>(sql`
        with tried as (${countTry(counted, now)})
        select (select coalesce(json_agg(tried), '[]') from tried) as fitted, (${factorsJson(after.accountId)}) as factors,
          (${accountAtEpochJson(after)}) as account`);
      const { fitted, account, factors: json } = looked!;
      const wait = await waitAfter(database, { wanted: counted, fitted }, now);
      if (wait > 0) return { refused: 'too_many_tries', retryAfter: wait };
      const factors = factorsFromJson(json);
      const { accountId } = after;
      const spent = account ? await spending({ accountId, code, factors }, now) : undefined;
      if (!account || !spent) {
        await database.query(refused({ accountId, step: 'code' }, attempt, now));
        return { refused: 'wrong_proof' };
      }
      const row = whatHappens({ at: 'second_step', account: stateOf(accountFromRow(account)), proof: 'right' });
      const removal = callOffBySigningIn(factors, { accountId, used: spent.used }, now);
      const amr = together(after.amr, ['otp']);
      const proof = proofOf({ account, amr, spends: spent.sql, removal }, attempt, now);
      const told = spent.left === undefined ? [] : codeUsed({ account, left: spent.left }, attempt, now);
      return { page: row.page, proof: { ...proof, writes: [giveBack(counted), ...proof.writes, ...told] } };
    },

    /** The name by which passkeys know the account: it says nothing of it (Web Authentication Level 3, 14.6.1). */
    userHandle,
  };

  function userHandle(accountId: string): string {
    return sealer.digest(accountId, 'passkey-user').toString('base64url');
  }

  function isFor({ userHandle: given }: { userHandle?: string }, accountId: string): boolean {
    const handles = sealer.digests(accountId, 'passkey-user').map((digest) => digest.toString('base64url'));
    return given === undefined || handles.includes(given);
  }

  async function spending(
    { accountId, code, factors }: { accountId: string; code: string; factors: Factors },
    now: Date,
  ): Promise<{ sql: Sql; used: string; left?: number } | undefined> {
    const given = readCode(code);
    if (!given) return undefined;
    if ('app' in given) {
      const { authenticator } = factors;
      const secret = authenticator && sealer.open(authenticator.sealed, AUTHENTICATOR_PURPOSE);
      const step = secret && stepOfCode({ secret, code: given.app, after: authenticator.lastStep }, now);
      return step ? { sql: usedStep({ accountId, step }, now), used: 'authenticator' } : undefined;
    }
    const digests = recoveryDigests(sealer, accountId, given.recovery);
    if (!(await knowsRecoveryCode(database, { accountId, digests }))) return undefined;
    return { sql: spentRecoveryCode({ accountId, digests }, now), used: 'all', left: factors.codes - 1 };
  }
}

export type FactorProofs = ReturnType<typeof factorProofs>;
