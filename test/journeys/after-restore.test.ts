/** After a restore nothing from before lets anybody in, whoever was erased stays erased, and residents are who they were. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { afterRestore } from '../../src/journeys/after-restore.ts';
import { writeErasures } from '../../src/journeys/erasure-list.ts';
import { supportFor } from '../../src/desk.ts';
import { sql } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { leavingBefore } from '../../src/records/accounts.ts';
import { askRemoval, dueRemovals } from '../../src/records/factors.ts';
import { makeRegistration } from '../../src/records/registrations.ts';
import { runTunnus } from '../support/command.ts';
import { untilMail } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let folder: string;
let list: string;

beforeAll(async () => {
  world = await startWorld();
  folder = await mkdtemp(join(tmpdir(), 'tunnus-restore-'));
  list = join(folder, 'erasures.jsonl');
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const restored = (options: { list?: string } = {}) =>
  afterRestore(
    { database: world.database, sealer: world.tunnus.sealer },
    { actor: 'support:test', ...options },
    world.clock.now(),
  );

test('every session, code, token, link, sign-in under way and waiting mail from before is void; sub values stay', async () => {
  await world.account({ email: 'aino@example.com', password: PASSWORD, ids: { asiointi: 'A17' } });
  const eero = await world.account({ email: 'eero@example.com' });
  const asiointi = await world.relyingParty();
  const signedIn = world.browser();
  const errand = await asiointi.begin({ scope: 'openid email offline_access' });
  await signedIn.get(errand.url);
  await signedIn.submit({ username: 'aino@example.com' });
  await signedIn.submit({ 'current-password': PASSWORD });
  const tokens = await errand.finish(signedIn.page.leadsTo!);
  const sub = tokens.claims()!.sub;
  const again = await asiointi.begin();
  await signedIn.get(again.url);
  const code = signedIn.page.leadsTo!;

  const waiting = world.browser();
  await waiting.get((await asiointi.begin()).url);
  await waiting.submit({ username: 'eero@example.com' });
  const link = await world.mailbox.nextLink('eero@example.com');
  await untilMail(world.database, eero, 'sent');
  // A password was right, and a word is waited for: somebody else is signed in on this browser.
  await world.account({ email: 'liisa@example.com', password: PASSWORD });
  const parked = world.browser();
  const first = await asiointi.begin();
  await parked.get(first.url);
  await parked.submit({ username: 'aino@example.com' });
  await parked.submit({ 'current-password': PASSWORD });
  await parked.get((await asiointi.begin({ prompt: 'login' })).url);
  await parked.submit({ username: 'liisa@example.com' });
  await parked.submit({ 'current-password': PASSWORD });
  expect(parked.page.url.pathname).toMatch(/other-person$/);
  await world.database.query(sql`
    insert into mails (kind, queued_at, outcome_at) values ('password_changed', now(), now())`);

  const done = await restored();
  expect(done).toMatchObject({ accounts: 3, links: 1, mails: 1, erasedAgain: 0 });

  await expect(again.finish(code)).rejects.toMatchObject({ error: 'invalid_grant' });
  await expect(client.refreshTokenGrant(asiointi.config, tokens.refresh_token!)).rejects.toMatchObject({
    error: 'invalid_grant',
  });
  await expect(client.fetchUserInfo(asiointi.config, tokens.access_token, sub)).rejects.toThrow();
  await signedIn.get(`${world.issuer}/account`);
  expect(signedIn.page.h1).toBe('Kirjaudu sisään');
  await waiting.get(link);
  expect(waiting.page.status).toBe(410);
  await parked.submit();
  expect(parked.page.leadsTo).toBeUndefined();
  expect(await world.database.query(sql`select 1 from mails where outcome in ('queued', 'delayed')`)).toEqual([]);

  // The same resident, by the same password, is the same to the e-service.
  const anew = world.browser();
  const next = await asiointi.begin();
  await anew.get(next.url);
  await anew.submit({ username: 'aino@example.com' });
  await anew.submit({ 'current-password': PASSWORD });
  expect((await next.finish(anew.page.leadsTo!)).claims()!.sub).toBe(sub);
  const [event] = await world.database.query(sql`select actor, detail from audit where kind = 'database_restored'`);
  expect(event).toMatchObject({ actor: 'support:test', detail: { links: 1 } });
});

test('what may have been called off since is not done, and no link makes an account', async () => {
  const { database } = world;
  const now = world.clock.now();
  const past = new Date(now.getTime() - 60_000);
  const [stays, unused] = [
    await world.account({ email: 'jaaja@example.com' }),
    await world.account({ email: 'kayttamaton@example.com' }),
  ];
  await database.query(sql`
    update accounts set leaves_at = ${past}, leave_reminded_at = ${past} where id = ${stays}`);
  await database.query(sql`insert into dormancy_warnings (account_id, warned_at) values (${unused}, ${past})`);
  const removal = { factor: 'all', actor: 'support:test', askedAt: past, dueAt: past };
  await askRemoval(database, { accountId: stays, token: 'x', removal });
  const wanted = { email: 'uusi@example.com', emailKey: 'uusi@example.com', locale: 'fi', lifetime: 3_600_000 };
  const token = await makeRegistration(database, wanted, now);

  expect(await restored()).toMatchObject({ removals: 1, links: 1 });

  const leaving = { reminded: true, limit: 10 };
  expect(await leavingBefore(database, { before: now, ...leaving })).toEqual([]);
  const after = new Date(now.getTime() + 15 * 86_400_000);
  expect(await leavingBefore(database, { before: after, ...leaving, reminded: false })).toEqual([stays]);
  expect(await database.query(sql`select 1 from dormancy_warnings`)).toEqual([]);
  expect(await dueRemovals(database, now)).toEqual([]);
  const browser = world.browser();
  expect((await browser.get(`${world.issuer}/new-account/${token}`)).status).toBe(404);
  await database.query(sql`delete from accounts where id in (${stays}, ${unused})`);
});

test('who was erased after the backup is erased again by the list, and only they', async () => {
  const parts = { database: world.database, sealer: world.tunnus.sealer };
  const gone = await world.account({ email: 'poissa@example.com', ids: { asiointi: 'P1' } });
  await world.account({ email: 'jaa@example.com' });
  // What the backup has of them.
  const rows = await world.database.query(sql`select to_jsonb(a) as row from accounts a where id = ${gone}`);
  const acts = supportFor({ ...parts, config: world.config, close: () => Promise.resolve() }, 'support:test');
  await acts.erase({ email: 'poissa@example.com', yes: true }, world.clock.now());
  await world.mailbox.next({ to: 'poissa@example.com' });
  const [erased] = await world.database.query<{ at: Date }>(
    sql`select erased_at as at from erasures where kind = 'account'`,
  );
  await writeErasures(parts, list);
  const text = await readFile(list, 'utf8');
  expect(text).not.toMatch(/poissa|"P1"/);
  expect(text).not.toContain(gone);

  await world.database.query(sql`delete from erasures`);
  await world.database.query(
    sql`insert into accounts select (jsonb_populate_record(null::accounts, ${rows[0]!['row']}::jsonb)).*`,
  );
  await world.database.query(sql`
    insert into legacy_ids (source, legacy_id, account_id, created_at) values ('asiointi', 'P1', ${gone}, now())`);
  expect(await restored({ list })).toMatchObject({ erasedAgain: 1 });
  const left = await world.database.query<{ email: string }>(sql`select email from accounts order by email`);
  expect(left.map(({ email }) => email)).toContain('jaa@example.com');
  expect(left.map(({ email }) => email)).not.toContain('poissa@example.com');
  expect(await world.database.query(sql`select 1 from legacy_ids where legacy_id = 'P1'`)).toEqual([]);
  const kept = await world.database.query<{ kind: string; at: Date }>(sql`
    select kind, erased_at as at from erasures order by kind`);
  expect(kept.map(({ kind }) => kind)).toEqual(['account', 'email', 'legacy_id']);
  expect(kept[0]!.at).toEqual(erased!.at);
  expect(world.mailbox.all.filter(({ to }) => to === 'poissa@example.com')).toHaveLength(1);
  // Also of whom the backup knows nothing, the list keeps what must not come back.
  await world.database.query(sql`delete from erasures`);
  expect(await restored({ list })).toMatchObject({ erasedAgain: 0 });
  expect(await world.database.query(sql`select 1 from erasures`)).toHaveLength(3);
});

test('a list that is cut off, another database’s or no list is refused, and nothing was done', async () => {
  const whole = await readFile(list, 'utf8');
  const before = await world.database.query(sql`select sum(epoch) as sum from accounts`);
  const refusal = async (content: string): Promise<string> => {
    await writeFile(join(folder, 'bad.jsonl'), content);
    const done = await restored({ list: join(folder, 'bad.jsonl') });
    return 'refused' in done ? done.refused : 'taken';
  };
  expect(await refusal(whole.split('\n').slice(0, -2).join('\n'))).toContain('not whole');
  expect(await refusal(whole.replace('"account"', '"person"'))).toContain(':2: this is no line');
  expect(await refusal('legacy_id,email\n')).toContain('no list of erasures');
  expect(await refusal('')).toContain('no list of erasures');
  const mark = makeSealer(['another secret of thirty-two characters', 'x'], 'another key').digests(
    'export',
    'export',
  )[0]!;
  expect(await refusal(whole.replace(/"digests":"[^"]+"/, `"digests":"${mark.toString('base64url')}"`))).toContain(
    'another key',
  );
  expect(await restored({ list: join(folder, 'none.jsonl') })).toEqual({ refused: expect.stringContaining('ENOENT') });
  expect(await world.database.query(sql`select sum(epoch) as sum from accounts`)).toEqual(before);
});

test('the command wants a word about the list', async () => {
  await writeFile(join(folder, 'tunnus.yaml'), JSON.stringify({ issuer: world.issuer }));
  const { code, err } = await runTunnus(folder, ['restored']);
  expect(code).toBe(2);
  expect(err).toContain('--erasures FILE is missing');
});
