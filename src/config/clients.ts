/**
 * Owns clients/*.yaml: the metadata that an e-service may have, each key's default, and what must fit together, within a file
 * and between files. Their meaning stands in config/clients/*.yaml.sample. The library's view is src/oidc/clients.ts's.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { AuthMethod, ClientConfig, Fault } from '../config.ts';
import { LANGUAGES, type Language } from '../platform/i18n.ts';
import { check, inOrder, type Checked, type Partly } from './shape.ts';
import { emptySource, readSource, reasonOf, type Source } from './source.ts';
import {
  emailAddress,
  everyLanguage,
  isLoopback,
  list,
  oneOf,
  parseUri,
  secrets,
  text,
  value,
  WEB_URI_EXPECTED,
  webUri,
  whole,
  yesOrNo,
} from './values.ts';

/** The client of our own pages (src/oidc/clients.ts). */
export const OWN_CLIENT_ID = 'account';

const SCOPES = ['openid', 'email', 'profile', 'phone', 'legacy', 'offline_access'];
const AUTH_METHODS = [
  'client_secret_basic',
  'client_secret_post',
  'client_secret_jwt',
  'private_key_jwt',
  'none',
] as const;

// Web and native together; which of the two a URI may be is judged with application_type.
const redirectUri = text('a whole address without #fragment, wildcard or password', (given) => {
  return parseUri(given) !== undefined && !given.includes('#') && !given.includes('*');
});

const words = text('a text');

const jwks = value(
  'keys: with a list of public JSON Web Keys (kty RSA, EC or OKP, nothing private)',
  (given): ClientConfig['jwks'] => {
    const keys = z
      .object({ keys: z.array(z.looseObject({ kty: z.enum(['RSA', 'EC', 'OKP']) })).min(1) })
      .safeParse(given);
    return keys.success && keys.data.keys.every((key) => !('d' in key)) ? keys.data : undefined;
  },
);

const CLIENT = {
  client_id: text('1 to 128 printable ASCII characters without spaces', (given) => /^[\x21-\x7e]{1,128}$/.test(given)),
  client_secret: secrets,
  client_name: words,
  ...(Object.fromEntries(LANGUAGES.map((language) => [`client_name#${language}`, words])) as Record<
    `client_name#${Language}`,
    typeof words
  >),
  application_type: oneOf('web', 'native'),
  redirect_uris: list(redirectUri, 'a list of addresses'),
  post_logout_redirect_uris: list(redirectUri, 'a list of addresses'),
  token_endpoint_auth_method: oneOf(...AUTH_METHODS),
  grant_types: list(
    oneOf('authorization_code', 'refresh_token'),
    'authorization_code, alone or with refresh_token (client_credentials comes with a later version)',
  ),
  response_types: list(oneOf('code'), 'code (and nothing else is offered)'),
  scope: text(`openid and any of ${SCOPES.slice(1).join(', ')}, separated by spaces`, (given) => {
    const scopes = given.split(' ');
    return scopes.includes('openid') && scopes.every((scope) => SCOPES.includes(scope));
  }),
  initiate_login_uri: webUri,
  client_uri: webUri,
  logo_uri: webUri,
  policy_uri: webUri,
  tos_uri: webUri,
  contacts: list(emailAddress, 'a list of e-mail addresses'),
  backchannel_logout_uri: webUri,
  backchannel_logout_session_required: yesOrNo,
  id_token_signed_response_alg: oneOf('RS256', 'ES256'),
  default_max_age: whole(0, 31_536_000),
  require_auth_time: yesOrNo,
  jwks,
  jwks_uri: webUri,
  sector_identifier_uri: webUri,
  subject_type: oneOf('public', 'pairwise', 'legacy'),
  legacy_source: text('a name of small letters, digits, - and _', (given) => /^[a-z0-9][a-z0-9_-]{0,63}$/.test(given)),
  require_pkce: yesOrNo,
  consent: oneOf('skip', 'ask'),
  logout_on_expiry: yesOrNo,
} as const;

export interface ClientFiles {
  /** Those without a fault of their own. */
  clients: ClientConfig[];
  faults: Fault[];
}

/** No folder `clients`: no clients yet. */
export function readClientFiles(folder: string, env: NodeJS.ProcessEnv): ClientFiles {
  const within = join(folder, 'clients');
  const found: ClientFiles = { clients: [], faults: [] };
  const owners = new Map<string, string>();
  for (const name of yamlFiles(within, found.faults)) {
    const file = join(within, name);
    const source = readSource(file, folder, env);
    const checked = check(source, CLIENT);
    together(checked);
    const id = checked.values.client_id;
    const owner = id === undefined ? undefined : owners.get(id);
    if (owner) checked.fault(['client_id'], `client_id is "${id}" as in ${owner}, expected an id of its own`);
    else if (id !== undefined) owners.set(id, file);
    found.faults.push(...inOrder(checked.faults));
    if (checked.faults.length) continue;
    found.clients.push(clientOf(source, checked.values));
  }
  return found;
}

function yamlFiles(folder: string, faults: Fault[]): string[] {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!missing)
      faults.push(...emptySource(folder, `the folder ${reasonOf(error)}, expected a readable folder`).faults);
    return [];
  }
  for (const name of names) {
    if (/\.yml$/i.test(name))
      faults.push(...emptySource(join(folder, name), 'the name ends in .yml, expected .yaml').faults);
  }
  // Editors leave hidden files behind, some of them as .yaml.
  return names.filter((name) => name.endsWith('.yaml') && !name.startsWith('.'));
}

type Values = Partly<typeof CLIENT>;
type Judged = Checked<typeof CLIENT>;

const authMethodOf = (values: Values): AuthMethod => {
  return values.token_endpoint_auth_method ?? (values.client_secret ? 'client_secret_basic' : 'none');
};

/** Faults that no key has by itself. What is wrong by itself has been told and is not looked at here. */
function together(checked: Judged): void {
  const { values, fault, given } = checked;
  for (const key of ['client_id', 'redirect_uris'] as const) {
    if (!given(key))
      fault([], `${key} is missing, expected ${key === 'client_id' ? 'the name' : 'the addresses'} of the e-service`);
  }
  if (!LANGUAGES.some((language) => given(`client_name#${language}`)) && !given('client_name')) {
    fault([], 'client_name is missing, expected the name of the e-service as residents know it');
  }
  if (values.client_id === OWN_CLIENT_ID)
    fault(['client_id'], `client_id "${OWN_CLIENT_ID}" is taken by this service itself, expected another`);
  authentication(checked);
  for (const key of ['redirect_uris', 'post_logout_redirect_uris'] as const) {
    values[key]?.forEach((uri, index) => {
      const expected = redirectFault(uri, values.application_type ?? 'web');
      if (expected) fault([key, index], `${key}[${index}] is "${uri}", expected ${expected}`);
    });
  }
  if (values.grant_types && !values.grant_types.includes('authorization_code')) {
    fault(['grant_types'], 'grant_types lacks authorization_code, expected it beside refresh_token');
  }
  const scopes = values.scope?.split(' ') ?? [];
  if (scopes.includes('legacy') && !given('legacy_source')) {
    fault(['scope'], 'scope has legacy without legacy_source, expected the name of the user list');
  }
  if (values.subject_type === 'legacy' && !given('legacy_source')) {
    fault(['subject_type'], 'subject_type is legacy without legacy_source, expected the name of the user list');
  }
  if (
    scopes.includes('offline_access') &&
    !values.grant_types?.includes('refresh_token') &&
    !wrong(checked, 'grant_types')
  ) {
    fault(['scope'], 'scope has offline_access without refresh_token, expected it in grant_types');
  }
  if (values.backchannel_logout_session_required && !given('backchannel_logout_uri')) {
    const key = 'backchannel_logout_session_required';
    fault([key], `${key} is true without backchannel_logout_uri, expected that address`);
  }
}

const wrong = ({ given, values }: Judged, key: keyof Values): boolean => given(key) && values[key] === undefined;

function authentication(checked: Judged): void {
  const { values, fault, given } = checked;
  if (wrong(checked, 'token_endpoint_auth_method') || wrong(checked, 'client_secret')) return;
  const method = authMethodOf(values);
  const hasKeys = given('jwks') || given('jwks_uri');
  if (given('jwks') && given('jwks_uri')) fault(['jwks_uri'], 'jwks_uri stands beside jwks, expected one of the two');
  if (method.startsWith('client_secret') && !given('client_secret')) {
    fault(
      ['token_endpoint_auth_method'],
      `token_endpoint_auth_method is ${method} without client_secret, expected a secret`,
    );
  }
  if (!method.startsWith('client_secret') && given('client_secret')) {
    fault(
      ['client_secret'],
      `client_secret stands beside token_endpoint_auth_method ${method}, which uses none, expected one of the two`,
    );
  }
  if (method === 'private_key_jwt' && !hasKeys) {
    fault(
      ['token_endpoint_auth_method'],
      'token_endpoint_auth_method is private_key_jwt without keys, expected jwks or jwks_uri',
    );
  }
  if (values.require_pkce === false && method === 'none') {
    fault(['require_pkce'], 'require_pkce is false for a client that does not authenticate, expected true');
  }
}

/** What is expected of the URI instead, if anything. */
function redirectFault(uri: string, type: ClientConfig['application_type']): string | undefined {
  const url = new URL(uri);
  const loopback = isLoopback(url.hostname);
  if (url.protocol === 'https:' && (type === 'web' || !loopback)) return undefined;
  if (url.protocol === 'http:' && loopback) return undefined;
  if (type === 'web') return `${WEB_URI_EXPECTED}, or application_type: native`;
  // RFC 8252, 7.1: a private-use scheme is a domain name turned round, so that two apps do not take the same one.
  if (/^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/.test(url.protocol)) return undefined;
  return 'a scheme of the app\'s own like "fi.example.app:/signed-in", an https: address, or http://127.0.0.1/…';
}

/** All values are there that must be: nothing was at fault. */
function clientOf({ file, lineOf }: Source, values: Values): ClientConfig {
  const { client_name: name, scope, redirect_uris = [] } = values;
  const names = LANGUAGES.map((language) => [language, values[`client_name#${language}`] ?? name]);
  const { 'client_name#fi': _fi, 'client_name#sv': _sv, 'client_name#en': _en, ...metadata } = values;
  return {
    ...metadata,
    file,
    lines: Object.fromEntries(Object.keys(values).map((key) => [key, lineOf([key])])),
    client_id: values.client_id!,
    client_name: everyLanguage(Object.fromEntries(names) as Partial<Record<Language, string>>),
    application_type: values.application_type ?? 'web',
    redirect_uris,
    post_logout_redirect_uris: values.post_logout_redirect_uris ?? [],
    token_endpoint_auth_method: authMethodOf(values),
    grant_types: values.grant_types ?? ['authorization_code'],
    response_types: values.response_types ?? ['code'],
    scope: scope ?? 'openid email profile',
    backchannel_logout_session_required: values.backchannel_logout_session_required ?? true,
    require_auth_time: values.require_auth_time ?? false,
    subject_type: values.subject_type ?? 'public',
    require_pkce: values.require_pkce ?? true,
    consent: values.consent ?? 'skip',
    logout_on_expiry: values.logout_on_expiry ?? false,
  };
}
