/** The city that is measured: its PostgreSQL, its configuration, its residents, and what time has left behind. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readConfig } from '../src/config.ts';
import { openDatabase, sql, type Database } from '../src/platform/database.ts';
import { startEmbedded } from '../src/platform/embedded-postgres.ts';
import { migrate } from '../src/platform/migrate.ts';
import { hashPassword } from '../src/records/passwords.ts';

export const PASSWORD = 'kolme punaista venettä laiturissa';
export const CLIENT = {
  clientId: 'bench',
  clientSecret: 'a secret of the bench, thirty-two characters',
  redirectUri: 'http://localhost:1/cb',
};

export interface Server {
  /** Of the postmaster, whose children do the work. */
  pid: number;
  /** Makes an empty database. */
  create: (name: string) => Promise<string>;
  stop: () => Promise<void>;
}

/** The PostgreSQL that comes along, with all that makes it durable. */
export async function startPostgres(folder: string): Promise<Server> {
  const embedded = await startEmbedded({ folder });
  const database = openDatabase({ url: embedded.url, max: 1 });
  const [postmaster] = await database.query<{ pid: number }>(sql`
    select split_part(pg_read_file('postmaster.pid'), chr(10), 1)::integer as pid`);
  await database.close();
  return {
    pid: postmaster!.pid,
    create: async (name) => {
      const database = openDatabase({ url: embedded.url, max: 1 });
      await database.session((session) => session.script(`create database ${name}`)).finally(() => database.close());
      const url = new URL(embedded.url);
      url.pathname = `/${name}`;
      return url.href;
    },
    stop: async () => {
      await embedded.stop();
      // Its folder may have been moved to where PostgreSQL's user can enter, with the one around it that was made for it.
      await rm(dirname(embedded.folder), { recursive: true, force: true });
    },
  };
}

/** Writes a configuration for this port; the database comes by the environment. Tells whether it knows machine clients. */
export async function writeConfig(folder: string, port: number): Promise<{ machines: boolean }> {
  await mkdir(join(folder, 'clients'), { recursive: true });
  // JSON is YAML.
  const settings = {
    issuer: `http://localhost:${port}`,
    // Residents come from places of their own: the driver says which, as a proxy would.
    listen: { port, metricsPort: port + 1, proxies: 1 },
    database: { url: '${DATABASE_URL}' },
    secret: 'a secret of the bench, thirty-two characters or more',
    mail: { url: 'smtp://localhost:1' },
    limits: { addressesPerPlace: 100 },
  };
  const machine = { resources: [{ audience: 'urn:bench:api', name: 'Bench', format: 'jwt' }] };
  const client = {
    client_id: CLIENT.clientId,
    client_secret: CLIENT.clientSecret,
    client_name: 'Bench',
    redirect_uris: [CLIENT.redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid email profile',
  };
  const machineClient = {
    client_id: 'machine',
    client_secret: CLIENT.clientSecret,
    client_name: 'Machine',
    grant_types: ['client_credentials'],
    resources: ['urn:bench:api'],
  };
  const write = (name: string, content: object) => writeFile(join(folder, name), JSON.stringify(content));
  await write('clients/bench.yaml', client);
  await write('tunnus.yaml', { ...settings, ...machine });
  await write('clients/machine.yaml', machineClient);
  const env = { DATABASE_URL: 'postgres://localhost/bench' };
  if (readConfig(folder, env).config) return { machines: true };
  await rm(join(folder, 'clients/machine.yaml'));
  await write('tunnus.yaml', settings);
  const { config, faults } = readConfig(folder, env);
  if (!config) throw new Error(JSON.stringify(faults));
  return { machines: false };
}

/** `resident<i>@example.com`, all with the same password. */
export async function settle(url: string, { residents }: { residents: number }): Promise<void> {
  const database = openDatabase({ url, max: 1, statementTimeout: 0 });
  await migrate(database);
  await addResidents(database, { from: 0, to: residents });
  await database.close();
}

export async function addResidents(database: Database, { from, to }: { from: number; to: number }): Promise<void> {
  const hash = await hashPassword(PASSWORD);
  await database.query(sql`
    insert into accounts (email, email_key, password_state, password_hash, created_at, updated_at)
    select address, address, 'own', ${hash}, now(), now()
    from (select format('resident%s@example.com', n) as address
          from generate_series(${from}::int, ${to}::int - 1) n) as made`);
  await database.session((session) => session.script('vacuum analyze accounts'));
}

/** Artifacts that have expired and are not swept yet: of a kind, a size and an owner like real ones. */
export async function leaveBehind(database: Database, { dead }: { dead: number }): Promise<void> {
  const indexes = await database.query<{ name: string; definition: string }>(sql`
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
    where indrelid = 'artifacts'::regclass and not indisprimary`);
  for (const { name } of indexes) await database.session((session) => session.script(`drop index ${name}`));
  await database.session((session) =>
    session.script(`
      set synchronous_commit = off;
      insert into artifacts (id, model, payload, account_id, epoch, client_id, grant_hash, expires_at)
      select sha256(int8send(n)), (array['AccessToken', 'AuthorizationCode', 'Grant', 'RefreshToken'])[1 + n % 4],
        '{"iat":1790000000,"exp":1790000600,"accountId":"00000000-0000-0000-0000-000000000000","clientId":"bench","scope":"openid email profile","grantId":"' || n || '"}',
        gen_random_uuid(), 0, 'bench', sha256(int8send(n / 4)), now() - interval '1 hour' - n * interval '0.3 milliseconds'
      from generate_series(1, ${dead}) n`),
  );
  await Promise.all(indexes.map(({ definition }) => database.session((session) => session.script(definition))));
  await database.session((session) => session.script('vacuum analyze artifacts'));
}
