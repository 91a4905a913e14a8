/** The example of docs/for-e-services.md, run as it stands but for its addresses. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { findFreePorts } from '../src/demo/ports.ts';
import { sql } from '../src/platform/database.ts';
import { hashPassword } from '../src/records/passwords.ts';
import type { HttpBrowser } from './support/http-browser.ts';
import { CLIENT_SECRET, startWorld, type World } from './support/world.ts';

const ROOT = join(import.meta.dirname, '..');
const PASSWORD = 'kolme vihreää omenaa pöydällä';
const EMAIL = 'maija@example.com';

let world: World;
let site: string;
let service: ChildProcess;

beforeAll(async () => {
  const { asiointi: port } = await findFreePorts();
  site = `http://localhost:${port}`;
  world = await startWorld({
    clients: {
      library: {
        client_name: 'Kirjasto',
        redirect_uris: [`${site}/callback`],
        post_logout_redirect_uris: [`${site}/`],
        initiate_login_uri: `${site}/login`,
      },
    },
  });
  const id = await world.account({ email: EMAIL });
  const hash = await hashPassword(PASSWORD);
  await world.database.query(sql`update accounts set password_state = 'own', password_hash = ${hash} where id = ${id}`);
  const page = readFileSync(join(ROOT, 'docs/for-e-services.md'), 'utf8');
  const example = /```js\n(.*?)```/s
    .exec(page)![1]!
    .replace('http://localhost:3000', world.issuer)
    .replace('http://localhost:8080', site)
    .replace('.listen(8080)', `.listen(${port}, () => console.log('ready'))`);
  service = spawn(process.execPath, ['--input-type=module', '--eval', example], {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '', LIBRARY_CLIENT_SECRET: CLIENT_SECRET },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(service.stdout!, 'data');
});
afterAll(async () => {
  service.kill();
  await world.close();
});

const session = ({ jar }: HttpBrowser): string =>
  /sid=[\w-]+/.exec(jar.headerFor(new URL(site), { withLax: true }))![0];

test('signs residents in, with a session that nobody can have planted, and out again', async () => {
  const browser = world.browser();
  await browser.get(`${site}/`, { headers: { Cookie: 'sid=planted' } });
  expect(session(browser)).not.toBe('sid=planted');
  await browser.get(`${site}/login`);
  const before = session(browser);
  await browser.submit({ username: EMAIL });
  await browser.submit({ 'current-password': PASSWORD });
  expect(browser.page.html).toContain(`Signed in as ${EMAIL}`);
  expect(session(browser)).not.toBe(before);
  const planted = await fetch(site, { headers: { Cookie: before } });
  expect(await planted.text()).toBe('Open /login');
  await browser.get(`${site}/logout`);
  expect([browser.page.url.href, browser.page.html]).toEqual([`${site}/`, 'Open /login']);
});

test('begins where the provider sends residents to it, and for no other one', async () => {
  const start = (iss: string) =>
    fetch(`${site}/login?${new URLSearchParams({ iss }).toString()}`, { redirect: 'manual' });
  expect((await start(world.issuer)).headers.get('location')).toMatch(`${world.issuer}/auth?`);
  expect((await start('https://evil.example')).status).toBe(400);
});
