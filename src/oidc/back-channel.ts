/**
 * Owns telling e-services that a session has ended (OpenID Connect Back-Channel Logout 1.0): who is told, the logout token,
 * and what an answer means. The orders are records/logouts.ts's, the queue that brings them here is jobs.ts's: no page waits.
 *
 * Whatever ends a session has written its orders in the same transaction: signing out (change.ts), or a raised epoch (a
 * trigger, then `endSessions`). A session that merely ran out is told of by `sweepSessions`, to those that want it.
 */
import type Provider from 'oidc-provider';
import type { Client } from 'oidc-provider';
import type { Database, Queryable } from '../platform/database.ts';
import { randomToken } from '../platform/secrets.ts';
import { metrics, type Log } from '../platform/telemetry.ts';
import { expiredSessions, outlivedSessions } from '../records/artifacts.ts';
import { dueLogout, endWithLogouts, noteAttempt, type LogoutKey, type LogoutOutcome } from '../records/logouts.ts';
import type { RegisteredClients } from './registered-clients.ts';

export interface BackChannelParts {
  database: Database;
  /** The newest: a logout token is signed with the keys of its own time. */
  provider: () => Provider;
  clients: RegisteredClients;
  clock: () => Date;
  log: Log;
}

/** How long an e-service may take to answer, in milliseconds. */
export const PATIENCE = 3000;
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
/** Clocks of nodes differ a little: a session that one of them still continues is no run-out one. */
const MARGIN = 60_000;

export function backChannel({ database, provider, clients, clock, log }: BackChannelParts) {
  async function send({ clientId, sid }: LogoutKey, sub: string | null): Promise<Verdict> {
    // Taken out of the configuration meanwhile, or without a back channel now: there is nobody to tell.
    const uri = clients.client(clientId)?.backchannel_logout_uri;
    const client = uri && (await provider().Client.find(clientId));
    if (!client) return { outcome: 'gone' };
    const token = await logoutToken(provider(), client, { sub, sid });
    return answerOf(uri, new URLSearchParams({ logout_token: token }));
  }

  return {
    /** Ends an account's sessions that have outlived its epoch. */
    endSessions: (accountId: string) =>
      endWithLogouts(database, { ending: outlivedSessions(accountId), told: clients.told() }, clock()),

    /** Ends a batch of the sessions that ran out; says how many. */
    sweepSessions: (db: Queryable, now: Date) =>
      endWithLogouts(db, { ending: expiredSessions(new Date(now.getTime() - MARGIN)), told: clients.told() }, now),

    /** One attempt. Throws where another may help. */
    async deliver(key: LogoutKey, { attempt, last }: { attempt: number; last: boolean }): Promise<void> {
      const due = await dueLogout(database, key);
      if (!due) return;
      const { outcome, reason } = await send(key, due.sub);
      const settled = outcome ?? (last ? 'given_up' : undefined);
      await noteAttempt(database, { ...key, outcome: settled, reason }, clock());
      metrics.logouts.inc({ client: key.clientId, outcome: settled ?? 'delayed' });
      const fields = { client: key.clientId, attempt, outcome: settled ?? 'delayed', reason };
      if (settled === 'delivered') log.info(fields, 'an e-service was told of a sign-out');
      else if (settled === 'gone') log.info(fields, 'an e-service that is gone was not told of a sign-out');
      else log.warn(fields, 'an e-service did not take a sign-out');
      if (!settled) throw new Error(reason);
    },
  };
}

interface Verdict {
  /** Left out: try again later. */
  outcome?: LogoutOutcome;
  /** Holds nothing of the token or of the answer's body. */
  reason?: string;
}

/**
 * Section 2.4. Made by hand, as the library would work `sub` out anew, and leave out `sid` where the e-service does not insist
 * on it: that would end the resident's sessions on every device.
 */
async function logoutToken(
  provider: Provider,
  client: Client,
  { sub, sid }: { sub: string | null; sid: string },
): Promise<string> {
  const token = new provider.IdToken({}, { client, ctx: undefined as never });
  if (sub !== null) token.set('sub', sub);
  token.set('sid', sid);
  token.set('jti', randomToken());
  token.set('events', { [EVENT]: {} });
  return token.issue({ use: 'logout' });
}

/** Section 2.8. 400: the e-service could not do it, and the same token would not fare better; what is temporary may. */
async function answerOf(uri: string, body: URLSearchParams): Promise<Verdict> {
  let status: number;
  try {
    const answer = await fetch(uri, {
      method: 'POST',
      body,
      // Neither to another address nor for long: the token is for this one.
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE),
    });
    ({ status } = answer);
    await answer.body?.cancel();
  } catch (error) {
    return { reason: unreachable(error) };
  }
  if (status >= 200 && status < 300) return { outcome: 'delivered' };
  const final = status >= 400 && status < 500 && ![408, 425, 429].includes(status);
  return { reason: `HTTP ${status}`, ...(final ? { outcome: 'refused' } : {}) };
}

function unreachable(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: unknown } };
  if (name === 'TimeoutError') return `no answer within ${PATIENCE / 1000} seconds`;
  return `no connection: ${typeof cause?.code === 'string' ? cause.code : 'it broke'}`;
}
