/**
 * Owns the city's APIs to the library: which e-service may ask for a token for which (RFC 8707), what stands in one (RFC 9068),
 * and who may look one up (RFC 7662).
 *
 * A signed token is kept nowhere: it costs no row, and nothing takes it back before its time. So it lives shortly.
 */
import { errors, type Client, type Configuration, type KoaContextWithOIDC, type ResourceServer } from 'oidc-provider';
import type { Config } from '../config.ts';

type Token = { aud?: string | string[]; clientId?: string };

/** The scopes that this e-service may have at APIs, by its file. */
const apiScopes = (client: Client): readonly string[] => (client['api_scopes'] ?? []) as readonly string[];

export function resourceIndicators({ resources, keys }: Pick<Config, 'resources' | 'keys'>) {
  return {
    enabled: true,

    /** Throws invalid_target for an API that is not there or not this e-service's, invalid_scope for a scope past its own. */
    async getResourceServerInfo(ctx: KoaContextWithOIDC, audience: string, client: Client): Promise<ResourceServer> {
      const api = resources.find((declared) => declared.audience === audience);
      if (!api || !(client['resources'] as string[]).includes(audience)) throw new errors.InvalidTarget();
      const mine = api.scopes.filter((scope) => apiScopes(client).includes(scope));
      const { params, requestParamScopes: asked } = ctx.oidc;
      const machine = params?.['grant_type'] === 'client_credentials';
      // A resident's e-service may ask for scopes of other APIs and of residents in the same request.
      const beyond = [...asked].find((scope) => !mine.includes(scope) && (machine || api.scopes.includes(scope)));
      if (beyond) throw new errors.InvalidScope('requested scope is not allowed', beyond);
      // RFC 6749, 3.3: a machine that names no scope means all that it has there.
      const onlyOne = !Array.isArray(params?.['resource']);
      if (machine && onlyOne && params['scope'] === undefined && mine.length) params['scope'] = mine.join(' ');
      const signed = { jwt: { sign: { alg: api.algorithm ?? keys.algorithms[0]! } } };
      return {
        scope: mine.join(' '),
        audience,
        accessTokenTTL: api.lifetime / 1000,
        accessTokenFormat: api.format,
        ...(api.format === 'jwt' ? signed : {}),
      };
    },

    /** A machine's token is always for an API: for its only one where it names none. */
    async defaultResource(
      ctx: KoaContextWithOIDC,
      client: Client,
      oneOf?: readonly string[],
    ): Promise<string | readonly string[] | undefined> {
      if (oneOf) return oneOf;
      if (ctx.oidc.params?.['grant_type'] !== 'client_credentials') return undefined;
      const [only, ...others] = client['resources'] as string[];
      if (only === undefined || others.length) throw new errors.InvalidTarget();
      return only;
    },
  } satisfies NonNullable<Configuration['features']>['resourceIndicators'];
}

/** RFC 7662, 2.1 and 4: an e-service looks up its own tokens, an API those that are meant for it. */
export function mayLookUp({ resources }: Pick<Config, 'resources'>, client: Client, token: Token): boolean {
  if (client.clientAuthMethod === 'none') return false;
  if (token.clientId === client.clientId) return true;
  return resources.some((api) => api.client === client.clientId && api.audience === token.aud);
}

/** RFC 9068, 2.2.1: how and when the resident signed in whom a token speaks for; a machine's has none of it. */
export function tellOfSignIn(
  ctx: KoaContextWithOIDC | undefined,
  token: { kind: string },
  { payload }: { payload: Record<string, unknown> },
): void {
  const { RefreshToken: refresh, AuthorizationCode: code } = ctx?.oidc.entities ?? {};
  const source = refresh ?? code;
  if (token.kind !== 'AccessToken' || !source) return;
  Object.assign(payload, { auth_time: source.authTime, acr: source.acr, amr: source.amr });
}
