/** Whatever is sent, wherever: a page or an OAuth error below 500, in the reader's language, a line in the log, no secret in it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { every, FORM, MEGABYTE, requestTo, sweep, TABLES, wrongWith, type Named } from '../support/bad-input.ts';
import { faultsOf } from '../support/calm.ts';
import { fuzz, MARK } from '../support/fuzz.ts';
import { COOKIES, endpointPlaces, formPlaces, OPEN, PATHS, type Place } from '../support/places.ts';
import { exchange, exchangeBytes } from '../support/wire.ts';
import { startWorld, type World } from '../support/world.ts';

/** All of the tables is for the long run. */
const STEP = 13;

let world: World;
let places: Place[];

beforeAll(async () => {
  world = await startWorld({ settings: OPEN });
  places = [...(await formPlaces(world)), ...endpointPlaces()];
});
afterAll(() => world.close());

describe('the answers', () => {
  test.each(['fi', 'sv', 'en'] as const)(
    'are pages in the language that the browser asks for: %s',
    async (language) => {
      const address = places.find(({ name }) => name === 'the address step')!;
      const asked: Named[] = [
        ['no such page', { target: '/nothing' }],
        ['no such sign-in', { target: '/sign-in/nothing' }],
        ['no such link', { target: '/set-password/nothing' }],
        ['no such e-service', { target: '/auth?client_id=nothing' }],
        ['a strange method', { method: 'PROPFIND', target: '/account' }],
        ['a method that is not there', { method: 'DELETE', target: '/signed-out' }],
        [
          'a form from nowhere',
          {
            method: 'POST',
            target: address.path,
            headers: { Cookie: address.cookies, 'Content-Type': FORM },
            body: 'email=a',
          },
        ],
        [
          'a body of another type',
          {
            method: 'POST',
            target: address.path,
            headers: { Cookie: address.cookies, 'Content-Type': 'text/plain' },
            body: 'a',
          },
        ],
        ['too large a form', { ...requestTo(address, MEGABYTE) }],
      ];
      const wrong: string[] = [];
      for (const [what, request] of asked) {
        const headers = { ...request.headers, 'Accept-Language': language };
        const answer = await exchange(world.tunnus.port, { ...request, headers });
        wrong.push(...faultsOf(answer, { language }).map((fault) => `${what}: ${fault}`));
        expect([what, answer?.headers.get('content-type')?.[0]]).toEqual([what, 'text/html; charset=utf-8']);
        expect([what, answer!.status >= 400]).toEqual([what, true]);
      }
      expect(wrong).toEqual([]);
    },
  );

  test('keep what was typed as an address, and never a password', async () => {
    const address = places.find(({ name }) => name === 'the address step')!;
    const typed = address.fields.map(([name, value]): [string, string] => [
      name,
      name === 'email' ? 'maija meikäläinen' : value,
    ]);
    const again = await exchange(world.tunnus.port, requestTo(address, new URLSearchParams(typed).toString()));
    expect(again!.status).toBe(422);
    expect(again!.body).toContain('value="maija meikäläinen"');
    const link = places.find(({ name }) => name === 'the page of a mailed link')!;
    const short = link.fields.map(([name, value]): [string, string] => [
      name,
      name === 'password' ? 'LyhytSana' : value,
    ]);
    const refused = await exchange(world.tunnus.port, requestTo(link, new URLSearchParams(short).toString()));
    expect(refused!.status).toBe(422);
    expect(refused!.body).not.toContain('LyhytSana');
  });

  test('each leave a line in the log', async () => {
    for (const target of ['/nothing', '/auth?client_id=nothing', '/me', '/set-password/nothing']) {
      const before = world.log.length;
      await exchange(world.tunnus.port, { target });
      expect([target, world.log.length > before]).toEqual([target, true]);
    }
  });
});

describe('what is hardly HTTP', () => {
  const ODDITIES: Record<string, string> = {
    'an old protocol without Host': 'GET /auth HTTP/1.0\r\n\r\n',
    'discovery without Host': 'GET /.well-known/openid-configuration HTTP/1.0\r\n\r\n',
    'no protocol': 'GET /auth\r\n\r\n',
    'two Hosts': 'GET /auth HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'an empty Host': 'GET /auth HTTP/1.1\r\nHost:\r\n\r\n',
    'a whole address': 'GET http://evil.example/auth HTTP/1.1\r\nHost: evil.example\r\n\r\n',
    'a whole address with credentials': 'GET http://a:b@evil.example:0/signed-out HTTP/1.1\r\nHost: x\r\n\r\n',
    'an address of another kind': 'GET ftp://evil.example/signed-out HTTP/1.1\r\nHost: x\r\n\r\n',
    'an asterisk': 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
    'an asterisk to read': 'GET * HTTP/1.1\r\nHost: x\r\n\r\n',
    'a tunnel': 'CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n',
    'two slashes': 'GET //evil.example/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n',
    'three slashes': 'GET ///evil.example HTTP/1.1\r\nHost: x\r\n\r\n',
    backslashes: 'GET /\\evil.example\\..\\ HTTP/1.1\r\nHost: x\r\n\r\n',
    'a bracket': 'GET //[ HTTP/1.1\r\nHost: x\r\n\r\n',
    'only a question': 'GET ? HTTP/1.1\r\nHost: x\r\n\r\n',
    'a fragment': 'GET /signed-out#<script> HTTP/1.1\r\nHost: x\r\n\r\n',
    'raw bytes in the path': 'GET /\xff\xfe/\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n',
    'a NUL in the path': 'GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n',
    'a NUL in a header': 'GET / HTTP/1.1\r\nHost: x\r\nCookie: a\0b\r\n\r\n',
    'a folded header': 'GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1;\r\n b=2\r\n\r\n',
    'a header without a name': 'GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n',
    'a space before the colon': 'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\na=1',
    'a length and chunks':
      'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'two lengths': 'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\na=1',
    'a negative length': 'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\na=1',
    'broken chunks': 'POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n',
    'an upgrade': 'GET /auth HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    'HTTP/2 at once': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'bare line feeds': 'GET / HTTP/1.1\nHost: x\n\n',
    TLS: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'a long target': `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    'a long cookie': `GET / HTTP/1.1\r\nHost: x\r\nCookie: a=${'a'.repeat(40_000)}\r\n\r\n`,
    'two thousand headers': `GET / HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(2001)}\r\n`,
    nothing: '',
  };

  test.each(Object.keys(ODDITIES))('%s', async (name) => {
    const before = world.log.length;
    const answer = await exchangeBytes(world.tunnus.port, Buffer.from(ODDITIES[name]!, 'latin1'), { half: true });
    expect(faultsOf(answer)).toEqual([]);
    if (answer) expect(world.log.length).toBeGreaterThan(before);
  });

  test.each(['/token', '/auth', '/request'])('a body to %s that ends before its length does', async (path) => {
    const bytes = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: 99\r\n\r\na=1`;
    const answer = await exchangeBytes(world.tunnus.port, Buffer.from(bytes), { half: true });
    expect(faultsOf(answer)).toEqual([]);
  });
});

test.each(Object.keys(TABLES))('%s', async (name) => {
  expect(
    await wrongWith(world.tunnus.port, every(name.includes('megabyte') ? 1 : STEP, TABLES[name]!(places))),
  ).toEqual([]);
});

test('no secret that was sent stands in the log', async () => {
  const mark = 'unhappy-secret-of-the-test';
  const names = [
    'password',
    'csrf',
    'current',
    'next',
    'code',
    'code_verifier',
    'refresh_token',
    'client_secret',
    'client_assertion',
  ].concat(['token', 'access_token', 'id_token_hint', 'xsrf', 'request']);
  function* requests(): Generator<Named> {
    for (const place of places) {
      const spoilt = new URLSearchParams([
        ...place.fields.filter(([name]) => !names.includes(name)),
        ...names.map((name): [string, string] => [name, mark]),
      ]);
      yield [place.name, requestTo(place, spoilt.toString())];
    }
    for (const path of PATHS) {
      const headers = {
        Authorization: `Bearer ${mark}`,
        Cookie: COOKIES.map((name) => `${name}=${mark}`).join('; '),
        DPoP: mark,
      };
      yield [path, { target: `${path}?${names.map((name) => `${name}=${mark}`).join('&')}`, headers }];
      yield [
        path,
        {
          target: path,
          headers: { ...headers, Authorization: `Basic ${Buffer.from(`asiointi:${mark}`).toString('base64')}` },
        },
      ];
    }
    for (const path of ['/set-password', '/password-set', '/sign-in', '/auth', '/set-password/x', '//set-password']) {
      yield [path, { target: `${path}/${mark}` }];
    }
  }
  expect(await wrongWith(world.tunnus.port, requests())).toEqual([]);
  expect(world.log.filter((line) => line.includes(mark))).toEqual([]);
});

test('a few hundred requests put together at random are all answered calmly', async () => {
  expect(await sweep(world.tunnus.port, places, { seed: 20_261_123, count: 400 })).toEqual([]);
});

test('five hundred hostile values, in whichever field, are all answered in time, and none stands in the log', async () => {
  await fuzz(world.tunnus.port, places, { count: 500, seed: 20_261_124 });
  expect(world.log.filter((line) => line.includes(MARK))).toEqual([]);
});

test('after all that nothing of ours has failed, and the door is open', async () => {
  expect(world.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  const answer = await exchange(world.tunnus.port, { target: '/health/ready' });
  expect(answer!.status).toBe(200);
});
