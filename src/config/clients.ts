/**
 * Owns the reading of clients/*.yaml: one e-service a file, every fault of the set at once, and each key's default. The keys
 * are client-keys.ts's, what must fit together in a file client-rules.ts's. The library's view is src/oidc/clients.ts's.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientConfig, Fault } from '../config.ts';
import { LANGUAGES, type Language } from '../platform/i18n.ts';
import { CLIENT, insteadOf } from './client-keys.ts';
import { authMethodOf, signsIn, together, type Values } from './client-rules.ts';
import { check, inOrder } from './shape.ts';
import { emptySource, readSource, reasonOf, type Source } from './source.ts';
import { everyLanguage } from './values.ts';

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
    const checked = check(source, CLIENT, insteadOf);
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

/** All values are there that must be: nothing was at fault. */
function clientOf({ file, lineOf }: Source, values: Values): ClientConfig {
  const fapi2 = values.profile === 'fapi2';
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
    response_types: values.response_types ?? (signsIn(values) ? ['code'] : []),
    scope: scope ?? (signsIn(values) ? 'openid email profile' : ''),
    resources: values.resources ?? [],
    backchannel_logout_session_required: values.backchannel_logout_session_required ?? true,
    id_token_signed_response_alg: values.id_token_signed_response_alg ?? (fapi2 ? 'ES256' : undefined),
    require_signed_request_object: values.require_signed_request_object ?? false,
    require_pushed_authorization_requests: values.require_pushed_authorization_requests ?? fapi2,
    dpop_bound_access_tokens: values.dpop_bound_access_tokens ?? fapi2,
    require_auth_time: values.require_auth_time ?? false,
    subject_type: values.subject_type ?? 'public',
    require_pkce: values.require_pkce ?? true,
    consent: values.consent ?? 'skip',
    logout_on_expiry: values.logout_on_expiry ?? false,
  };
}
