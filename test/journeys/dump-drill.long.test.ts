/**
 * The drill by a dump, on the PostgreSQL that the system brings, older than the embedded one: pg_dump while residents are about,
 * pg_restore into an empty database, `tunnus restored`.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { supportFor } from '../../src/desk.ts';
import { openDatabase } from '../../src/platform/database.ts';
import { homeOf, makeOwn } from '../../src/platform/embedded-home.ts';
import { runTunnus } from '../support/command.ts';
import { expectVoid, linkFor, PASSWORD, signIn } from '../support/drill.ts';
import { freePort } from '../../src/demo/ports.ts';
import { SECRET, startWorld } from '../support/world.ts';

const SETTINGS = { secret: SECRET };

let folder: string;
let server: ChildProcess;
let port: number;
const urlOf = (name: string, who = 'tunnus:x') => `postgres://${who}@127.0.0.1:${port}/${name}`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnus-dump-'));
  chmodSync(folder, 0o755);
  const versions = readdirSync('/usr/lib/postgresql').sort((one, other) => Number(other) - Number(one));
  const programs = join('/usr/lib/postgresql', versions[0]!, 'bin');
  const { user, data } = homeOf(folder);
  makeOwn(data, user);
  const options = { cwd: folder, env: { LC_ALL: 'C' }, ...user };
  execFileSync(join(programs, 'initdb'), [`--pgdata=${data}`, '--username=operator', '--encoding=UTF8', '--no-sync'], {
    ...options,
    stdio: 'ignore',
  });
  port = await freePort();
  const settings = [`port=${port}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off'];
  server = spawn(join(programs, 'postgres'), ['-D', data, ...settings.flatMap((one) => ['-c', one])], {
    ...options,
    stdio: 'ignore',
  });
  for (let tries = 0; ; tries += 1) {
    const operator = openDatabase({ url: urlOf('postgres', 'operator'), max: 1 });
    try {
      await operator.session((session) => session.script(`create role tunnus login password 'x'`));
      for (const name of ['tunnus', 'restored'])
        await operator.session((session) =>
          session.script(`create database ${name} owner tunnus encoding 'UTF8' template template0`),
        );
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    } finally {
      await operator.close();
    }
  }
}, 60_000);
afterAll(async () => {
  server.kill('SIGINT');
  await once(server, 'exit');
  await rm(folder, { recursive: true, force: true });
});

test('a dump comes back as it was: the same residents by the same sub, and nothing from before lets anybody in', async () => {
  let world = await startWorld({ settings: SETTINGS, databaseUrl: () => Promise.resolve(urlOf('tunnus')) });
  await world.account({ email: 'aino@example.com', password: PASSWORD, ids: { asiointi: 'A17' } });
  await world.account({ email: 'uusi@example.com' });
  await world.account({ email: 'poissa@example.com', password: PASSWORD });
  const before = await signIn(world, 'aino@example.com');
  const link = await linkFor(world, 'uusi@example.com');

  const dump = join(folder, 'tunnus.dump');
  execFileSync('pg_dump', ['--format=custom', `--file=${dump}`, urlOf('tunnus')]);
  // Since the dump: an erasure that must hold all the same.
  const house = { database: world.database, sealer: world.tunnus.sealer, config: world.config };
  const acts = supportFor({ ...house, close: () => Promise.resolve() }, 'support:test');
  await acts.erase({ email: 'poissa@example.com', yes: true }, world.clock.now());
  const operator = join(folder, 'config');
  await mkdir(join(operator, 'clients'), { recursive: true });
  const configured = (name: string) => {
    const settings = { issuer: world.issuer, database: { url: urlOf(name) }, ...SETTINGS };
    return writeFile(join(operator, 'tunnus.yaml'), JSON.stringify(settings));
  };
  await configured('tunnus');
  const list = join(folder, 'erasures.jsonl');
  expect(await runTunnus(operator, ['accounts', 'erasures', '--file', list])).toMatchObject({ code: 0, err: '' });
  await world.close();

  execFileSync('pg_restore', [`--dbname=${urlOf('restored')}`, '--no-owner', '--exit-on-error', dump]);
  await configured('restored');
  expect(await runTunnus(operator, ['restored', '--erasures', list])).toMatchObject({ code: 0, err: '' });

  world = await startWorld({ settings: SETTINGS, databaseUrl: () => Promise.resolve(urlOf('restored')) });
  expect(await signIn(world, 'aino@example.com')).toMatchObject({ sub: before.sub });
  expect(before.sub).toBe('A17');
  await expectVoid(world, { tokens: [before], link });
  const browser = world.browser();
  await browser.get((await (await world.relyingParty()).begin()).url);
  await browser.submit({ username: 'poissa@example.com' });
  expect(browser.page.url.pathname).toMatch(/unknown-address$/);
  await world.close();
}, 60_000);
