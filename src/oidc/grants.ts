/**
 * Owns what an e-service is given with a sign-in: its grant. One of the city's own (`consent: skip`) gets what it asks for and is
 * registered for; any other only what the resident agreed to, now or before.
 */
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Queryable } from '../platform/database.ts';
import { claimsOf } from './claims.ts';
import { grantByAgreement, noteUse } from './consent.ts';

/** What is told of every sign-in and needs no grant. */
const OF_SIGN_IN = [...claimsOf(['openid']), 'sid'];

type Grant = InstanceType<Provider['Grant']>;

/** For the library's `loadExistingGrant`; what is new in a grant is written with the answer. */
export const grantsOf = (parts: { database: Queryable; clock: () => Date }) => async (ctx: KoaContextWithOIDC) => {
  const { oidc } = ctx;
  const client = oidc.client!;
  const grantId = oidc.result?.consent?.grantId ?? oidc.session!.grantIdFor(client.clientId);
  const known = grantId ? await oidc.provider.Grant.find(grantId) : undefined;
  const mayReuse = known?.accountId === oidc.account!.accountId && known.clientId === client.clientId;
  if (client['consent'] === 'ask') {
    const agreed = mayReuse ? known : await grantByAgreement(ctx, parts);
    // Who agreed to a scope need not be asked about one claim of it.
    if (agreed && addClaims(agreed, ctx, claimsOf(agreed.getOIDCScope().split(' ')))) await agreed.save();
    return agreed;
  }

  const grant =
    mayReuse && known
      ? known
      : new oidc.provider.Grant({ clientId: client.clientId, accountId: oidc.account!.accountId });
  const added = [addScopes(grant, ctx), addClaims(grant, ctx)].includes(true);
  if (added || grant !== known) {
    await grant.save();
    noteUse(ctx, grant, parts.clock());
  }
  return grant;
};

/** All that the request asks for, of residents and at APIs; true where the grant had not all of it. */
function addScopes(grant: Grant, { oidc }: KoaContextWithOIDC): boolean {
  const missing = (wanted: Iterable<string>, held: string): string[] => {
    const given = new Set(held.split(' '));
    return [...wanted].filter((scope) => !given.has(scope));
  };
  const ofResidents = missing(oidc.requestParamOIDCScopes, grant.getOIDCScope());
  if (ofResidents.length) grant.addOIDCScope(ofResidents.join(' '));
  let added = ofResidents.length > 0;
  for (const [audience, api] of Object.entries(oidc.resourceServers ?? {})) {
    const asked = [...oidc.requestParamScopes].filter((scope) => api.scopes.has(scope));
    const ofApi = missing(asked, grant.getResourceScope(audience));
    if (ofApi.length) grant.addResourceScope(audience, ofApi.join(' '));
    added ||= ofApi.length > 0;
  }
  return added;
}

/** The single claims that the request picks; the `claims` parameter holds none that the e-service may not have. */
function addClaims(grant: Grant, { oidc }: KoaContextWithOIDC, agreedTo?: ReadonlySet<string>): boolean {
  const held = new Set([...grant.getOIDCClaims(), ...OF_SIGN_IN]);
  const missing = [...oidc.requestParamClaims].filter((claim) => !held.has(claim) && agreedTo?.has(claim) !== false);
  if (missing.length) grant.addOIDCClaims(missing);
  return missing.length > 0;
}
