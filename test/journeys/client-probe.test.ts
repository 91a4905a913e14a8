/** What `tunnus clients check` says of an e-service's own addresses, over real HTTP and TLS. */
import { generateKeyPairSync } from 'node:crypto';
import { createServer as plainServer, type RequestListener, type Server } from 'node:http';
import { createServer as tlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { probeClient } from '../../src/journeys/client-probe.ts';
import { clientFile, configOf, ISSUER } from '../config/config-folder.ts';
import { makeAuthority, type Certificate } from '../support/certificate.ts';

const DAY = 86_400_000;
const TUNNUS = 'https://tunnus.example.fi';
const authority = makeAuthority();
const servers: Server[] = [];
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});

async function serve(listener: RequestListener, certificate?: Certificate): Promise<string> {
  const server = certificate ? tlsServer(certificate, listener) : plainServer(listener);
  servers.push(server);
  await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
  return `${certificate ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers by path with a status, or as told. */
type Answers = Record<string, number | { status?: number; headers?: Record<string, string | string[]>; body?: string }>;
let answers: Answers = {};
let posted: Record<string, string> = {};
let site: string;

beforeAll(async () => {
  site = await serve((request, response) => {
    void text(request).then((body) => {
      const path = new URL(request.url!, site).pathname;
      if (body) posted[path] = body;
      const answer = answers[path] ?? 404;
      if (answer === 0) return;
      const {
        status = 200,
        headers = {},
        body: content = '',
      } = typeof answer === 'number' ? { status: answer } : answer;
      response.writeHead(status, headers).end(content);
    });
  });
});

/** `level: message` for each finding about the one address that is asked. */
async function findings(
  more: string,
  { now = new Date(), ...options }: { now?: Date; ca?: string; patience?: number } = {},
) {
  const yaml = clientFile(more).replace(
    /redirect_uris: .*/,
    more.includes('\nredirect_uris') ? '' : `redirect_uris: [${site}/in]`,
  );
  const [client] = configOf({ 'tunnus.yaml': ISSUER, 'clients/a.yaml': yaml }).clients;
  const found = await probeClient(client!, { issuer: TUNNUS, now, ...options });
  return found
    .filter(({ key }) => new RegExp(`^${key}:`, 'm').test(more))
    .map(({ level, message }) => `${level}: ${message}`);
}

describe('addresses that residents are sent to', () => {
  test.each<[string, number, string]>([
    ['\nredirect_uris: [SITE/in]', 400, 'ok: answers 400'],
    ['\nredirect_uris: [SITE/in]', 404, 'warning: answers 404: residents come back to a page that is not there'],
    ['\nredirect_uris: [SITE/in]', 500, 'warning: answers 500 where no code comes along, expected a page that says so'],
    ['post_logout_redirect_uris: [SITE/in]', 200, 'ok: answers 200'],
    ['post_logout_redirect_uris: [SITE/in]', 404, 'fault: answers 404, expected a page'],
    ['client_uri: SITE/in', 200, 'ok: answers 200'],
    ['policy_uri: SITE/in', 410, 'fault: answers 410, expected a page'],
  ])('%j that answers %i', async (more, status, expected) => {
    answers = { '/in': status };
    expect(await findings(more.replace('SITE', site))).toEqual([expected]);
  });

  test('redirects are told and not followed', async () => {
    answers = { '/in': { status: 302, headers: { location: 'https://elsewhere.example/' } } };
    expect(await findings(`client_uri: ${site}/in`)).toEqual(['ok: leads to https://elsewhere.example/']);
  });

  test("an app's own address is not asked", async () => {
    const more = 'application_type: native\n\nredirect_uris: [fi.example.app:/in]';
    expect(await findings(more)).toEqual(["ok: an app's own address: only a device can open it"]);
  });

  test.each<[string, () => Promise<string>, string]>([
    ['nobody listens', () => Promise.resolve('http://127.0.0.1:1/'), 'fault: nothing listens there'],
    ['nothing is answered', () => Promise.resolve(`${site}/slow`), 'fault: no answer within 0.3 seconds'],
    ['the connection is cut', () => serve((request) => request.socket.destroy()), 'fault: it hung up'],
    [
      'no TLS is spoken',
      () => Promise.resolve(site.replace('http:', 'https:')),
      'fault: it does not speak TLS as it should',
    ],
  ])('where %s', async (_what, where, expected) => {
    answers = { '/slow': 0 };
    const patience = expected.includes('0.3 seconds') ? 300 : undefined;
    expect(await findings(`client_uri: ${await where()}`, { patience })).toEqual([expected]);
  });
});

describe('TLS and clock', () => {
  const ofTls = async (certificate: Certificate, options: { now?: Date; ca?: string } = { ca: authority.ca }) => {
    const url = await serve((_request, response) => {
      response.setHeader('date', (options.now ?? new Date()).toUTCString());
      response.end();
    }, certificate);
    return findings(`client_uri: ${url}/`, options);
  };

  test('right', async () => {
    expect(await ofTls(authority.issue())).toEqual(['ok: answers 200']);
  });

  test('a certificate that ends soon', async () => {
    const until = new Date(Date.now() + 20 * DAY);
    const now = new Date(until.getTime() - 10 * DAY - 1000);
    expect(await ofTls(authority.issue({ until }), { ca: authority.ca, now })).toEqual([
      'ok: answers 200',
      'warning: its certificate ends in 10 days',
    ]);
  });

  test.each<[string, () => Certificate, string]>([
    ['has expired', () => authority.issue({ until: new Date(Date.now() - DAY) }), 'its certificate has expired'],
    [
      'is not valid yet',
      () => authority.issue({ from: new Date(Date.now() + DAY) }),
      'its certificate is not valid yet',
    ],
    ['is for another host', () => authority.issue({ host: 'other.example' }), 'its certificate is for another host'],
    [
      'is signed by nobody whom we trust',
      () => makeAuthority().issue(),
      'its certificate is signed by nobody who is trusted, or the one between is not sent along',
    ],
  ])('a certificate that %s', async (_what, certificate, reason) => {
    expect(await ofTls(certificate())).toEqual([`fault: ${reason}`]);
  });

  test('a clock that is off', async () => {
    answers = { '/in': { headers: { date: new Date(Date.now() - 120_000).toUTCString() } } };
    const [fine, off] = await findings(`client_uri: ${site}/in`);
    expect(fine).toBe('ok: answers 200');
    expect(off).toMatch(/^warning: its clock is 1\d\d seconds behind: tokens will look wrong there$/);
  });
});

describe('back-channel logout', () => {
  test.each<[number, string]>([
    [400, 'ok: refuses a logout token that we did not sign'],
    [200, 'fault: answers 200 to a logout token that we did not sign: anybody can sign residents out there'],
    [204, 'fault: answers 204 to a logout token that we did not sign: anybody can sign residents out there'],
    [302, 'fault: answers 302, expected an answer of its own: redirects are not followed'],
    [403, 'warning: answers 403 to a bad logout token, expected 400; is the address open to us?'],
    [405, 'fault: answers 405, expected it to take a POST'],
    [500, 'fault: answers 500 to a bad logout token, expected 400'],
  ])('that answers %i', async (status, expected) => {
    answers = { '/out': status };
    posted = {};
    expect(await findings(`backchannel_logout_uri: ${site}/out`)).toEqual([expected]);
    const token = new URLSearchParams(posted['/out']).get('logout_token')!;
    expect(decodeJwt(token)).toMatchObject({ iss: TUNNUS, aud: 'library', sid: expect.any(String) });
  });
});

describe('initiate_login_uri', () => {
  const request = (more: Record<string, string> = {}) =>
    `${TUNNUS}/auth?${new URLSearchParams({
      client_id: 'library',
      redirect_uri: `${site}/in`,
      scope: 'openid',
      state: 'x',
      code_challenge: 'x',
      code_challenge_method: 'S256',
      ...more,
    }).toString()}`;
  const leading = (location: string, headers: Record<string, string | string[]> = {}) => {
    answers = { '/in': 400, '/login': { status: 303, headers: { location, ...headers } } };
    return findings(`initiate_login_uri: ${site}/login`);
  };

  test('that leads to us with a request that its file allows', async () => {
    expect(await leading(request())).toEqual(['ok: begins a sign-in']);
    expect(await leading(`${TUNNUS}/auth?client_id=library&request_uri=urn:x`)).toEqual(['ok: begins a sign-in']);
  });

  test.each<[string, Record<string, string>, string]>([
    ['another client_id', { client_id: 'other' }, 'begins a sign-in of client_id other, expected library'],
    [
      'another redirect_uri',
      { redirect_uri: 'https://elsewhere.example/' },
      'begins a sign-in with redirect_uri https://elsewhere.example/, which is not in the file',
    ],
    ['another scope', { scope: 'openid phone' }, 'begins a sign-in with scope phone, which is not in the file'],
    ['no PKCE', { code_challenge_method: 'plain' }, 'begins a sign-in without PKCE (S256)'],
  ])('with %s', async (_what, more, message) => {
    expect(await leading(request(more))).toEqual([`fault: ${message}`]);
  });

  test('that goes round within the e-service is followed with its cookies, and no further', async () => {
    const cookie = 'session=1; HttpOnly; SameSite=Lax';
    answers = {
      '/in': 400,
      '/login': { status: 302, headers: { location: '/begin', 'set-cookie': cookie } },
      '/begin': { status: 302, headers: { location: request() } },
    };
    expect(await findings(`initiate_login_uri: ${site}/login`)).toEqual(['ok: begins a sign-in']);
    expect(await leading('https://elsewhere.example/')).toEqual([
      `fault: leads to https://elsewhere.example, expected ${TUNNUS}`,
    ]);
    expect(await leading('/login')).toEqual([`fault: leads to ${site}, expected ${TUNNUS}`]);
  });

  test('that lets anybody say where residents are sent, by another iss', async () => {
    const open = await serve((asked, response) => {
      const { searchParams } = new URL(asked.url!, TUNNUS);
      response.writeHead(303, { location: request().replace(TUNNUS, searchParams.get('iss')!) }).end();
    });
    expect(await findings(`initiate_login_uri: ${open}/login`)).toEqual([
      'ok: begins a sign-in',
      'fault: leads wherever iss says: anybody can send residents from there to a page of their own',
    ]);
  });

  test('whose cookie will not come back, or is open to scripts', async () => {
    expect(await leading(request(), { 'set-cookie': 'state=1; SameSite=Strict' })).toEqual([
      'ok: begins a sign-in',
      'warning: its cookie state is SameSite=Strict: it stays away when the resident comes back',
      'warning: its cookie state is not HttpOnly: scripts can read it',
    ]);
  });

  test('that answers with a page, or not at all', async () => {
    answers = { '/in': 400, '/login': 200 };
    expect(await findings(`initiate_login_uri: ${site}/login`)).toEqual([
      'warning: answers with a page: whether a script there begins a sign-in cannot be seen from here',
    ]);
    answers = { '/in': 400, '/login': 500 };
    expect(await findings(`initiate_login_uri: ${site}/login`)).toEqual([
      `fault: answers 500, expected a redirect to ${TUNNUS}`,
    ]);
  });
});

describe('jwks_uri', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  test.each<[string, unknown, string]>([
    ['good keys', { keys: [publicKey.export({ format: 'jwk' })] }, 'ok: gives 1 good key'],
    ['none', { keys: [] }, 'fault: gives no JSON Web Key Set'],
    ['something else', 'hello', 'fault: gives no JSON Web Key Set'],
    ['weak ones', { keys: [weak.export({ format: 'jwk' })] }, 'fault: gives no key that can be used'],
    [
      'private ones',
      { keys: [privateKey.export({ format: 'jwk' })] },
      'fault: gives away a private key: make a new one at once',
    ],
  ])('with %s', async (_what, body, expected) => {
    answers = { '/in': 400, '/keys': { body: JSON.stringify(body) } };
    expect(await findings(`jwks_uri: ${site}/keys`)).toEqual([expected]);
  });
});
