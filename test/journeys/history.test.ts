/** Whose history it is: what each e-service is told of a resident, through every door, and for how long that holds. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { Client } from 'oidc-provider';
import * as client from 'openid-client';
import { signingKeys } from '../../src/desk.ts';
import { residents } from '../../src/oidc/claims.ts';
import { sql } from '../../src/platform/database.ts';
import { accountByKey, changeEmail, setOwnPassword } from '../../src/records/accounts.ts';
import { eraseAccount } from '../../src/records/erasures.ts';
import { hashPassword } from '../../src/records/passwords.ts';
import { givenSubject, subjectsOf } from '../../src/records/subjects.ts';
import { startEServices, type EServices } from '../support/e-services.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type NewAccount, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const SCOPE = 'openid email legacy';

let world: World;
let services: EServices;

beforeAll(async () => {
  services = await startEServices();
  const backchannel_logout_uri = services.uri('all');
  const legacy = { scope: SCOPE, subject_type: 'legacy', legacy_source: 'asiointi', backchannel_logout_uri };
  world = await startWorld({
    clients: {
      // The old program of the list, and the new one that is to follow it.
      asiointi: { ...legacy, client_name: 'A', redirect_uris: ['https://asiointi.example/callback'] },
      asiointi2: {
        ...legacy,
        subject_type: 'pairwise',
        client_name: 'A2',
        redirect_uris: ['https://asiointi2.example/cb'],
      },
      varaukset: {
        ...legacy,
        legacy_source: 'varaukset',
        client_name: 'V',
        redirect_uris: ['https://varaukset.example/cb'],
      },
      avoin: {
        scope: SCOPE,
        subject_type: 'public',
        legacy_source: 'kartta',
        client_name: 'P',
        redirect_uris: ['https://avoin.example/cb'],
      },
    },
  });
});
afterAll(async () => {
  await world.close();
  await services.close();
});

let made = 0;
const resident = async (more: Omit<NewAccount, 'email'> = {}) => {
  const email = `asukas${++made}@example.com`;
  return { email, id: await world.account({ email, password: PASSWORD, ...more }) };
};

async function signIn(name: string, email: string, browser: HttpBrowser = world.browser()) {
  const service = await world.relyingParty(name);
  const errand = await service.begin({ scope: SCOPE });
  await browser.get(errand.url);
  if (browser.page.url.pathname.startsWith('/sign-in/')) {
    await browser.submit({ username: email });
    await browser.submit({ 'current-password': PASSWORD });
  }
  return { service, errand, browser };
}

/** What the e-service learns, by every door. */
async function told(name: string, email: string, browser?: HttpBrowser) {
  const { service, errand, browser: used } = await signIn(name, email, browser);
  const tokens = await errand.finish(used.page.leadsTo!);
  const idToken = tokens.claims()!;
  const userinfo = await client.fetchUserInfo(service.config, tokens.access_token, client.skipSubjectCheck);
  const introspected = await client.tokenIntrospection(service.config, tokens.access_token);
  expect(userinfo.sub).toBe(idToken.sub);
  expect(introspected.sub).toBe(idToken.sub);
  return { sub: idToken.sub, legacyId: userinfo['legacy_id'], all: { idToken, userinfo, introspected }, tokens };
}

test('an e-service sees its own old id and nobody else’s, by every door', async () => {
  const ids = { asiointi: 'U-own-1', kartta: 'kt-own-2', varaukset: 'v-own-3' };
  const { email, id } = await resident({ ids });
  const browser = world.browser();
  const asiointi = await told('asiointi', email, browser);
  const successor = await told('asiointi2', email, browser);
  const kartta = await told('kartta', email, browser);
  const varaukset = await told('varaukset', email, browser);
  const avoin = await told('avoin', email, browser);

  expect([asiointi.sub, asiointi.legacyId]).toEqual(['U-own-1', 'U-own-1']);
  expect([varaukset.sub, varaukset.legacyId]).toEqual(['v-own-3', 'v-own-3']);
  // The same list, another subject_type: a sub of its own, the same claim.
  expect(successor).toMatchObject({ sub: expect.stringMatching(/^tunnus-/), legacyId: 'U-own-1' });
  expect(kartta).toMatchObject({ sub: expect.stringMatching(/^tunnus-/), legacyId: 'kt-own-2' });
  expect(avoin).toMatchObject({ sub: id, legacyId: 'kt-own-2' });
  expect(new Set([successor.sub, kartta.sub]).size).toBe(2);

  const own = { asiointi: ['U-own-1'], asiointi2: ['U-own-1'], kartta: ['kt-own-2'], varaukset: ['v-own-3'] };
  for (const [name, seen] of Object.entries({ asiointi, asiointi2: successor, kartta, varaukset })) {
    const everything = JSON.stringify(seen.all);
    for (const old of Object.values(ids))
      expect([name, old, everything.includes(old)]).toEqual([name, old, own[name as keyof typeof own].includes(old)]);
    expect(everything).not.toContain(id);
  }

  const service = await world.relyingParty('asiointi');
  await browser.get(client.buildEndSessionUrl(service.config, { id_token_hint: asiointi.tokens.id_token! }));
  const tokens = [await services.next('all'), await services.next('all'), await services.next('all')];
  const byAudience = Object.fromEntries(
    tokens.map((token) => decodeJwt(token)).map(({ aud, sub }) => [String(aud), sub]),
  );
  expect(byAudience).toEqual({ asiointi: 'U-own-1', asiointi2: successor.sub, varaukset: 'v-own-3' });
});

test('a resident who is on no list gets a sub that no old id can be, and no legacy_id', async () => {
  const { email } = await resident();
  const { sub, legacyId } = await told('asiointi', email);
  expect(sub).toMatch(/^tunnus-/);
  expect(legacyId).toBeUndefined();
});

test('the sub is written with the grant that first gives it out, before any token is asked for', async () => {
  const { email, id } = await resident({ ids: { asiointi: 'U-grant' } });
  const { browser, errand } = await signIn('asiointi', email);
  expect(browser.page.leadsTo?.searchParams.has('code')).toBe(true);
  expect(await givenSubject(world.database, { sector: 'legacy:asiointi', accountId: id })).toBe('U-grant');
  // What a later list says does not reach the token that this code stands for.
  await world.database.query(sql`update legacy_ids set legacy_id = 'U-other' where legacy_id = 'U-grant'`);
  expect((await errand.finish(browser.page.leadsTo!)).claims()!.sub).toBe('U-grant');
});

test('and is not written where the grant was lost', async () => {
  const { email, id } = await resident({ ids: { asiointi: 'U-lost' } });
  // As if another list had joined between the password and the code: the proof no longer stands.
  await world.database.session((session) =>
    session.script(`
      create function outlived() returns trigger language plpgsql as 'begin perform refuse(''proof''); return new; end';
      create trigger outlived before insert on artifacts for each row when (new.model = 'AuthorizationCode')
        execute function outlived()`),
  );
  const { browser } = await signIn('asiointi', email);
  await world.database.session((session) => session.script('drop function outlived cascade'));
  expect(browser.page.leadsTo?.searchParams.has('code') ?? false).toBe(false);
  expect(await subjectsOf(world.database, id)).toEqual(new Map());
});

test('it outlives another list, another address, new keys and a new secret', async () => {
  const { email, id } = await resident({ ids: { asiointi: 'U-stays', kartta: 'kt-stays' } });
  const browser = world.browser();
  const before = [await told('asiointi', email, browser), await told('kartta', email, browser)].map(({ sub }) => sub);
  const now = world.clock.now();
  await world.database.query(sql`update legacy_ids set legacy_id = legacy_id || '-later' where account_id = ${id}`);
  await changeEmail(world.database, { accountId: id, email: `muuttunut-${email}`, verified: false }, now);
  const { epoch } = (await accountByKey(world.database, `muuttunut-${email}`))!;
  await setOwnPassword(world.database, { accountId: id, epoch, hash: await hashPassword(PASSWORD) }, now);
  await signingKeys({ ...world.tunnus, config: world.config }).replace({ actor: 'system', withdraw: false }, now);
  const secret = ['another secret of the tests, thirty-two and more', ...world.config.secret];
  const next = await startWorld({
    settings: { secret },
    databaseUrl: () => Promise.resolve(world.config.database.url!),
  });
  const visitor = next.browser();
  const after: string[] = [];
  for (const name of ['asiointi', 'kartta']) {
    const service = await next.relyingParty(name);
    const errand = await service.begin({ scope: 'openid' });
    await visitor.get(errand.url);
    if (visitor.page.url.pathname.startsWith('/sign-in/')) {
      await visitor.submit({ username: `muuttunut-${email}` });
      await visitor.submit({ 'current-password': PASSWORD });
    }
    after.push((await errand.finish(visitor.page.leadsTo!)).claims()!.sub);
  }
  await next.close();
  expect(after).toEqual(before);
});

test('it answers outside a request and after erasure, and nobody else gets it', async () => {
  const { email, id } = await resident({ ids: { asiointi: 'U-erased' } });
  await told('asiointi', email);
  const account = await accountByKey(world.database, email);
  const legacyIds = [{ source: 'asiointi', id: 'U-erased' }];
  await world.database.transaction((tx) =>
    eraseAccount(tx, { account: account!, legacyIds, sealer: world.tunnus.sealer }, world.clock.now()),
  );
  const people = residents({ database: world.database, clock: () => world.clock.now() });
  const asiointi = {
    subjectType: 'pairwise',
    sector: 'legacy:asiointi',
    subject_type_own: 'legacy',
    legacy_source: 'asiointi',
  } as unknown as Client;
  expect(await people.pairwiseIdentifier(undefined, id, asiointi)).toBe('U-erased');
  expect(await people.subFor(id, asiointi)).toBe('U-erased');

  // An admin ties the id to somebody else: that resident meets the page that leads to support, not a fault.
  const heir = await resident({ ids: { asiointi: 'U-erased' } });
  const { browser } = await signIn('asiointi', heir.email);
  expect(browser.page.status).toBe(403);
  expect(browser.page.url.pathname).toMatch(/\/in-doubt$/);
  expect(await subjectsOf(world.database, heir.id)).toEqual(new Map());
});

test('a resident in doubt meets the page that leads to support, there only', async () => {
  const { email, id } = await resident({ ids: { asiointi: { id: 'U-doubt', doubt: 'shared_email' }, kartta: 'kt-d' } });
  const { browser } = await signIn('asiointi', email);
  expect(browser.page.status).toBe(403);
  expect(browser.page.text).toContain('Emme voi yhdistää aiempia tietojasi tähän palveluun.');
  expect(browser.page.html).toContain('tuki@kaupunki.example');
  expect(await subjectsOf(world.database, id)).toEqual(new Map());
  expect((await told('kartta', email, browser)).legacyId).toBe('kt-d');
  // At the new program of the same list: in, but without the claim.
  expect(await told('asiointi2', email, browser)).toMatchObject({ sub: expect.stringMatching(/^tunnus-/) });
  expect((await told('asiointi2', email, browser)).legacyId).toBeUndefined();
});

test("somebody else's id_token_hint gives nobody a sub", async () => {
  const owner = await resident({ ids: { asiointi: 'U-hint' } });
  const { tokens } = await told('asiointi', owner.email);
  const other = await resident({ ids: { asiointi: { id: 'U-x', doubt: 'shared_email' } } });
  const { browser } = await signIn('kartta', other.email);
  const service = await world.relyingParty('asiointi');
  const { url } = await service.begin({ prompt: 'none', id_token_hint: tokens.id_token! });
  await browser.get(url);
  expect(browser.page.leadsTo?.searchParams.get('error')).toBe('login_required');
  expect([...(await subjectsOf(world.database, other.id)).keys()]).toEqual(['kartta.example']);
});
