/**
 * Owns what is weaker than advised in the settings, with who advises it: `weak` ones, which `tunnus check` warns of too, and
 * notes on what would be stronger still or departs from a standard for the city's sake (`tunnus check --security`).
 */
import { readFileSync, statSync } from 'node:fs';
import type { Config } from '../config.ts';
import { hostsOf } from '../platform/database-hosts.ts';
import { DEFAULTS, settingsFile } from './settings.ts';
import { isLoopback, milliseconds } from './values.ts';
import type { Weakness } from './weaknesses.ts';

export interface Advice {
  weak: Weakness[];
  notes: Weakness[];
}

type Found = string | false | undefined;

export function securityAdvice(config: Config): Advice {
  const { password, links, session, signIn, clients } = config;
  const file = settingsFile(config.folder);
  const of = (where: string, found: readonly Found[]): Weakness[] =>
    found.filter((message) => typeof message === 'string').map((message) => ({ file: where, message }));
  const weak: Found[] = [
    config.issuer.startsWith('http:') && 'issuer is http: on this machine only; residents need an https: address',
    password.minLength < 15 &&
      `password.minLength is ${password.minLength}; NIST SP 800-63B-4 asks for 15 where a password is all`,
    cheap(password.argon2) &&
      'password.argon2 takes less work than the OWASP Password Storage Cheat Sheet asks for, like memory 19456 with 2 iterations',
    links.lifetime > milliseconds('24h')! && 'links.lifetime is over 24h; NIST SP 800-63B-4 ends a mailed link by then',
    session.absolute > milliseconds('30d')! &&
      'session.absolute is over 30d; NIST SP 800-63B-4 asks to sign in anew by then',
    databaseHosts(config).some((url) => unprotected(url, 'sslmode=verify-full')) &&
      'database.url leads over the network without sslmode=verify-full; who listens there reads and changes all',
    unprotected(config.mail.url) &&
      config.mail.url?.startsWith('smtp:') &&
      !config.mail.url.includes('requireTLS=true') &&
      'mail.url is smtp: over the network; links go readable where the server offers no TLS: use smtps:, or ?requireTLS=true',
    password.pepper.some((pepper) => config.secret.includes(pepper)) &&
      'password.pepper is also secret; who learns one then has both',
    ...raisedLimits(config),
  ];
  const notes: Found[] = [
    signIn.unknownAddress === 'tell' &&
      'signIn.unknownAddress is tell; anybody can find out whether an address has an account, as fast as the limits allow (OWASP ASVS 5.0, 6.3.8)',
    password.pepper.length === 0 &&
      'password.pepper is not given; with one, a stolen database alone is no start for guessing (NIST SP 800-63B-4, 3.1.1.2)',
    !password.breached.file &&
      !password.breached.url &&
      'password.breached has neither file nor url; only the most common passwords of breaches are refused (OWASP ASVS 5.0, 6.2.12)',
  ];
  return {
    weak: [
      ...of(file, weak),
      ...clients.flatMap((client) =>
        of(client.file, [
          !client.require_pkce && 'require_pkce is false; a stolen code can be spent by who stole it (RFC 9700, 2.1.1)',
        ]),
      ),
      ...sharedSecrets(config),
      ...readableSecrets(config),
    ],
    notes: [
      ...of(file, notes),
      ...clients.flatMap((client) =>
        of(client.file, [
          client.token_endpoint_auth_method.startsWith('client_secret_') &&
            'token_endpoint_auth_method is a shared secret; private_key_jwt keeps it with the e-service alone (RFC 9700, 2.5)',
        ]),
      ),
    ],
  };
}

/** What the cheat sheet takes to be equal: memory in KiB and iterations. */
const EQUAL: readonly (readonly [number, number])[] = [
  [47_104, 1],
  [19_456, 2],
  [12_288, 3],
  [9_216, 4],
  [7_168, 5],
];

const cheap = ({ memory, iterations }: Config['password']['argon2']): boolean =>
  !EQUAL.some(([least, passes]) => memory >= least && iterations >= passes);

const databaseHosts = ({ database: { url } }: Config): string[] => (url === undefined ? [] : hostsOf(url));

/** Over the network, and nothing in the URL says that it is kept from other eyes there. */
function unprotected(url: string | undefined, unless?: string): boolean {
  if (url === undefined || (unless !== undefined && url.includes(unless))) return false;
  const { hostname } = new URL(url);
  return hostname !== '' && !isLoopback(hostname);
}

function raisedLimits({ limits }: Config): string[] {
  return Object.entries(limits)
    .filter(([name, limit]) => limit > DEFAULTS.limits[name as keyof Config['limits']])
    .map(
      ([name, limit]) => `limits.${name} is ${limit}; ${DEFAULTS.limits[name as keyof Config['limits']]} is advised`,
    );
}

/** Whoever knows one e-service's secret is then the other as well. */
function sharedSecrets({ clients }: Pick<Config, 'clients'>): Weakness[] {
  const holders = new Map<string, string>();
  return clients.flatMap(({ client_id, client_secret = [], file }) => {
    const others = client_secret.map((secret) => holders.get(secret)).filter((other) => other !== undefined);
    for (const secret of client_secret) holders.set(secret, client_id);
    return others.map((other) => ({
      file,
      message: `client_secret is also that of ${other}; give each one of its own`,
    }));
  });
}

/** Files that hold a secret themselves (not by reference) and that everybody on the machine may read. */
function readableSecrets(config: Config): Weakness[] {
  const { folder, secret, database, mail, password, clients } = config;
  const passwordIn = (url?: string): boolean => url !== undefined && new URL(url).password !== '';
  const urls = [passwordIn(databaseHosts(config)[0]) && database.url, passwordIn(mail.url) && mail.url];
  const holders = [
    { file: settingsFile(folder), secrets: [...secret, ...urls, ...password.pepper] },
    ...clients.map(({ file, client_secret }) => ({ file, secrets: client_secret ?? [] })),
  ];
  return holders.flatMap(({ file, secrets }) => {
    if ((statSync(file).mode & 0o004) === 0) return [];
    const text = readFileSync(file, 'utf8');
    if (!secrets.some((value) => value && text.includes(value))) return [];
    return [
      {
        file,
        message: 'holds a secret that everybody on this machine may read; chmod 640 it, or use ${NAME} or ${file:…}',
      },
    ];
  });
}
