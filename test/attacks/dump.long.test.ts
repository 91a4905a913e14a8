/**
 * Whoever takes a copy of the whole database signs in nowhere: every string that stands in it, in each spelling, is shown as a
 * session, a code, a token, a link, a pushed request, a secret and a password, and none of it is taken.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { sql } from '../../src/platform/database.ts';
import { authorizationUrl, basic, PASSWORD, send, signedIn } from '../support/protocol.ts';
import { startWorld, type World } from '../support/world.ts';

const LIMIT = 5 * 60_000;
const EMAIL = 'maija@example.com';

let world: World;
beforeAll(async () => {
  world = await startWorld({ settings: { listen: { proxies: 1 } } });
});
afterAll(() => world.close());

/** Everything there is to steal: a session, a code, tokens, a link, a pushed request, a sign-in under way, waiting jobs. */
async function furnish(): Promise<void> {
  await world.account({ email: EMAIL, password: PASSWORD, ids: { asiointi: 'vanha-tunnus-0001' } });
  await world.account({ email: 'uusi@example.com' });
  const asiointi = await world.relyingParty();
  const maija = await signedIn(world, 'bare', EMAIL);
  const errand = await asiointi.begin();
  await maija.get(errand.url);
  const tokens = await errand.finish(maija.page.leadsTo!);
  await client.refreshTokenGrant(asiointi.config, tokens.refresh_token!);
  await maija.get(authorizationUrl(world, 'bare'));
  await send(`${world.issuer}/request`, {
    headers: basic('bare'),
    fields: [...authorizationUrl(world, 'bare').searchParams],
  });
  const other = world.browser();
  await other.get(authorizationUrl(world, 'bare'));
  await other.submit({ username: 'uusi@example.com' });
  await world.mailbox.next({ to: 'uusi@example.com' });
}

/** Each string of the dump, and each row of bytes in the spellings that a program would show it in. */
async function dumped(): Promise<Set<string>> {
  const tables = await world.database.query<{ name: string }>(sql`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`);
  const rows: string[] = [];
  await world.database.session(async (session) => {
    await session.script(`create table public.dump (line text)`);
    for (const { name } of tables) await session.script(`insert into public.dump select t::text from ${name} t`);
  });
  rows.push(...(await world.database.query<{ line: string }>(sql`select line from dump`)).map(({ line }) => line));
  const found = new Set<string>();
  for (const line of rows) {
    for (const text of line.match(/[\w$+/=:.~-]{8,}/g) ?? []) {
      const hex = /^\\*x?([0-9a-f]{32,})$/.exec(text.replace(/^x/, ''))?.[1];
      const spellings = hex ? [Buffer.from(hex, 'hex').toString('base64url'), hex] : [text, ...text.split(/[:.]/)];
      for (const one of spellings) if (one.length >= 8 && one.length < 3000) found.add(one);
    }
  }
  return found;
}

test(
  'each string of it, shown as whatever opens a door, opens none',
  async () => {
    await furnish();
    const strings = [...(await dumped())];
    expect(strings.length).toBeGreaterThan(100);
    let place = 0;
    const opened: string[] = [];
    const tries: Record<string, (text: string, headers: Record<string, string>) => Promise<boolean>> = {
      'a session': async (text, headers) => {
        const cookie = `tunnus_session=${text}; tunnus_session.sig=${text.slice(0, 27)}`;
        const silent = await send(authorizationUrl(world, 'bare', { prompt: 'none' }), {
          method: 'GET',
          headers: { ...headers, cookie },
        });
        const page = await send(`${world.issuer}/account`, { method: 'GET', headers: { ...headers, cookie } });
        return /[?&]code=/.test(silent.headers.get('location') ?? '') || page.status === 200;
      },
      'a sign-in under way': async (text, headers) => {
        const uid = encodeURIComponent(text);
        const cookie = ['interaction', 'resume', 'sign_in'].map((name) => `tunnus_${name}=${text}`).join('; ');
        const [page, resumed] = await Promise.all(
          [`/sign-in/${uid}/password`, `/auth/${uid}`].map((path) =>
            send(world.issuer + path, { method: 'GET', headers: { ...headers, cookie } }),
          ),
        );
        return page!.text.includes('current-password') || /[?&]code=/.test(resumed!.headers.get('location') ?? '');
      },
      'a code or a refresh token': async (text, headers) => {
        const asked = await Promise.all(
          [
            { grant_type: 'authorization_code', code: text, redirect_uri: 'https://asiointi.example/callback' },
            { grant_type: 'refresh_token', refresh_token: text },
          ].map((fields) => send(`${world.issuer}/token`, { headers: { ...headers, ...basic('asiointi') }, fields })),
        );
        return asked.some(({ status }) => status < 400);
      },
      'an access token': async (text, headers) => {
        const authorization = `Bearer ${text}`;
        return (
          (await send(`${world.issuer}/me`, { method: 'GET', headers: { ...headers, authorization } })).status < 400
        );
      },
      'a link': async (text, headers) => {
        const path = `/set-password/${encodeURIComponent(text)}`;
        return (await send(world.issuer + path, { method: 'GET', headers })).status === 200;
      },
      'a pushed request': async (text, headers) => {
        const pushed = `urn:ietf:params:oauth:request_uri:${encodeURIComponent(text)}`;
        const url = `${world.issuer}/auth?client_id=bare&request_uri=${pushed}`;
        return (await send(url, { method: 'GET', headers })).status === 303;
      },
      "an e-service's secret": async (text, headers) => {
        const fields = { token: 'x' };
        const asked = await send(`${world.issuer}/token/introspection`, {
          headers: { ...headers, ...basic('bare', text) },
          fields,
        });
        return asked.status === 200;
      },
    };
    const waiting = strings.flatMap((text) => Object.entries(tries).map((each) => [text, ...each] as const));
    const lane = async (): Promise<void> => {
      for (let next = waiting.pop(); next; next = waiting.pop()) {
        const [text, what, attempt] = next;
        // From a place of its own: what keeps it out shall be that it is no secret, not that it was one too many.
        place += 1;
        const headers = { 'x-forwarded-for': `10.${place >> 16}.${(place >> 8) & 255}.${place & 255}` };
        if (await attempt(text.replace(/[^\x21-\x7e]/g, ''), headers).catch(() => false))
          opened.push(`${text} as ${what}`);
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    expect(opened).toEqual([]);
  },
  LIMIT,
);

test("the hash of a password is no password, and no secret of the house's stands in the copy", async () => {
  const [row] = await world.database.query<{ hash: string }>(
    sql`select password_hash as hash from accounts where email = ${EMAIL}`,
  );
  const browser = world.browser();
  await browser.get(authorizationUrl(world, 'bare'));
  await browser.submit({ username: EMAIL });
  await browser.submit({ 'current-password': row!.hash });
  expect(browser.page.status).toBe(422);
  const lines = await world.database.query<{ line: string }>(sql`select line from dump`);
  const all = lines.map(({ line }) => line).join('\n');
  for (const secret of [...world.config.secret, ...world.tunnus.sealer.cookieKeys, PASSWORD]) {
    expect(all.includes(secret)).toBe(false);
  }
  // No client secret is there at all.
  expect(all).not.toContain('an e-service secret of');
});
