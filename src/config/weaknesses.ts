/**
 * Owns what `tunnus check` warns of: settings that a resident will feel, and those that are weak
 * (security.ts). Changes nothing.
 */
import type { Config } from '../config.ts';
import { contrast, parseColor, WHITE } from '../platform/color.ts';
import { securityAdvice } from './security.ts';
import { settingsFile } from './settings.ts';
import { isLoopback } from './values.ts';

export interface Weakness {
  file: string;
  message: string;
}

export function weaknesses(config: Config): Weakness[] {
  const file = settingsFile(config.folder);
  const found: (string | false)[] = [
    !config.mail.url && 'mail.url is not given; no link can be mailed, so nobody without a password gets in',
    config.retention.dormant !== 'off' &&
      !config.mail.url &&
      'retention.dormant is set without mail.url; nobody can be warned, so no dormant account is erased',
    !config.support.email &&
      !config.support.phone &&
      'support has neither email nor phone; who gets stuck has nobody to ask',
    config.languages.length === 1 &&
      `languages has only ${config.languages[0]}; residents expect Finnish and Swedish at least`,
    !config.keys.algorithms.includes('RS256') &&
      'keys.algorithms lacks RS256, which OpenID Connect asks every provider for',
    config.listen.proxies === 0 &&
      behindProxy(config) &&
      'listen.proxies is 0 with an https: issuer; behind a proxy all residents then count as one place',
    config.clients.length === 0 && 'there is no client in clients/; no e-service can send residents here',
    lowContrast(config.brand.color) &&
      `brand.color ${config.brand.color} is too light for white text (WCAG 2.2, 1.4.3 asks for 4.5:1)`,
  ];
  return [
    ...securityAdvice(config).weak,
    ...found.filter((message) => message !== false).map((message) => ({ file, message })),
    ...config.clients.flatMap(clientWeaknesses),
    ...idleMachines(config),
  ];
}

/** The names of all user lists that e-services lean on; a name with no import yet is suspicious. */
export function clientSources(config: Pick<Config, 'clients'>): { source: string; file: string; clientId: string }[] {
  return config.clients.flatMap((client) => {
    return client.legacy_source
      ? [{ source: client.legacy_source, file: client.file, clientId: client.client_id }]
      : [];
  });
}

function clientWeaknesses(client: Config['clients'][number]): Weakness[] {
  const { file } = client;
  const hosts = new Set(client.redirect_uris.map((uri) => new URL(uri).host));
  const found: (string | false)[] = [
    client.redirect_uris.length > 0 &&
      !client.initiate_login_uri &&
      !client.client_uri &&
      'neither initiate_login_uri nor client_uri; a mailed link opened on another device cannot lead on to the e-service',
    client.subject_type !== 'public' &&
      client.subject_type !== 'legacy' &&
      hosts.size > 1 &&
      !client.sector_identifier_uri &&
      'pairwise with several hosts and no sector_identifier_uri; every sub changes when the first of redirect_uris does',
    client.consent === 'ask' &&
      !client.policy_uri &&
      'consent is ask without policy_uri; residents cannot read what becomes of their details',
    (client.client_secret?.length ?? 0) > 1 &&
      'client_secret has two values; take the old one out when the e-service has changed',
  ];
  return found.filter((message) => message !== false).map((message) => ({ file, message }));
}

/** A machine's token is always for an API; only one that looks up its own API's tokens needs none. */
function idleMachines({ clients, resources }: Pick<Config, 'clients' | 'resources'>): Weakness[] {
  const idle = clients.filter(
    ({ client_id: id, grant_types: grants, resources: wanted }) =>
      grants.includes('client_credentials') && !wanted.length && !resources.some(({ client }) => client === id),
  );
  const message = 'grant_types has client_credentials without resources; it is refused every token in its own name';
  return idle.map(({ file }) => ({ file, message }));
}

const behindProxy = ({ issuer, listen }: Config): boolean => issuer.startsWith('https:') && isLoopback(listen.host);

function lowContrast(color: string | undefined): boolean {
  const brand = parseColor(color ?? '');
  return brand !== undefined && contrast(brand, WHITE) < 4.5;
}
