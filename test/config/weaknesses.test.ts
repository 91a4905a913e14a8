/** What is allowed, and yet warned of. */
import { describe, expect, test } from '@jest/globals';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { clientSources, readConfig, securityAdvice, weaknesses } from '../../src/config.ts';
import { clientFile, configFolder, configOf, SECRET, type Files } from './config-folder.ts';

const SOUND = `issuer: https://tunnus.example.fi
listen: { proxies: 1 }
mail: { url: "smtps://mail.example.fi" }
support: { email: tuki@example.fi }
`;
const CLIENT = clientFile('initiate_login_uri: https://kirjasto.example.fi/sign-in\n').replace(SECRET, '${LIBRARY}');
const ENV = { LIBRARY: SECRET };

const warnings = (files: Files): string[] =>
  weaknesses(configOf({ 'tunnus.yaml': SOUND, 'clients/a.yaml': CLIENT, ...files }, ENV)).map(({ message }) => message);

test('a sound configuration has none, nor has a machine', () => {
  expect(warnings({})).toEqual([]);
  const machine = `client_id: m\nclient_name: M\nclient_secret: ${SECRET}-2\ngrant_types: [client_credentials]\n`;
  const settings = `${SOUND}resources: [{ audience: "urn:api", format: opaque, client: m }]\n`;
  const files = { 'tunnus.yaml': settings, 'clients/m.yaml': machine };
  expect(warnings(files).filter((message) => !message.startsWith('holds a secret'))).toEqual([]);
});

test('one secret for two e-services is warned of', () => {
  expect(warnings({ 'clients/b.yaml': CLIENT.replace('client_id: library', 'client_id: archive') })).toEqual([
    'client_secret is also that of library; give each one of its own',
  ]);
});

describe('is warned of:', () => {
  test.each([
    ['a short password', `${SOUND}password: { minLength: 8 }`, /^password\.minLength is 8; NIST/],
    [
      'a hash that is too cheap',
      `${SOUND}password: { argon2: { memory: 12288, iterations: 2 } }`,
      /^password\.argon2 takes less/,
    ],
    ['a session of months', `${SOUND}session: { absolute: 60d }`, /^session\.absolute is over 30d/],
    ['mails over the open network', SOUND.replace('smtps://', 'smtp://'), /^mail\.url is smtp:/],
    [
      'a higher limit',
      `${SOUND}limits: { passwordPerAddress: 40 }`,
      /^limits\.passwordPerAddress is 40; 30 is advised/,
    ],
    ['a long-lived link', `${SOUND}links: { lifetime: 2d }`, /^links\.lifetime is over 24h/],
    [
      'an issuer on this machine',
      SOUND.replace('https://tunnus.example.fi', 'http://localhost:3000'),
      /^issuer is http:/,
    ],
    ['no mail server', SOUND.replace(/mail:.*/, ''), /^mail\.url is not given/],
    ['no support contact', SOUND.replace(/support:.*/, ''), /^support has neither/],
    ['a proxy that is not trusted', SOUND.replace('proxies: 1', 'proxies: 0'), /^listen\.proxies is 0/],
    ['one language', `${SOUND}languages: [en]`, /^languages has only en/],
    ['no RS256', `${SOUND}keys: { algorithms: [ES256] }`, /^keys\.algorithms lacks RS256/],
    [
      'a colour on which white text cannot be read',
      `${SOUND}brand: { color: "#ffcc00" }`,
      /^brand\.color #ffcc00 is too light/,
    ],
  ])('%s', (_what, settings, message) => {
    expect(warnings({ 'tunnus.yaml': settings })).toEqual([expect.stringMatching(message)]);
  });

  test.each([
    ['no PKCE', `${CLIENT}require_pkce: false`, /^require_pkce is false/],
    ['consent that nobody can be sure about', `${CLIENT}consent: ask`, /^consent is ask without policy_uri/],
    [
      'no way back to the e-service',
      CLIENT.replace(/initiate_login_uri:.*/, ''),
      /^neither initiate_login_uri nor client_uri/,
    ],
    [
      'an unsure sector',
      `${CLIENT.replace('/in]', '/in, https://b.example.fi/in]')}subject_type: pairwise`,
      /^pairwise with several hosts/,
    ],
    [
      'a machine that can get no token',
      `${CLIENT}grant_types: [authorization_code, client_credentials]`,
      /^grant_types has client_credentials without resources/,
    ],
    [
      'a secret still being changed',
      CLIENT.replace('${LIBRARY}', `["\${LIBRARY}", "\${LIBRARY}2"]`),
      /^client_secret has two values/,
    ],
    [
      'a secret that everybody may read',
      CLIENT.replace('${LIBRARY}', SECRET),
      /^holds a secret that everybody on this machine may read/,
    ],
  ])('%s', (_what, client, message) => {
    expect(warnings({ 'clients/a.yaml': client })).toEqual([expect.stringMatching(message)]);
  });

  test('no e-service', () => {
    expect(weaknesses(configOf({ 'tunnus.yaml': SOUND })).map(({ message }) => message)).toEqual([
      'there is no client in clients/; no e-service can send residents here',
    ]);
  });
});

test('a secret in a file that only its owner may read is no weakness', () => {
  const folder = configFolder({ 'tunnus.yaml': SOUND, 'clients/a.yaml': CLIENT.replace('${LIBRARY}', SECRET) });
  chmodSync(join(folder, 'clients/a.yaml'), 0o640);
  expect(weaknesses(readConfig(folder, {}).config!)).toEqual([]);
});

test('the user lists that e-services lean on are told', () => {
  const config = configOf({ 'tunnus.yaml': SOUND, 'clients/a.yaml': `${CLIENT}legacy_source: old-library` }, ENV);
  expect(clientSources(config)).toEqual([
    { source: 'old-library', clientId: 'library', file: expect.stringMatching(/clients\/a\.yaml$/) },
  ]);
});

test('what would be stronger still, or departs from a standard for the city, is noted and warned of nowhere', () => {
  const advice = (settings: string) => {
    const { weak, notes } = securityAdvice(
      configOf({ 'tunnus.yaml': SOUND + settings, 'clients/a.yaml': CLIENT }, ENV),
    );
    return { weak, notes: notes.map(({ message }) => message.split(' ')[0]) };
  };
  const usual = ['signIn.unknownAddress', 'password.pepper', 'password.breached', 'token_endpoint_auth_method'];
  expect(advice('')).toEqual({ weak: [], notes: usual });
  const strong = `signIn: { unknownAddress: conceal }
password: { pepper: "\${PEPPER}", breached: { url: "https://breached.example/range/" }, argon2: { memory: 47104, iterations: 1 } }
`;
  const { weak, notes } = securityAdvice(
    configOf({ 'tunnus.yaml': SOUND + strong, 'clients/a.yaml': CLIENT }, { ...ENV, PEPPER: `${SECRET} pepper` }),
  );
  expect([weak, notes.map(({ file }) => file.split('/').at(-1))]).toEqual([[], ['a.yaml']]);
});

test('a pepper that is also the secret is warned of, and a list of breaches that is not there is a fault', () => {
  const same = `${SOUND}secret: ${SECRET}\npassword: { pepper: ${SECRET} }\n`;
  expect(warnings({ 'tunnus.yaml': same })).toContain('password.pepper is also secret; who learns one then has both');
  const folder = configFolder({ 'tunnus.yaml': `${SOUND}password: { breached: { file: gone.txt } }` });
  expect(readConfig(folder, {}).faults).toMatchObject([
    { message: expect.stringContaining('gone.txt, which does not exist') },
  ]);
});
