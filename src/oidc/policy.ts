/**
 * Owns what an authorization request has to pass before it is answered: the provider's own policy, asked again after every
 * step. Steps never lead to one another; each returns here.
 */
import { errors, interactionPolicy, type Client, type KoaContextWithOIDC } from 'oidc-provider';
import { OWN_CLIENT_ID } from '../config/client-rules.ts';
import { ACR, type Acr } from '../config.ts';
import { ACR_VALUES } from './claims.ts';

const { base, Check, Prompt } = interactionPolicy;

export interface PolicyQuestions {
  /** How sure every sign-in must be, by the city's wish. */
  requireAcr: Acr;
  /** Is the resident's tie to this e-service's old list in doubt? Then they do not get in there but are led to support. */
  tieInDoubt(ctx: KoaContextWithOIDC): Promise<boolean>;
  /** The `sub` by which this e-service knows the account, if any. */
  subFor: (accountId: string, client: Client) => Promise<string | undefined> | string;
}

export function signInPolicy(questions: PolicyQuestions): interactionPolicy.DefaultPolicy {
  const policy = base();
  const login = policy.get('login')!;
  login.checks.add(
    new Check('id_token_hint_kept', 'the hint names somebody else', 'login_required', async (ctx) => {
      if (!(await namesAnother(ctx, questions))) return Check.NO_NEED_TO_PROMPT;
      throw new errors.LoginRequired('the End-User that the request names did not sign in');
    }),
  );
  login.checks.add(
    new Check('acr_unmet', 'no sign-in can be as sure as the request asks', 'login_required', (ctx) => {
      if (acrCanBeMet(ctx)) return Check.NO_NEED_TO_PROMPT;
      throw new errors.UnmetAuthenticationRequirements('none of the essential acr values can be met');
    }),
  );
  login.checks.add(
    new Check(
      'acr_too_low',
      'the sign-in is less sure than it must be',
      'login_required',
      (ctx) => (needsMfa(ctx, questions) && ctx.oidc.acr !== ACR.mfa ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT),
      () => ({ mfa: true }),
    ),
  );
  login.checks.add(
    new Check('scope_unknown', 'the request names no scope that there is', 'login_required', (ctx) => {
      if (asksForSomething(ctx)) return Check.NO_NEED_TO_PROMPT;
      throw new errors.InvalidScope('the request names no scope that there is', '');
    }),
  );
  // The sign-in page asks for the address anyway: that is the choice of an account.
  login.checks.add(
    new Check('account_selection', 'the resident chooses the account', 'account_selection_required', ({ oidc }) =>
      oidc.prompts.has('select_account') && !oidc.result?.login ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
    ),
  );
  const selectAccount = new Prompt({ name: 'select_account', requestable: true });
  selectAccount.checks.remove('select_account_prompt');
  policy.add(selectAccount);
  const inDoubt = new Prompt(
    { name: 'in_doubt', requestable: false },
    new Check('tie_in_doubt', 'the tie to the old user list is in doubt', 'access_denied', async (ctx) =>
      (await questions.tieInDoubt(ctx)) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
    ),
  );
  policy.add(inDoubt, 1);
  // After a sign-in of a kind (oidc/interaction.ts); never by itself.
  const passkeyOffer = new Prompt(
    { name: 'passkey_offer', requestable: false },
    new Check('passkey_offered', 'a passkey may be made', 'interaction_required', ({ oidc }) =>
      (oidc.result?.login as { offer?: boolean } | undefined)?.offer ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
    ),
  );
  policy.add(passkeyOffer, 2);
  const { checks } = policy.get('consent')!;
  checks.remove('native_client_prompt');
  checks.add(
    new Check('app_unsure', 'another app may have taken this address', 'interaction_required', (ctx) =>
      appIsUnsure(ctx) ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT,
    ),
  );
  return policy;
}

/**
 * RFC 8252, 8.6: nobody is sent to an app without having done a thing, since another app may have taken its scheme or port.
 * An https address was claimed by the app itself. The library asks at every sign-in of an app, whatever its address.
 */
function appIsUnsure({ oidc }: KoaContextWithOIDC): boolean {
  const { client, params, result } = oidc;
  const claimed = String(params?.['redirect_uri']).startsWith('https:');
  return client?.applicationType === 'native' && !claimed && !result?.login && !result?.consent;
}

/** RFC 6749, 3.3. The library would let the resident sign in first, and then call it access_denied. */
function asksForSomething({ oidc }: KoaContextWithOIDC): boolean {
  const apis = Object.values(oidc.resourceServers ?? {});
  return (
    oidc.requestParamOIDCScopes.size > 0 ||
    [...oidc.requestParamScopes].some((scope) => apis.some((api) => api.scopes.has(scope)))
  );
}

/**
 * OpenID Connect Core 1.0, 5.5.1.1: an essential `acr` that the sign-in does not reach fails; the library would ask again and
 * again. Known before the resident does anything where no sign-in here reaches it.
 */
function acrCanBeMet({ oidc }: KoaContextWithOIDC): boolean {
  const { essential, wanted } = wantedAcr(oidc);
  if (!essential || !wanted.length) return true;
  // A second step may still come after the first, but none is taken back.
  const reachable: readonly unknown[] = oidc.result?.login && oidc.acr === ACR.mfa ? [ACR.mfa] : ACR_VALUES;
  return wanted.some((acr) => reachable.includes(acr));
}

/** By the claim `acr`, which is also what the library makes of `acr_values`. */
function wantedAcr(oidc: KoaContextWithOIDC['oidc']): { essential: boolean; wanted: unknown[] } {
  const { essential, value, values } = oidc.claims.id_token?.acr ?? {};
  return {
    essential: essential === true,
    wanted: (values as unknown[] | undefined) ?? (value === undefined ? [] : [value]),
  };
}

/**
 * Must this sign-in be in two steps? By the city's setting, the e-service's, or this request's wish: one that names
 * `urn:tunnus:mfa` and not the password as good enough. A mere wish (`acr_values`) is no error where nobody may be asked.
 */
function needsMfa({ oidc }: KoaContextWithOIDC, { requireAcr }: PolicyQuestions): boolean {
  // Our own pages are where a second step is set up.
  if (oidc.client?.clientId === OWN_CLIENT_ID) return false;
  if (requireAcr === ACR.mfa || oidc.client?.['require_acr'] === ACR.mfa) return true;
  const { essential, wanted } = wantedAcr(oidc);
  const asked = wanted.includes(ACR.mfa) && !wanted.includes(ACR.password);
  return asked && (essential || !oidc.prompts.has('none'));
}

/**
 * OpenID Connect Core 1.0, 3.1.2.1 and 5.5.1: another than the one named (by `id_token_hint`, or `sub` in `claims`) is an error.
 * The library asks only before the sign-in; the hint that it verified then stands in the parameters.
 */
async function namesAnother(ctx: KoaContextWithOIDC, { subFor }: PolicyQuestions): Promise<boolean> {
  const { params, session, client, result, claims } = ctx.oidc;
  if (!result?.login || !session?.accountId) return false;
  const hint = params?.['id_token_hint'];
  const payload = typeof hint === 'string' ? Buffer.from(hint.split('.')[1]!, 'base64url').toString() : '{}';
  const named = [(JSON.parse(payload) as { sub?: string }).sub, claims.id_token?.sub?.value];
  const wanted = named.filter((sub) => sub !== undefined);
  if (!wanted.length) return false;
  const sub = await subFor(session.accountId, client!);
  return wanted.some((other) => other !== sub);
}

/** Where each prompt has its page, below `/sign-in/<uid>`. */
export const PROMPT_PAGE: Readonly<Record<string, string>> = {
  login: '',
  in_doubt: '/in-doubt',
  consent: '/consent',
  passkey_offer: '/passkey-offer',
};
