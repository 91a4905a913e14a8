/** What tunnus.yaml may say, and what is told where it is wrong. */
import { describe, expect, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config.ts';
import { securityAdvice } from '../../src/config/security.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { hostsOf } from '../../src/platform/database-hosts.ts';
import { configFolder, configOf, faultsOf, ISSUER, SECRET } from './config-folder.ts';

const MANUAL = fileURLToPath(new URL('../../config/', import.meta.url));
const HOUR = 3_600_000;
const SECRET_EXPECTED =
  'expected 32 or more printable ASCII characters in quotes, for example from `openssl rand -base64 48`';
const ISSUER_EXPECTED =
  'expected an https: address without path, query or slash at its end, like "https://tunnus.example.fi" (http: only on localhost)';

const wrong = (yaml: string, env = {}): string[] => faultsOf({ 'tunnus.yaml': ISSUER + yaml }, env);

describe('the manual, config/tunnus.yaml', () => {
  test('is a configuration that runs as it is', () => {
    const { config, faults } = readConfig(MANUAL, {});
    expect(faults).toEqual([]);
    expect(config?.issuer).toBe('http://localhost:3000');
  });

  test('shows every key with its default', () => {
    const shown = readConfig(MANUAL, {}).config!;
    const silent = configOf({ 'tunnus.yaml': 'issuer: http://localhost:3000' });
    expect({ ...shown, folder: silent.folder }).toEqual(silent);
    const manual = readFileSync(join(MANUAL, 'tunnus.yaml'), 'utf8');
    for (const [key, inner] of Object.entries(SETTINGS)) {
      expect(manual).toMatch(new RegExp(`^(# )?${key}:`, 'm'));
      const keys = 'safeParse' in inner ? [] : Object.keys(inner);
      for (const nested of keys) expect(manual).toMatch(new RegExp(`^ {2}(# )?${nested}:`, 'm'));
    }
  });
});

describe('a right configuration', () => {
  test('needs nothing but the issuer', () => {
    const config = configOf({ 'tunnus.yaml': ISSUER });
    const limits = { perMinute: 1200, perMinuteToDomain: 300, warmUp: 0 };
    expect(config.mail).toEqual({ from: 'no-reply@tunnus.example.fi', limits });
    expect(config.database).toMatchObject({ pool: 10 });
    expect(config.secret).toEqual([]);
    expect(config.clients).toEqual([]);
  });

  test('takes database, secret and mail server from the environment where the file is silent', () => {
    const env = { DATABASE_URL: 'postgres://db/tunnus', TUNNUS_SECRET: SECRET, SMTP_URL: 'smtp://mail:25' };
    const config = configOf({ 'tunnus.yaml': ISSUER }, env);
    expect(config.database.url).toBe(env.DATABASE_URL);
    expect(config.secret).toEqual([SECRET]);
    expect(config.mail.url).toBe(env.SMTP_URL);
  });

  test('names several database servers as libpq does, and only one that takes writing', () => {
    const of = (url: string) => configOf({ 'tunnus.yaml': ISSUER }, { DATABASE_URL: url, TUNNUS_SECRET: SECRET });
    const url = 'postgres://me:a,b@db1:5432,[::1]:5433,db3/tunnus?target_session_attrs=read-write';
    expect(of(url).database.url).toBe(url);
    expect(hostsOf(url)).toEqual(['db1:5432', '[::1]:5433', 'db3'].map((host) => url.replace(/@.*\//, `@${host}/`)));
    expect(hostsOf('postgres://db/tunnus')).toEqual(['postgres://db/tunnus']);
    expect(hostsOf('postgres:///tunnus?host=/run/postgresql')).toHaveLength(1);
    for (const bad of [`${url.slice(0, -10)}any`, 'postgres://db1,bad host/tunnus', 'mysql://db1,db2/tunnus', ''])
      expect(hostsOf(bad)).toEqual([]);
    expect(securityAdvice(of(url)).weak).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining('without sslmode=verify-full') as unknown }),
    );
  });

  test('prefers what the file says to the environment', () => {
    const config = configOf(
      { 'tunnus.yaml': `${ISSUER}mail: { url: "smtp://own:25" }` },
      { SMTP_URL: 'smtp://other:25' },
    );
    expect(config.mail.url).toBe('smtp://own:25');
  });

  test('reads ${NAME} and ${file:…} anywhere in a value, also where a number is expected', () => {
    const folder = configFolder({ 'secret.txt': `${SECRET}\n` });
    writeFileSync(
      join(folder, 'tunnus.yaml'),
      'issuer: https://${HOST}\nlisten: { port: "${PORT}" }\nsecret: ["${file:secret.txt}", "${file:' +
        join(folder, 'secret.txt') +
        '}2"]\n',
    );
    const { config } = readConfig(folder, { HOST: 'id.example.fi', PORT: '8080' });
    expect(config).toMatchObject({
      issuer: 'https://id.example.fi',
      listen: { port: 8080 },
      secret: [SECRET, `${SECRET}2`],
    });
  });

  test('never reads a reference that stands inside a value from outside', () => {
    const config = configOf(
      { 'tunnus.yaml': `${ISSUER}support: { hours: "\${HOURS}" }` },
      { HOURS: '${TUNNUS_SECRET}' },
    );
    expect(config.support.hours?.fi).toBe('${TUNNUS_SECRET}');
  });

  test('understands times in seconds, minutes, hours and days', () => {
    const config = configOf({
      'tunnus.yaml': `${ISSUER}links: { lifetime: 90m }\nsession: { idle: 600s, absolute: 2d }`,
    });
    expect(config.links.lifetime).toBe(1.5 * HOUR);
    expect(config.session).toEqual({ idle: HOUR / 6, absolute: 48 * HOUR });
  });

  test('fills a missing language with the first that is there', () => {
    const config = configOf({ 'tunnus.yaml': `${ISSUER}brand: { name: { sv: Staden, en: City } }` });
    expect(config.brand.name).toEqual({ fi: 'Staden', sv: 'Staden', en: 'City' });
  });

  test('takes a section whose keys are all commented out as absent', () => {
    expect(configOf({ 'tunnus.yaml': `${ISSUER}support:\n  # email: x@example.fi\n` }).support).toEqual({});
  });

  test('cannot be changed', () => {
    const config = configOf({ 'tunnus.yaml': ISSUER });
    expect(() => Object.assign(config.limits, { linksPerAddress: 99 })).toThrow(TypeError);
    expect(() => (config.languages as string[]).push('de')).toThrow(TypeError);
  });
});

describe('a fault is told with file, line, what is wrong and what is expected', () => {
  test.each([
    ['', 'tunnus.yaml:1: issuer is missing, expected the address of this service, like "https://tunnus.example.fi"'],
    ['issuer: http://tunnus.example.fi', `tunnus.yaml:1: issuer is "http://tunnus.example.fi", ${ISSUER_EXPECTED}`],
    ['issuer: https://example.fi/', `tunnus.yaml:1: issuer is "https://example.fi/", ${ISSUER_EXPECTED}`],
    ['issuer: https://example.fi?a=1', `tunnus.yaml:1: issuer is "https://example.fi?a=1", ${ISSUER_EXPECTED}`],
    ['issuer: https://example.fi#a', `tunnus.yaml:1: issuer is "https://example.fi#a", ${ISSUER_EXPECTED}`],
    ['issuer: https://example.fi/tunnus', `tunnus.yaml:1: issuer is "https://example.fi/tunnus", ${ISSUER_EXPECTED}`],
    ['issuer: https://me:pw@example.fi', `tunnus.yaml:1: issuer is "https://…@example.fi", ${ISSUER_EXPECTED}`],
    ['issuer: tunnus.example.fi', `tunnus.yaml:1: issuer is "tunnus.example.fi", ${ISSUER_EXPECTED}`],
    ['issuer:', `tunnus.yaml:1: issuer is empty, ${ISSUER_EXPECTED}`],
    ['issuer: https://EXAMPLE.fi:443', `tunnus.yaml:1: issuer is "https://EXAMPLE.fi:443", ${ISSUER_EXPECTED}`],
  ])('%j', (yaml, fault) => {
    expect(faultsOf({ 'tunnus.yaml': yaml })).toEqual([fault]);
  });

  test.each([
    ['brnad: {}', 'brnad is not known, did you mean brand?'],
    ['listen: { hosst: x }', 'listen.hosst is not known, did you mean host?'],
    ['password: { minlength: 15 }', 'password.minlength is not known, did you mean minLength?'],
    ['zebra: 1', /^tunnus.yaml:2: zebra is not known, expected one of issuer, listen, database, /],
    ['listen: { port: 99999 }', 'listen.port is 99999, expected a whole number from 0 to 65535'],
    ['listen: { port: "many" }', 'listen.port is "many", expected a whole number from 0 to 65535'],
    ['listen: { port: 9464 }', 'listen.metricsPort is 9464 like listen.port, expected another port'],
    ['listen: { proxies: 1.5 }', 'listen.proxies is 1.5, expected a whole number from 0 to 10'],
    ['listen: 3000', 'listen is no section, expected a section with host, port, proxies, metricsPort'],
    ['secret: too-short', `secret is 9 characters long, ${SECRET_EXPECTED}`],
    ['secret: 12345678901234567890123456789012', `secret is no text, ${SECRET_EXPECTED}`],
    ['secret: []', 'secret is a list, expected a secret or a list of them'],
    [`secret: [${SECRET}, ${SECRET}]`, 'secret is a list, expected a secret or a list of them, each once'],
    ['mail: { url: "imap://a" }', 'mail.url is another text, expected a URL that begins with smtp:// or smtps://'],
    [
      'mail: { from: nobody }',
      'mail.from is "nobody", expected an address, or a name and an address like "City of Example <no-reply@example.fi>"',
    ],
    ['brand: { color: red }', 'brand.color is "red", expected a colour in quotes like "#0000bf"'],
    [
      'brand: { name: { de: Stadt } }',
      'brand.name is a section, expected a text, or a section with a text for some of fi, sv, en',
    ],
    ['support: { email: nobody }', 'support.email is "nobody", expected an e-mail address'],
    ['support: { phone: 09123456 }', 'support.phone is 9123456, expected a telephone number like "+358 9 123 4567"'],
    ['languages: [fi, de]', 'languages[1] is "de", expected fi, sv or en'],
    ['languages: [fi, fi]', 'languages is a list, expected a list of some of fi, sv, en, each once'],
    ['languages: fi', 'languages is "fi", expected a list of some of fi, sv, en'],
    ['signIn: { unknownAddress: hide }', 'signIn.unknownAddress is "hide", expected tell or conceal'],
    ['signIn: { registration: perhaps }', 'signIn.registration is "perhaps", expected closed or open'],
    ['signIn: { requireAcr: gold }', 'signIn.requireAcr is "gold", expected urn:tunnus:password or urn:tunnus:mfa'],
    ['password: { minLength: 7 }', 'password.minLength is 7, expected a whole number from 8 to 64'],
    ['links: { lifetime: 24 }', 'links.lifetime is 24, expected a time from 10m to 7d, written like 30m, 24h or 14d'],
    [
      'links: { lifetime: 1 day }',
      'links.lifetime is "1 day", expected a time from 10m to 7d, written like 30m, 24h or 14d',
    ],
    ['session: { idle: 20d }', 'session.idle is longer than session.absolute, expected at most the same'],
    ['keys: { algorithms: [HS256] }', 'keys.algorithms[0] is "HS256", expected RS256 or ES256'],
    ['limits: { passwordPerAddress: 41 }', 'limits.passwordPerAddress is 41, expected a whole number from 10 to 40'],
    ['limits: { linksPerAddress: 1 }', 'limits.linksPerAddress is 1, expected a whole number from 2 to 5'],
    ['support: { email: "${MAIL" }', 'the reference ${ has no }, expected ${NAME} or ${file:/path}'],
    ['support: { email: "${MAIL}" }', 'the environment variable MAIL is not set or empty, expected the value in it'],
    ['support: { email: "${no name}" }', '${no name} is no reference, expected ${NAME} or ${file:/path}'],
    ['secret: ${file:/nowhere/x}', 'the file /nowhere/x does not exist, expected the value in it'],
    ['secret: ${file:/}', 'the file / is a folder, expected the value in it'],
    ['issuer: https://other.example.fi', 'this key stands here twice, expected once'],
    ['\tlisten: x', 'the line is indented with a tab, expected spaces'],
    ['{ secret: x }: y', 'a section or a list stands where a key must, expected a plain name'],
    ['languages: !some [fi]', 'the tag (!…) is not known, expected a plain value'],
  ])('%j', (yaml, message) => {
    const faults = wrong(yaml);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toEqual(message instanceof RegExp ? expect.stringMatching(message) : `tunnus.yaml:2: ${message}`);
  });

  test('a logo that is not there', () => {
    const [fault] = wrong('brand: { logo: logo.svg }');
    expect(fault).toBe('tunnus.yaml:2: brand.logo leads to logo.svg, which does not exist, expected an image file');
  });

  test('a database without a secret', () => {
    expect(wrong('database: { url: "postgres://db/tunnus" }')).toEqual([
      'tunnus.yaml:1: a database is given but no secret, expected 32 or more characters in TUNNUS_SECRET or under secret (only the embedded database makes its own)',
    ]);
  });

  test('a variable that the file does not name but Tunnus reads', () => {
    expect(wrong('', { SMTP_URL: 'mail.example.fi' })).toEqual([
      'tunnus.yaml:1: SMTP_URL is set, but not to a URL that begins with smtp:// or smtps://',
    ]);
  });

  test('a folder without tunnus.yaml', () => {
    expect(faultsOf({})).toEqual(['tunnus.yaml:1: the file does not exist, expected a readable file']);
  });

  test('all faults at once, in the order of their lines', () => {
    const faults = faultsOf({
      'tunnus.yaml': 'isuer: x\nlisten:\n  port: x\nlinks:\n  lifetime: x\n',
      'clients/a.yaml': 'client_id: a\nscope: x\n',
      'clients/b.yaml': 'client_id: "b b"\n',
    });
    expect(faults.map((fault) => fault.split(' is ')[0])).toEqual([
      'tunnus.yaml:1: isuer',
      'tunnus.yaml:1: issuer',
      'tunnus.yaml:3: listen.port',
      'tunnus.yaml:5: links.lifetime',
      'clients/a.yaml:1: client_name',
      'clients/a.yaml:1: redirect_uris',
      'clients/a.yaml:2: scope',
      'clients/b.yaml:1: client_id',
      'clients/b.yaml:1: client_name',
      'clients/b.yaml:1: redirect_uris',
    ]);
  });
});

test.each([
  ['secret: hush-hush'],
  ['secret: ["hush-hush", { a: hush-hush }]'],
  ['secret: { a: hush-hush }'],
  ['secret:\n  hush-hush: "hush-hush" x'],
  ['database: postgres://me:hush-hush@db/tunnus'],
  ['database: { url: "mysql://me:hush-hush@db" }'],
  ['mail: { url: "smtps//me:hush-hush@mail" }'],
  ['secret: "hush-hush'],
  ['secret: hush-hush: hush-hush'],
  ['secret: *hush-hush'],
  ['{ secret: hush-hush }: x'],
  ['languages: ["${SECRET}"]'],
  ['languages: ${SECRET}'],
  ['mail: { from: "x${SECRET}" }'],
  ['listen: ${SECRET}'],
])('a secret never gets into a message: %j', (yaml) => {
  const faults = wrong(yaml, { SECRET: 'hush-hush' });
  expect(faults).not.toEqual([]);
  expect(faults.join('\n')).not.toContain('hush-hush');
});
