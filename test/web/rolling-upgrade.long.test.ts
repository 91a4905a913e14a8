/**
 * A rolling upgrade: the release before goes on running while a node of this version brings the schema up to date and joins it. The
 * release before is the last tag that is not this commit; before the first release it is the last commit.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openDatabase, sql } from '../../src/platform/database.ts';
import { createDatabase } from '../support/database.ts';
import { hop } from '../support/hop.ts';
import { startMailbox, type Mailbox } from '../support/mailbox.ts';
import { serve } from '../support/serving.ts';
import { freePort } from '../../src/demo/ports.ts';
import { CLIENT_SECRET, SECRET } from '../support/world.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const git = (...words: string[]): Buffer =>
  execFileSync('git', words, { cwd: ROOT, maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] });

function releaseBefore(): string {
  try {
    return git('describe', '--tags', '--abbrev=0', '--match', 'v*', 'HEAD^').toString().trim();
  } catch {
    return 'HEAD';
  }
}

let folder: string;
let mailbox: Mailbox;
let url: string;
let issuer: string;
beforeAll(async () => {
  [folder, mailbox, url] = await Promise.all([
    mkdtemp(join(tmpdir(), 'tunnus-upgrade-')),
    startMailbox(),
    createDatabase(`upgrade_${process.pid}`),
  ]);
  const port = await freePort();
  issuer = `http://127.0.0.1:${port}`;
  await mkdir(join(folder, 'config', 'clients'), { recursive: true });
  const settings = {
    issuer,
    secret: SECRET,
    listen: { port: 0, metricsPort: 0 },
    database: { url },
    mail: { url: mailbox.url },
  };
  const asiointi = {
    client_id: 'asiointi',
    client_secret: CLIENT_SECRET,
    client_name: 'Asiointi',
    redirect_uris: ['https://asiointi.example/callback'],
    post_logout_redirect_uris: ['https://asiointi.example/signed-out'],
    client_uri: 'https://asiointi.example/',
    scope: 'openid email offline_access',
    grant_types: ['authorization_code', 'refresh_token'],
  };
  await writeFile(join(folder, 'config', 'tunnus.yaml'), JSON.stringify(settings));
  await writeFile(join(folder, 'config', 'clients', 'asiointi.yaml'), JSON.stringify(asiointi));
  // With the packages of today: what a release pinned is in no checkout.
  await mkdir(join(folder, 'old'));
  execFileSync('tar', ['-x', '-C', join(folder, 'old')], { input: git('archive', releaseBefore()) });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'old', 'node_modules'));
});
afterAll(async () => {
  await mailbox.close();
  await rm(folder, { recursive: true });
});

test('the release before runs on the new schema beside this version, and each story hops between the two', async () => {
  const config = join(folder, 'config');
  const old = await serve(config, { cli: join(folder, 'old', 'src', 'cli.ts') });
  const database = openDatabase({ url });
  const walk = async (email: string, nodes: string[], first: number): Promise<void> => {
    await database.query(sql`
      insert into accounts (email, email_key, created_at, updated_at) values (${email}, ${email}, now(), now())`);
    const [redirectUri, signedOutUri] = ['https://asiointi.example/callback', 'https://asiointi.example/signed-out'];
    await hop({ issuer, nodes, first, email, mailbox, redirectUri, signedOutUri });
  };
  try {
    const before = `http://127.0.0.1:${old.port}`;
    await walk('before@example.com', [before], 0);
    const present = await serve(config);
    const both = [before, `http://127.0.0.1:${present.port}`];
    await Promise.all([0, 1].map((first) => walk(`both${first}@example.com`, both, first)));
    present.process.kill('SIGTERM');
    expect(await present.ended).toBe(0);
    // The new node failed the operator: the old one goes on alone.
    await walk('after@example.com', [before], 0);
    const errors = [...old.log, ...present.log].filter((line) => line.includes('"level":"error"'));
    expect(errors).toEqual([]);
  } finally {
    old.process.kill('SIGTERM');
    expect(await old.ended).toBe(0);
    await database.close();
  }
}, 90_000);
