/**
 * Owns what the operator decided: the whole configuration as one frozen value, or every fault in it at once.
 *
 * Only this file reads the environment, and only src/config/ reads the operator's YAML. What a key means stands in
 * config/tunnus.yaml and in the sample files of config/clients/; what may be written there, in src/config/settings.ts and
 * src/config/clients.ts. Owns no database, no mail server and no library's view of a client (src/oidc/clients.ts).
 */
import { join, resolve } from 'node:path';
import { readClientFiles } from './config/clients.ts';
import { faultsBetween, readSettings } from './config/settings.ts';
import type { Acr } from './config/values.ts';
import type { Language } from './platform/i18n.ts';

export type { Language } from './platform/i18n.ts';
export { domainOf } from './config/settings.ts';
export { securityAdvice } from './config/security.ts';
export { ACR, isLoopback, type Acr } from './config/values.ts';
export { clientSources, weaknesses } from './config/weaknesses.ts';

export type TextByLanguage = Readonly<Record<Language, string>>;
export type SigningAlgorithm = 'RS256' | 'ES256';

/** Durations are in milliseconds. */
export interface Config extends Settings {
  readonly clients: readonly ClientConfig[];
}

export interface Settings {
  /** The configuration folder. */
  readonly folder: string;
  /** An origin: no path, no slash at its end. */
  readonly issuer: string;
  readonly listen: {
    readonly host: string;
    readonly port: number;
    readonly proxies: number;
    readonly metricsPort: number;
  };
  /** No `url`: the embedded PostgreSQL in `folder` (absolute). */
  readonly database: {
    readonly url?: string;
    /** Where `url` leads to a pooler: PostgreSQL itself, for what needs a session of its own. */
    readonly direct?: string;
    /** Connections of one process for statements. */
    readonly pool: number;
    readonly folder: string;
  };
  /** The first seals, all open. Empty only with the embedded database, which keeps one beside itself. */
  readonly secret: readonly string[];
  readonly mail: {
    readonly url?: string;
    readonly from: string;
    readonly dkim?: DkimConfig;
    /** `warmUp`: how long the pace to a new domain grows, 0 for not at all. */
    readonly limits: { readonly perMinute: number; readonly perMinuteToDomain: number; readonly warmUp: number };
  };
  /** `logo` is an absolute path to an image file; `color` is `#rrggbb`. */
  readonly brand: { readonly name: TextByLanguage; readonly logo?: string; readonly color?: string };
  readonly support: { readonly email?: string; readonly phone?: string; readonly hours?: TextByLanguage };
  /** The first is the default. */
  readonly languages: readonly Language[];
  /** An IANA name: where a day begins, in figures and in mails. */
  readonly timeZone: string;
  readonly signIn: {
    readonly unknownAddress: 'tell' | 'conceal';
    readonly registration: 'closed' | 'open';
    readonly requireAcr: Acr;
  };
  readonly password: {
    readonly minLength: number;
    /** Memory in KiB. */
    readonly argon2: { readonly memory: number; readonly iterations: number; readonly parallelism: number };
    /** The first is used, all verify; none: no pepper. */
    readonly pepper: readonly string[];
    /** Lists of passwords known from breaches; `file` is an absolute path. */
    readonly breached: { readonly file?: string; readonly url?: string };
  };
  readonly links: { readonly lifetime: number };
  readonly session: { readonly idle: number; readonly absolute: number };
  readonly retention: { readonly dormant: 'off' | number; readonly audit: number };
  readonly keys: { readonly algorithms: readonly SigningAlgorithm[]; readonly rotation: number };
  readonly resources: readonly ResourceConfig[];
  /** `otlp`: of a collector; none: no traces. */
  readonly telemetry: { readonly otlp?: string };
  /** All per hour. */
  readonly limits: {
    readonly passwordPerAddress: number;
    readonly passwordPerPlace: number;
    readonly passwordsForAll: number;
    readonly addressesPerPlace: number;
    readonly linksPerAddress: number;
    readonly linksPerPlace: number;
    readonly linkGuessesPerPlace: number;
    readonly clientPerPlace: number;
    readonly clientsPerPlace: number;
    readonly requestsPerAddress: number;
    readonly requestsPerPlace: number;
  };
}

export interface DkimConfig {
  readonly domain: string;
  readonly selector: string;
  /** PEM. */
  readonly key: string;
}

/** An API of the city's: for whom tokens are meant (RFC 8707). */
export interface ResourceConfig {
  /** Of tunnus.yaml. */
  readonly line: number;
  readonly audience: string;
  readonly name: TextByLanguage;
  readonly scopes: readonly string[];
  /** Of its access tokens, in milliseconds. */
  readonly lifetime: number;
  readonly format: 'jwt' | 'opaque';
  /** Left out: the first of `keys.algorithms`. */
  readonly algorithm?: SigningAlgorithm;
  /** As which e-service the API itself may look up tokens that are meant for it. */
  readonly client?: string;
}

export type AuthMethod =
  'client_secret_basic' | 'client_secret_post' | 'client_secret_jwt' | 'private_key_jwt' | 'none';

/** One e-service, by the names of OpenID Connect Dynamic Client Registration 1.0 and RFC 7591 and some of our own. */
export interface ClientConfig {
  /** Where it stands, and on which line each of its keys. */
  readonly file: string;
  readonly lines?: Readonly<Record<string, number>>;
  readonly client_id: string;
  /** All valid, the first is the new one. */
  readonly client_secret?: readonly string[];
  readonly client_name: TextByLanguage;
  readonly application_type: 'web' | 'native';
  readonly redirect_uris: readonly string[];
  readonly post_logout_redirect_uris: readonly string[];
  readonly token_endpoint_auth_method: AuthMethod;
  readonly token_endpoint_auth_signing_alg?: string;
  /** Without `authorization_code` it is a machine: nobody signs in through it. */
  readonly grant_types: readonly ('authorization_code' | 'refresh_token' | 'client_credentials')[];
  /** `none` only for the pages of our own house. */
  readonly response_types: readonly ('code' | 'none')[];
  /** Empty for a machine that names no scope. */
  readonly scope: string;
  /** The APIs that it may ask tokens for (RFC 8707). */
  readonly resources: readonly string[];
  readonly initiate_login_uri?: string;
  readonly client_uri?: string;
  readonly logo_uri?: string;
  readonly policy_uri?: string;
  readonly tos_uri?: string;
  readonly contacts?: readonly string[];
  readonly backchannel_logout_uri?: string;
  readonly backchannel_logout_session_required: boolean;
  readonly id_token_signed_response_alg?: SigningAlgorithm;
  readonly userinfo_signed_response_alg?: SigningAlgorithm;
  readonly introspection_signed_response_alg?: SigningAlgorithm;
  readonly request_object_signing_alg?: string;
  readonly require_signed_request_object: boolean;
  readonly require_pushed_authorization_requests: boolean;
  readonly dpop_bound_access_tokens: boolean;
  readonly default_max_age?: number;
  readonly default_acr_values?: readonly string[];
  /** How sure a sign-in must be here, whatever the request says. */
  readonly require_acr?: Acr;
  readonly require_auth_time: boolean;
  readonly jwks?: { readonly keys: readonly Readonly<Record<string, unknown>>[] };
  readonly jwks_uri?: string;
  readonly sector_identifier_uri?: string;
  readonly subject_type: 'public' | 'pairwise' | 'legacy';
  readonly legacy_source?: string;
  /** FAPI 2.0 Security Profile: all that it asks of a client is then set. */
  readonly profile?: 'fapi2';
  readonly require_pkce: boolean;
  readonly consent: 'skip' | 'ask';
  readonly logout_on_expiry: boolean;
}

/** Told as `file:line: message`, the message being what is wrong and what is expected. */
export interface Fault {
  file: string;
  line: number;
  message: string;
}

export type ConfigReading = { config: Config; faults: [] } | { config?: undefined; faults: Fault[] };
export type ClientsReading =
  { clients: readonly ClientConfig[]; faults: [] } | { clients?: undefined; faults: Fault[] };

/** `TUNNUS_CONFIG` names the folder; by default it is the one beside this project's package.json. */
export function configFolder(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env['TUNNUS_CONFIG'] || join(import.meta.dirname, '../config'));
}

export function readConfig(folder: string, env: NodeJS.ProcessEnv = process.env): ConfigReading {
  const { settings, faults: inSettings } = readSettings(folder, env);
  const { clients, faults: inClients } = readClientFiles(folder, env);
  const between = settings ? faultsBetween(settings, clients) : [];
  const faults = [...inSettings, ...inClients, ...between];
  if (!settings || faults.length) return { faults };
  return { config: freeze({ ...settings, clients }), faults: [] };
}

/** The clients alone, for a reload beside the settings that stay: all of the new set, or none of it. */
export function readClients(
  settings: Pick<Settings, 'folder' | 'keys' | 'resources'>,
  env: NodeJS.ProcessEnv = process.env,
): ClientsReading {
  const { clients, faults: inClients } = readClientFiles(settings.folder, env);
  const faults = [...inClients, ...faultsBetween(settings, clients)];
  return faults.length ? { faults } : { clients: freeze(clients), faults: [] };
}

export function describeFaults(faults: readonly Fault[]): string {
  return faults.map(({ file, line, message }) => `${file}:${line}: ${message}`).join('\n');
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const part of Object.values(value)) freeze(part);
  return Object.freeze(value);
}

/** The library has something against a client that our own schema let through. */
export class ConfigurationWrong extends Error {
  constructor(faults: readonly Fault[]) {
    super(describeFaults(faults));
    this.name = 'ConfigurationWrong';
  }
}
