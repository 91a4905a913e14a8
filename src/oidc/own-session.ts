/**
 * Owns the provider's session as our own pages see it: who is signed in on this browser, and carrying that session on when
 * its own resident has just ended all others. There is no second login and no second cookie.
 */
import type { Context } from 'koa';
import { randomToken } from '../platform/secrets.ts';
import { accountById, accountFromRow, type Account } from '../records/accounts.ts';
import { makeAdapter, type AdapterDeps } from './adapter.ts';
import { acrOf } from './claims.ts';
import { current } from './unit-of-work.ts';

export interface SignedIn {
  account: Account;
  /** Of the session; stays when its id changes. */
  uid: string;
  /** When the resident last proved who they are, in seconds (`auth_time`). */
  signedInAt: number;
  /** How, by the names of RFC 8176. */
  amr: readonly string[];
}

export interface OwnSession {
  /** Who is signed in on this browser. */
  current(ctx: Context): Promise<SignedIn | undefined>;
  account(id: string): Promise<Account | undefined>;
  /**
   * Gives this browser's session a new id and the account's new epoch. The tokens that e-services got under the old one have
   * ended, their own sessions have not: they keep their `sid`, to be told when this session ends. `amr`: what the resident has
   * now shown in all.
   */
  carryOn(ctx: Context, proof: { accountId: string; epoch: number; amr?: readonly string[] }): Promise<void>;
}

export interface OwnSessionDeps extends AdapterDeps {
  cookieName: string;
}

export function ownSession(deps: OwnSessionDeps): OwnSession {
  const sessions = makeAdapter(deps)('Session');

  async function find(ctx: Context) {
    const id = ctx.cookies.get(deps.cookieName, { signed: true });
    const session = id ? await sessions.find(id) : undefined;
    return session?.accountId && (session.exp ?? 0) * 1000 > deps.clock().getTime() ? session : undefined;
  }

  async function account(id: string): Promise<Account | undefined> {
    const read = current()?.account(id);
    return read ? accountFromRow(read) : accountById(deps.db, id);
  }

  return {
    account,
    async current(ctx) {
      const session = await find(ctx);
      const resident = session && (await account(session.accountId!));
      if (!resident || resident.lockedAt) return undefined;
      return {
        account: resident,
        uid: session.uid!,
        signedInAt: Number(session['loginTs'] ?? 0),
        amr: (session['amr'] as string[] | undefined) ?? [],
      };
    },
    async carryOn(ctx, { accountId, epoch, amr }) {
      const session = await find(ctx);
      const unit = current();
      if (!session || !unit) return;
      unit.rememberProof(accountId, epoch);
      const id = randomToken();
      const { exp } = session;
      await sessions.upsert(id, { ...session, ...(amr && { amr, acr: acrOf(amr) }), jti: id });
      ctx.cookies.set(deps.cookieName, id, {
        path: '/',
        signed: true,
        httpOnly: true,
        sameSite: 'lax',
        secure: deps.issuer.startsWith('https:'),
        overwrite: true,
        ...(session['transient'] ? {} : { expires: new Date(exp! * 1000) }),
      });
    },
  };
}
