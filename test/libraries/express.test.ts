/** E-services with express-openid-connect and passport-openidconnect, untouched (express-services.ts): their whole way. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { HttpBrowser } from '../support/http-browser.ts';
import { CLIENT_SECRET, startWorld, type World } from '../support/world.ts';

const RESIDENT = { email: 'suvi@example.com', password: 'kolme punaista venettä laiturissa', givenName: 'Suvi' };

let world: World;
let services: ChildProcess;
let homes: { modern: string; old: string };

const message = async <T>(): Promise<T> => ((await once(services, 'message')) as [T])[0];

beforeAll(async () => {
  services = fork(join(import.meta.dirname, 'express-services.ts'), [CLIENT_SECRET], { execArgv: ['--no-warnings'] });
  homes = await message();
  world = await startWorld({
    clients: {
      modern: {
        client_name: 'Modern',
        token_endpoint_auth_method: 'client_secret_post',
        redirect_uris: [`${homes.modern}/callback`],
        post_logout_redirect_uris: [homes.modern],
        backchannel_logout_uri: `${homes.modern}/backchannel-logout`,
        scope: 'openid email profile',
        grant_types: ['authorization_code', 'refresh_token'],
      },
      old: {
        client_name: 'Old',
        token_endpoint_auth_method: 'client_secret_post',
        require_pkce: false,
        redirect_uris: [`${homes.old}/callback`],
        scope: 'openid email profile',
      },
    },
  });
  await world.account(RESIDENT);
  services.send(world.issuer);
  await message();
});
afterAll(async () => {
  services.kill();
  await world.close();
});

async function signIn(browser: HttpBrowser, home: string): Promise<void> {
  await browser.get(`${home}/login`);
  await browser.submit({ username: RESIDENT.email });
  await browser.submit({ 'current-password': RESIDENT.password });
}

describe('express-openid-connect', () => {
  test('signs in, reads userinfo, refreshes, and signs out at the provider', async () => {
    const browser = world.browser();
    await signIn(browser, homes.modern);
    expect(browser.page.url.href).toBe(`${homes.modern}/`);
    expect(browser.page.json).toMatchObject({ user: { amr: ['pwd'] } });
    await browser.get(`${homes.modern}/info`);
    expect(browser.page.json).toMatchObject({ info: { email: RESIDENT.email, given_name: 'Suvi' }, changed: true });
    await browser.get(`${homes.modern}/logout`);
    expect(browser.page.url.origin).toBe(homes.modern);
    expect(browser.page.json).toEqual({ user: null });
    await browser.get(`${homes.modern}/login`);
    expect(browser.page.field('username')).toBeDefined();
  });

  test('is signed out by the back channel when the resident signs out elsewhere', async () => {
    const browser = world.browser();
    await signIn(browser, homes.modern);
    let told = message<number>();
    await browser.get(`${world.issuer}/session/end`);
    await browser.submit();
    // The first may be of the session before, which ended just now.
    do {
      expect(await told).toBe(204);
      told = message<number>();
      await browser.get(homes.modern);
    } while ((browser.page.json as { user: unknown }).user !== null);
    expect(browser.page.json).toEqual({ user: null });
  });
});

describe('passport-openidconnect', () => {
  test('signs in with a secret in the body and without PKCE, and gets the resident', async () => {
    const browser = world.browser();
    await signIn(browser, homes.old);
    expect(browser.page.url.href).toBe(`${homes.old}/`);
    expect(browser.page.json).toMatchObject({
      user: { emails: [{ value: RESIDENT.email }], name: { givenName: 'Suvi' } },
    });
  });
});
