/** The modules of the conformance suite that conformance-plans.long.test.ts leaves out, each on its own way through our pages. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startStandIn, type StandIn } from '../support/conformance.ts';

let suite: StandIn;

beforeAll(async () => {
  suite = await startStandIn();
});
afterAll(() => suite.close());

describe('basic', () => {
  test('oidcc-server: address, password, and back with a code', async () => {
    const module = await suite.module('basic', 'oidcc-server');
    expect((await module.authorize({ scope: 'openid email profile phone' }))?.get('code')).toBeTruthy();
    await module.close();
  });

  test('oidcc-refresh-token: with offline_access and prompt=consent the browser agrees on the way', async () => {
    const module = await suite.module('basic', 'oidcc-refresh-token');
    const asked = { scope: 'openid offline_access', prompt: 'consent' };
    expect((await module.authorize(asked))?.get('code')).toBeTruthy();
    expect((await module.authorize(asked))?.get('code')).toBeTruthy();
    await module.close();
  });

  test.each([
    // Of the same meaning as a sign-in older than max_age=1, without the wait.
    ['oidcc-max-age-1', { max_age: '0' }],
  ])('%s: the second time the page that asks again is pictured', async (name, again) => {
    const module = await suite.module('basic', name);
    expect((await module.authorize())?.get('code')).toBeTruthy();
    module.browser.pictures = 0;
    expect((await module.authorize(again as unknown as Record<string, string>))?.get('code')).toBeTruthy();
    expect(module.browser.pictures).toBe(1);
    await module.close();
  });

  test('oidcc-prompt-none-logged-in and -not-logged-in: no page in between', async () => {
    const module = await suite.module('basic', 'oidcc-prompt-none-logged-in');
    expect((await module.authorize({ prompt: 'none' }))?.get('error')).toBe('login_required');
    await module.authorize();
    expect((await module.authorize({ prompt: 'none' }))?.get('code')).toBeTruthy();
    await module.close();
  });
});

describe('rp-initiated-logout', () => {
  const plan = 'rp-initiated-logout';

  test('oidcc-rp-initiated-logout: back with the state, and signed out', async () => {
    const module = await suite.signedIn(plan, 'oidcc-rp-initiated-logout');
    const state = 's'.repeat(128);
    const answer = await module.signOut({
      id_token_hint: module.hint,
      post_logout_redirect_uri: module.back,
      state,
    });
    expect(answer?.get('state')).toBe(state);
    expect(await module.still()).toBe(false);
    await module.close();
  });

  test('oidcc-rp-initiated-logout-no-state: back without one', async () => {
    const module = await suite.signedIn(plan, 'oidcc-rp-initiated-logout-no-state');
    const answer = await module.signOut({ id_token_hint: module.hint, post_logout_redirect_uri: module.back });
    expect([...answer!.keys()]).toEqual([]);
    await module.close();
  });

  test.each([
    ['bad-post-logout-redirect-uri', { post_logout_redirect_uri: (back: string) => `${back}/other` }],
    ['query-added-to-post-logout-redirect-uri', { post_logout_redirect_uri: (back: string) => `${back}?foo=bar` }],
    ['modified-id-token-hint', { id_token_hint: (_: string, hint: string) => `${hint.slice(0, -5)}AAAAA` }],
    ['bad-id-token-hint', { id_token_hint: () => 'bad' }],
    ['no-id-token-hint', { id_token_hint: () => undefined }],
  ])(
    'oidcc-rp-initiated-logout-%s: what the resident sees is pictured, and nothing comes back',
    async (name, changes) => {
      const module = await suite.signedIn(plan, `oidcc-rp-initiated-logout-${name}`);
      const { back, hint } = module;
      const change = changes as Record<string, (back: string, hint: string) => string | undefined>;
      const parameters = Object.entries({ post_logout_redirect_uri: back, id_token_hint: hint, state: 'a state' })
        .map(([key, value]): [string, string | undefined] => [key, change[key] ? change[key](back, hint) : value])
        .filter((each): each is [string, string] => each[1] !== undefined);
      expect(await module.signOut(Object.fromEntries(parameters))).toBeUndefined();
      expect(module.browser.pictures).toBe(1);
      expect(await module.still()).toBe(true);
      await module.close();
    },
  );

  test.each([
    ['only-state', ['state']],
    ['no-post-logout-redirect-uri', ['id_token_hint', 'state']],
  ])('oidcc-rp-initiated-logout-%s: signed out on our own page', async (name, kept) => {
    const module = await suite.signedIn(plan, `oidcc-rp-initiated-logout-${name}`);
    const all: Record<string, string> = { id_token_hint: module.hint, state: 'a state' };
    expect(await module.signOut(Object.fromEntries(kept.map((key) => [key, all[key]!])))).toBeUndefined();
    expect(module.browser.pictures).toBe(1);
    expect(await module.still()).toBe(false);
    await module.close();
  });
});

describe('fapi2-security-profile', () => {
  const plan = 'fapi2-security-profile';
  const name = (module: string): string => `fapi2-security-profile-final-${module}`;

  test('happy-flow: a pushed request, address, password, and back with a code', async () => {
    const module = await suite.module(plan, name('happy-flow'));
    expect((await module.authorize(await module.push()))?.get('code')).toBeTruthy();
    await module.close();
  });

  test('user-rejects-authentication: the resident says no to the question, and access_denied comes back', async () => {
    const module = await suite.module(plan, name('user-rejects-authentication'));
    for (const _client of [1, 2])
      expect((await module.authorize(await module.push()))?.get('error')).toBe('access_denied');
    await module.close();
  });

  test('par-ensure-reused-request-uri-prior-to-auth-completion-succeeds: looked at once, then signed in', async () => {
    const module = await suite.module(plan, name('par-ensure-reused-request-uri-prior-to-auth-completion-succeeds'));
    const pushed = await module.push();
    expect(await module.authorize(pushed)).toBeUndefined();
    expect((await module.authorize(pushed))?.get('code')).toBeTruthy();
    await module.close();
  });

  test('par-attempt-reuse-request_uri: an error page is pictured the second time', async () => {
    const module = await suite.module(plan, name('par-attempt-reuse-request_uri'));
    const pushed = await module.push();
    expect((await module.authorize(pushed))?.get('code')).toBeTruthy();
    expect((await module.authorize(pushed))?.get('code')).toBeFalsy();
    await module.close();
  });
});
