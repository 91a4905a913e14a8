/**
 * A whole Tunnus for one test file: its own database, a real SMTP server, an e-service that a certified client library
 * speaks for, and a clock that tests set. Started through the same composition root as in earnest; but what the queue does by
 * the minute (sweeping, retiring, sealing) is done when a test asks for it, not whenever the machine's minute is full.
 */
import { rm } from 'node:fs/promises';
import * as client from 'openid-client';
import { startTunnus, type RunningTunnus } from '../../src/app.ts';
import { readConfig, type Config } from '../../src/config.ts';
import { freePort } from '../../src/demo/ports.ts';
import { sql, type Database } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { canonicalAddress } from '../../src/records/addresses.ts';
import { hashPassword } from '../../src/records/passwords.ts';
import { folderOf } from './command.ts';
import { testDatabase } from './database.ts';
import { HttpBrowser, type BrowserOptions } from './http-browser.ts';
import { startMailbox, type Mailbox } from './mailbox.ts';

export const SECRET = 'a secret of the tests, thirty-two characters or more';
export const CLIENT_SECRET = 'an e-service secret of thirty-two characters';
/** An e-service that asks everybody for two steps, for `clients`. */
export const STRICT = {
  client_name: 'Strict',
  redirect_uris: ['https://strict.example/callback'],
  client_uri: 'https://strict.example/',
  scope: 'openid email',
  require_acr: 'urn:tunnus:mfa',
};

/** Everybody in a test has mail at one domain, and none of it is to wait for a turn: the pace is test/mail/mails.test.ts's. */
const AT_ONCE = { perMinute: 100_000, perMinuteToDomain: 100_000 };

export interface NewAccount {
  email: string;
  password?: string;
  locked?: boolean;
  givenName?: string;
  /** Source to old id; in doubt where it is `{ doubt }`. */
  ids?: Record<string, string | { id: string; doubt: string }>;
}

export interface World {
  tunnus: RunningTunnus;
  database: Database;
  issuer: string;
  mailbox: Mailbox;
  config: Config;
  /** Every line that was logged. */
  log: string[];
  clock: { now(): Date; advance(milliseconds: number): void };
  browser(options?: BrowserOptions): HttpBrowser;
  account(account: NewAccount): Promise<string>;
  /** The e-service of this name, as a certified client library speaks for it. */
  relyingParty(name?: string): Promise<RelyingParty>;
  close(): Promise<void>;
}

export interface Errand {
  url: URL;
  /** Exchanges the code with which the browser came back. */
  finish(callback: URL): Promise<client.TokenEndpointResponse & client.TokenEndpointResponseHelpers>;
}

export interface RelyingParty {
  config: client.Configuration;
  redirectUri: string;
  begin(parameters?: Record<string, string>): Promise<Errand>;
}

type Yaml = Record<string, unknown>;

const CLIENTS: Record<string, Yaml> = {
  asiointi: {
    client_name: 'Asiointi',
    'client_name#sv': 'Ärenden',
    'client_name#en': 'Errands',
    redirect_uris: ['https://asiointi.example/callback'],
    post_logout_redirect_uris: ['https://asiointi.example/signed-out'],
    initiate_login_uri: 'https://asiointi.example/login',
    client_uri: 'https://asiointi.example/',
    scope: 'openid email profile phone legacy offline_access',
    grant_types: ['authorization_code', 'refresh_token'],
    subject_type: 'legacy',
    legacy_source: 'asiointi',
  },
  kartta: {
    client_name: 'Kartta',
    redirect_uris: ['https://kartta.example/callback'],
    client_uri: 'https://kartta.example/',
    scope: 'openid email profile legacy',
    subject_type: 'pairwise',
    legacy_source: 'kartta',
  },
  bare: {
    client_name: 'Bare',
    redirect_uris: ['https://bare.example/callback'],
    scope: 'openid email',
    subject_type: 'public',
  },
  stranger: {
    client_name: 'Stranger',
    redirect_uris: ['https://stranger.example/callback'],
    scope: 'openid email profile phone',
    policy_uri: 'https://stranger.example/privacy',
    tos_uri: 'https://stranger.example/terms',
    consent: 'ask',
  },
};

export interface WorldOptions {
  settings?: Yaml;
  clients?: Record<string, Yaml>;
  /** Another way to the same database: its `database.url`, or the whole section. */
  databaseUrl?: (url: string) => Promise<string | Yaml>;
  /** Of the issuer; browsers know no passkeys under a bare network address. */
  host?: 'localhost' | '127.0.0.1';
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const [place, mailbox, port] = await Promise.all([testDatabase(), startMailbox(), freePort()]);
  const issuer =
    (options.settings?.['issuer'] as string | undefined) ?? `http://${options.host ?? '127.0.0.1'}:${port}`;
  const way = (await options.databaseUrl?.(place.url)) ?? place.url;
  const settings = {
    secret: SECRET,
    support: { email: 'tuki@kaupunki.example', phone: '+358 50 000 0000' },
    brand: { name: 'Kaupunki' },
    ...options.settings,
    issuer,
    database: typeof way === 'string' ? { url: way } : way,
    mail: { url: mailbox.url, from: 'no-reply@kaupunki.example', limits: AT_ONCE },
  };
  const clients = Object.entries({ ...CLIENTS, ...options.clients }).map(
    ([name, metadata]) => [name, { client_secret: CLIENT_SECRET, ...metadata }] as const,
  );
  const folder = await folderOf(settings, Object.fromEntries(clients));
  const reading = readConfig(folder, {});
  if (!reading.config) throw new Error(JSON.stringify(reading.faults));
  const config: Config = { ...reading.config, listen: { ...reading.config.listen, port, metricsPort: 0 } };

  await stopTheMinutes(place.database);
  let skew = 0;
  const clock = {
    now: () => new Date(Date.now() + skew),
    advance: (milliseconds: number) => void (skew += milliseconds),
  };
  const log: string[] = [];
  const destination = { write: (line: string) => log.push(line) } as unknown as NodeJS.WritableStream;
  const tunnus = await startTunnus({ config, clock: clock.now, log: makeLog({ destination }) });

  return {
    tunnus,
    database: tunnus.database,
    issuer,
    mailbox,
    config,
    log,
    clock,
    browser: (wishes) => new HttpBrowser({ clock: clock.now, ...wishes }),
    account: (account) => makeAccount(tunnus.database, account, clock.now()),
    relyingParty: (name = 'asiointi') => relyingParty(issuer, name, config),
    async close() {
      await tunnus.close();
      await Promise.all([mailbox.close(), place.drop(), rm(folder, { recursive: true })]);
    },
  };
}

/** As if all that the queue is to do by the clock had been done until the end of days. */
async function stopTheMinutes(database: Database): Promise<void> {
  await database.query(sql`
    create function graphile_worker.done() returns trigger language plpgsql as
      $$ begin new.last_execution := '9999-12-31'; return new; end $$`);
  await database.query(sql`
    create trigger done before insert on graphile_worker._private_known_crontabs
      for each row execute function graphile_worker.done()`);
}

async function makeAccount(database: Database, account: NewAccount, now: Date): Promise<string> {
  const hash = account.password === undefined ? null : await hashPassword(account.password);
  const [row] = await database.query<{ id: string }>(sql`
    insert into accounts (email, email_key, given_name, password_state, password_hash, locked_at, created_at, updated_at)
    values (${account.email}, ${canonicalAddress(account.email)}, ${account.givenName ?? null},
      ${hash ? 'own' : 'none'}, ${hash}, ${account.locked ? now : null}, ${now}, ${now})
    returning id`);
  for (const [source, tie] of Object.entries(account.ids ?? {})) {
    const { id, doubt } = typeof tie === 'string' ? { id: tie, doubt: null } : tie;
    await database.query(sql`
      insert into legacy_ids (source, legacy_id, account_id, doubt, created_at)
      values (${source}, ${id}, ${row!.id}, ${doubt}, ${now})`);
  }
  return row!.id;
}

async function relyingParty(issuer: string, name: string, config: Config): Promise<RelyingParty> {
  const registered = config.clients.find(({ client_id: id }) => id === name)!;
  const discovered = await client.discovery(
    new URL(issuer),
    name,
    CLIENT_SECRET,
    client.ClientSecretBasic(CLIENT_SECRET),
    {
      execute: [client.allowInsecureRequests],
    },
  );
  const redirectUri = registered.redirect_uris[0]!;
  return {
    config: discovered,
    redirectUri,
    async begin(parameters = {}) {
      const pkceCodeVerifier = client.randomPKCECodeVerifier();
      const expectedState = client.randomState();
      const expectedNonce = client.randomNonce();
      const url = client.buildAuthorizationUrl(discovered, {
        redirect_uri: redirectUri,
        scope: 'openid email',
        state: expectedState,
        nonce: expectedNonce,
        code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: 'S256',
        ...parameters,
      });
      return {
        url,
        finish: (callback) =>
          client.authorizationCodeGrant(discovered, callback, { pkceCodeVerifier, expectedState, expectedNonce }),
      };
    },
  };
}
