/** Back-channel logout: whoever ends a session, its e-services are told of it, each once and none holding another up. */
import { afterAll, beforeAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { signingKeys } from '../../src/desk.ts';
import { sql } from '../../src/platform/database.ts';
import { accountById, changeEmail, lockAccount, raiseEpoch } from '../../src/records/accounts.ts';
import { eraseAccount } from '../../src/records/erasures.ts';
import { endWithLogouts, troubledLogouts } from '../../src/records/logouts.ts';
import { endedSessions, outlivedSessions } from '../../src/records/artifacts.ts';
import { startEServices, type EServices } from '../support/e-services.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { until } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const NEXT = 'neljä punaista venettä laiturissa';
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

let world: World;
let services: EServices;

beforeAll(async () => {
  services = await startEServices();
  const service = (name: string, more: object = {}) => ({
    client_name: name,
    redirect_uris: [`https://${name}.example/callback`],
    post_logout_redirect_uris: [`https://${name}.example/out`],
    backchannel_logout_uri: services.uri(name),
    ...more,
  });
  world = await startWorld({
    clients: {
      kirjasto: service('kirjasto'),
      uimahalli: service('uimahalli', { subject_type: 'pairwise', id_token_signed_response_alg: 'ES256' }),
      hidas: service('hidas'),
      vieras: service('vieras', { consent: 'ask' }),
      kartasto: service('kartasto', { logout_on_expiry: true, backchannel_logout_session_required: false }),
    },
  });
});
afterAll(async () => {
  await world.close();
  await services.close();
});
beforeEach(async () => {
  await world.database.query(sql`delete from graphile_worker._private_jobs where locked_at is null`);
  await world.database.query(sql`delete from logouts`);
});
const HALF_A_DAY = 13 * 3_600_000;
/** The library goes by the real time: what comes after is as before. */
afterEach(() => world.clock.advance(-advanced.splice(0).reduce((sum, each) => sum + each, 0)));
const advanced: number[] = [];
function advance(milliseconds: number): void {
  advanced.push(milliseconds);
  world.clock.advance(milliseconds);
}

let people = 0;
async function resident() {
  const email = `asukas${(people += 1)}@example.com`;
  return { email, id: await world.account({ email, password: PASSWORD }) };
}

/** Signs in at an e-service, with the password where it is asked for; the ID token's claims and the token itself. */
async function signIn(browser: HttpBrowser, email: string, service = 'kirjasto') {
  const errand = await (await world.relyingParty(service)).begin();
  await browser.get(errand.url);
  if (!browser.page.leadsTo) {
    if (!browser.page.html.includes('current-password')) await browser.submit({ username: email });
    await browser.submit({ 'current-password': PASSWORD });
  }
  const tokens = await errand.finish(browser.page.leadsTo!);
  return { ...tokens.claims()!, idToken: tokens.id_token! } as unknown as { sub: string; sid: string; idToken: string };
}

async function signOut(browser: HttpBrowser): Promise<void> {
  await browser.get(`${world.issuer}/session/end`);
  await browser.submit();
}

/** What waits for its time is due now: nothing in these tests waits by sleeping. */
async function hurry(): Promise<void> {
  await world.database.query(sql`update graphile_worker._private_jobs set run_at = now() where run_at > now()`);
  await world.database.query(sql`select pg_notify('jobs:insert', '{"r":1,"count":5}')`);
}

/** What is still to be told, or to be tried again. */
const jobs = () =>
  world.database.query<{ attempts: number; pause: number }>(sql`
    select attempts, extract(epoch from run_at - now())::float8 as pause from graphile_worker.jobs
    where task_identifier in ('logout', 'end_sessions')`);

const now = () => world.clock.now();
const claimsOf = (token: string) => decodeJwt<{ sub?: string; sid?: string }>(token);

function outcomes(service: string): Promise<(string | null)[]> {
  const ended = sql`select outcome from logouts where client_id = ${service} order by ended_at, sid`;
  return until(`an outcome for ${service}`, async () => {
    const rows = await world.database.query<{ outcome: string | null }>(ended);
    return rows.every(({ outcome }) => outcome !== null) && rows.map(({ outcome }) => outcome);
  });
}

describe('signing out', () => {
  test('tells every e-service of the session, by sid, with a token as section 2.4 wants it', async () => {
    const { email } = await resident();
    const browser = world.browser();
    const first = await signIn(browser, email);
    const second = await signIn(browser, email, 'uimahalli');
    await signOut(browser);

    const tokens = [await services.next('kirjasto'), await services.next('uimahalli')];
    const jwks = createRemoteJWKSet(new URL(`${world.issuer}/jwks`));
    for (const [index, token] of tokens.entries()) {
      const { sub, sid } = [first, second][index]!;
      const audience = ['kirjasto', 'uimahalli'][index]!;
      const { payload, protectedHeader } = await jwtVerify(token, jwks, {
        issuer: world.issuer,
        audience,
        typ: 'logout+jwt',
      });
      expect(protectedHeader.alg).toBe(['RS256', 'ES256'][index]);
      expect(payload).toEqual({
        iss: world.issuer,
        aud: audience,
        sub,
        sid,
        iat: expect.any(Number),
        exp: payload.iat! + 120,
        jti: expect.stringMatching(/^[\w-]{20,}$/),
        events: { [EVENT]: {} },
      });
    }
    expect(await outcomes('kirjasto')).toEqual(['delivered']);
  });

  test('names the session also to an e-service that does not insist: only this device is signed out', async () => {
    const { email } = await resident();
    const browser = world.browser();
    const { sid } = await signIn(browser, email, 'kartasto');
    await signOut(browser);
    expect(claimsOf(await services.next('kartasto')).sid).toBe(sid);
  });

  test('of one e-service only, by a form without `logout`, tells that one', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await signIn(browser, email);
    const { sid } = await signIn(browser, email, 'uimahalli');
    await browser.get(`${world.issuer}/session/end?client_id=uimahalli`);
    const { action, values } = browser.page.fill({}, {});
    const { xsrf } = Object.fromEntries(values);
    await browser.post(action, { xsrf: xsrf! });
    expect(claimsOf(await services.next('uimahalli')).sid).toBe(sid);
    expect(await outcomes('kirjasto')).toEqual([]);
  });

  test('of one by withdrawing the agreement with it: the session goes on, and what follows there is told of again', async () => {
    const { email } = await resident();
    const browser = world.browser();
    const agreeing = async () => {
      const errand = await (await world.relyingParty('vieras')).begin();
      await browser.get(errand.url);
      if (browser.page.html.includes('current-password')) await browser.submit({ 'current-password': PASSWORD });
      await browser.submit({}, { button: 'Anna tiedot' });
      return (await errand.finish(browser.page.leadsTo!)).claims()! as unknown as { sub: string; sid: string };
    };
    const elsewhere = await signIn(browser, email);
    const first = await agreeing();
    await browser.get(`${world.issuer}/account/services`);
    await browser.submit();
    expect(browser.page.text).toContain('Lupa on peruttu.');
    expect(claimsOf(await services.next('vieras'))).toMatchObject({ sub: first.sub, sid: first.sid });
    expect(await outcomes('kirjasto')).toEqual([]);

    const second = await agreeing();
    expect(second.sid).not.toBe(first.sid);
    await signOut(browser);
    expect(claimsOf(await services.next('vieras')).sid).toBe(second.sid);
    expect(claimsOf(await services.next('kirjasto')).sid).toBe(elsewhere.sid);
  });

  test('another person who takes over the browser signs the former one out', async () => {
    const former = await resident();
    const next = await resident();
    const browser = world.browser();
    const { sid } = await signIn(browser, former.email);
    await browser.get((await (await world.relyingParty('uimahalli')).begin({ prompt: 'login' })).url);
    await browser.submit({ username: next.email });
    await browser.submit({ 'current-password': PASSWORD });
    await browser.submit();
    expect(claimsOf(await services.next('kirjasto')).sid).toBe(sid);
  });
});

describe('a session that is ended otherwise', () => {
  test('by a changed password: the other devices are signed out, this one is not until it signs out', async () => {
    const { email } = await resident();
    const [here, other] = [world.browser(), world.browser()];
    const own = await signIn(here, email);
    const foreign = await signIn(other, email);
    await here.get(`${world.issuer}/account/password`);
    await here.submit({ 'current-password': PASSWORD, 'new-password': NEXT });
    expect(here.page.url.pathname).toBe('/account');
    await hurry();
    expect(claimsOf(await services.next('kirjasto')).sid).toBe(foreign.sid);
    expect(await outcomes('kirjasto')).toEqual(['delivered']);

    // Its hint still is this session's, and its e-service still is told.
    const { config } = await world.relyingParty('kirjasto');
    await here.get(client.buildEndSessionUrl(config, { id_token_hint: own.idToken }));
    expect(here.page.url.pathname).toBe('/signed-out');
    expect(claimsOf(await services.next('kirjasto')).sid).toBe(own.sid);
  });

  test('by a password set with a mailed link: all devices', async () => {
    const { email } = await resident();
    const browser = world.browser();
    const { sid } = await signIn(browser, email);
    const elsewhere = world.browser();
    await elsewhere.get((await (await world.relyingParty()).begin()).url);
    await elsewhere.submit({ username: email });
    await elsewhere.submit({}, { button: 'Unohditko salasanasi?' });
    await elsewhere.get(await world.mailbox.nextLink(email));
    await elsewhere.submit({ 'new-password': NEXT });
    await hurry();
    expect(claimsOf(await services.next('kirjasto')).sid).toBe(sid);
  });

  test.each([
    ['a lock', (id: string) => lockAccount(world.database, id, now())],
    [
      'another address',
      (id: string) =>
        changeEmail(world.database, { accountId: id, email: `${id}@example.com`, verified: false }, now()),
    ],
    ['the joining of another list', (id: string) => raiseEpoch(world.database, id, now())],
    [
      'erasure',
      async (id: string) => {
        const account = (await accountById(world.database, id))!;
        const { sealer } = world.tunnus;
        await world.database.transaction((tx) => eraseAccount(tx, { account, legacyIds: [], sealer }, now()));
      },
    ],
  ])('by %s: all its e-services, once, under the `sub` that they know', async (_name, end) => {
    const { email, id } = await resident();
    const browser = world.browser();
    const first = await signIn(browser, email);
    const second = await signIn(browser, email, 'uimahalli');
    expect(second.sub).not.toBe(id);
    await end(id);
    await hurry();
    expect(claimsOf(await services.next('kirjasto'))).toMatchObject({ sid: first.sid, sub: first.sub });
    expect(claimsOf(await services.next('uimahalli'))).toMatchObject({ sid: second.sid, sub: second.sub });
    expect(
      await world.database.query(sql`select 1 from artifacts where account_id = ${id} and model = 'Session'`),
    ).toEqual([]);
  });

  test('many at once, as an import does', async () => {
    const residents = await Promise.all(Array.from({ length: 3 }, resident));
    const sids = [];
    for (const { email } of residents) sids.push((await signIn(world.browser(), email)).sid);
    await world.database.query(
      sql`update accounts set epoch = epoch + 1 where id = any(${residents.map(({ id }) => id)}::uuid[])`,
    );
    await hurry();
    const told = [];
    for (const _sid of sids) told.push(claimsOf(await services.next('kirjasto')).sid);
    expect(told.sort()).toEqual(sids.sort());
  });

  test('not by what leaves the sessions as they are, nor where nobody is signed in', async () => {
    const { email, id } = await resident();
    await signIn(world.browser(), email);
    await world.database.query(sql`update accounts set locale = 'sv', epoch = epoch where id = ${id}`);
    await raiseEpoch(world.database, (await resident()).id, now());
    expect(await jobs()).toEqual([]);
  });

  test('by its run-out: only the e-service that wants to hear of it', async () => {
    const { email } = await resident();
    const browser = world.browser();
    await signIn(browser, email);
    const { sid } = await signIn(browser, email, 'kartasto');
    advance(HALF_A_DAY);
    await world.database.query(sql`select graphile_worker.add_job('sweep')`);
    expect(claimsOf(await services.next('kartasto')).sid).toBe(sid);
    expect(await outcomes('kirjasto')).toEqual([]);
    expect(await world.database.query(sql`select 1 from artifacts where model = 'Session'`)).toEqual([]);
  });

  test('and run out before that could be told, is told of all the same', async () => {
    const { email, id } = await resident();
    const { sid } = await signIn(world.browser(), email);
    await raiseEpoch(world.database, id, now());
    advance(HALF_A_DAY);
    await world.database.query(sql`select graphile_worker.add_job('sweep')`);
    expect(claimsOf(await services.next('kirjasto')).sid).toBe(sid);
  });
});

describe('an e-service that does not take it', () => {
  async function signedOut() {
    const browser = world.browser();
    const { email } = await resident();
    const claims = await signIn(browser, email);
    await signOut(browser);
    return claims;
  }
  const pausing = (attempts: number): Promise<number> =>
    until(`a pause after try ${attempts}`, async () => {
      const [job] = await jobs();
      return job?.attempts === attempts && job.pause > 0.5 && job.pause;
    });

  test('is tried again after a growing pause, each time with a new token', async () => {
    services.answer('kirjasto', 500, 302, 429);
    const { sid } = await signedOut();
    const tokens = [await services.next('kirjasto')];
    const pauses = [await pausing(1)];
    for (const attempt of [2, 3]) {
      await hurry();
      tokens.push(await services.next('kirjasto'));
      pauses.push(await pausing(attempt));
    }
    expect(pauses[1]).toBeGreaterThan(pauses[0]!);
    expect(pauses[2]).toBeGreaterThan(pauses[1]!);
    await hurry();
    tokens.push(await services.next('kirjasto'));
    expect(await outcomes('kirjasto')).toEqual(['delivered']);
    expect(new Set(tokens.map((token) => claimsOf(token).jti)).size).toBe(4);
    expect(new Set(tokens.map((token) => claimsOf(token).sid))).toEqual(new Set([sid]));
    expect(services.all.some(({ service }) => service === 'elsewhere')).toBe(false);
  });

  test.each([400, 404])('by %i is not asked again, and operators can see it', async (status) => {
    services.answer('kirjasto', status);
    await signedOut();
    await services.next('kirjasto');
    expect(await outcomes('kirjasto')).toEqual(['refused']);
    expect(await troubledLogouts(world.database, new Date(now().getTime() - 60_000))).toMatchObject([
      { clientId: 'kirjasto', count: 1, reason: `HTTP ${status}` },
    ]);
    const line = world.log.findLast((entry) => entry.includes('did not take a sign-out'))!;
    expect(JSON.parse(line)).toMatchObject({ client: 'kirjasto', reason: `HTTP ${status}`, outcome: 'refused' });
    expect(world.log.join()).not.toContain(services.all.at(-1)!.token);
    // The job ends a moment after its outcome is noted; one that is tried again waits for its time.
    const left = await until('the end of the job', async () => {
      const found = await jobs();
      return found.every(({ pause }) => pause >= 0.5) && found;
    });
    expect(left).toEqual([]);
  });

  test('is given up after the last try, and the record stays', async () => {
    services.answer('kirjasto', 503);
    const browser = world.browser();
    await signIn(browser, (await resident()).email);
    await world.database.query(sql`
      create or replace function last_try() returns trigger language plpgsql as
        $$ begin new.attempts := new.max_attempts - 1; return new; end $$`);
    await world.database.query(sql`
      create trigger last_try before insert on graphile_worker._private_jobs for each row execute function last_try()`);
    await signOut(browser);
    await services.next('kirjasto');
    expect(await outcomes('kirjasto')).toEqual(['given_up']);
    await world.database.query(sql`drop trigger last_try on graphile_worker._private_jobs`);
  });

  test('signs with the keys of the time of each try', async () => {
    services.answer('kirjasto', 500);
    await signedOut();
    const before = decodeProtectedHeader(await services.next('kirjasto')).kid;
    await pausing(1);
    await signingKeys({ ...world.tunnus, config: world.config }).replace({ actor: 'test', withdraw: true }, now());
    const published = async () => (await fetch(`${world.issuer}/jwks`)).text();
    await until('the new keys', async () => !(await published()).includes(before!));
    await hurry();
    expect(decodeProtectedHeader(await services.next('kirjasto')).kid).not.toBe(before);
  });

  test('holds up neither the page nor mails nor another e-service, while one never answers', async () => {
    services.answer('hidas', 0, 0);
    const browsers = [world.browser(), world.browser()];
    for (const browser of browsers) {
      const { email } = await resident();
      await signIn(browser, email, 'hidas');
      await signIn(browser, email, 'uimahalli');
    }
    for (const browser of browsers) {
      await signOut(browser);
      expect(browser.page.url.pathname).toBe('/signed-out');
      // Sooner than the other is given up, after three seconds.
      await services.next('uimahalli', 2_500);
    }
    const { email } = await resident();
    const other = world.browser();
    await other.get((await (await world.relyingParty()).begin()).url);
    await other.submit({ username: email });
    await other.submit({}, { button: 'Unohditko salasanasi?' });
    await world.mailbox.nextLink(email);
    // One at a time: the second is not begun while the first is waited for.
    expect(services.atOnce('hidas')).toBe(1);
  });
});

describe('what changes between the end of a session and the telling', () => {
  const order = { account_id: '00000000-0000-4000-8000-000000000001', sid: 'a-sid' };

  test('an e-service that is gone from the configuration is not called', async () => {
    await world.database.query(sql`
      insert into logouts (client_id, sid, account_id, ended_at) values ('poistettu', ${order.sid}, ${order.account_id}, now())`);
    expect(await outcomes('poistettu')).toEqual(['gone']);
  });

  test('an e-service whose sector changed is told under the `sub` of then, and one that knew none by sid alone', async () => {
    const { email, id } = await resident();
    const { sub, sid } = await signIn(world.browser(), email, 'uimahalli');
    await raiseEpoch(world.database, id, now());
    const told = [{ clientId: 'uimahalli', sector: 'uimahalli.example', onExpiry: false }];
    await endWithLogouts(world.database, { ending: outlivedSessions(id), told }, now());
    await world.database.query(sql`update subjects set sector = 'elsewhere' where account_id = ${id}`);
    expect(claimsOf(await services.next('uimahalli'))).toMatchObject({ sub, sid });

    const other = await resident();
    const unknown = await signIn(world.browser(), other.email, 'uimahalli');
    await world.database.query(sql`delete from subjects where account_id = ${other.id}`);
    await raiseEpoch(world.database, other.id, now());
    await hurry();
    const claims = claimsOf(await services.next('uimahalli'));
    expect([claims.sub, claims.sid]).toEqual([undefined, unknown.sid]);
    // Nothing was made up for it.
    expect(await world.database.query(sql`select 1 from subjects where account_id = ${other.id}`)).toEqual([]);
  });

  test('two that end the same session order one logout', async () => {
    const { email, id } = await resident();
    await signIn(world.browser(), email);
    const rows = await world.database.query<{ id: Buffer }>(
      sql`select id from artifacts where account_id = ${id} and model = 'Session'`,
    );
    await raiseEpoch(world.database, id, now());
    const told = [{ clientId: 'kirjasto', onExpiry: false }];
    const ended = await Promise.all([
      endWithLogouts(world.database, { ending: outlivedSessions(id), told }, now()),
      endWithLogouts(world.database, { ending: endedSessions(rows.map((row) => row.id)), told }, now()),
    ]);
    expect(ended.sort()).toEqual([0, 1]);
    await services.next('kirjasto');
    expect(await outcomes('kirjasto')).toEqual(['delivered']);
  });
});
