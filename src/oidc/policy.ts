/**
 * Owns what an authorization request has to pass before it is answered: the provider's own policy, asked again after every
 * step. Steps never lead to one another; each returns here.
 */
import { errors, interactionPolicy, type Client, type KoaContextWithOIDC } from 'oidc-provider';

const { base, Check, Prompt } = interactionPolicy;

export interface PolicyQuestions {
  /** Is the resident's tie to this e-service's old list in doubt? Then they do not get in there but are led to support. */
  tieInDoubt(ctx: KoaContextWithOIDC): Promise<boolean>;
  /** The `sub` by which this e-service knows the account, if any. */
  subFor: (accountId: string, client: Client) => Promise<string | undefined> | string;
}

export function signInPolicy(questions: PolicyQuestions): interactionPolicy.DefaultPolicy {
  const policy = base();
  policy.get('login')!.checks.add(
    new Check('id_token_hint_kept', 'the hint names somebody else', 'login_required', async (ctx) => {
      if (!(await hintNamesAnother(ctx, questions))) return Check.NO_NEED_TO_PROMPT;
      throw new errors.LoginRequired('the End-User that id_token_hint names did not sign in');
    }),
  );
  const inDoubt = new Prompt(
    { name: 'in_doubt', requestable: false },
    new Check('tie_in_doubt', 'the tie to the old user list is in doubt', 'access_denied', async (ctx) =>
      (await questions.tieInDoubt(ctx)) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
    ),
  );
  policy.add(inDoubt, 1);
  return policy;
}

/**
 * OpenID Connect Core 1.0, 3.1.2.1: another than the one named is an error. The library asks only before the sign-in; the
 * hint that it verified then stands in the parameters.
 */
async function hintNamesAnother(ctx: KoaContextWithOIDC, { subFor }: PolicyQuestions): Promise<boolean> {
  const { params, session, client, result } = ctx.oidc;
  const hint = params?.['id_token_hint'];
  if (!result?.login || typeof hint !== 'string' || !session?.accountId) return false;
  const payload = JSON.parse(Buffer.from(hint.split('.')[1]!, 'base64url').toString()) as { sub?: string };
  return payload.sub !== (await subFor(session.accountId, client!));
}

/** Where each prompt has its page, below `/sign-in/<uid>`. */
export const PROMPT_PAGE: Readonly<Record<string, string>> = { login: '', in_doubt: '/in-doubt', consent: '/consent' };

/**
 * The grant of this sign-in. An e-service of the city's own (`consent: skip`) is given what it asks for and is registered for;
 * any other gets only what the resident agreed to. With it is written by which `sub` the e-service knows the resident.
 */
export async function loadExistingGrant(
  ctx: KoaContextWithOIDC,
  giveSubject: (accountId: string, client: Client) => void,
) {
  const { oidc } = ctx;
  const client = oidc.client!;
  const grantId = oidc.result?.consent?.grantId ?? oidc.session!.grantIdFor(client.clientId);
  const known = grantId ? await oidc.provider.Grant.find(grantId) : undefined;
  const mayReuse = known?.accountId === oidc.account!.accountId && known.clientId === client.clientId;
  if (client['consent'] === 'ask') {
    if (mayReuse && oidc.result?.consent) giveSubject(oidc.account!.accountId, client);
    return mayReuse ? known : undefined;
  }

  const grant =
    mayReuse && known
      ? known
      : new oidc.provider.Grant({ clientId: client.clientId, accountId: oidc.account!.accountId });
  const granted = new Set(grant.getOIDCScope().split(' '));
  const missing = [...oidc.requestParamOIDCScopes].filter((scope) => !granted.has(scope));
  if (missing.length || grant !== known) {
    if (missing.length) grant.addOIDCScope(missing.join(' '));
    await grant.save();
  }
  if (grant !== known) giveSubject(oidc.account!.accountId, client);
  return grant;
}
