/**
 * What stands in the place of an answer that must not go out: one that lost a race, or met no database.
 *
 * Each endpoint speaks its own language: the provider's machine endpoints JSON by their protocol, pages a redirect or
 * the Problem page. Nothing of the lost answer survives (no cookie, no Location, no body).
 */
import type { Context } from 'koa';
import { Problem } from '../platform/refusal.ts';
import type { LostReason } from './change.ts';

export interface LostAnswer {
  reason: LostReason;
  /** The authorization request to begin again with, when it is known. */
  restart?: string;
}

interface ProviderContext {
  route: string;
  params?: { toPlainObject?: () => Record<string, unknown> };
  entities?: { Interaction?: { parJti?: string; trusted?: string[] } };
}

/** Routes of the library that a person sees; all others are for programs. */
const pages = new Set([
  'authorization',
  'resume',
  'end_session',
  'end_session_confirm',
  'end_session_success',
  'code_verification',
  'device_resume',
]);

function programRoute(ctx: Context): ProviderContext | undefined {
  const oidc = ctx.oidc as ProviderContext | undefined;
  return oidc?.route && !pages.has(oidc.route) ? oidc : undefined;
}

/** Is it an endpoint of the provider's that no person sees? */
export const isForPrograms = (ctx: unknown): boolean => programRoute(ctx as Context) !== undefined;

export function dropAnswer(ctx: Context, cookiesBefore: string | string[] | undefined): void {
  ctx.body = null;
  for (const header of ['set-cookie', 'location', 'www-authenticate', 'content-type']) ctx.remove(header);
  if (cookiesBefore?.length) ctx.set('set-cookie', cookiesBefore);
}

function refuseProgram(ctx: Context, status: number, [error, description]: readonly [string, string]): void {
  ctx.status = status;
  ctx.set('cache-control', 'no-store');
  ctx.body = { error, error_description: description };
}

export function outageAnswer(ctx: Context, cause: Error): void {
  if (!programRoute(ctx)) throw new Problem('unavailable', 503, { retryAfter: 5, cause });
  ctx.set('retry-after', '5');
  refuseProgram(ctx, 503, ['temporarily_unavailable', 'the service is temporarily unavailable']);
}

export async function lostAnswer(
  ctx: Context,
  lost: LostAnswer,
  onLost: (ctx: Context, lost: LostAnswer) => void | Promise<void> = beginAgain,
): Promise<void> {
  const program = programRoute(ctx);
  if (!program) {
    return onLost(ctx, { ...lost, restart: lost.restart ?? restartOf(ctx) });
  }
  const { route } = program;
  if (lost.reason === 'dpop') return refuseProof(ctx, route);
  // RFC 7523, 3 (7).
  if (lost.reason === 'assertion')
    return refuseProgram(ctx, 401, ['invalid_client', 'client assertion tokens must only be used once']);
  if (route === 'token') return refuseProgram(ctx, 400, ['invalid_grant', 'grant request is invalid']);
  return refuseProgram(ctx, 401, ['invalid_token', 'token is no longer valid']);
}

/** RFC 9449, 4.3 (12): a proof serves once. 7.1: at the userinfo endpoint that is 401. */
function refuseProof(ctx: Context, route: string): void {
  const told = ['invalid_dpop_proof', 'DPoP proof JWT Replay detected'] as const;
  if (route === 'userinfo') ctx.set('www-authenticate', `DPoP error="${told[0]}", error_description="${told[1]}"`);
  refuseProgram(ctx, route === 'userinfo' ? 401 : 400, told);
}

function restartOf(ctx: Context): string | undefined {
  const oidc = ctx.oidc as ProviderContext | undefined;
  const interaction = oidc?.entities?.Interaction;
  if (oidc?.route === 'resume' && interaction && isLoose(interaction))
    return restartUrl(oidc.params?.toPlainObject?.() ?? {});
  return ctx.method === 'GET' ? ctx.originalUrl : undefined;
}

/** Can the request be told in plain parameters? One that was pushed (RFC 9126) or signed (RFC 9101) is good once, as it was. */
export function isLoose({ parJti, trusted = [] }: { parJti?: string; trusted?: string[] }): boolean {
  return parJti === undefined && trusted.length === 0;
}

/** The same authorization request afresh; no code of the former one was redeemed. */
export function restartUrl(params: Record<string, unknown>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null)
        query.append(name, typeof one === 'object' ? JSON.stringify(one) : String(one));
    }
  }
  return `/auth?${query.toString()}`;
}

function beginAgain(ctx: Context, lost: LostAnswer): void {
  // A form that cannot be repeated by itself: its page says to load it anew.
  if (!lost.restart) throw new Problem('form_expired', 409, { detail: `the answer was lost: ${lost.reason}` });
  ctx.status = 303;
  ctx.redirect(lost.restart);
}
