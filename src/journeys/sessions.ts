/**
 * Owns what residents see and end of where they are signed in. A session goes by a handle that says nothing to anybody else:
 * a keyed digest of account and session, so that an id made up, or taken from another account, names no session of theirs.
 */
import type { Database } from '../platform/database.ts';
import { sameSecret, type Sealer } from '../platform/secrets.ts';
import type { DeviceKind } from '../platform/user-agent.ts';
import { raiseEpochFrom, type Account } from '../records/accounts.ts';
import { endedSessions, sessionsOf, sessionUidHash, type KnownSession } from '../records/artifacts.ts';
import { auditRow } from '../records/audit.ts';
import { endLinks } from '../records/links.ts';
import { endWithLogouts, type Told } from '../records/logouts.ts';
import type { Whence } from './allowances.ts';

export interface SessionParts {
  database: Database;
  sealer: Sealer;
  /** The e-services that have a back channel. */
  told: () => readonly Told[];
}

export interface ResidentSession {
  handle: string;
  /** It is the one that asks. */
  own: boolean;
  since: Date;
  seen: Date;
  device?: DeviceKind;
  place?: string;
  /** The e-services that it reached. */
  clientIds: string[];
}

/** What a session's row holds beside what the library needs (oidc/adapter.ts). */
interface Payload {
  iat?: number;
  visitor?: { since: number; seen: number; device: DeviceKind; place: string };
  authorizations?: Record<string, unknown>;
}

export function residentSessions({ database, sealer, told }: SessionParts) {
  const handleOf = (account: Account, { uidHash }: KnownSession): string =>
    sealer.digest(`${account.id} ${uidHash.toString('hex')}`, 'session-handle').toString('base64url');

  return {
    /** The newest first, but for this browser's own. */
    async list(
      { account, sessionUid }: { account: Account; sessionUid: string },
      now: Date,
    ): Promise<ResidentSession[]> {
      const own = sessionUidHash(sessionUid);
      const sessions = (await sessionsOf(database, account, now)).map((session): ResidentSession => {
        const { iat = 0, visitor, authorizations = {} } = JSON.parse(session.payload) as Payload;
        return {
          handle: handleOf(account, session),
          own: session.uidHash.equals(own),
          since: new Date((visitor?.since ?? iat) * 1000),
          seen: new Date((visitor?.seen ?? iat) * 1000),
          device: visitor?.device,
          place: visitor?.place,
          clientIds: Object.keys(authorizations),
        };
      });
      return sessions.sort((a, b) => Number(b.own) - Number(a.own) || b.seen.getTime() - a.seen.getTime());
    },

    /** Ends one; false where the account has none by that handle, or no longer. */
    async end(
      { account, handle, from }: { account: Account; handle: string; from: Whence },
      now: Date,
    ): Promise<boolean> {
      return database.transaction(async (tx) => {
        const session = (await sessionsOf(tx, account, now)).find((each) =>
          sameSecret(handleOf(account, each), handle),
        );
        if (!session) return false;
        const ended = await endWithLogouts(tx, { ending: endedSessions([session.id]), told: told() }, now);
        if (ended > 0) await tx.query(auditRow({ kind: 'session_ended', accountId: account.id, ...from }, now));
        return ended > 0;
      });
    },

    /**
     * Ends all, with every grant and every link that changes the account: whoever had one of them keeps nothing. The caller
     * carries its own session on.
     * @returns the account's new epoch; none, with nothing ended, where the session that asks was ended meanwhile
     */
    async endOthers({ account, from }: { account: Account; from: Whence }, now: Date): Promise<number | undefined> {
      return database.transaction(async (tx) => {
        const epoch = await raiseEpochFrom(tx, account, now);
        if (epoch === undefined) return undefined;
        await endLinks(tx, account.id, now);
        await tx.query(auditRow({ kind: 'other_sessions_ended', accountId: account.id, ...from }, now));
        return epoch;
      });
    },
  };
}

export type ResidentSessions = ReturnType<typeof residentSessions>;
