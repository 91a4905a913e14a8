import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Koa from 'koa';
import type { Config } from '../../src/config.ts';
import { loadTexts } from '../../src/platform/i18n.ts';
import { Problem } from '../../src/platform/refusal.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { loadAssets } from '../../src/web/assets.ts';
import { readForm } from '../../src/web/form.ts';
import { pageOf, pages } from '../../src/web/page.ts';
import { guardEveryAnswer } from '../../src/web/security-headers.ts';

type PageConfig = Pick<Config, 'brand' | 'support' | 'languages' | 'issuer'>;

const config: PageConfig = {
  issuer: 'https://id.example.fi',
  languages: ['fi', 'sv', 'en'],
  brand: { name: { fi: 'Kaupunki', sv: 'Staden', en: 'The City' }, color: '#ffe000' },
  support: { email: 'tuki@example.fi' },
};

let base: string;
let close: () => void;

beforeAll(async () => {
  const assets = loadAssets(config.brand);
  const app = new Koa();
  app.use(guardEveryAnswer(config.issuer));
  app.use(assets.middleware);
  app.use(pages({ texts: loadTexts('Europe/Helsinki'), config, sealer: makeSealer(['s'.repeat(32)]), assets }));
  app.use(async (ctx) => {
    const page = pageOf(ctx);
    page.preferLanguage(ctx.path.startsWith('/sign-in/') ? 'en' : undefined);
    if (ctx.path === '/wrong') {
      return page.refuse('sign-in', { email: '"><b>' }, [{ field: 'email', key: 'sign-in.email_invalid' }]);
    }
    if (ctx.method !== 'POST') {
      page.allowFormTarget('https://asiointi.example:8443/callback?x=1');
      return page.render('sign-in', { email: '', service: { name: 'Asiointi' } });
    }
    try {
      ctx.body = await readForm(ctx, { email: { max: 100, required: true }, password: { max: 100 } });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      await page.problem(error, { reference: 'ref1' });
    }
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () => server.close();
});

afterAll(() => close());

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(base + path, { headers });

async function openForm(): Promise<{ cookie: string; token: string }> {
  const response = await get('/x');
  const token = /name="csrf" value="([^"]+)"/.exec(await response.text())![1]!;
  return { cookie: response.headers.getSetCookie()[0]!.split(';')[0]!, token };
}

async function post(body: string | Buffer, headers: Record<string, string> = {}): Promise<Response> {
  const { cookie, token } = await openForm();
  const withToken = Buffer.concat([Buffer.from(`csrf=${token}&`), Buffer.from(body as string)]);
  return fetch(`${base}/x`, {
    method: 'POST',
    body: withToken,
    headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
  });
}

describe('a page', () => {
  test('says its language, has one h1, one main, and the form token once', async () => {
    const response = await get('/x', { 'accept-language': 'sv' });
    const html = await response.text();
    expect(html).toContain('<html lang="sv">');
    expect(html.match(/<h1/g)).toHaveLength(1);
    expect(html.match(/<main/g)).toHaveLength(1);
    expect(html).toContain('<title>Logga in – Staden</title>');
    expect(response.headers.get('content-language')).toBe('sv');
  });

  test('lets nothing in from elsewhere, and lets a form lead to the e-service', async () => {
    const { headers } = await get('/x');
    const policy = headers.get('content-security-policy')!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toContain("form-action 'self' https:");
    expect(policy).not.toContain('unsafe');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('strict-transport-security')).toBe('max-age=31536000; includeSubDomains');
  });

  test('has no inline script or style', async () => {
    const html = await (await get('/x')).text();
    expect(html).not.toMatch(/<style|style="|<script>|\son\w+="/);
  });

  test('with a faulty field says so in its title and at the field, and keeps what was typed, escaped', async () => {
    const response = await get('/wrong', { 'accept-language': 'en' });
    const html = await response.text();
    expect(response.status).toBe(422);
    expect(html).toContain('<title>Error: Sign in');
    expect(html).toMatch(/aria-invalid="true" aria-describedby="email-hint email-error"/);
    expect(html).toContain('value="&quot;&gt;&lt;b&gt;"');
  });

  test('loads only three files of ours, which browsers may keep for good: 30 KB in all, with nothing left out', async () => {
    const page = await get('/x', { 'accept-encoding': 'identity' });
    const html = await page.text();
    const loaded = new Set(
      [...html.matchAll(/(?:<(?:img|script)[^>]* src|<link[^>]* href)="([^"]+)"/g)].map((m) => m[1]!),
    );
    expect(loaded.size).toBe(3);
    let bytes = Buffer.byteLength(html);
    for (const path of loaded) {
      expect(path).toMatch(/^\/assets\//);
      const response = await get(path, { 'accept-encoding': 'identity' });
      expect(response.headers.get('cache-control')).toContain('immutable');
      bytes += (await response.arrayBuffer()).byteLength;
      expect((await get(path.replace(/=.*/, '=old'))).headers.get('cache-control')).toBe('no-cache');
    }
    expect(bytes).toBeLessThan(30 * 1024);
    expect((await get('/assets/page.css', { 'accept-encoding': 'br' })).headers.get('content-encoding')).toBe('br');
  });

  test('darkens a brand colour that could not be read on a light ground', async () => {
    const style = await (await get('/assets/page.css')).text();
    expect(style).toContain(':root{--brand:#ffe000;--accent:#736500;');
  });

  test('have a plain mark in the city’s colour where the city gives no logo', async () => {
    const mark = await (await get('/assets/logo')).text();
    expect(mark).toMatch(/^<svg/);
    expect(new Set(mark.match(/#\w+/g))).toEqual(new Set(['#736500', '#fff']));
  });
});

describe('the language switch', () => {
  test('works by a link, keeps the rest of the query, and is remembered', async () => {
    const response = await get('/x?a=1&lang=sv');
    const html = await response.text();
    expect(html).toContain('href="/x?a=1&amp;lang=en"');
    expect(html).toContain('lang="sv"');
    const cookies = response.headers.getSetCookie();
    expect(cookies.some((cookie) => cookie.startsWith('__Host-tunnus_language=sv;'))).toBe(true);
    expect(await (await get('/x', { cookie: '__Host-tunnus_language=sv' })).text()).toContain('<html lang="sv">');
  });

  test('beats what the e-service asked for, on all pages of that sign-in and on no other', async () => {
    const response = await get('/sign-in/abc?lang=fi');
    const here = response.headers.getSetCookie().find((cookie) => cookie.startsWith('__Secure-tunnus_language_here='))!;
    expect(here).toContain('Path=/sign-in/abc;');
    const cookie = '__Host-tunnus_language=fi; __Secure-tunnus_language_here=fi';
    expect(await (await get('/sign-in/abc/password', { cookie })).text()).toContain('<html lang="fi">');
    const elsewhere = await get('/sign-in/other', { cookie: '__Host-tunnus_language=fi' });
    expect(await elsewhere.text()).toContain('<html lang="en">');
  });

  test('ignores a language that is not offered', async () => {
    const response = await get('/x?lang=de');
    expect(response.headers.getSetCookie().some((cookie) => cookie.includes('language'))).toBe(false);
  });
});

describe('a form', () => {
  test('is returned as typed, spaces and all', async () => {
    const response = await post('email=a%40b.fi&password=+%C3%A4%2B+');
    expect(await response.json()).toEqual({ email: 'a@b.fi', password: ' ä+ ' });
  });

  test.each([
    ['broken percent-encoding', 'email=%zz', 400],
    ['broken UTF-8', 'email=%ff', 400],
    ['raw broken UTF-8', Buffer.from([0x65, 0x6d, 0x61, 0x69, 0x6c, 0x3d, 0xff]), 400],
    ['a NUL byte', 'email=a%00b', 400],
    ['a repeated field', 'email=a&email=b', 400],
    ['a missing field', 'x=1', 400],
    ['a field that is too long', `email=${'a'.repeat(101)}`, 400],
    ['a megabyte', `email=${'a'.repeat(1_000_000)}`, 413],
    ['a prototype’s name', '__proto__=1&constructor=2', 400],
  ])('with %s is answered by a page below 500', async (_name, body, status) => {
    const response = await post(body);
    expect(response.status).toBe(status);
    expect(await response.text()).toContain('ref1');
  });

  test('of another type is not read', async () => {
    expect((await post('{}', { 'content-type': 'application/json' })).status).toBe(415);
  });

  test.each([
    ['Sec-Fetch-Site', { 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site of a sibling', { 'sec-fetch-site': 'same-site' }],
    ['Origin', { origin: 'https://evil.example' }],
    ['Origin equal to Host alone', { origin: 'http://127.0.0.1' }],
  ])('that another site sent by %s is refused', async (_name, headers) => {
    expect((await post('email=a', headers)).status).toBe(403);
  });

  test('that our own page sent is taken, also where the referrer policy makes its Origin null', async () => {
    expect((await post('email=a', { origin: 'null', 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    expect((await post('email=a', { origin: 'https://id.example.fi' })).status).toBe(200);
  });

  test('without the token of this very browser is refused', async () => {
    const mine = await openForm();
    const other = await openForm();
    const send = (cookie: string, token: string): Promise<Response> =>
      fetch(`${base}/x`, {
        method: 'POST',
        headers: { cookie },
        body: new URLSearchParams({ csrf: token, email: 'a' }),
      });
    expect((await send(mine.cookie, mine.token)).status).toBe(200);
    expect((await send(mine.cookie, other.token)).status).toBe(403);
    expect((await send('', mine.token)).status).toBe(403);
    expect(mine.cookie).toMatch(/^__Host-tunnus_form=/);
  });
});
