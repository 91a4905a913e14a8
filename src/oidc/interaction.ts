/**
 * The gate of a sign-in under way: the only place where screens meet the provider's interactions.
 *
 * `open` tells what a browser's sign-in is (under way, too late, finished, or not this browser's at all), `keep` notes
 * what the resident has shown, `finish` hands the outcome to the provider. Nothing here asks who may sign in; that is
 * the journeys'. All writes are gathered in the request's unit of work and go out with its answer.
 */
import type { Context } from 'koa';
import { artifactId, sessionUidHash } from '../records/artifacts.ts';
import { addedFacts, findInteraction, interactionHash, type StoredInteraction } from '../records/interactions.ts';
import { makeAdapter, type AdapterDeps } from './adapter.ts';
import { isLoose, restartUrl } from './answers.ts';
import { readKept, writeKept, type InteractionPayload } from './sign-in-cookies.ts';
import { current, type UnitOfWork } from './unit-of-work.ts';

export interface SignInUnderWay {
  uid: string;
  clientId: string;
  params: InteractionPayload['params'];
  prompt: InteractionPayload['prompt'];
  /** Who is signed in in this browser now. */
  session?: BrowserSession;
  /** What was shown so far; they live in the row only. */
  facts: Record<string, unknown>;
  /** What an earlier step of the same request has brought. */
  login?: Login;
  /** What its row holds or would hold: for `addedFacts` in a journey's own statement. */
  row: StoredInteraction;
  /** Whether the row is known to exist. */
  persisted: boolean;
}

export interface BrowserSession {
  accountId: string;
  /** Under which it stands. */
  epoch: number;
  /** How and when (seconds) its resident signed in. */
  amr: string[];
  ts: number;
}

/** A sign-in that cannot go on; `restart` begins the same authorization request afresh. */
export interface SignInPast {
  clientId: string;
  params?: InteractionPayload['params'];
  restart?: string;
}

export type Opened = SignInUnderWay | { stale: SignInPast } | { finished: SignInPast & { at: Date } };

export interface Login {
  accountId: string;
  epoch: number;
  /** The time of the proof, in seconds: without it the provider takes the time of the way back. */
  ts: number;
  amr?: string[];
  acr?: string;
  /** A passkey may be offered before the way goes on. */
  offer?: boolean;
}

interface LoginOutcome {
  login: Login;
  consent?: { grantId?: string };
}

export type Outcome = LoginOutcome | { consent: { grantId?: string } } | { error: string; error_description?: string };

export interface SignInGate {
  /**
   * Nothing when this browser does not hold the sign-in's cookie, whatever its path says. `unread` spares the look at its row
   * where the cookie tells the address: for steps that need no other fact and rest on no proof but one brought with them.
   */
  open(ctx: Context, uid: string, how?: { unread?: boolean }): Promise<Opened | undefined>;
  /** Notes facts in the row. */
  keep(ctx: Context, signIn: SignInUnderWay, facts: object): void;
  /** Notes that the row exists, since a journey has written it with this address. */
  keepAddress(ctx: Context, signIn: SignInUnderWay, email: string): void;
  /** Hands the outcome over and leads the browser on. Another person's session must be replaced knowingly. */
  finish(ctx: Context, signIn: SignInUnderWay, outcome: Outcome & Finish): Promise<void>;
}

interface Finish {
  replaceSession?: boolean;
  /** The proof was brought by this very request: the provider takes it up at once (`takeUp`), and no row holds it. */
  here?: boolean;
}

export interface GateDeps extends AdapterDeps {
  /** The library's session cookie, as the provider is configured. */
  sessionCookie: { name: string; signed: boolean };
}

export function makeSignInGate(deps: GateDeps): SignInGate {
  const sessions = makeAdapter(deps)('Session');

  async function browserSession(ctx: Context): Promise<(BrowserSession & { id: string; uid: string }) | undefined> {
    const id = ctx.cookies.get(deps.sessionCookie.name, { signed: deps.sessionCookie.signed });
    const session = id ? await sessions.find(id) : undefined;
    if (!session?.accountId || (session.exp ?? 0) * 1000 <= deps.clock().getTime()) return undefined;
    const { accountId, uid } = session;
    const amr = (session['amr'] as string[] | undefined) ?? [];
    return {
      id: id!,
      uid: uid!,
      accountId,
      epoch: current()!.proof(accountId)!,
      amr,
      ts: Number(session['loginTs'] ?? 0),
    };
  }

  async function open(ctx: Context, uid: string, { unread = false } = {}): Promise<Opened | undefined> {
    const kept = readKept(deps, ctx, uid);
    if (!kept) return undefined;
    const past = { clientId: kept.clientId, ...beginning(kept.payload) };
    if (kept.finishedAt !== undefined) return { finished: { ...past, at: new Date(kept.finishedAt) } };

    const uidHash = interactionHash(uid);
    // Without a row there are no facts, and an older cookie that says so only leads to the first page.
    const looked = kept.row && !(unread && kept.payload && kept.email !== undefined);
    const found = looked ? await findInteraction(deps.db, uidHash) : undefined;
    const payload = found ? (JSON.parse(found.payload) as InteractionPayload) : kept.payload;
    if (!payload || payload.exp * 1000 <= deps.clock().getTime()) {
      return { stale: payload ? { ...past, ...beginning(payload) } : past };
    }
    const session = await browserSession(ctx);
    // Only being resumed ends a row before its time, and the note of that may have got lost on the way.
    const gone = looked && !found;
    // What is asked of a session's resident (consent) is over with that session, and begins again with a sign-in.
    const orphaned = payload.prompt.name !== 'login' && payload.session?.uid !== session?.uid;
    if (gone || orphaned) return { finished: { ...past, ...beginning(payload), at: deps.clock() } };
    const signIn: SignInUnderWay = {
      uid,
      clientId: kept.clientId,
      params: payload.params,
      prompt: payload.prompt,
      session: session && { accountId: session.accountId, epoch: session.epoch, amr: session.amr, ts: session.ts },
      facts: found ? (JSON.parse(found.facts) as Record<string, unknown>) : { email: kept.email },
      login: (payload.lastSubmission as { login?: Login } | undefined)?.login,
      row: {
        uidHash,
        payload: JSON.stringify({ ...payload, result: undefined }),
        expiresAt: new Date(payload.exp * 1000),
      },
      persisted: kept.row,
    };
    unitOf(ctx).restart = beginning(payload).restart;
    return signIn;
  }

  function keep(ctx: Context, signIn: SignInUnderWay, facts: object): void {
    unitOf(ctx).also(addedFacts(signIn.row, facts, deps.clock()));
    if (signIn.persisted) return;
    writeKept(deps, ctx, { uid: signIn.uid, clientId: signIn.clientId, payload: payloadOf(signIn), row: true });
  }

  function keepAddress(ctx: Context, signIn: SignInUnderWay, email: string): void {
    const { uid, clientId } = signIn;
    writeKept(deps, ctx, { uid, clientId, payload: payloadOf(signIn), row: true, email });
  }

  async function finish(
    ctx: Context,
    signIn: SignInUnderWay,
    { replaceSession = false, here = false, ...result }: Outcome & Finish,
  ): Promise<void> {
    const unit = unitOf(ctx);
    const payload = payloadOf(signIn);
    const session = await browserSession(ctx);
    // The provider refuses to resume when the session is not the one that the sign-in began with.
    if (payload.session?.uid !== session?.uid) delete payload.session;
    const whole: Partial<LoginOutcome> = 'error' in result ? {} : { ...payload.lastSubmission, ...result };
    payload.result = 'error' in result ? result : whole;
    const { login } = whole;
    if (login && session && session.accountId !== login.accountId) {
      if (!replaceSession) throw new Error('another person is signed in in this browser: ask first');
      const ids = { id: artifactId('Session', session.id), uidHash: sessionUidHash(session.uid) };
      unit.change.endSession({ ...ids, told: deps.told() });
      ctx.cookies.set(deps.sessionCookie.name, null, { path: '/', signed: deps.sessionCookie.signed });
      delete payload.session;
    }

    const row = {
      ...signIn.row,
      payload: JSON.stringify(payload),
      accountId: login?.accountId,
      epoch: login?.epoch,
    };
    if (here) unit.outcome = { uid: signIn.uid, payload: row.payload };
    else if (signIn.persisted) unit.change.continueInteraction(row);
    else unit.change.saveInteraction(row);
    if (login) {
      unit.rememberProof(login.accountId, login.epoch);
      unit.change.stand(login.accountId, login.epoch);
    }

    const { exp, params, prompt, parJti, trusted } = payload;
    const note = { exp, params, prompt, parJti, trusted };
    writeKept(deps, ctx, {
      uid: signIn.uid,
      clientId: signIn.clientId,
      payload: note,
      row: true,
      finishedAt: deps.clock().getTime(),
    });
    ctx.status = 303;
    ctx.redirect(`/auth/${signIn.uid}`);
  }

  return { open, keep, keepAddress, finish };
}

function beginning(payload: InteractionPayload | undefined): Pick<SignInPast, 'params' | 'restart'> {
  if (!payload) return {};
  return { params: payload.params, restart: isLoose(payload) ? restartUrl(payload.params) : undefined };
}

function payloadOf(signIn: SignInUnderWay): InteractionPayload {
  return JSON.parse(signIn.row.payload) as InteractionPayload;
}

function unitOf(ctx: Context): UnitOfWork {
  const unit = current();
  if (unit?.ctx.req !== ctx.req) throw new Error('the sign-in gate works within the unit of work only');
  return unit;
}
