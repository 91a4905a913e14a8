/**
 * Owns what residents change of their own factors: passkeys, the authenticator app, recovery codes, and whether a second step is
 * asked for. Each change is one transaction with its audit row and its mail and raises the epoch: it ends every other session,
 * and two tabs that change the same thing do not both do it.
 */
import type { Config } from '../config.ts';
import type { FactorChange, Mails } from '../mail/mails.ts';
import type { Database, Transaction } from '../platform/database.ts';
import type { Refusal } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { heldAtEpoch, putOffPasskey, setTwoSteps, type Account } from '../records/accounts.ts';
import { auditRow, type AuditKind } from '../records/audit.ts';
import {
  addAuthenticator,
  addPasskey,
  AUTHENTICATOR_PURPOSE,
  factorsOf,
  knowsRecoveryCode,
  recoveryDigests,
  removeAuthenticator,
  removePasskey,
  replaceRecoveryCodes,
  settleFactors,
  type Factors,
} from '../records/factors.ts';
import {
  authenticatorUri,
  newAuthenticatorSecret,
  newRecoveryCodes,
  readCode,
  stepOfCode,
} from '../records/one-time-codes.ts';
import { creationOptions, newPasskey } from '../records/webauthn.ts';
import type { Whence } from './allowances.ts';

export interface FactorChangeParts {
  database: Database;
  sealer: Sealer;
  config: Pick<Config, 'issuer' | 'brand' | 'languages'>;
  mails: Mails;
  /** The name by which passkeys know an account. */
  userHandle: (accountId: string) => string;
}

/** Who changes: the account as this request has read it, and from where. */
export interface Changer {
  account: Account;
  from: Whence;
}

/** `changed_meanwhile`: the account is no longer what the page was made from; `taken`: it is there already. */
export type FactorRefusal = Refusal & {
  refused: 'changed_meanwhile' | 'taken' | 'too_many' | 'wrong_proof' | 'nothing_there';
};
export type Changed = { epoch: number } | FactorRefusal;

const MOST_PASSKEYS = 20;
const MONTHS_3 = 90 * 86_400_000;
/** As far as any database counts. */
const NEVER = new Date('9999-12-31T00:00:00Z');

/** Takes the whole transaction back. */
class Refused extends Error {
  readonly refusal: FactorRefusal;
  constructor(refused: FactorRefusal['refused']) {
    super(refused);
    this.refusal = { refused };
  }
}

export function factorChanges({ database, sealer, config, mails, userHandle }: FactorChangeParts) {
  const site = config.brand.name[config.languages[0] ?? 'fi'];

  async function changing(
    { account, from }: Changer,
    {
      kind,
      mail,
      change,
    }: { kind: AuditKind; mail: FactorChange; change: (tx: Transaction) => Promise<number | void> },
    now: Date,
  ): Promise<Changed> {
    const { id: accountId, epoch } = account;
    return database
      .transaction(async (tx) => {
        const held = await heldAtEpoch(tx, { accountId, epoch });
        if (!held) throw new Refused('changed_meanwhile');
        const raised = (await change(tx)) ?? (await settleFactors(tx, accountId, now));
        await tx.query(auditRow({ kind, accountId, ...from }, now));
        await mails.factorChanged(tx, { accountId, email: held.email, locale: held.locale, change: mail }, now);
        return { epoch: raised };
      })
      .catch((error: unknown) => {
        if (error instanceof Refused) return error.refusal;
        throw error;
      });
  }

  /** Another with each change, so that an answer is good for the page that asked. */
  const challenge = ({ id, epoch }: Account): string =>
    sealer.digest(`${id} ${epoch}`, 'passkey-creation').toString('base64url');
  /** What was sealed for one account, as it was then, opens for no other. */
  const setUp = ({ id, epoch }: Account): string => `authenticator-set-up:${id}:${epoch}`;
  const drawn = ({ id, epoch }: Account): string => `recovery-codes-drawn:${id}:${epoch}`;

  return {
    factors: (account: Account): Promise<Factors> => factorsOf(database, account.id),

    /** What a browser is asked for to make a passkey. */
    async passkeyOptions(account: Account): Promise<object> {
      const { passkeys } = await factorsOf(database, account.id);
      const user = { handle: userHandle(account.id), email: account.email };
      return creationOptions({ issuer: config.issuer, challenge: challenge(account), site, user, known: passkeys });
    },

    async addPasskey(
      { answer, name, ...changer }: Changer & { answer: string; name: string },
      now: Date,
    ): Promise<Changed> {
      const { account } = changer;
      const passkey = await newPasskey(answer, { issuer: config.issuer, challenge: challenge(account) });
      if (!passkey) return { refused: 'wrong_proof' };
      return changing(
        changer,
        {
          kind: 'passkey_added',
          mail: 'passkey_added',
          change: async (tx) => {
            const { passkeys } = await factorsOf(tx, account.id);
            if (passkeys.length >= MOST_PASSKEYS) throw new Refused('too_many');
            if (!(await addPasskey(tx, { ...passkey, accountId: account.id, name }, now))) throw new Refused('taken');
          },
        },
        now,
      );
    },

    /** A secret for an authenticator app. Nothing is stored before a code of it comes back with what was sealed. */
    newAuthenticator(account: Account, sealed?: string): { secret: string; uri: string; sealed: string } {
      const earlier = sealed === undefined ? undefined : sealer.open(sealed, setUp(account));
      const secret = earlier ?? newAuthenticatorSecret();
      return {
        secret,
        uri: authenticatorUri({ secret, issuer: site, email: account.email }),
        sealed: earlier === undefined ? sealer.seal(secret, setUp(account)) : sealed!,
      };
    },

    async addAuthenticator(
      { sealed, code, ...changer }: Changer & { sealed: string; code: string },
      now: Date,
    ): Promise<Changed> {
      const { account } = changer;
      const secret = sealer.open(sealed, setUp(account));
      if (!secret) return { refused: 'changed_meanwhile' };
      const given = readCode(code);
      const step = given && 'app' in given ? stepOfCode({ secret, code: given.app, after: 0 }, now) : undefined;
      if (step === undefined) return { refused: 'wrong_proof' };
      return changing(
        changer,
        {
          kind: 'authenticator_added',
          mail: 'authenticator_added',
          change: async (tx) => {
            const kept = { accountId: account.id, sealed: sealer.seal(secret, AUTHENTICATOR_PURPOSE), step };
            if (!(await addAuthenticator(tx, kept, now))) throw new Refused('taken');
          },
        },
        now,
      );
    },

    removeAuthenticator: (changer: Changer, now: Date): Promise<Changed> =>
      changing(
        changer,
        {
          kind: 'authenticator_removed',
          mail: 'authenticator_removed',
          change: async (tx) => {
            if (!(await removeAuthenticator(tx, changer.account.id))) throw new Refused('nothing_there');
          },
        },
        now,
      ),

    /** A passkey of the account itself: the id of somebody else's is nothing here. */
    removePasskey: ({ id, ...changer }: Changer & { id: string }, now: Date): Promise<Changed> =>
      changing(
        changer,
        {
          kind: 'passkey_removed',
          mail: 'passkey_removed',
          change: async (tx) => {
            if (!(await removePasskey(tx, { accountId: changer.account.id, id }))) throw new Refused('nothing_there');
          },
        },
        now,
      ),

    /** Ten codes to be, for the form that asks for new ones: pressed twice, it brings the same ten both times. */
    drawRecoveryCodes: (account: Account): string => sealer.seal(JSON.stringify(newRecoveryCodes()), drawn(account)),

    /**
     * Ten new ones: the only time that they are seen. The former ones are good no more.
     * @returns no epoch where the other half of a double click came first and made these very ones
     */
    async makeRecoveryCodes(
      { sealed, ...changer }: Changer & { sealed: string },
      now: Date,
    ): Promise<{ epoch?: number; codes: string[] } | FactorRefusal> {
      const { id: accountId, factors } = changer.account;
      if (factors.length === 0) return { refused: 'nothing_there' };
      // A form from before a change of the account gets others than those that were drawn for it.
      const opened = sealer.open(sealed, drawn(changer.account));
      const codes = opened === undefined ? newRecoveryCodes() : (JSON.parse(opened) as string[]);
      const forms = codes.map((code) => recoveryDigests(sealer, accountId, code));
      const digests = forms.map(([newest]) => newest!);
      const made = await changing(
        changer,
        {
          kind: 'recovery_codes_made',
          mail: 'recovery_codes_made',
          change: (tx) => replaceRecoveryCodes(tx, { accountId, digests }, now),
        },
        now,
      );
      if (!('refused' in made)) return { ...made, codes };
      const same = await knowsRecoveryCode(database, { accountId, digests: forms[0]! });
      return same ? { codes } : made;
    },

    /** Whether a second step is asked for also where there is no authenticator app. */
    chooseTwoSteps: ({ twoSteps, ...changer }: Changer & { twoSteps: boolean }, now: Date): Promise<Changed> => {
      const { id: accountId, factors } = changer.account;
      if (!factors.includes('passkey')) return Promise.resolve({ refused: 'nothing_there' });
      const kind = twoSteps ? 'two_steps_on' : 'two_steps_off';
      const change = (tx: Transaction) => setTwoSteps(tx, { accountId, twoSteps }, now);
      return changing(changer, { kind, mail: kind, change }, now);
    },

    /** The resident wants no passkey: not now, or never. */
    async putOff(account: Account, { forGood }: { forGood: boolean }, now: Date): Promise<void> {
      await database.query(putOffPasskey(account.id, forGood ? NEVER : new Date(now.getTime() + MONTHS_3)));
    },
  };
}

export type FactorChanges = ReturnType<typeof factorChanges>;
