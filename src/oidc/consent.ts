/**
 * Owns what a resident agrees to: what an e-service that is not the city's own (`consent: ask`) asks for, the grant that comes
 * of a yes, and the agreement by which the next sign-in there asks for nothing but what is new.
 */
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { OWN_CLIENT_ID } from '../config/client-rules.ts';
import type { Queryable } from '../platform/database.ts';
import { auditRow } from '../records/audit.ts';
import { agreedTo, usedAgreement, usedService, type Given } from '../records/services.ts';
import type { SignInUnderWay } from './interaction.ts';
import { current } from './unit-of-work.ts';

type Grant = InstanceType<Provider['Grant']>;

export interface Consent {
  /** What is asked for now, and what the resident agreed to before, unless that is asked for anew. */
  question(underWay: SignInUnderWay): Promise<{ asked: Given; before?: Given }>;
  /** @returns the grant's id, for the sign-in's outcome */
  agree(underWay: SignInUnderWay, place: string): Promise<string>;
}

export interface ConsentParts {
  provider: () => Provider;
  database: Queryable;
  clock: () => Date;
}

export function consent({ provider, database, clock }: ConsentParts): Consent {
  return {
    async question(underWay) {
      const before = await agreedTo(database, residentOf(underWay));
      return { asked: askedIn(underWay, before), before: isAnew(underWay) ? undefined : before };
    },
    async agree(underWay, place) {
      const of = residentOf(underWay);
      const before = await agreedTo(database, of);
      const asked = askedIn(underWay, before);
      const given = before ? both(before, asked) : asked;
      const grant = grantOf(provider(), { ...of, given });
      const id = await grant.save();
      const unit = current()!;
      unit.also(usedService({ ...of, given, agreed: true }, clock()));
      unit.also(
        auditRow({ kind: 'agreement_given', ...of, place, detail: { scope: given.scopes.join(' ') } }, clock()),
      );
      return id;
    },
  };
}

function residentOf({ clientId, session }: SignInUnderWay): { accountId: string; clientId: string } {
  if (!session) throw new Error('consent is asked of somebody who is signed in');
  return { accountId: session.accountId, clientId };
}

/** The library names what is missing; with `prompt=consent` alone nothing is. */
const isAnew = ({ prompt }: SignInUnderWay): boolean => !prompt.reasons.some((reason) => reason.endsWith('_missing'));

function askedIn(underWay: SignInUnderWay, before: Given | undefined): Given {
  const { params, prompt } = underWay;
  if (isAnew(underWay)) {
    const scopes = typeof params['scope'] === 'string' ? params['scope'].split(' ') : ['openid'];
    return { scopes, claims: before?.claims ?? [], resources: before?.resources ?? {} };
  }
  const missing = prompt.details as {
    missingOIDCScope?: string[];
    missingOIDCClaims?: string[];
    missingResourceScopes?: Record<string, string[]>;
  };
  return {
    scopes: missing.missingOIDCScope ?? [],
    claims: missing.missingOIDCClaims ?? [],
    resources: missing.missingResourceScopes ?? {},
  };
}

const union = (a: readonly string[] = [], b: readonly string[] = []): string[] => [...new Set([...a, ...b])];

function both(a: Given, b: Given): Given {
  const apis = union(Object.keys(a.resources), Object.keys(b.resources));
  return {
    scopes: union(a.scopes, b.scopes),
    claims: union(a.claims, b.claims),
    resources: Object.fromEntries(apis.map((api) => [api, union(a.resources[api], b.resources[api])])),
  };
}

function grantOf(
  provider: Provider,
  { accountId, clientId, given }: { accountId: string; clientId: string; given: Given },
): Grant {
  const grant = new provider.Grant({ accountId, clientId });
  if (given.scopes.length) grant.addOIDCScope(given.scopes.join(' '));
  if (given.claims.length) grant.addOIDCClaims([...given.claims]);
  for (const [api, scopes] of Object.entries(given.resources)) grant.addResourceScope(api, scopes.join(' '));
  return grant;
}

/** The grant of a sign-in that was agreed to before, while that agreement stands; written with the answer. */
export async function grantByAgreement(
  ctx: KoaContextWithOIDC,
  { database, clock }: Omit<ConsentParts, 'provider'>,
): Promise<Grant | undefined> {
  const { oidc } = ctx;
  const of = { accountId: oidc.account!.accountId, clientId: oidc.client!.clientId };
  const given = await agreedTo(database, of);
  if (!given) return undefined;
  const grant = grantOf(oidc.provider, { ...of, given });
  await grant.save();
  current()?.also(usedAgreement(of, clock()), 'proof');
  return grant;
}

/** A sign-in at an e-service of the city's own, which nobody is asked about: noted for the resident's list. */
export function noteUse(ctx: KoaContextWithOIDC, grant: Grant, now: Date): void {
  const of = { accountId: ctx.oidc.account!.accountId, clientId: ctx.oidc.client!.clientId };
  if (of.clientId === OWN_CLIENT_ID) return;
  const words = (scope: string): string[] => scope.split(' ').filter(Boolean);
  const apis = Object.entries((grant as { resources?: Record<string, string> }).resources ?? {});
  const given = {
    scopes: words(grant.getOIDCScope()),
    claims: grant.getOIDCClaims(),
    resources: Object.fromEntries(apis.map(([api, scope]) => [api, words(scope)])),
  };
  current()?.also(usedService({ ...of, given }, now));
}
