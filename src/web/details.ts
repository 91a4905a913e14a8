/** Owns how pages say in plain words what an e-service gets. */
import type { Config } from '../config.ts';
import { CLAIMS } from '../oidc/claims.ts';
import type { Language, Translate } from '../platform/i18n.ts';
import type { Given } from '../records/services.ts';

/** The words of each scope, in the order in which they are told. */
const DETAILS: Readonly<Record<string, string>> = {
  openid: 'consent.openid',
  email: 'consent.email',
  profile: 'consent.profile',
  phone: 'consent.phone',
  legacy: 'consent.legacy',
  offline_access: 'consent.offline_access',
};

/** A single claim is told by the words of its scope, an API by its name. */
export function detailsOf(
  { scopes, claims, resources }: Given,
  { t, language }: { t: Translate; language: Language },
  apis: Config['resources'],
): string[] {
  const nameOf = (audience: string): string =>
    apis.find((api) => api.audience === audience)?.name[language] ?? audience;
  const byClaim = Object.entries(CLAIMS).filter(([, names]) => names.some((name) => claims.includes(name)));
  const given = new Set([...scopes, ...byClaim.map(([scope]) => scope)]);
  return [
    ...Object.entries(DETAILS).flatMap(([scope, words]) => (given.has(scope) ? [t(words)] : [])),
    ...Object.keys(resources).map((api) => t('consent.resource', { api: nameOf(api) })),
  ];
}
