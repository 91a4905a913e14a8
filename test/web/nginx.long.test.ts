/**
 * The real nginx, by deploy/nginx.conf, speaks TLS in front of two nodes: a resident signs in through it, a node that goes
 * away is not missed, and nobody can claim to come from elsewhere.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect as connectSecurely, type ConnectionOptions } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { startTunnus, type RunningTunnus } from '../../src/app.ts';
import { sql } from '../../src/platform/database.ts';
import { randomToken } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { exchange, type HttpBrowser } from '../support/http-browser.ts';
import { freePort } from '../../src/demo/ports.ts';
import { untilListening } from '../support/until.ts';
import { CLIENT_SECRET, startWorld, type World } from '../support/world.ts';

const NAME = 'tunnistus.example.fi';
const ISSUER = `https://${NAME}`;
const PASSWORD = 'kolme vihreää omenaa pöydällä';
const REDIRECT_URI = 'https://asiointi.example/callback';

let folder: string;
let world: World;
let second: RunningTunnus;
let nginx: ChildProcess;
let port: number;
let plain: number;
let authority: string;
let asiointi: client.Configuration;

const throughNginx = (url: URL): URL =>
  url.origin === ISSUER ? new URL(url.pathname + url.search, `https://127.0.0.1:${port}`) : url;
const browser = (headers = {}): HttpBrowser => world.browser({ reach: throughNginx, authority, headers });

async function secureFetch(url: string, options: client.CustomFetchOptions): Promise<Response> {
  const { body } = options;
  const { status, headers, ...answer } = await exchange(throughNginx(new URL(url)), {
    method: options.method,
    headers: { ...options.headers, host: NAME },
    body: body instanceof URLSearchParams ? body.toString() : ((body ?? undefined) as string | undefined),
    name: NAME,
    authority,
  });
  return new Response(answer.body, { status, headers: headers as Record<string, string> });
}

/** deploy/nginx.conf as an operator would change it: names, addresses, certificate, and where it writes. */
async function configure(nodes: readonly RunningTunnus[]): Promise<string> {
  let text = await readFile(join(import.meta.dirname, '../../deploy/nginx.conf'), 'utf8');
  const changes: [string, string][] = [
    ['worker_processes auto;', `worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;`],
    ['http {', `http { ${TEMPORARY.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ')}`],
    ['/var/log/nginx/tunnus.log', `${folder}/access.log`],
    ['/etc/ssl/tunnus/', `${folder}/`],
    ['127.0.0.1:3000', `127.0.0.1:${nodes[0]!.port}`],
    ['127.0.0.1:3001', `127.0.0.1:${nodes[1]!.port}`],
    ['listen 80;', `listen 127.0.0.1:${plain};`],
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
  ];
  for (const [from, to] of changes) {
    expect(text).toContain(from);
    text = text.replaceAll(from, to);
  }
  const path = join(folder, 'nginx.conf');
  await writeFile(path, text);
  return path;
}
const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnus-nginx-'));
  // nginx started by root works as another user.
  await chmod(folder, 0o755);
  await promisify(execFile)('openssl', [
    ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1'.split(' '),
    ...['-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME}`],
    ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'certificate.pem')],
  ]);
  authority = await readFile(join(folder, 'certificate.pem'), 'utf8');
  world = await startWorld({ settings: { issuer: ISSUER, listen: { proxies: 1 } } });
  const destination = new Writable({ write: (_line, _encoding, written) => written() });
  const listen = { ...world.config.listen, port: 0 };
  second = await startTunnus({
    config: { ...world.config, listen },
    clock: () => world.clock.now(),
    log: makeLog({ destination }),
  });
  port = await freePort();
  plain = await freePort();
  nginx = spawn('/usr/sbin/nginx', ['-c', await configure([world.tunnus, second]), '-g', 'daemon off;'], {
    stdio: 'inherit',
  });
  await untilListening(port, nginx).catch(async (error: unknown) => {
    throw new Error(await readFile(join(folder, 'error.log'), 'utf8'), { cause: error });
  });
  asiointi = await client.discovery(
    new URL(ISSUER),
    'asiointi',
    CLIENT_SECRET,
    client.ClientSecretBasic(CLIENT_SECRET),
    {
      [client.customFetch]: secureFetch,
    },
  );
});
afterAll(async () => {
  nginx.kill('SIGQUIT');
  await once(nginx, 'exit');
  await second.close();
  await world.close();
  await rm(folder, { recursive: true });
});

async function signIn(person: HttpBrowser, email: string): Promise<string> {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedNonce = client.randomNonce();
  await person.get(
    client.buildAuthorizationUrl(asiointi, {
      redirect_uri: REDIRECT_URI,
      scope: 'openid email',
      nonce: expectedNonce,
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    }),
  );
  await person.submit({ username: email });
  await person.submit({ 'current-password': PASSWORD });
  const tokens = await client.authorizationCodeGrant(asiointi, person.page.leadsTo!, {
    pkceCodeVerifier,
    expectedNonce,
  });
  return (await client.fetchUserInfo(asiointi, tokens.access_token, tokens.claims()!.sub)).email!;
}

test('a resident signs in over TLS, and every cookie is one that only https can set', async () => {
  const email = 'proxy@example.com';
  await world.account({ email, password: PASSWORD });
  const person = browser();
  expect(await signIn(person, email)).toBe(email);
  const set = person.steps.flatMap(({ headers }) => headers['set-cookie'] ?? []);
  expect(set.length).toBeGreaterThan(2);
  for (const cookie of set) expect(cookie).toMatch(/^__(?:Host|Secure)-.*; secure/i);
  const unguarded = person.steps.filter(
    ({ headers }) => !/max-age=\d{8}/.test(headers['strict-transport-security'] ?? ''),
  );
  expect(unguarded).toEqual([]);
});

test('without TLS a person is led on, and a program that would send its secret once more is refused', async () => {
  const without = async (path: string, method = 'GET') =>
    await exchange(new URL(path, `http://127.0.0.1:${plain}`), { method, headers: { host: NAME }, name: NAME });
  expect((await without('/account?a=b')).headers.location).toBe(`${ISSUER}/account?a=b`);
  const { token_endpoint, userinfo_endpoint, jwks_uri, ...others } = asiointi.serverMetadata();
  const { introspection_endpoint, revocation_endpoint, pushed_authorization_request_endpoint } = others;
  for (const endpoint of [
    ...[token_endpoint, userinfo_endpoint, jwks_uri, introspection_endpoint, revocation_endpoint],
    ...[pushed_authorization_request_endpoint, `${ISSUER}/.well-known/openid-configuration`],
  ]) {
    const { status, headers } = await without(new URL(endpoint!).pathname, 'POST');
    expect({ endpoint, status, location: headers.location }).toEqual({ endpoint, status: 403, location: undefined });
  }
});

test('TLS is spoken by what is forward secret and authenticated alone', async () => {
  const spoken = async (options: ConnectionOptions) => {
    const socket = connectSecurely({ host: '127.0.0.1', port, servername: NAME, ca: authority, ...options });
    try {
      await once(socket, 'secureConnect');
      return socket.getProtocol();
    } catch {
      return 'refused';
    } finally {
      socket.destroy();
    }
  };
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
  expect(await spoken(old)).toBe('refused');
  const of12 = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
  expect(await spoken(of12)).toBe('TLSv1.2');
  for (const ciphers of ['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES256-SHA', 'AES128-GCM-SHA256'])
    expect([ciphers, await spoken({ ...of12, ciphers: `${ciphers}:@SECLEVEL=0` })]).toEqual([ciphers, 'refused']);
  expect(await spoken({ minVersion: 'TLSv1.3' })).toBe('TLSv1.3');
});

test('limits and audit know the address that nginx saw, whatever the other side claims', async () => {
  const email = 'claims@example.com';
  await world.account({ email, password: PASSWORD });
  await signIn(browser({ 'X-Forwarded-For': '203.0.113.9, 198.51.100.7' }), email);
  const [row] = await world.database.query<{ place: string }>(sql`
    select place from audit where kind = 'signed_in' order by id desc limit 1`);
  expect(row!.place).toBe('127.0.0.1');
});

test('what nginx logs holds neither queries nor one-time links', async () => {
  const email = 'link@example.com';
  await world.account({ email });
  const person = browser();
  await person.get(`${ISSUER}/account?secret=in-the-query`);
  await person.submit({ username: email });
  const link = await world.mailbox.nextLink(email);
  await person.get(link);
  expect(person.page.status).toBe(200);
  // Whatever page a mailed link leads to, now or later.
  const token = randomToken();
  for (const page of ['new-account', 'keep-factors', 'any-other']) await person.get(`${ISSUER}/${page}/${token}/more`);
  const log = await readFile(join(folder, 'access.log'), 'utf8');
  expect(log).toContain('GET /set-password/- 200');
  expect(log).toContain('GET /any-other/-/more 404');
  expect(log).not.toContain(token);
  expect(log).not.toContain(link.split('/').at(-1)!);
  expect(log).not.toContain('in-the-query');
});

test('a node that goes away in the middle of a sign-in is not missed', async () => {
  const email = 'fail-over@example.com';
  await world.account({ email, password: PASSWORD });
  const person = browser();
  const before = signIn(person, email);
  await second.close();
  expect(await before).toBe(email);
  for (let once_ = 0; once_ < 4; once_ += 1)
    expect((await browser().get(`${ISSUER}/.well-known/openid-configuration`)).status).toBe(200);
});
