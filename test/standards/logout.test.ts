/** OpenID Connect RP-Initiated Logout 1.0 and Back-Channel Logout 1.0, over raw HTTP. */
import { once, EventEmitter } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  importJWK,
  jwtVerify,
  SignJWT,
  type JWTPayload,
} from 'jose';
import { signingKeys } from '../../src/desk.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import type { HttpPage } from '../support/http-page.ts';
import { answerOf, parameters, RawClient, send, signedIn, type Changes } from '../support/raw-client.ts';
import { RESIDENT, startStandards } from '../support/standards.ts';
import type { World } from '../support/world.ts';

let world: World;
let rp: RawClient;
let eService: Server;
/** What the e-services were told: the event is the path. */
const told = new EventEmitter();

beforeAll(async () => {
  eService = createServer((request, response) => {
    void text(request).then((body) => {
      told.emit(request.url!, { method: request.method, type: request.headers['content-type'], body });
      response.setHeader('cache-control', 'no-store').end();
    });
  });
  await new Promise<void>((resolve) => eService.listen(0, '127.0.0.1', resolve));
  eService.unref();
  const home = `http://127.0.0.1:${(eService.address() as AddressInfo).port}`;
  const registered = (name: string) => ({
    client_name: name,
    scope: 'openid offline_access',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [`https://${name}.example/callback`],
    post_logout_redirect_uris: [`https://${name}.example/signed-out`],
    backchannel_logout_uri: `${home}/${name}`,
  });
  const city = await startStandards({ clients: { told: registered('told'), 'told-too': registered('told-too') } });
  ({ world, rp } = city);
});
afterAll(async () => {
  await world.close();
  eService.closeAllConnections();
  await new Promise((resolve) => eService.close(resolve));
});

const BACK = 'https://rp.example/signed-out';

async function session(client = rp): Promise<{ browser: HttpBrowser; hint: string; tokens: Record<string, unknown> }> {
  const browser = await signedIn(world, RESIDENT);
  const tokens = await client.tokens(browser);
  return { browser, hint: tokens.id_token, tokens };
}
const signOut = (browser: HttpBrowser, asked: Record<string, string>, changes: Changes = {}): Promise<HttpPage> =>
  browser.get(`${world.issuer}/session/end?${parameters(asked, changes).toString()}`);
const isSignedIn = async (browser: HttpBrowser): Promise<boolean> =>
  (await rp.authorize(browser.newTab(), { prompt: 'none' })).has('code');

describe('OpenID Connect RP-Initiated Logout 1.0', () => {
  test('2: with a good hint the resident is signed out and led back, with state', async () => {
    const { browser, hint } = await session();
    const page = await signOut(browser, { id_token_hint: hint, post_logout_redirect_uri: BACK, state: 'a state &=' });
    expect(page.leadsTo?.href.split('?')[0]).toBe(BACK);
    expect([...answerOf(page)]).toEqual([['state', 'a state &=']]);
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('2: GET and POST are taken alike', async () => {
    const { browser, hint } = await session();
    const fields = { id_token_hint: hint, post_logout_redirect_uri: BACK };
    const page = await browser.post(`${world.issuer}/session/end`, fields, { from: new URL('https://rp.example/') });
    expect(page.leadsTo?.href).toBe(BACK);
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('2: a hint that has expired is taken', async () => {
    const { browser, hint } = await session();
    const { keys } = await signingKeys({ ...world.tunnus, config: world.config }).jwks(new Date());
    const header = decodeProtectedHeader(hint) as { alg: string; kid: string };
    const key = await importJWK(
      keys.find(({ kid }) => kid === header.kid)!,
      header.alg,
    );
    const claims = { ...decodeJwt(hint), iat: 1_600_000_000, exp: 1_600_003_600 };
    const old = await new SignJWT(claims).setProtectedHeader(header).sign(key);
    expect((await signOut(browser, { id_token_hint: old, post_logout_redirect_uri: BACK })).leadsTo?.href).toBe(BACK);
  });

  test('2: without a hint the resident is asked, and nothing happens before the answer', async () => {
    const { browser } = await session();
    const page = await signOut(browser, { client_id: 'rp', post_logout_redirect_uri: BACK });
    expect([page.status, page.leadsTo]).toEqual([200, undefined]);
    expect(await isSignedIn(browser)).toBe(true);
    await signOut(browser, { client_id: 'rp', post_logout_redirect_uri: BACK });
    await browser.submit();
    expect(browser.page.leadsTo?.href).toBe(BACK);
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('2: a hint of another resident or of another session asks too', async () => {
    const { browser } = await session();
    const elsewhere = await session();
    const page = await signOut(browser, { id_token_hint: elsewhere.hint, post_logout_redirect_uri: BACK });
    expect([page.status, page.leadsTo]).toEqual([200, undefined]);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('2: client_id beside a hint of another client is an error page', async () => {
    const { browser, hint } = await session();
    const page = await signOut(browser, { id_token_hint: hint, client_id: 'other', post_logout_redirect_uri: BACK });
    expect([page.status, page.leadsTo]).toEqual([400, undefined]);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('2: ui_locales chooses the language of the question', async () => {
    const { browser } = await session();
    expect((await signOut(browser, { ui_locales: 'sv' })).lang).toBe('sv');
  });

  test('2: with nothing at all the resident is asked, and then told on our own page', async () => {
    const { browser } = await session();
    await signOut(browser, {});
    await browser.submit();
    expect(browser.page.url.pathname).toBe('/signed-out');
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('2.1: discovery names the end_session_endpoint', async () => {
    const { body } = await send(`${world.issuer}/.well-known/openid-configuration`);
    expect(body['end_session_endpoint']).toBe(`${world.issuer}/session/end`);
  });

  test.each([
    ['another', 'https://rp.example/other'],
    ['one with a query added', `${BACK}?foo=bar`],
    ["another e-service's", 'https://asiointi.example/signed-out'],
    ['one of the redirect_uris', 'https://rp.example/callback'],
  ])('3: nobody is led to an address that is not registered for it: %s', async (_what, uri) => {
    const { browser, hint } = await session();
    const page = await signOut(browser, { id_token_hint: hint, post_logout_redirect_uri: uri });
    expect([page.status, page.leadsTo]).toEqual([400, undefined]);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('3: without a hint and a client_id nobody is led anywhere', async () => {
    const { browser } = await session();
    await signOut(browser, { post_logout_redirect_uri: BACK });
    await browser.submit();
    expect(browser.page.url.pathname).toBe('/signed-out');
  });

  test('3: where nobody is signed in any more, the way back is the same', async () => {
    const { browser, hint } = await session();
    await signOut(browser, { id_token_hint: hint });
    const page = await signOut(browser, { id_token_hint: hint, post_logout_redirect_uri: BACK, state: 'x' });
    expect(page.leadsTo?.href).toBe(`${BACK}?state=x`);
  });

  test.each([
    ['no token at all', () => 'bad'],
    ['signed by nobody', (hint: string) => `${hint.split('.').slice(0, 2).join('.')}.`],
    ['changed', (hint: string) => `${hint.slice(0, -8)}AAAAAAAA`],
    ['without a signature', (hint: string) => `${btoa('{"alg":"none"}')}.${hint.split('.')[1]}.`],
  ])('4: a hint that we did not issue is an error page, and signs nobody out: %s', async (_what, change) => {
    const { browser, hint } = await session();
    const page = await signOut(browser, { id_token_hint: change(hint), post_logout_redirect_uri: BACK });
    expect([page.status, page.leadsTo]).toEqual([400, undefined]);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('6: a parameter sent twice is an error page', async () => {
    const { browser, hint } = await session();
    const page = await signOut(browser, { id_token_hint: hint }, { post_logout_redirect_uri: [BACK, BACK] });
    expect([page.status, page.leadsTo]).toEqual([400, undefined]);
  });
});

describe('OpenID Connect Back-Channel Logout 1.0', () => {
  interface Told {
    method: string;
    type: string;
    body: string;
  }
  const next = async (name: string): Promise<Told> => ((await once(told, `/${name}`)) as [Told])[0];

  async function loggedOut(): Promise<{ request: Told; token: string; claims: JWTPayload; id: JWTPayload }> {
    const client = new RawClient(world, 'told');
    const { browser, hint } = await session(client);
    const [request] = await Promise.all([next('told'), signOut(browser, { id_token_hint: hint })]);
    const token = new URLSearchParams(request.body).get('logout_token')!;
    return { request, token, claims: decodeJwt(token), id: decodeJwt(hint) };
  }

  test('2.1: discovery says that the back channel is there, and the sid', async () => {
    const { body } = await send(`${world.issuer}/.well-known/openid-configuration`);
    expect(body).toMatchObject({ backchannel_logout_supported: true, backchannel_logout_session_supported: true });
  });

  test('2.3: every e-service of the session is told, each for itself', async () => {
    const [one, two] = [new RawClient(world, 'told'), new RawClient(world, 'told-too')];
    const { browser, hint } = await session(one);
    await two.tokens(browser);
    const both = Promise.all([next('told'), next('told-too')]);
    await signOut(browser, { id_token_hint: hint });
    const audiences = (await both).map(({ body }) => decodeJwt(new URLSearchParams(body).get('logout_token')!).aud);
    expect(audiences.flat().sort()).toEqual(['told', 'told-too']);
  });

  test('2.4: the logout token has iss, aud, iat, exp, jti, events, sub and sid, no nonce, and lives short', async () => {
    const { claims, id } = await loggedOut();
    expect(claims).toMatchObject({
      iss: world.issuer,
      sub: id.sub,
      sid: id['sid'],
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    });
    expect([claims.aud].flat()).toEqual(['told']);
    expect(claims.jti).toBeTruthy();
    expect(claims).not.toHaveProperty('nonce');
    expect(claims.exp! - claims.iat!).toBeLessThanOrEqual(120);
  });

  test('2.4: it is signed as ID tokens are, typed logout+jwt, and each has a jti of its own', async () => {
    const { token, claims } = await loggedOut();
    const keys = createRemoteJWKSet(new URL(`${world.issuer}/jwks`));
    const { protectedHeader } = await jwtVerify(token, keys, {
      audience: 'told',
      currentDate: new Date(claims.iat! * 1000),
    });
    expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'logout+jwt' });
    expect((await loggedOut()).claims.jti).not.toBe(claims.jti);
  });

  test('2.5: it comes by POST as a form with logout_token alone', async () => {
    const { request } = await loggedOut();
    expect(request.method).toBe('POST');
    expect(request.type).toMatch(/^application\/x-www-form-urlencoded/);
    expect([...new URLSearchParams(request.body).keys()]).toEqual(['logout_token']);
  });

  test('2.7: tokens without offline_access end with the session, those with it do not', async () => {
    const client = new RawClient(world, 'told');
    const { browser, hint, tokens } = await session(client);
    const tab = browser.newTab();
    await client.visit(tab, { scope: 'openid offline_access', prompt: 'consent' });
    await tab.submit();
    const offline = (await client.redeem(answerOf(tab.page).get('code')!)).body;
    await signOut(browser, { id_token_hint: hint });
    expect((await client.refresh(String(tokens['refresh_token']))).body['error']).toBe('invalid_grant');
    expect((await client.refresh(String(offline['refresh_token']))).status).toBe(200);
  });
});
