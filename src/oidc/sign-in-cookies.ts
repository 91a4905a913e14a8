/**
 * What a browser keeps of its sign-in under way: sealed, scoped to that sign-in's pages and to its way back.
 *
 * A stranger's authorization request writes no row; its parameters wait here until the first POST. The cookie outlives
 * the sign-in, and the seal holds the true expiry, so that a late page still knows where the resident came from.
 * It is also the proof that a browser holds this sign-in: a uid in a path alone opens nothing.
 */
import type { Context } from 'koa';
import type { Sealer } from '../platform/secrets.ts';
import { interactionHash } from '../records/interactions.ts';
import type { UnitOfWork } from './unit-of-work.ts';

/** The library's interaction without its id; `exp` in seconds. */
export interface InteractionPayload {
  exp: number;
  params: Record<string, unknown> & { client_id?: string };
  prompt: { name: string; reasons: string[]; details: Record<string, unknown> };
  session?: { accountId: string; uid?: string };
  lastSubmission?: object;
  result?: object;
  /** Of a pushed request, its id; of a signed or pushed one, the parameters that came so. */
  parJti?: string;
  trusted?: string[];
  [name: string]: unknown;
}

export interface Kept {
  uid: string;
  clientId: string;
  /** Left out when sealed it would be too long for a cookie: then the row has it. */
  payload?: InteractionPayload;
  /** The sign-in has a row. */
  row: boolean;
  /** The address as typed. It proves nothing; with it the next page needs no look at the row. */
  email?: string;
  /** When it was finished, in milliseconds. */
  finishedAt?: number;
}

export interface CookieDeps {
  sealer: Sealer;
  issuer: string;
}

const purpose = 'interaction';
const lifetime = 24 * 60 * 60 * 1000;
/** Browsers drop cookies above about 4 KB without a word; the library's own need some room in the header too. */
const longest = 3000;

function cookieName(deps: CookieDeps): string {
  return isSecure(deps) ? '__Secure-tunnus_sign_in' : 'tunnus_sign_in';
}

function isSecure(deps: CookieDeps): boolean {
  return deps.issuer.startsWith('https:');
}

export function readKept(deps: CookieDeps, ctx: Context, uid: string): Kept | undefined {
  const cookie = ctx.cookies.get(cookieName(deps), { signed: false });
  const plain = cookie ? deps.sealer.open(cookie, purpose) : undefined;
  if (!plain) return undefined;
  const kept = JSON.parse(plain) as Kept;
  return kept.uid === uid ? kept : undefined;
}

/** Gives the browser what it is to keep, and tells whether the payload fitted. */
export function writeKept(deps: CookieDeps, ctx: Context, kept: Kept): boolean {
  const whole = deps.sealer.seal(JSON.stringify(kept), purpose);
  const fits = whole.length <= longest;
  const value = fits ? whole : deps.sealer.seal(JSON.stringify({ ...kept, payload: undefined, row: true }), purpose);
  // Behind a proxy that ends TLS the connection to us is plain; the issuer says what the browser sees.
  if (isSecure(deps)) ctx.cookies.secure = true;
  for (const path of [`/sign-in/${kept.uid}`, `/auth/${kept.uid}`]) {
    ctx.cookies.set(cookieName(deps), value, {
      path,
      maxAge: lifetime,
      httpOnly: true,
      sameSite: 'lax',
      secure: isSecure(deps),
      signed: false,
      overwrite: false,
    });
  }
  return fits;
}

/** Called for the library's `Interaction.save`: the browser keeps it, or a row when it is too long for that. */
export function openInteraction(
  deps: CookieDeps,
  unit: UnitOfWork,
  given: { uid: string; payload: Record<string, unknown> },
): void {
  const payload = given.payload as InteractionPayload;
  const clientId = payload.params.client_id ?? '';
  if (writeKept(deps, unit.ctx, { uid: given.uid, clientId, payload, row: false })) return;
  unit.change.saveInteraction({
    uidHash: interactionHash(given.uid),
    payload: JSON.stringify(payload),
    expiresAt: new Date(payload.exp * 1000),
  });
}
