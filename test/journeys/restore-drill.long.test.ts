/**
 * The drill: a city with WAL archiving loses its database and comes back elsewhere, from a base backup and the archive, to a
 * point in time. By PostgreSQL's own means: what pg_basebackup does is done by its SQL functions, as the embedded one has no
 * such program.
 */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { supportFor } from '../../src/desk.ts';
import { openDatabase, sql } from '../../src/platform/database.ts';
import { startEmbedded } from '../../src/platform/embedded-postgres.ts';
import { baseBackup } from '../support/base-backup.ts';
import { runTunnus } from '../support/command.ts';
import { expectVoid, linkFor, PASSWORD, signIn } from '../support/drill.ts';
import { SECRET, startWorld } from '../support/world.ts';

const SETTINGS = { secret: SECRET };

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnus-drill-'));
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'archive'));
  await chmod(join(folder, 'archive'), 0o777);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('restored elsewhere to a point in time, residents are who they were, and nothing from before lets anybody in', async () => {
  const archive = join(folder, 'archive');
  const [home, elsewhere] = [join(folder, 'home'), join(folder, 'elsewhere')];
  let server = await startEmbedded({ folder: home });
  const configure = openDatabase({ url: server.url, max: 1 });
  await configure.session(async (session) => {
    await session.script('alter system set archive_mode = on');
    await session.script(`alter system set archive_command = 'cp %p ${archive}/%f'`);
  });
  await configure.close();
  await server.stop();
  server = await startEmbedded({ folder: home });

  let world = await startWorld({ settings: SETTINGS, databaseUrl: () => Promise.resolve(server.url) });
  await world.account({ email: 'aino@example.com', password: PASSWORD, ids: { asiointi: 'A17' } });
  await world.account({ email: 'uusi@example.com' });
  await world.account({ email: 'poissa@example.com', password: PASSWORD, ids: { asiointi: 'P1' } });
  const before = await signIn(world, 'aino@example.com');
  await baseBackup(server.url, home, elsewhere);

  // After the base backup: only the archive has these.
  await world.account({ email: 'liisa@example.com', password: PASSWORD });
  const liisa = await signIn(world, 'liisa@example.com');
  const link = await linkFor(world, 'uusi@example.com');
  await world.database.query(sql`select pg_create_restore_point('before_the_mistake')`);
  // After the point: an erasure that must hold all the same. The list is written when it has happened.
  const house = { database: world.database, sealer: world.tunnus.sealer, config: world.config };
  const acts = supportFor({ ...house, close: () => Promise.resolve() }, 'support:test');
  await acts.erase({ email: 'poissa@example.com', yes: true }, world.clock.now());
  const operator = join(folder, 'config');
  await mkdir(join(operator, 'clients'), { recursive: true });
  const configured = (url: string) =>
    writeFile(join(operator, 'tunnus.yaml'), JSON.stringify({ issuer: world.issuer, database: { url }, ...SETTINGS }));
  await configured(server.url);
  const list = join(folder, 'erasures.jsonl');
  expect(await runTunnus(operator, ['accounts', 'erasures', '--file', list])).toMatchObject({ code: 0, err: '' });
  await world.database.query(sql`select pg_switch_wal()`);
  await world.close();
  await server.stop();

  await writeFile(
    join(elsewhere, 'postgres', 'postgresql.auto.conf'),
    [
      `restore_command = 'cp ${archive}/%f %p'`,
      `recovery_target_name = 'before_the_mistake'`,
      `recovery_target_action = 'promote'`,
    ].join('\n'),
  );
  await writeFile(join(elsewhere, 'postgres', 'recovery.signal'), '');
  server = await startEmbedded({ folder: elsewhere });
  await configured(server.url);
  const done = await runTunnus(operator, ['restored', '--erasures', list]);
  expect(done).toMatchObject({ code: 0, err: '' });
  expect(done.out).toMatch(/of 3 accounts, 1 links.*\n.*Erased again: 1 accounts/);

  world = await startWorld({ settings: SETTINGS, databaseUrl: () => Promise.resolve(server.url) });
  expect((await signIn(world, 'aino@example.com')).sub).toBe(before.sub);
  expect(before.sub).toBe('A17');
  expect((await signIn(world, 'liisa@example.com')).sub).toBe(liisa.sub);
  await expectVoid(world, { tokens: [before, liisa], link });
  const browser = world.browser();
  await browser.get((await (await world.relyingParty()).begin()).url);
  await browser.submit({ username: 'poissa@example.com' });
  expect(browser.page.url.pathname).toMatch(/unknown-address$/);
  await world.close();
  await server.stop();
}, 120_000);
