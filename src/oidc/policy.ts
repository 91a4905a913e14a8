/**
 * Owns what an authorization request has to pass before it is answered: the provider's own policy, asked again after every
 * step. Steps never lead to one another; each returns here.
 */
import { interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';

const { base, Check, Prompt } = interactionPolicy;

export interface PolicyQuestions {
  /** Is the resident's tie to this e-service's old list in doubt? Then they do not get in there but are led to support. */
  tieInDoubt(ctx: KoaContextWithOIDC): Promise<boolean>;
}

export function signInPolicy(questions: PolicyQuestions): interactionPolicy.DefaultPolicy {
  const policy = base();
  const inDoubt = new Prompt(
    { name: 'in_doubt', requestable: false },
    new Check('tie_in_doubt', 'the tie to the old user list is in doubt', 'access_denied', async (ctx) =>
      (await questions.tieInDoubt(ctx)) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
    ),
  );
  policy.add(inDoubt, 1);
  return policy;
}

/** Where each prompt has its page, below `/sign-in/<uid>`. */
export const PROMPT_PAGE: Readonly<Record<string, string>> = { login: '', in_doubt: '/in-doubt', consent: '/consent' };

/**
 * The grant of this sign-in. An e-service of the city's own (`consent: skip`) is given what it asks for and is registered for;
 * any other gets only what the resident agreed to.
 */
export async function loadExistingGrant(ctx: KoaContextWithOIDC) {
  const { oidc } = ctx;
  const client = oidc.client!;
  const grantId = oidc.result?.consent?.grantId ?? oidc.session!.grantIdFor(client.clientId);
  const known = grantId ? await oidc.provider.Grant.find(grantId) : undefined;
  const mayReuse = known?.accountId === oidc.account!.accountId && known.clientId === client.clientId;
  if (client['consent'] === 'ask') return mayReuse ? known : undefined;

  const grant =
    mayReuse && known
      ? known
      : new oidc.provider.Grant({ clientId: client.clientId, accountId: oidc.account!.accountId });
  const granted = new Set(grant.getOIDCScope().split(' '));
  const missing = [...oidc.requestParamOIDCScopes].filter((scope) => !granted.has(scope));
  const claims = [...oidc.requestParamClaims].filter((claim) => !grant.getOIDCClaims().includes(claim));
  if (missing.length || claims.length || grant !== known) {
    if (missing.length) grant.addOIDCScope(missing.join(' '));
    if (claims.length) grant.addOIDCClaims(claims);
    await grant.save();
  }
  return grant;
}
