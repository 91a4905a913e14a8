/**
 * Owns how an e-service looks to the library: the translation of its file, which our own schema has already passed, and the
 * library's own judgement of the result. Also the client of our own pages, which no file describes.
 *
 * Clients reach the library through the adapter's `find('Client', id)`, which returns `libraryMetadata`.
 */
import type { Client, ClientMetadata, errors, Provider } from 'oidc-provider';
import type { ClientConfig, Config, Fault } from '../config.ts';
import { SCOPES } from '../config/client-keys.ts';
import { OWN_CLIENT_ID } from '../config/client-rules.ts';
import type { Told } from '../records/logouts.ts';
import { sectorOfList, type Relation } from '../records/subjects.ts';

/**
 * What the library keeps for us on its client, under these names (`client['sector']`).
 * `initiate_login_uri` is not among them: the library refuses http: there, on localhost too; pages read it from the file.
 */
export const OWN_CLIENT_METADATA = [
  'sector',
  'subject_type_own',
  'resources',
  'api_scopes',
  'profile',
  'legacy_source',
  'require_pkce',
  'require_acr',
  'consent',
  'logout_on_expiry',
  'client_secrets',
] as const;

/** How the library must be configured for what `libraryMetadata` returns. */
export const CLIENT_OPTIONS = {
  extraClientMetadata: { properties: [...OWN_CLIENT_METADATA] },
  // The sector is made here; its URI is a name and nothing is fetched from it.
  sectorIdentifierUriValidate: () => false,
};

/** Signs residents in for /account: response_type=none, so that no code or token comes to our own pages. */
export function accountClient(issuer: string): ClientConfig {
  return {
    file: '',
    client_id: OWN_CLIENT_ID,
    client_name: { fi: 'Omat asetukset', sv: 'Mina inställningar', en: 'Account settings' },
    application_type: 'web',
    redirect_uris: [`${issuer}/account/signed-in`],
    post_logout_redirect_uris: [],
    token_endpoint_auth_method: 'none',
    grant_types: [],
    response_types: ['none'],
    scope: 'openid',
    resources: [],
    require_signed_request_object: false,
    require_pushed_authorization_requests: false,
    dpop_bound_access_tokens: false,
    backchannel_logout_session_required: false,
    require_auth_time: false,
    subject_type: 'public',
    require_pkce: false,
    consent: 'skip',
    logout_on_expiry: false,
  };
}

/**
 * Within which `sub` is unique and one resident has one. E-services on one host share a sector, those with
 * `subject_type: legacy` share their user list: two lists on one host may use the same id for two people.
 */
export function sectorOf(client: ClientConfig): string {
  if (client.subject_type === 'legacy') return sectorOfList(client.legacy_source!);
  if (client.sector_identifier_uri) return hostSector(new URL(client.sector_identifier_uri));
  const [first] = client.redirect_uris;
  const url = first === undefined ? undefined : new URL(first);
  // Every app on a telephone or a computer has the host "" or 127.0.0.1.
  const hasHost = url?.protocol === 'https:' || (url?.protocol === 'http:' && client.application_type === 'web');
  return url && hasHost ? hostSector(url) : `client:${client.client_id}`;
}

/** A host named `legacy` or `client`, with a port, must not share a sector of another kind. */
const hostSector = ({ host }: URL): string => (/^(legacy|client):/.test(host) ? `host:${host}` : host);

/** By what an e-service knows residents. */
export function relationOfFile(client: ClientConfig): Relation {
  return { sector: sectorOf(client), subjectType: client.subject_type, source: client.legacy_source };
}

/** The same of the library's client. */
export function relationOf(client: Client): Relation {
  return {
    sector: client['sector'] as string,
    subjectType: client['subject_type_own'] as Relation['subjectType'],
    source: legacySource(client),
  };
}

export const legacySource = (client: Client): string | undefined => client['legacy_source'] as string | undefined;

/** Where scripts of public web clients run: the sites that they are sent back to. */
export function browserOrigins(
  clients: readonly Partial<Pick<ClientConfig, 'application_type' | 'redirect_uris' | 'token_endpoint_auth_method'>>[],
): ReadonlySet<string> {
  const inBrowser = clients.filter(
    (client) => client.token_endpoint_auth_method === 'none' && client.application_type === 'web',
  );
  return new Set(inBrowser.flatMap(({ redirect_uris: uris = [] }) => uris.map((uri) => new URL(uri).origin)));
}

/** The e-services with a back channel, as records/logouts.ts knows them. */
export function toldOf(clients: readonly ClientConfig[]): Told[] {
  return clients
    .filter((client) => client.backchannel_logout_uri !== undefined)
    .map((client) => ({
      clientId: client.client_id,
      ...(client.subject_type === 'public' ? {} : { sector: sectorOf(client) }),
      onExpiry: client.logout_on_expiry,
    }));
}

export function libraryMetadata(
  client: ClientConfig,
  { keys, languages }: Pick<Config, 'keys' | 'languages'>,
): ClientMetadata {
  const {
    client_secret: secrets,
    subject_type: subjectType,
    client_name: names,
    file: _file,
    lines: _lines,
    ...same
  } = client;
  const { initiate_login_uri: _ours, sector_identifier_uri: _sector, ...metadata } = same;
  const sector = sectorOf(client);
  const scopes = client.scope.split(' ').filter(Boolean);
  // A copy without what is undefined: the library sorts and fills the lists that it is given.
  return JSON.parse(
    JSON.stringify({
      ...metadata,
      client_name: names[languages[0] ?? 'fi'],
      client_secret: secrets?.[0],
      client_secrets: secrets,
      // The library's own check knows the scopes of residents only; those of APIs are resources.ts's.
      scope: scopes.filter((name) => SCOPES.includes(name)).join(' ') || undefined,
      api_scopes: scopes.filter((name) => !SCOPES.includes(name)),
      id_token_signed_response_alg: client.id_token_signed_response_alg ?? keys.algorithms[0],
      introspection_signed_response_alg: client.introspection_signed_response_alg ?? keys.algorithms[0],
      subject_type: subjectType === 'public' ? 'public' : 'pairwise',
      subject_type_own: subjectType,
      sector,
      // Asked for by the library where the redirect URIs have several hosts.
      sector_identifier_uri:
        subjectType === 'public' ? undefined : `https://sector.invalid/${encodeURIComponent(sector)}`,
    }),
  ) as ClientMetadata;
}

/** What the library has against a client; it stops at the first fault of each. */
export async function validateClients(
  clients: readonly ClientConfig[],
  config: Pick<Config, 'keys' | 'languages'>,
  provider: Provider,
): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const client of clients) {
    try {
      await provider.Client.validate(libraryMetadata(client, config));
    } catch (error) {
      if (!isAboutMetadata(error)) throw error;
      const detail = error.error_description ?? error.message;
      // The library's words begin with the key, but for this one.
      const key = detail.includes('JSON Web Key Set') ? 'jwks' : /^\w+/.exec(detail)?.[0];
      const line = client.lines?.[key ?? ''] ?? 1;
      faults.push({ file: client.file, line, message: `${detail}, expected metadata that the provider can serve` });
    }
  }
  return faults;
}

/** By its name: for that alone no command is to load the library. */
const isAboutMetadata = (error: unknown): error is errors.InvalidClientMetadata =>
  error instanceof Error && error.name === 'InvalidClientMetadata';
