/**
 * The conformance suite's scripted browser finds its way through our pages: the `browser` blocks of the plans are walked on a
 * live Tunnus, so that a page that changes breaks here and not in a run of hours. The other modules: conformance.long.test.ts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { ONE_MACHINE, PLANS } from '../conformance/plans.ts';
import { clientFiles, startStandIn, type StandIn } from '../support/conformance.ts';

const folder = join(import.meta.dirname, '../conformance');
let suite: StandIn;

beforeAll(async () => {
  suite = await startStandIn();
});
afterAll(() => suite.close());

describe('the files that the suite is given', () => {
  test.each(Object.keys(PLANS))(
    '%s.json is as drawn from plans.ts (npm run conformance -- --plans test/conformance/plans)',
    (name) => {
      const drawn = JSON.parse(readFileSync(join(folder, 'plans', `${name}.json`), 'utf8')) as unknown;
      expect(drawn).toEqual(JSON.parse(JSON.stringify(PLANS[name]!.configuration(ONE_MACHINE))));
    },
  );

  test.each(Object.keys(PLANS))('%s.json names clients that are registered', (name) => {
    const { client, client2, client_secret_post: post } = PLANS[name]!.configuration(ONE_MACHINE);
    for (const each of [client, client2, post]) {
      const id = (each as { client_id?: string } | undefined)?.client_id;
      if (id) expect(clientFiles).toContain(`${id}.yaml`);
    }
  });
});

describe('the way through our pages', () => {
  test('oidcc-prompt-login: address, password, and back; the second time the page that asks again is pictured', async () => {
    const module = await suite.module('basic', 'oidcc-prompt-login');
    expect((await module.authorize())?.get('code')).toBeTruthy();
    module.browser.pictures = 0;
    expect((await module.authorize({ prompt: 'login' }))?.get('code')).toBeTruthy();
    expect(module.browser.pictures).toBe(1);
    await module.close();
  });

  test('oidcc-ensure-registered-redirect-uri: an error page is pictured, and nothing comes back', async () => {
    const module = await suite.module('basic', 'oidcc-ensure-registered-redirect-uri');
    expect(await module.authorize({ redirect_uri: `${module.home}/other` })).toBeUndefined();
    expect(module.browser.pictures).toBe(1);
    await module.close();
  });

  test('oidcc-rp-initiated-logout-no-params: asked, then signed out on our own page', async () => {
    const module = await suite.signedIn('rp-initiated-logout', 'oidcc-rp-initiated-logout-no-params');
    expect(await module.signOut({})).toBeUndefined();
    expect(module.browser.pictures).toBe(1);
    expect(await module.still()).toBe(false);
    await module.close();
  });

  test('oidcc-backchannel-rp-initiated-logout: back with the state, and told by sub and sid of the ID token', async () => {
    const module = await suite.signedIn('backchannel-logout', 'oidcc-backchannel-rp-initiated-logout');
    const told = suite.next('backchannel_logout');
    const state = 's'.repeat(128);
    const answer = await module.signOut({ id_token_hint: module.hint, post_logout_redirect_uri: module.back, state });
    expect(answer?.get('state')).toBe(state);
    const { sub, sid } = decodeJwt(module.hint);
    expect(decodeJwt((await told).get('logout_token')!)).toMatchObject({ sub, sid });
    expect(await module.still()).toBe(false);
    await module.close();
  });
});
