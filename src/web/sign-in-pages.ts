/**
 * Owns what the pages of one sign-in have in common: opening it, and the way on where it has gone stale or is finished.
 * A resident who was only slow, double-clicked or went back never meets a dead end.
 */
import type { Context } from 'koa';
import type { Language } from '../config.ts';
import { whereFrom } from '../journeys/allowances.ts';
import type { Amr } from '../journeys/factor-proofs.ts';
import type { Origin, Proof } from '../journeys/sign-in.ts';
import type { Login, SignInPast, SignInUnderWay } from '../oidc/interaction.ts';
import { acrOf } from '../oidc/claims.ts';
import { PROMPT_PAGE } from '../oidc/policy.ts';
import { current } from '../oidc/unit-of-work.ts';
import type { Sql } from '../platform/database.ts';
import { readQuery } from './form.ts';
import { metrics } from '../platform/telemetry.ts';
import { pageOf } from './page.ts';
import { goOn, serviceOf, type ScreenParts, type Service } from './screen.ts';

export interface Opened {
  underWay: SignInUnderWay;
  service: Service;
}

type Work = (ctx: Context, opened: Opened) => Promise<void>;

/** Wraps a screen below `/sign-in/<uid>`: it runs only for the browser that holds this sign-in, and only while it lives. */
export function inSignIn(
  parts: ScreenParts,
  work: Work,
  { prompt = 'login', unread = false }: { prompt?: string; unread?: boolean } = {},
): (ctx: Context) => Promise<void> {
  return async (ctx) => {
    const uid = String((ctx.params as Record<string, string>)['uid']);
    const opened = await parts.gate.open(ctx, uid, { unread });
    if (!opened || !('uid' in opened)) return offerWayOn(ctx, parts, opened);
    const page = pageOf(ctx);
    page.preferLanguage(textOf(opened.params['ui_locales']));
    page.allowFormTarget(String(opened.params['redirect_uri']));
    // Each prompt of the provider's has pages of its own.
    if (opened.prompt.name !== prompt) return goOn(ctx, `/sign-in/${uid}${PROMPT_PAGE[opened.prompt.name] ?? ''}`);
    const service = serviceOf(parts, opened.clientId, page.language);
    // The e-service was taken out meanwhile.
    if (!service) return offerWayOn(ctx, parts, { stale: { clientId: opened.clientId } });
    await work(ctx, { underWay: opened, service });
  };
}

/** The same for address and password: all that they need to know stands in the browser's cookie. */
export const inFirstSteps = (parts: ScreenParts, work: Work): ((ctx: Context) => Promise<void>) =>
  inSignIn(parts, work, { unread: true });

/** How long after its end a sign-in met again is taken for a double click or a step back. */
const JUST_FINISHED = 120_000;

/** For a sign-in that can't go on: the same request afresh, else the e-service's own start, else what it was called. */
export async function offerWayOn(
  ctx: Context,
  parts: ScreenParts,
  closed: { stale: SignInPast } | { finished: SignInPast & { at: Date } } | undefined,
): Promise<void> {
  const page = pageOf(ctx);
  if (!closed) {
    // Another browser than the one that began, or none ever did. A mailed link says which e-service it was.
    const service = serviceOf(parts, readQuery(ctx, 'client_id', 200), page.language);
    if (service?.url) return goOn(ctx, service.url);
    await page.render('stale', { service }, { status: service ? 200 : 404 });
    return;
  }
  const past = 'stale' in closed ? closed.stale : closed.finished;
  page.preferLanguage(textOf(past.params?.['ui_locales']));
  const service = serviceOf(parts, past.clientId, page.language);
  if ('finished' in closed) {
    // Just now: no code of it was redeemed, the same request may run again. Later the e-service begins anew.
    const fresh = parts.clock().getTime() - closed.finished.at.getTime() < JUST_FINISHED;
    const on = fresh ? past.restart : service?.url;
    if (on) return goOn(ctx, on);
  }
  await page.render(
    'stale',
    { service, restart: past.restart ?? service?.url },
    { status: ctx.method === 'POST' ? 409 : 200 },
  );
}

/** A parameter of the authorization request as text. */
export const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** A proof that waits for the resident's word, since somebody else is signed in on this browser. */
export const parkedLogin = (underWay: SignInUnderWay): Login | undefined =>
  underWay.facts['login'] as Login | undefined;

/**
 * 'Go to sign in', after a mailed link: to the sign-in that it came from where this browser holds it (its cookie goes along
 * with that path only), else from there on to the e-service's own start.
 */
export function goToSignIn(
  parts: ScreenParts,
  from: { clientId?: string; uid?: string },
  step: 'password' | 'passkey' = 'password',
): string | undefined {
  if (!from.clientId || !parts.client(from.clientId)) return undefined;
  return `/sign-in/${from.uid ?? '-'}/${step}?${new URLSearchParams({ client_id: from.clientId }).toString()}`;
}

export const emailOf = (underWay: SignInUnderWay): string | undefined => textOf(underWay.facts['email']);

export function originOf(ctx: Context, { underWay, service }: Opened): Origin {
  const language: Language = pageOf(ctx).language;
  const { clientId, uid, params } = underWay;
  const uiLocales = textOf(params['ui_locales']) && language;
  return { clientId, clientNames: service.names, interactionUid: uid, language, uiLocales, place: ctx.ip };
}

/** Leads on to the page itself, for later, and in a sign-in also to its first step: another address may be free to try. */
export async function tooMany(ctx: Context, retryAfter = 60, service?: Service): Promise<void> {
  const page = pageOf(ctx);
  const { uid } = ctx.params as { uid?: string };
  ctx.set('Retry-After', String(retryAfter));
  await page.render('too-many', { service, uid, time: page.duration(retryAfter * 1000, 'after') }, { status: 429 });
}

/** Must this sign-in be in two steps (oidc/policy.ts)? */
export const needsMfa = ({ prompt }: SignInUnderWay): boolean => prompt.details['mfa'] === true;

/** Is it only that who is signed in here has shown too little for this request? */
const isStepUp = ({ prompt, session }: SignInUnderWay): boolean =>
  session !== undefined &&
  prompt.reasons.every((reason) => ['acr_too_low', 'essential_acr', 'essential_acrs'].includes(reason));

/** What was shown before the second step: a password in this sign-in, or all that the present session rests on. */
export interface FirstStep {
  accountId: string;
  epoch: number;
  amr: Amr;
  /** Of the present session: when it was signed in, in seconds. None for a password in this sign-in. */
  since?: number;
}

/** None where the present session has grown older meanwhile than the request allows: then the resident begins anew. */
export function firstStepOf(underWay: SignInUnderWay, now: Date): FirstStep | undefined {
  const passed = underWay.facts['passed'] as FirstStep | undefined;
  if (passed) return passed;
  if (!isStepUp(underWay)) return undefined;
  const { accountId, epoch, amr, ts } = underWay.session!;
  const oldest = underWay.params['max_age'];
  if (oldest !== undefined && secondsOf(now) - ts > Number(oldest)) return undefined;
  return { accountId, epoch, amr: amr as FirstStep['amr'], since: ts };
}

/** Notes that the password was right; nobody is signed in before the second step. */
export function keepFirstStep(
  ctx: Context,
  parts: ScreenParts,
  { underWay, proof, writes }: { underWay: SignInUnderWay; proof: Proof; writes: Sql[] },
): void {
  const { accountId, epoch } = proof;
  for (const write of writes) current()!.also(write);
  parts.gate.keep(ctx, underWay, { passed: { accountId, epoch, amr: ['pwd'] } });
}

const secondsOf = (time: Date): number => Math.floor(time.getTime() / 1000);

/**
 * A proof is good: where somebody else is signed in on this browser the resident is asked first; else it finishes.
 * `spends` gives one row where the proof was not used before; `ts` is the time of an earlier step that counts; `offer`: a passkey
 * may be offered before the way goes on.
 */
export async function finishSignIn(
  ctx: Context,
  parts: ScreenParts,
  {
    underWay,
    proof,
    now,
    ...how
  }: {
    underWay: SignInUnderWay;
    proof: Proof;
    amr: Amr;
    writes: Sql[];
    spends?: Sql;
    ts?: number;
    offer?: boolean;
    now: Date;
  },
): Promise<void> {
  const login: Login = {
    accountId: proof.accountId,
    epoch: proof.epoch,
    amr: [...how.amr],
    acr: acrOf(how.amr),
    ts: how.ts ?? secondsOf(now),
    ...(how.offer && { offer: true }),
  };
  parts.visitors.remember(ctx, proof.emailKey);
  if (proof.account['leaves_at']) {
    const from = whereFrom(parts.visitors.of(ctx));
    await parts.leaving.undo({ accountId: proof.accountId, from }, now);
  }
  const unit = current()!;
  unit.rememberAccount(proof.account);
  if (how.spends) unit.also(how.spends, 'proof');
  for (const write of how.writes) unit.also(write);
  const { clientId: client } = underWay;
  const step = !how.amr.includes('pwd') ? 'passkey' : how.amr.includes('mfa') ? 'second_step' : 'password';
  unit.onFlush(() => metrics.signIns.inc({ step, outcome: 'signed_in', client }));
  if (underWay.session && underWay.session.accountId !== proof.accountId) {
    parts.gate.keep(ctx, underWay, { login });
    return goOn(ctx, `/sign-in/${underWay.uid}/other-person`);
  }
  await parts.gate.finish(ctx, underWay, { login, here: true });
}
