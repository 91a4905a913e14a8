/**
 * Owns the OpenID Provider: the library's whole configuration, and the swap to a new Provider when keys or clients change.
 * Requests under way finish on the old one (a new Provider costs less than a millisecond).
 */
import type { Middleware, ParameterizedContext } from 'koa';
import mount from 'koa-mount';
import Provider, {
  errors,
  type AdapterFactory,
  type Configuration,
  type JWKS,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import type { Config } from '../config.ts';
import type { Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';
import { auditRow } from '../records/audit.ts';
import type { Told } from '../records/logouts.ts';
import { isForPrograms } from './answers.ts';
import { PATIENCE } from './back-channel.ts';
import { ACR_VALUES, CLAIMS, residents } from './claims.ts';
import { onlyRegisteredClaims } from './claims-parameter.ts';
import { CLIENT_JWA, clientAssertion, requestObject } from './client-jwts.ts';
import { proveClients } from './client-secrets.ts';
import { clientTries } from './client-tries.ts';
import { browserOrigins, CLIENT_OPTIONS } from './clients.ts';
import { fapi, requireNonce } from './fapi.ts';
import { grantsOf } from './grants.ts';
import { PROMPT_PAGE, signInPolicy } from './policy.ts';
import { programAnswers } from './program-answers.ts';
import { published } from './published.ts';
import { refreshTokens, tellOfReuse } from './refresh.ts';
import { mayLookUp, resourceIndicators, tellOfSignIn } from './resources.ts';
import { signingHere } from './signing.ts';
import { current } from './unit-of-work.ts';
import {
  alwaysNameTheSession,
  logoutSource,
  noteAnswered,
  queueLogouts,
  signOutFlow,
  type SignOutPages,
} from './sign-out.ts';

export interface ProviderPages extends SignOutPages {
  /** An error that cannot be told to the e-service. */
  problem(ctx: ParameterizedContext, error: ProviderError): Promise<void>;
  /** The answer to an e-service that wants it posted: a form with these fields. */
  formPost(ctx: ParameterizedContext, answer: PostedAnswer): Promise<void>;
}

export interface PostedAnswer {
  action: string;
  fields: Record<string, unknown>;
  uiLocales?: string;
}

export interface ProviderError {
  status: number;
  /** The library's name of the route it arose on. */
  route?: string;
  /** The sign-in or sign-out that the request belongs to is gone. */
  lost: boolean;
  /** Its OAuth code. */
  error?: string;
  /** As asked for; it need not be registered. */
  clientId?: string;
  uiLocales?: string;
}

export interface ProviderParts {
  config: Config;
  database: Queryable;
  sealer: Sealer;
  clock: () => Date;
  log: Log;
  cookieKeys: string[];
  /** 32 bytes, the same on all nodes. */
  dpopSecret: Buffer;
  adapter: AdapterFactory;
  told: () => readonly Told[];
  browserOrigins: () => ReadonlySet<string>;
  pages: ProviderPages;
}

const SECOND = 1000;
/** Of a token for the userinfo endpoint, in seconds. */
const ACCESS_TOKEN_TTL = 600;
/** How long a sign-in page may stay open, in seconds. */
const INTERACTION_TTL = 3600;

export interface CurrentProvider {
  /** Answers with the newest Provider. */
  middleware: Middleware;
  provider: () => Provider;
  /** Builds a Provider on these keys and the present clients, and swaps it in. */
  rebuild(jwks: JWKS): void;
}

/** Cookie names: prefixes that browsers guard under https (RFC 6265bis, 4.1.3). */
export function cookieNames(issuer: string) {
  const secure = issuer.startsWith('https:');
  return {
    session: secure ? '__Host-tunnus_session' : 'tunnus_session',
    interaction: secure ? '__Secure-tunnus_interaction' : 'tunnus_interaction',
    resume: secure ? '__Secure-tunnus_resume' : 'tunnus_resume',
  };
}

/** The library's events of a request that it refused, by endpoint. */
const REFUSALS = [
  'authorization.error',
  'pushed_authorization_request.error',
  'grant.error',
  'userinfo.error',
  'introspection.error',
  'revocation.error',
  'end_session.error',
  'end_session_confirm.error',
] as const;

type People = ReturnType<typeof residents>;

function configuration(parts: ProviderParts, people: People, jwks: JWKS): Configuration {
  const { config, clock } = parts;
  const secure = config.issuer.startsWith('https:');
  const { ttl: refreshTtl, ...refreshRule } = refreshTokens(config.session.absolute / SECOND);
  const cookie = { httpOnly: true, sameSite: 'lax', secure, signed: true, overwrite: true } as const;
  return {
    adapter: parts.adapter,
    jwks: signingHere(jwks),
    findAccount: people.findAccount,
    pairwiseIdentifier: people.pairwiseIdentifier,
    subjectTypes: ['public', 'pairwise'],
    // Those of claims come by themselves.
    scopes: ['openid', 'offline_access'],
    claims: CLAIMS,
    acrValues: [...ACR_VALUES],
    responseTypes: ['code', 'none'],
    ...CLIENT_OPTIONS,
    loadExistingGrant: grantsOf({ ...parts, giveSubject: people.giveSubject }),
    interactions: {
      policy: signInPolicy({ ...people, requireAcr: config.signIn.requireAcr }),
      url: (_ctx, interaction) => `/sign-in/${interaction.uid}${PROMPT_PAGE[interaction.prompt.name] ?? ''}`,
    },
    cookies: {
      keys: parts.cookieKeys,
      names: cookieNames(config.issuer),
      long: { ...cookie, path: '/' },
      short: cookie,
    },
    assertJwtClientAuthClaimsAndHeader: clientAssertion,
    // OpenID Connect Core 1.0, 3.1.2.1: required, also where only one is registered.
    allowOmittingSingleRegisteredRedirectUri: false,
    pkce: { required: (_ctx, client) => client['require_pkce'] !== false },
    ...refreshRule,
    enabledJWA: {
      ...CLIENT_JWA,
      idTokenSigningAlgValues: [...config.keys.algorithms],
      userinfoSigningAlgValues: [...config.keys.algorithms],
      introspectionSigningAlgValues: [...config.keys.algorithms],
    },
    formats: { customizers: { jwt: tellOfSignIn } },
    features: {
      devInteractions: { enabled: false },
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      clientCredentials: { enabled: true },
      resourceIndicators: resourceIndicators(config),
      // A nonce is offered, not asked for: each proof serves once anyway, and a client whose clock is wrong gets one.
      dPoP: { enabled: true, nonceSecret: parts.dpopSecret, requireNonce },
      requestObjects: { enabled: true, assertJwtClaimsAndHeader: requestObject },
      fapi,
      userinfo: { enabled: true },
      jwtUserinfo: { enabled: true },
      revocation: {
        enabled: true,
        // RFC 7009, 2.1: also a public client is told that the token is not its own.
        allowedPolicy: (_ctx, client, token) => {
          if (token.clientId === client.clientId) return true;
          throw new errors.InvalidRequest('the token was issued to another client');
        },
      },
      introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => mayLookUp(config, client, token) },
      jwtIntrospection: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: true, assertClaimsParameter: onlyRegisteredClaims },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource,
        // Sign-outs do not lead there (signOutFlow); whoever opens its address does.
        postLogoutSuccessSource: (ctx) => ctx.redirect('/signed-out'),
      },
    },
    discovery: { account_management_uri: `${config.issuer}/account`, ui_locales_supported: [...config.languages] },
    ttl: {
      AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? ACCESS_TOKEN_TTL,
      ClientCredentials: (_ctx, token) => token.resourceServer!.accessTokenTTL!,
      AuthorizationCode: 60,
      IdToken: 3600,
      Interaction: INTERACTION_TTL,
      PushedAuthorizationRequest: 60,
      Grant: config.session.absolute / SECOND,
      RefreshToken: refreshTtl,
      // The library's lifetimes slide; this one ends at the absolute limit whatever happens.
      Session: (_ctx, session) => {
        const absolute = config.session.absolute / SECOND;
        const age = session.loginTs ? Math.floor(clock().getTime() / SECOND) - session.loginTs : 0;
        return Math.max(1, Math.min(config.session.idle / SECOND, absolute - age));
      },
    },
    clientBasedCORS: (_ctx, origin, client) =>
      browserOrigins([client.metadata() as Parameters<typeof browserOrigins>[0][number]]).has(origin),
    renderError(ctx, out, error) {
      // The library would show a page to whoever says Accept: text/html, also at the token endpoint.
      if (isForPrograms(ctx)) return void (ctx.body = out);
      const { client, params, route } = ctx.oidc ?? {};
      const given = (name: string): string | undefined => {
        const value = params?.[name];
        return typeof value === 'string' ? value : undefined;
      };
      return parts.pages.problem(ctx, {
        status: ctx.status,
        route,
        lost: error.name === 'SessionNotFound',
        error: out.error,
        clientId: client?.clientId ?? given('client_id'),
        uiLocales: given('ui_locales'),
      });
    },
    // The targets (jwks_uri) stand in the operator's own files: they may well be on a private network, which
    // the library's own fetch refuses. Redirects are not followed, and nobody waits long.
    fetch: (url, options) =>
      fetch(url, {
        ...options,
        dispatcher: undefined,
        redirect: 'error',
        signal: AbortSignal.timeout(PATIENCE),
      }),
    clientDefaults: { grant_types: ['authorization_code'], response_types: ['code'] },
  };
}

/** The library's own page for `response_mode=form_post` is English, with an inline script and without any policy. */
function providerWithOwnPages(pages: ProviderPages): typeof Provider {
  return class extends Provider {
    override registerResponseMode(...[name, handler]: Parameters<Provider['registerResponseMode']>): void {
      if (name !== 'form_post') return super.registerResponseMode(name, handler);
      super.registerResponseMode(name, (ctx, action, fields) => {
        const uiLocales = ctx.oidc.params?.['ui_locales'] as string | undefined;
        return pages.formPost(ctx, { action, fields, uiLocales });
      });
    }
  };
}

export function currentProvider(parts: ProviderParts, jwks: JWKS): CurrentProvider {
  const people = residents(parts);
  const tries = clientTries(parts);
  const OwnProvider = providerWithOwnPages(parts.pages);
  const build = (keys: JWKS): { provider: Provider; middleware: Middleware } => {
    const provider = new OwnProvider(parts.config.issuer, configuration(parts, people, keys));
    provider.use(programAnswers as never);
    proveClients(provider, parts);
    tries.watch(provider);
    alwaysNameTheSession(provider);
    queueLogouts(provider, parts);
    noteAnswered(provider);
    tellOfReuse(provider, parts);
    provider.proxy = parts.config.listen.proxies > 0;
    for (const event of ['server_error', ...REFUSALS] as const) {
      provider.on(event as 'server_error', (ctx: KoaContextWithOIDC, error: Error & { error_detail?: string }) => {
        const fields = { requestId: ctx.state['requestId'] as string, event, detail: error.error_detail };
        if (event === 'server_error') parts.log.error({ ...fields, err: error }, 'the provider failed');
        // A refusal is nobody's fault here: its trace would only fill the log.
        else parts.log.info({ ...fields, refused: error.message }, 'the provider refused a request');
      });
    }
    provider.on('end_session.success', (ctx: KoaContextWithOIDC) => {
      const { session, client, params } = ctx.oidc;
      if (!params?.['logout']) return;
      const ended = { accountId: session?.accountId, clientId: client?.clientId, place: ctx.ip };
      current()?.also(auditRow({ kind: 'signed_out', ...ended }, parts.clock()));
    });
    const mounted = published(mount(provider as never) as Middleware, parts.browserOrigins);
    return { provider, middleware: signOutFlow(mounted, { pages: parts.pages, subFor: people.subFor }) };
  };
  let live = build(jwks);
  return {
    middleware: (ctx, next) => live.middleware(ctx, next) as Promise<unknown>,
    provider: () => live.provider,
    rebuild(keys) {
      live = build(keys);
    },
  };
}
