/** The city's APIs in tunnus.yaml, and that they and the e-services know each other. */
import { describe, expect, test } from '@jest/globals';
import { clientFile, configOf, faultsOf, ISSUER } from './config-folder.ts';

const WHOLE = `resources:
  - audience: https://api.example.fi/parking
    name: { fi: Pysäköinti, sv: Parkering }
    scopes: [parking:read, parking:write]
    lifetime: 5m
    algorithm: ES256
    client: library
  - audience: urn:city:loans
    format: opaque
    client: library
`;
const SECTION = 'a section with audience and any of name, scopes, lifetime, format, algorithm, client';

const wrong = (resources: string, client = ''): string[] =>
  faultsOf({ 'tunnus.yaml': ISSUER + resources, 'clients/a.yaml': clientFile(client) });

test('an API has its defaults', () => {
  const { resources } = configOf({ 'tunnus.yaml': ISSUER + WHOLE, 'clients/a.yaml': clientFile() });
  expect(resources).toEqual([
    {
      line: 3,
      audience: 'https://api.example.fi/parking',
      name: { fi: 'Pysäköinti', sv: 'Parkering', en: 'Pysäköinti' },
      scopes: ['parking:read', 'parking:write'],
      lifetime: 300_000,
      format: 'jwt',
      algorithm: 'ES256',
      client: 'library',
    },
    {
      line: 9,
      audience: 'urn:city:loans',
      name: { fi: 'urn:city:loans', sv: 'urn:city:loans', en: 'urn:city:loans' },
      scopes: [],
      lifetime: 600_000,
      format: 'opaque',
      client: 'library',
    },
  ]);
});

describe('what is wrong is told with its line', () => {
  const api = (more: string): string => `resources:\n  - audience: urn:a\n    ${more}\n`;
  test.each([
    ['resources: urn:a', 'tunnus.yaml:2: resources is "urn:a", expected a list of APIs'],
    ['resources: [urn:a]', `tunnus.yaml:2: resources[0] is "urn:a", expected ${SECTION}`],
    [
      'resources:\n  - audience: http://api.example.fi\n',
      'tunnus.yaml:3: resources[0].audience is "http://api.example.fi", expected a whole https: address (http: only on localhost) without #fragment, or a urn:',
    ],
    [api('ttl: 10m'), `tunnus.yaml:3: resources[0] is a section, expected ${SECTION}`],
    [
      api('scopes: [a, email]'),
      'tunnus.yaml:4: resources[0].scopes[1] is "email", expected a name that is not a scope of residents',
    ],
    [
      api('lifetime: 8d'),
      'tunnus.yaml:4: resources[0].lifetime is "8d", expected a time from 1m to 1d, written like 30m, 24h or 14d',
    ],
    [
      api('format: opaque'),
      'tunnus.yaml:4: resources[0].format is "opaque", expected jwt, or client beside it: nobody else could read the tokens',
    ],
    [
      api('client: nobody'),
      'tunnus.yaml:3: client is "nobody", expected the client_id of a file in clients/, with a secret or key',
    ],
    [
      `keys: { algorithms: [RS256] }\n${api('algorithm: ES256')}`,
      'tunnus.yaml:4: algorithm is "ES256", expected one of keys.algorithms (RS256)',
    ],
    [
      'resources:\n  - audience: urn:a\n  - audience: urn:a\n',
      'tunnus.yaml:2: resources is a list, expected a list of APIs, each audience once',
    ],
  ])('%s', (yaml, fault) => {
    expect(wrong(yaml)).toEqual([fault]);
  });

  test('an e-service that asks for an API or a scope that there is not', () => {
    const scope = 'scope: openid parking:read loans:read\n';
    expect(wrong(WHOLE, `resources: ["https://api.example.fi/parking", urn:other]\n${scope}`)).toEqual([
      'clients/a.yaml:5: resources has "urn:other", expected the audience of one of resources in tunnus.yaml',
      'clients/a.yaml:6: scope has "loans:read", expected a scope of one of its resources in tunnus.yaml',
    ]);
  });
});
