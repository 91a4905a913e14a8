/** What an attacker writes into a request stays text: no other host, redirect, header, recipient or markup comes of it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { begin, EVIL, MARKUP } from '../support/hostile.ts';
import { formPlaces, OPEN, PATHS, type Place } from '../support/places.ts';
import { exchange, exchangeBytes } from '../support/wire.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let places: Place[];

beforeAll(async () => {
  world = await startWorld({ settings: OPEN });
  places = await formPlaces(world);
});
afterAll(() => world.close());

const send = (request: Parameters<typeof exchange>[1]) => exchange(world.tunnus.port, request);

test('an address that begins with two slashes makes no link that leads elsewhere', async () => {
  for (const target of [`//${EVIL}/sign-in`, `/\\${EVIL}/sign-in`]) {
    const answer = await send({ target });
    expect(answer!.status).toBe(404);
    expect(answer!.body).not.toMatch(/(?:href|action)="[/\\]{2}/);
  }
});

describe('another name for our host', () => {
  const names = { Host: EVIL, 'X-Forwarded-Host': EVIL, Forwarded: `host=${EVIL}`, 'X-Forwarded-Proto': 'https' };

  test('stands in no document, redirect, page or mail', async () => {
    const discovery = await send({ target: '/.well-known/openid-configuration', headers: names });
    expect(discovery!.body).not.toContain(EVIL);
    const { issuer, authorization_endpoint: authorization } = JSON.parse(discovery!.body) as Record<string, string>;
    expect([issuer, authorization]).toEqual([world.issuer, `${world.issuer}/auth`]);
    const whole = await send({ target: `http://${EVIL}/.well-known/openid-configuration`, headers: { Host: EVIL } });
    expect(whole!.body).toBe(discovery!.body);
    const ours = new RegExp(`^(${world.issuer}/|/(?![/\\\\])|$)`);
    for (const target of [...PATHS, `//${EVIL}/account`, `/\\${EVIL}`, `http://${EVIL}/account`]) {
      const answer = await send({ target, headers: names });
      expect([target, answer!.headers.get('location')?.[0] ?? '']).toEqual([target, expect.stringMatching(ours)]);
      if (!target.includes(EVIL)) expect([target, answer!.body.includes(EVIL)]).toEqual([target, false]);
    }
    await world.account({ email: 'isanta@example.com' });
    const browser = world.browser({ headers: names });
    await browser.get((await (await world.relyingParty()).begin()).url);
    await browser.submit({ username: 'isanta@example.com' }, { headers: { Origin: world.issuer } });
    const mail = await world.mailbox.next({ to: 'isanta@example.com' });
    expect(mail.raw).not.toContain(EVIL);
    expect(mail.links[0]).toMatch(new RegExp(`^${world.issuer}/set-password/`));
  });
});

describe('a network address', () => {
  const placesOf = (at: World, email: string) =>
    at.database.query(sql`
      select distinct place from audit where kind = 'link_requested'
        and account_id = (select id from accounts where email = ${email})`);

  test('is the connection itself where no proxy is trusted, whatever X-Forwarded-For says', async () => {
    await world.account({ email: 'paikka@example.com' });
    const browser = world.browser({
      headers: { 'X-Forwarded-For': '6.6.6.6', 'X-Real-IP': '6.6.6.6', Forwarded: 'for=6.6.6.6' },
    });
    await begin(world, browser);
    await browser.submit({ username: 'paikka@example.com' });
    expect(await placesOf(world, 'paikka@example.com')).toEqual([{ place: '127.0.0.1' }]);
  });

  test('changed with every try gives no more tries', async () => {
    await world.account({ email: 'arvattu@example.com', password: PASSWORD });
    let tries = 0;
    let status = 422;
    for (; status === 422 && tries < 40; tries += 1) {
      const browser = world.browser({ headers: { 'X-Forwarded-For': `6.6.6.${tries}` } });
      await begin(world, browser);
      await browser.submit({ username: 'arvattu@example.com' });
      status = (await browser.submit({ 'current-password': `guess ${tries}` })).status;
    }
    expect(status).toBe(429);
    expect(tries).toBeLessThanOrEqual(16);
  });
});

describe('nobody is led elsewhere', () => {
  const addresses = [
    `https://${EVIL}/`,
    `//${EVIL}/`,
    `/\\${EVIL}`,
    `https://asiointi.example.${EVIL}/callback`,
    `https://asiointi.example@${EVIL}/callback`,
    'https://asiointi.example/callback/../other',
    'https://asiointi.example/callback?more=1',
    'https://asiointi.example/callback#fragment',
    'https://ASIOINTI.example/callback',
    'http://asiointi.example/callback',
    'https://asiointi.example:444/callback',
    'javascript:alert(1)',
    'data:text/html,x',
  ];

  test.each(addresses)('by the redirect_uri or the post_logout_redirect_uri %s', async (address) => {
    const query = { client_id: 'asiointi', response_type: 'code', scope: 'openid', state: 's' };
    for (const prompt of ['login', 'none']) {
      const parameters = new URLSearchParams({ ...query, prompt, redirect_uri: address });
      const answer = await send({ target: `/auth?${parameters.toString()}` });
      expect([prompt, answer!.status, answer!.headers.get('location')]).toEqual([prompt, 400, undefined]);
    }
    const leaving = new URLSearchParams({ client_id: 'asiointi', post_logout_redirect_uri: address });
    const answer = await send({ target: `/session/end?${leaving.toString()}` });
    expect([answer!.status, answer!.headers.get('location')]).toEqual([400, undefined]);
  });

  test('by any parameter of any page', async () => {
    const names = 'state client_id redirect_uri return_to returnTo next url uri continue target_link_uri iss service'
      .concat(' post_logout_redirect_uri ui_locales lang login_hint changed again x')
      .split(' ');
    const maija = places.find(({ name }) => name === 'the change of name, phone and language')!;
    for (const address of [`https://${EVIL}/`, `//${EVIL}/`, `/\\${EVIL}/`]) {
      const query = new URLSearchParams(names.map((name): [string, string] => [name, address])).toString();
      for (const path of PATHS) {
        const answer = await send({ target: `${path}?${query}`, headers: { Cookie: maija.cookies } });
        const location = answer!.headers.get('location')?.[0];
        const host = location && new URL(location, world.issuer).host;
        expect([path, host ?? new URL(world.issuer).host]).toEqual([path, new URL(world.issuer).host]);
      }
    }
  });
});

describe('what is sent comes back as text only', () => {
  const unharmed = (html: string): void => {
    expect(html).not.toContain('<img src=x');
  };

  test('in the pages of a sign-in', async () => {
    const browser = world.browser();
    await begin(world, browser, {
      login_hint: MARKUP,
      ui_locales: MARKUP,
      state: MARKUP,
      nonce: MARKUP,
      acr_values: MARKUP,
    });
    unharmed(browser.page.html);
    expect(browser.page.field('username')?.getAttribute('value')).toBe(MARKUP);
    unharmed((await browser.submit({ username: MARKUP })).html);
    expect(browser.page.field('username')?.getAttribute('value')).toBe(MARKUP);
    unharmed((await browser.submit({ username: "o'nobody&co@example.com" })).html);
    expect(browser.page.text).toContain("o'nobody&co@example.com");
  });

  test('in pages of errors and everywhere else', async () => {
    const query = new URLSearchParams(
      'client_id redirect_uri state error error_description lang ui_locales changed x'
        .split(' ')
        .map((name): [string, string] => [name, MARKUP]),
    ).toString();
    for (const path of [...PATHS, `/${encodeURIComponent(MARKUP)}`, `/sign-in/${encodeURIComponent(MARKUP)}`]) {
      const answer = await send({ target: `${path}?${query}`, headers: { Cookie: `tunnus_language=${MARKUP}` } });
      unharmed(answer!.body);
    }
  });

  test('and opens no second header', async () => {
    const browser = world.browser();
    await begin(world, browser, { state: 'a\r\nSet-Cookie: stolen=1', prompt: 'none' });
    expect(browser.page.leadsTo?.searchParams.get('error')).toBe('login_required');
    expect(browser.page.leadsTo?.searchParams.get('state')).toBe('a\r\nSet-Cookie: stolen=1');
    expect(browser.jar.find('stolen')).toBeUndefined();
    for (const path of PATHS) {
      const answer = await send({ target: `${path}%0D%0ASet-Cookie:%20stolen=1?lang=sv%0D%0ASet-Cookie:%20stolen=1` });
      expect([path, (answer!.headers.get('set-cookie') ?? []).filter((line) => line.startsWith('stolen'))]).toEqual([
        path,
        [],
      ]);
    }
  });
});

describe('an address with more in it', () => {
  test.each([
    '\r\nBcc: evil@evil.example',
    ',evil@evil.example',
    ' evil@evil.example',
    '%0aBcc:evil@evil.example',
    '\nevil@evil.example',
  ])('mails nobody else: %j', async (more) => {
    const before = world.mailbox.all.length;
    const browser = world.browser();
    await begin(world, browser);
    const page = await browser.submit({ username: `uusi@example.com${more}` });
    expect(page.status).toBe(422);
    expect(world.mailbox.all.slice(before)).toEqual([]);
  });

  test('written otherwise still mails the stored one only', async () => {
    await world.account({ email: 'tallessa@example.com' });
    const browser = world.browser();
    await begin(world, browser);
    await browser.submit({ username: 'TALLESSA@Example.COM\r\n' });
    expect((await world.mailbox.next({ to: 'tallessa@example.com' })).raw).not.toContain('TALLESSA');
  });
});

describe('a name that every object has', () => {
  const fields = [
    '__proto__[polluted]=1',
    'constructor[prototype][polluted]=1',
    '__proto__.polluted=1',
    '__proto__=polluted',
  ];
  const claims =
    '{"__proto__":{"polluted":1},"id_token":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}';

  test('changes no object of ours, wherever it stands', async () => {
    const body = [...fields, `claims=${encodeURIComponent(claims)}`].join('&');
    const query = `client_id=asiointi&response_type=code&scope=openid&redirect_uri=https://asiointi.example/callback&${body}`;
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    for (const path of PATHS) {
      await send({ target: `${path}?${query}` });
      await send({ method: 'POST', target: path, headers, body: query });
    }
    for (const { path, cookies, fields: own } of places) {
      const form = `${new URLSearchParams(own).toString()}&${body}`;
      const answer = await send({ method: 'POST', target: path, headers: { ...headers, Cookie: cookies }, body: form });
      expect([path, answer!.status < 500]).toEqual([path, true]);
    }
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});

describe('a request within a request', () => {
  const HIDDEN = 'GET /hidden-request HTTP/1.1\r\nHost: x\r\n\r\n';
  const post = (headers: string, body: string): string =>
    `POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n${headers}\r\n\r\n${body}`;
  const chunked = `0\r\n\r\n${HIDDEN}`;
  const shapes: Record<string, string> = {
    'behind a length and chunks': post(`Content-Length: ${chunked.length}\r\nTransfer-Encoding: chunked`, chunked),
    'behind chunks and a length': post(`Transfer-Encoding: chunked\r\nContent-Length: 4`, chunked),
    'behind two lengths': post(`Content-Length: 0\r\nContent-Length: ${HIDDEN.length}`, HIDDEN),
    'behind two lengths in one': post(`Content-Length: 0, ${HIDDEN.length}`, HIDDEN),
    'behind a length with a sign': post(`Content-Length: +0`, HIDDEN),
    'behind chunks spelt otherwise': post('Transfer-Encoding: xchunked', chunked),
    'behind chunks that are not the last coding': post('Transfer-Encoding: chunked, identity', chunked),
    'behind chunks after a vertical tab': post('Transfer-Encoding:\x0bchunked', chunked),
    'behind a space before the colon': post('Transfer-Encoding : chunked\r\nContent-Length: 0', chunked),
    'behind a chunk with a bare line feed': post('Transfer-Encoding: chunked', `0\n\n${HIDDEN}`),
    'behind a folded header': post(`X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\nX:`, chunked),
    'behind a line feed in a header': post(`Content-Length: 0\r\nX: a\n\n${HIDDEN}`, ''),
  };

  test.each(Object.keys(shapes))('%s is not answered', async (name) => {
    const before = world.log.length;
    const answer = await exchangeBytes(world.tunnus.port, Buffer.from(shapes[name]!, 'latin1'), { patience: 300 });
    expect(answer?.status ?? 400).toBeLessThan(500);
    expect(world.log.slice(before).filter((line) => line.includes('hidden-request'))).toEqual([]);
  });
});

test('a hundred connections that say nothing, or half a request, keep nobody waiting', async () => {
  const halves = ['', 'GET', 'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na='];
  const stuck = Array.from({ length: 100 }, (_, i) =>
    exchangeBytes(world.tunnus.port, Buffer.from(halves[i % 3]!), { patience: 1500 }),
  );
  const began = performance.now();
  for (const target of ['/.well-known/openid-configuration', '/health/ready', '/signed-out']) {
    expect((await send({ target }))!.status).toBe(200);
  }
  expect(performance.now() - began).toBeLessThan(1500);
  await Promise.all(stuck);
});
