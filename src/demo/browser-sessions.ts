/**
 * The demo e-services' own sessions: one map in memory, one cookie a service.
 *
 * Cookies know no ports, so services that share the host `localhost` need cookie names of their own.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Errand, Resident } from './relying-party.ts';

export interface Session {
  id: string;
  usedAt: number;
  /** Sign-ins under way, by their state: each tab may have one. */
  errands: Map<string, Errand>;
  resident?: Resident;
}

const lifetime = 2 * 60 * 60 * 1000;
const mostErrands = 10;

export class BrowserSessions {
  readonly #cookie: string;
  readonly #sessions = new Map<string, Session>();

  constructor(service: string) {
    this.#cookie = `${service}_session`;
  }

  find(request: IncomingMessage): Session | undefined {
    const session = this.#sessions.get(readCookie(request, this.#cookie) ?? '');
    if (!session || session.usedAt < Date.now() - lifetime) return undefined;
    session.usedAt = Date.now();
    return session;
  }

  /** A signing-in browser gets a new id, so that nobody can have planted one; what other tabs began goes along. */
  start(response: ServerResponse, former?: Session): Session {
    this.#sweep();
    if (former) this.#sessions.delete(former.id);
    const session = {
      id: randomBytes(32).toString('base64url'),
      usedAt: Date.now(),
      errands: former?.errands ?? new Map(),
    };
    this.#sessions.set(session.id, session);
    response.appendHeader('Set-Cookie', `${this.#cookie}=${session.id}; Path=/; HttpOnly; SameSite=Lax`);
    return session;
  }

  remember(session: Session, errand: Errand): void {
    session.errands.set(errand.state, errand);
    for (const state of session.errands.keys()) {
      if (session.errands.size <= mostErrands) break;
      session.errands.delete(state);
    }
  }

  end(session: Session): void {
    this.#sessions.delete(session.id);
  }

  /** With a sid only that browser's session ends, else all of the resident's. */
  endAllOf(whose: { sub?: string; sid?: string }): void {
    for (const session of this.#sessions.values()) {
      const { resident } = session;
      if (resident && (whose.sid ? resident.sid === whose.sid : resident.sub === whose.sub)) this.end(session);
    }
  }

  #sweep(): void {
    for (const session of this.#sessions.values()) if (session.usedAt < Date.now() - lifetime) this.end(session);
  }
}

export function readCookie(request: IncomingMessage, name: string): string | undefined {
  const pair = (request.headers.cookie ?? '').split(/;\s*/).find((each) => each.startsWith(`${name}=`));
  return pair?.slice(name.length + 1);
}
