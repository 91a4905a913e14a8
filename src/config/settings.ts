/**
 * Owns the keys of tunnus.yaml: what each may hold, its default, and what must fit together.
 * Their meaning stands in config/tunnus.yaml, which a test compares with this file.
 */
import { createPrivateKey } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import type { ClientConfig, DkimConfig, Fault, Settings } from '../config.ts';
import { hostsOf } from '../platform/database-hosts.ts';
import { LANGUAGES } from '../platform/i18n.ts';
import { resourceFaults, resources } from './resources.ts';
import { check, inOrder, type Checked } from './shape.ts';
import { readSource } from './source.ts';
import {
  ACR,
  duration,
  emailAddress,
  everyLanguage,
  isWebUri,
  list,
  mailbox,
  milliseconds,
  oneOf,
  parseUri,
  secrets,
  SECRET_LENGTH,
  text,
  textByLanguage,
  value,
  webUri,
  whole,
} from './values.ts';

const LONGEST_URL = 2048;
const DAY = milliseconds('1d')!;

function urlWith(...schemes: readonly string[]): z.ZodType<string> {
  const expected = `a URL that begins with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`;
  return text(expected, (given) => {
    return given.length <= LONGEST_URL && URL.canParse(given) && schemes.includes(new URL(given).protocol);
  }).meta({ hidden: 'url' });
}

const TIME_ZONES = new Set(['UTC', ...Intl.supportedValuesOf('timeZone')]);

function daysBetween(given: unknown, { least, most }: { least: number; most: number }): number | undefined {
  const time = typeof given === 'string' && given.endsWith('d') ? milliseconds(given) : undefined;
  return time !== undefined && time >= least * DAY && time <= most * DAY ? time : undefined;
}

const port = whole(0, 65_535);
const hostName = text('a name as in DNS, like tunnus.example.fi', (given) =>
  /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i.test(given),
);
/** RFC 6376, 3.3.3: verifiers need not take less than 1024 bits; what nodemailer signs with is RSA. */
const dkimKey = text('an RSA private key of 1024 bits or more in PEM', (given) => {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(given);
    return asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) >= 1024;
  } catch {
    return false;
  }
}).meta({ hidden: 'secret' });
const databaseUrl = text(
  'a URL like postgres://user:password@host:5432/name (more hosts by commas; target_session_attrs only read-write or primary)',
  (given) => given.length <= LONGEST_URL && hostsOf(given).length > 0,
).meta({ hidden: 'url' });
const mailUrl = urlWith('smtp:', 'smtps:');
const webUrl = urlWith('http:', 'https:');

/** In the order of config/tunnus.yaml. */
export const SETTINGS = {
  issuer: text(
    'an https: address without path, query or slash at its end, like "https://tunnus.example.fi" (http: only on localhost)',
    (given) => {
      const url = parseUri(given);
      // E-services compare it character by character, so it is not mended here.
      return url !== undefined && isWebUri(url) && url.origin === given;
    },
  ),
  listen: {
    host: text('a host name or an IP address', (given) => /^[A-Za-z0-9.:-]+$/.test(given)),
    port,
    proxies: whole(0, 10),
    metricsPort: port,
  },
  database: { url: databaseUrl, direct: databaseUrl, pool: whole(2, 100), folder: text('a folder') },
  secret: secrets,
  mail: {
    url: mailUrl,
    from: mailbox,
    dkim: { domain: hostName, selector: hostName, key: dkimKey },
    limits: {
      perMinute: whole(3, 100_000),
      perMinuteToDomain: whole(3, 100_000),
      warmUp: value('off, or a time from 1d to 60d', (given) =>
        given === 'off' ? 0 : daysBetween(given, { least: 1, most: 60 }),
      ),
    },
  },
  brand: {
    name: textByLanguage,
    logo: text('an image file (.svg, .png, .webp or .jpg)', (given) => /\.(svg|png|webp|jpe?g)$/i.test(given)),
    color: value('a colour in quotes like "#0000bf"', (given) => {
      return typeof given === 'string' && /^#[0-9a-f]{6}$/i.test(given) ? given.toLowerCase() : undefined;
    }),
  },
  support: {
    email: emailAddress,
    phone: text('a telephone number like "+358 9 123 4567"', (given) => /^\+?[0-9 ()/-]{3,30}$/.test(given)),
    hours: textByLanguage,
  },
  languages: list(oneOf(...LANGUAGES), `a list of some of ${LANGUAGES.join(', ')}`),
  // By name only: of an offset like +02:00 programs differ in which side of Greenwich it is.
  timeZone: text('the name of a time zone like Europe/Helsinki', (given) => TIME_ZONES.has(given)),
  signIn: {
    unknownAddress: oneOf('tell', 'conceal'),
    registration: oneOf('closed', 'open'),
    requireAcr: oneOf(...Object.values(ACR)),
  },
  // NIST SP 800-63B-4, 3.1.1.2: 15 for a password as the only factor, 8 at the very least.
  password: {
    minLength: whole(8, 64),
    // No more than passwords.ts would take from a stranger's list.
    argon2: { memory: whole(7_168, 131_072), iterations: whole(1, 8), parallelism: whole(1, 4) },
    pepper: secrets,
    breached: { file: text('a file'), url: webUri },
  },
  links: { lifetime: duration('10m', '7d') },
  session: { idle: duration('5m', '30d'), absolute: duration('5m', '90d') },
  retention: {
    dormant: value('off, or a time from 180d to 3650d', (given) =>
      given === 'off' ? given : daysBetween(given, { least: 180, most: 3650 }),
    ),
    audit: duration('90d', '3650d'),
  },
  keys: {
    algorithms: list(oneOf('RS256', 'ES256'), 'a list of RS256, ES256 or both'),
    rotation: duration('1d', '730d'),
  },
  resources,
  telemetry: { otlp: webUrl },
  limits: {
    passwordPerAddress: whole(10, 40),
    passwordPerPlace: whole(3, 15),
    passwordsForAll: whole(1000, 1_000_000),
    addressesPerPlace: whole(10, 100),
    linksPerAddress: whole(2, 5),
    linksPerPlace: whole(20, 5000),
    linkGuessesPerPlace: whole(10, 500),
    clientPerPlace: whole(5, 500),
    clientsPerPlace: whole(10, 5000),
    requestsPerAddress: whole(2, 10),
    requestsPerPlace: whole(2, 50),
  },
} as const;

type Defaulted =
  'listen' | 'languages' | 'timeZone' | 'signIn' | 'password' | 'links' | 'session' | 'retention' | 'keys' | 'limits';

export const DEFAULTS: Pick<Settings, Defaulted> = {
  listen: { host: '127.0.0.1', port: 3000, proxies: 0, metricsPort: 9464 },
  languages: LANGUAGES,
  timeZone: 'Europe/Helsinki',
  signIn: { unknownAddress: 'tell', registration: 'closed', requireAcr: ACR.password },
  // OWASP Password Storage Cheat Sheet: argon2id, 19 MiB, two passes, one lane.
  password: { minLength: 15, argon2: { memory: 19_456, iterations: 2, parallelism: 1 }, pepper: [], breached: {} },
  links: { lifetime: milliseconds('24h')! },
  session: { idle: milliseconds('12h')!, absolute: milliseconds('14d')! },
  retention: { dormant: 'off', audit: milliseconds('400d')! },
  keys: { algorithms: ['RS256', 'ES256'], rotation: milliseconds('90d')! },
  limits: {
    passwordPerAddress: 30,
    passwordPerPlace: 15,
    passwordsForAll: 20_000,
    addressesPerPlace: 80,
    linksPerAddress: 5,
    linksPerPlace: 300,
    linkGuessesPerPlace: 50,
    clientPerPlace: 60,
    clientsPerPlace: 240,
    requestsPerAddress: 3,
    requestsPerPlace: 10,
  },
};
const DATABASE = { folder: '.data/', pool: 10 };
const MAIL_LIMITS = { perMinute: 1200, perMinuteToDomain: 300, warmUp: 0 };
const BRAND_NAME = everyLanguage({ fi: 'Tunnus' });

/** Settings that come from the environment where the file is silent. */
const FROM_ENVIRONMENT = [
  { path: ['database', 'url'], variable: 'DATABASE_URL', schema: databaseUrl },
  { path: ['secret'], variable: 'TUNNUS_SECRET', schema: secrets },
  { path: ['mail', 'url'], variable: 'SMTP_URL', schema: mailUrl },
  { path: ['telemetry', 'otlp'], variable: 'OTEL_EXPORTER_OTLP_ENDPOINT', schema: webUrl },
] as const;

export function readSettings(folder: string, env: NodeJS.ProcessEnv): { settings?: Settings; faults: Fault[] } {
  const source = readSource(settingsFile(folder), folder, env);
  const checked = check(source, SETTINGS);
  const { values, faults, given } = checked;
  for (const { path, variable, schema } of FROM_ENVIRONMENT) {
    if (given(...path) || !env[variable]) continue;
    const result = schema.safeParse(env[variable]);
    if (result.success)
      Object.assign(path.length > 1 ? values[path[0] as 'mail'] : values, { [path.at(-1)!]: result.data });
    else
      for (const issue of result.error.issues) checked.fault(path, `${variable} is set, but not to ${issue.message}`);
  }
  const logo = values.brand.logo && resolve(folder, values.brand.logo);
  together(checked, { folder, logo, env });

  const { issuer } = values;
  if (issuer === undefined || faults.length) return { faults: inOrder(faults) };
  const { database, brand, mail } = values;
  const { breached } = values.password;
  const from = mail.from ?? `no-reply@${mailDomain(issuer)}`;
  const settings: Settings = {
    folder,
    issuer,
    listen: filled(values.listen, DEFAULTS.listen),
    database: {
      url: database.url,
      direct: database.direct,
      pool: database.pool ?? DATABASE.pool,
      folder: resolve(database.folder ?? DATABASE.folder),
    },
    secret: values.secret ?? [],
    mail: {
      url: mail.url,
      from,
      dkim: dkimOf(mail.dkim, from),
      limits: filled(mail.limits, MAIL_LIMITS),
    },
    brand: { name: brand.name ?? BRAND_NAME, logo, color: brand.color },
    support: values.support,
    languages: values.languages ?? DEFAULTS.languages,
    timeZone: values.timeZone ?? DEFAULTS.timeZone,
    signIn: filled(values.signIn, DEFAULTS.signIn),
    password: {
      ...filled({ ...values.password, argon2: undefined, breached: undefined }, DEFAULTS.password),
      argon2: filled(values.password.argon2, DEFAULTS.password.argon2),
      breached: { file: breached.file && resolve(folder, breached.file), url: breached.url },
    },
    links: filled(values.links, DEFAULTS.links),
    session: filled(values.session, DEFAULTS.session),
    retention: filled(values.retention, DEFAULTS.retention),
    keys: filled(values.keys, DEFAULTS.keys),
    resources: (values.resources ?? []).map((api, index) => ({ ...api, line: source.lineOf(['resources', index]) })),
    telemetry: values.telemetry,
    limits: filled(values.limits, DEFAULTS.limits),
  };
  return { settings, faults };
}

export const settingsFile = (folder: string): string => join(folder, 'tunnus.yaml');

/** Faults that no key has by itself. */
function together(
  checked: Checked<typeof SETTINGS>,
  { folder, logo, env }: { folder: string; logo?: string; env: NodeJS.ProcessEnv },
): void {
  const { values, fault, given } = checked;
  if (!given('issuer'))
    fault([], 'issuer is missing, expected the address of this service, like "https://tunnus.example.fi"');
  const { port, metricsPort } = filled(values.listen, DEFAULTS.listen);
  if (port === metricsPort && port !== 0) {
    fault(['listen', 'metricsPort'], `listen.metricsPort is ${metricsPort} like listen.port, expected another port`);
  }
  const { idle, absolute } = filled(values.session, DEFAULTS.session);
  if (idle > absolute) {
    fault(['session', 'idle'], 'session.idle is longer than session.absolute, expected at most the same');
  }
  if (values.database.url !== undefined && !given('secret') && !env['TUNNUS_SECRET']) {
    const expected = `${SECRET_LENGTH} or more characters in TUNNUS_SECRET or under secret (only the embedded database makes its own)`;
    fault([], `a database is given but no secret, expected ${expected}`);
  }
  if (given('database', 'direct') && !given('database', 'url') && !env['DATABASE_URL'])
    fault(['database', 'direct'], 'database.direct is given without database.url, expected both');
  const { selector, key } = values.mail.dkim;
  if ((selector === undefined) !== (key === undefined))
    fault(['mail', 'dkim'], 'mail.dkim has only one of selector and key, expected both');
  const list = values.password.breached.file;
  if (list && !existsSync(resolve(folder, list)))
    fault(
      ['password', 'breached', 'file'],
      `password.breached.file leads to ${list}, which does not exist, expected a file`,
    );
  if (logo && !existsSync(logo))
    fault(['brand', 'logo'], `brand.logo leads to ${logo}, which does not exist, expected an image file`);
}

const SIGNED_FOR_CLIENTS = [
  'id_token_signed_response_alg',
  'userinfo_signed_response_alg',
  'introspection_signed_response_alg',
] as const;

/** What the settings and the e-services say of each other. */
export function faultsBetween(
  settings: Pick<Settings, 'folder' | 'keys' | 'resources'>,
  clients: readonly ClientConfig[],
): Fault[] {
  const file = settingsFile(settings.folder);
  return [...algorithmFaults(settings, clients), ...resourceFaults({ ...settings, file }, clients)];
}

/** An e-service can only be promised an algorithm that there are keys for. */
function algorithmFaults({ keys }: Pick<Settings, 'keys'>, clients: readonly ClientConfig[]): Fault[] {
  return clients.flatMap((client) =>
    SIGNED_FOR_CLIENTS.flatMap((key): Fault[] => {
      const wanted = client[key];
      if (!wanted || keys.algorithms.includes(wanted)) return [];
      // Of profile fapi2 the key itself may not be written.
      const line = client.lines?.[key] ?? client.lines?.['profile'] ?? 1;
      const expected = `one of keys.algorithms (${keys.algorithms.join(', ')})`;
      return [{ file: client.file, line, message: `${key} is "${wanted}", expected ${expected}` }];
    }),
  );
}

/** A default for every value that is not there. */
function filled<D extends object>(given: { [K in keyof D]?: D[K] | undefined }, defaults: D): D {
  const entries = Object.entries(defaults as Record<string, unknown>).map(([key, standard]) => {
    return [key, given[key as keyof D] ?? standard];
  });
  return Object.fromEntries(entries) as D;
}

function dkimOf(
  { domain, selector, key }: { [K in keyof DkimConfig]?: string | undefined },
  from: string,
): DkimConfig | undefined {
  return selector && key ? { domain: domain ?? domainOf(from), selector, key } : undefined;
}

/** The domain of an address, or of a name and an address. */
export const domainOf = (from: string): string => /@([^@>]+)>?$/.exec(from)![1]!.toLowerCase();

function mailDomain(issuer: string): string {
  const { hostname } = new URL(issuer);
  // An IP address is no domain.
  return /^\[|^[\d.]+$/.test(hostname) ? 'localhost' : hostname;
}
