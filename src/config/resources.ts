/**
 * Owns `resources` of tunnus.yaml: the city's APIs, what each may say of itself, and whether the e-services and they know each
 * other. What stands in a token for one is src/oidc/resources.ts's.
 */
import { z } from 'zod';
import type { ClientConfig, Fault, ResourceConfig, SigningAlgorithm } from '../config.ts';
import { resourceUri, scopeToken, SCOPES } from './client-keys.ts';
import { duration, everyLanguage, list, milliseconds, oneOf, text, textByLanguage } from './values.ts';

const KEYS = {
  audience: resourceUri,
  name: textByLanguage.optional(),
  scopes: list(
    scopeToken.refine((scope) => !SCOPES.includes(scope), 'a name that is not a scope of residents'),
    'a list of names without spaces',
  ).optional(),
  lifetime: duration('1m', '1d').optional(),
  format: oneOf('jwt', 'opaque').optional(),
  algorithm: oneOf('RS256', 'ES256').optional(),
  client: text('the client_id by which the API looks tokens up').optional(),
};
const EXPECTED = `a section with audience and any of ${Object.keys(KEYS).slice(1).join(', ')}`;

const resource = z
  .strictObject(KEYS, { error: EXPECTED })
  .refine(({ format, client }) => format !== 'opaque' || client !== undefined, {
    path: ['format'],
    error: 'jwt, or client beside it: nobody else could read the tokens',
  })
  .refine(({ format, algorithm }) => format !== 'opaque' || algorithm === undefined, {
    path: ['algorithm'],
    error: 'none for opaque tokens, which are not signed',
  })
  .transform((given) => ({
    ...given,
    name: given.name ?? everyLanguage({ fi: given.audience }),
    scopes: given.scopes ?? [],
    lifetime: given.lifetime ?? milliseconds('10m')!,
    format: given.format ?? 'jwt',
  }));

export const resources = z
  .array(resource, { error: 'a list of APIs' })
  .refine((apis) => new Set(apis.map(({ audience }) => audience)).size === apis.length, {
    error: 'a list of APIs, each audience once',
  });

interface Sides {
  file: string;
  resources: readonly ResourceConfig[];
  keys: { readonly algorithms: readonly SigningAlgorithm[] };
}

/** What the APIs say of the e-services and the keys, and the e-services of the APIs. */
export function resourceFaults({ file, resources: apis, keys }: Sides, clients: readonly ClientConfig[]): Fault[] {
  const faults: Fault[] = [];
  for (const { line, client, algorithm } of apis) {
    const known = clients.find(({ client_id: id }) => id === client);
    if (client !== undefined && (!known || known.token_endpoint_auth_method === 'none')) {
      const message = `client is "${client}", expected the client_id of a file in clients/, with a secret or key`;
      faults.push({ file, line, message });
    }
    if (algorithm && !keys.algorithms.includes(algorithm)) {
      const message = `algorithm is "${algorithm}", expected one of keys.algorithms (${keys.algorithms.join(', ')})`;
      faults.push({ file, line, message });
    }
  }
  for (const { file: at, lines = {}, resources: wanted, scope } of clients) {
    const theirs = apis.filter(({ audience }) => wanted.includes(audience));
    const offered = new Set([...SCOPES, ...theirs.flatMap(({ scopes }) => scopes)]);
    for (const audience of wanted.filter((name) => !theirs.some((api) => api.audience === name))) {
      const message = `resources has "${audience}", expected the audience of one of resources in tunnus.yaml`;
      faults.push({ file: at, line: lines['resources'] ?? 1, message });
    }
    for (const name of scope.split(' ').filter((asked) => asked && !offered.has(asked))) {
      const message = `scope has "${name}", expected a scope of one of its resources in tunnus.yaml`;
      faults.push({ file: at, line: lines['scope'] ?? 1, message });
    }
  }
  return faults;
}
