/** What support may change of who is who, and what nobody gains by it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { supportFor } from '../../src/desk.ts';
import { importAccounts } from '../../src/journeys/import-accounts.ts';
import { sql } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { accountByKey, type Account } from '../../src/records/accounts.ts';
import { MERGE_LOCK } from '../../src/records/erasures.ts';
import { addAuthenticator, addPasskey, settleFactors } from '../../src/records/factors.ts';
import { tiesOfAccount } from '../../src/records/legacy-ids.ts';
import { hashPassword } from '../../src/records/passwords.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { untilMail } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const REASON = 'asked by telephone, showed an identity card';

let world: World;
let acts: ReturnType<typeof supportFor>;
let folder: string;
let count = 0;
let ownHash: string;
let waiting: Promise<unknown>;
beforeAll(async () => {
  const tili = {
    client_name: 'Tili',
    redirect_uris: ['https://tili.example/callback'],
    backchannel_logout_uri: 'http://127.0.0.1:1/logout',
    subject_type: 'legacy',
    legacy_source: 'asiointi',
  };
  world = await startWorld({ clients: { tili } });
  const { database, sealer } = world.tunnus;
  acts = supportFor({ database, sealer, config: world.config, close: () => Promise.resolve() }, 'support:tester');
  folder = await mkdtemp(join(tmpdir(), 'lists-'));
  ownHash = await hashPassword(PASSWORD);
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const now = (): Date => world.clock.now();
let email: string;
let id: string;
/** An address and an old id that nobody has yet. */
beforeEach(() => {
  email = `resident${++count}@example.com`;
  id = `U${1000 + count}`;
});
const other = (name: string): string => email.replace('resident', name);

const resident = async (address = email): Promise<Account> => (await accountByKey(world.database, address))!;
const setPassword = (address: string, list?: string) =>
  world.database.query(sql`
    update accounts set password_state = ${list ? 'list' : 'own'}, password_list = ${list ?? null},
      password_hash = ${ownHash} where email_key = ${address}`);

async function newcomer(ids: Record<string, string | { id: string; doubt: string }> = {}, address = email) {
  await world.account({ email: address, ids });
  await setPassword(address);
}

async function arrive(address: string, client = 'asiointi'): Promise<HttpBrowser> {
  const browser = world.browser();
  await browser.get((await (await world.relyingParty(client)).begin()).url);
  await browser.submit({ username: address });
  return browser;
}

/** The `sub` by which the e-service knows who signs in with this address. */
async function subOf(address: string, client = 'asiointi'): Promise<{ sub: string; browser: HttpBrowser }> {
  const browser = world.browser();
  const errand = await (await world.relyingParty(client)).begin();
  await browser.get(errand.url);
  await browser.submit({ username: address });
  const page = await browser.submit({ 'current-password': PASSWORD });
  if (!page.leadsTo) throw new Error(`no way back from '${page.h1}'`);
  return { sub: (await errand.finish(page.leadsTo)).claims()!.sub, browser };
}

async function isSignedIn(browser: HttpBrowser): Promise<boolean> {
  const page = await browser.get(`${world.issuer}/account`);
  return page.url.pathname === '/account';
}

/** The e-services that are to be told of a sign-out, and by which `sub`. */
const toldOf = (accountId: string) =>
  world.database.query(sql`select client_id as client, sub from logouts where account_id = ${accountId}`);

async function events(accountId: string): Promise<{ kind: string; actor: string; detail: object; place: unknown }[]> {
  return world.database.query(sql`
    select kind, actor, detail, place from audit where account_id = ${accountId} order by at desc, id desc`);
}

async function list(source: string, ...rows: string[]) {
  const file = join(folder, `${source}${++count}.csv`);
  await writeFile(file, ['legacy_id,email', ...rows, ''].join('\n'));
  const { database, sealer } = world.tunnus;
  return importAccounts({ database, sealer, log: makeLog({ level: 'silent' }) }, { file, source }, now());
}

describe('another address', () => {
  const setEmail = (to: string, from = email, reason = REASON) => acts.setEmail({ from, to, reason }, now());

  test('ends sessions and passwords; the resident sets a new one by mail and keeps their sub', async () => {
    await newcomer({ asiointi: id });
    const before = await subOf(email);
    const next = other('next');
    const written = next.replace('next', 'Next');
    expect(await setEmail(`  ${written} `)).toEqual({ changed: true });

    expect(await isSignedIn(before.browser)).toBe(false);
    expect((await arrive(email)).page.text).toContain(`Emme tunnistaneet sähköpostiosoitetta ${email}.`);
    const [old, given] = [await world.mailbox.next({ to: email }), await world.mailbox.next({ to: written })];
    expect(old.subject).toBe('Sähköpostiosoitteesi on vaihdettu');
    for (const part of [old.text, old.html]) expect(part.toLowerCase()).not.toContain(next);
    expect(given.text).toContain('Aiempi salasanasi ei enää toimi.');

    const browser = await arrive(next);
    expect(browser.page.h1).toBe('Tarkista sähköpostisi');
    expect(await resident(next)).toMatchObject({ emailVerified: false, passwordState: 'none' });
    await browser.get(await world.mailbox.nextLink(written));
    await browser.submit({ 'new-password': PASSWORD });
    expect((await resident(next)).emailVerified).toBe(true);
    expect((await subOf(next)).sub).toBe(before.sub);
  });

  async function withFactors({ proved }: { proved: boolean }): Promise<void> {
    await newcomer();
    const accountId = (await resident()).id;
    await world.database.query(sql`update accounts set email_verified = ${proved} where id = ${accountId}`);
    const key = { credentialId: Buffer.from(id).toString('base64url'), publicKey: Buffer.from('key'), counter: 0 };
    const how = { backupEligible: true, backedUp: true, transports: [], name: '', accountId };
    await addPasskey(world.database, { ...key, ...how }, now());
    await addAuthenticator(world.database, { accountId, sealed: 'sealed', step: 0 }, now());
    await settleFactors(world.database, accountId, now());
  }

  test('keeps passkeys and the second step: whoever talks support into it, even twice, is not past them', async () => {
    await withFactors({ proved: true });
    expect(await setEmail(other('wrong'))).toEqual({ changed: true, keeps: ['passkey', 'authenticator'] });
    expect(await setEmail(other('next'), other('wrong'))).toMatchObject({ keeps: ['passkey', 'authenticator'] });
    const told = await world.mailbox.next({ to: other('next') });
    expect(told.text).toContain('Kirjaudu tällä osoitteella ja pääsyavaimella');
    expect(told.text).toContain('poista vieraat');

    const browser = await arrive(other('next'));
    await browser.submit({}, { button: 'Unohditko salasanasi?' });
    await browser.get(await world.mailbox.nextLink(other('next')));
    await browser.submit({ 'new-password': PASSWORD });
    const next = await arrive(other('next'));
    expect((await next.submit({ 'current-password': PASSWORD })).h1).toBe('Toinen vaihe');
  });

  test("leaves nothing that rests on a list's old password alone", async () => {
    await withFactors({ proved: false });
    expect(await setEmail(other('next'))).toEqual({ changed: true });
    expect(await resident(other('next'))).toMatchObject({ factors: [], passwordState: 'none' });
    expect((await arrive(other('next'))).page.h1).toBe('Tarkista sähköpostisi');
  });

  test('is on record with who did it and why, without either address', async () => {
    await newcomer();
    await setEmail(other('next'), email, ' by\n\u001b[2Jphone\u202e ');
    const [event] = await events((await resident(other('next'))).id);
    expect(event).toMatchObject({ kind: 'email_changed', actor: 'support:tester' });
    expect(event!.detail).toEqual({ reason: 'by [2Jphone', respelt: false });
    expect(JSON.stringify(event)).not.toContain('@');
  });

  test('leaves no link that the old mailbox holds, and no page that tells it the new address', async () => {
    await newcomer();
    await world.database.query(
      sql`update accounts set password_state = 'none', password_hash = null where email_key = ${email}`,
    );
    await arrive(email);
    const link = await world.mailbox.nextLink(email);
    const holder = world.browser();
    expect((await holder.get(link)).status).toBe(200);
    const form = holder.page;
    await setEmail(other('next'));
    await holder.post(`${link}/link-expired`, form.fill({ 'new-password': PASSWORD }).values.slice(0, 1));
    expect([holder.page.status, holder.page.h1]).toEqual([404, 'Linkki ei toimi']);
    await holder.get(link);
    expect([holder.page.status, holder.page.h1]).toEqual([404, 'Linkki ei toimi']);
    for (const html of [holder.page.html, form.html]) expect(html).not.toContain(other('next'));
  });

  test('takes back what waits for the old mailbox', async () => {
    await newcomer();
    world.mailbox.refuseWith(451);
    await acts.resend(email, now());
    await untilMail(world.database, (await resident()).id, 'delayed');
    world.mailbox.refuseWith(undefined);
    await acts.setEmail({ from: email, to: other('next'), reason: REASON }, now());
    const [queued] = await world.database.query<{ outcome: string }>(sql`
      select outcome from mails where kind = 'set_password' and account_id = ${(await resident(other('next'))).id}`);
    expect(queued!.outcome).toBe('given_up');
    await world.database.query(sql`update graphile_worker._private_jobs set run_at = now()`);
    await world.mailbox.next({ to: other('next') });
    expect(world.mailbox.all.filter(({ to }) => to === email).flatMap(({ links }) => links)).toEqual([]);
  });

  test('does not let a password of the old list in at the new address', async () => {
    await newcomer({ kartta: id });
    await setPassword(email, 'kartta');
    await setEmail(other('next'));
    expect((await arrive(other('next'))).page.h1).toBe('Tarkista sähköpostisi');
    expect(await resident(other('next'))).toMatchObject({ passwordState: 'none' });
  });

  test('is not one that somebody has, nor one that is none; and the same one changes nothing', async () => {
    await newcomer();
    await newcomer({}, other('taken'));
    expect(await setEmail(` ${other('TAKEN').toUpperCase()}`)).toEqual({ refused: 'address_taken' });
    for (const wrong of [
      '',
      'no address',
      `a@b.example\r\nBcc: ${other('x')}`,
      'K@k.example'.replace('K', '\u212a'),
      `${'x'.repeat(10_000)}@a.example`,
    ])
      expect(await setEmail(wrong)).toEqual({ refused: 'new_is_no_address' });
    for (const wrong of ['', ' \n\u202e ', 'x'.repeat(501), 'x'.repeat(10_000)])
      expect(await setEmail(other('next'), email, wrong)).toEqual({ refused: 'bad_reason' });
    expect(await setEmail(other('next'), other('nobody'))).toEqual({ refused: 'unknown_account' });
    expect(await setEmail(email)).toEqual({ changed: false });
    expect(await events((await resident()).id)).toEqual([]);
    expect(await resident()).toMatchObject({ passwordState: 'own', epoch: 0 });
  });

  test('that is only spelt otherwise ends nothing', async () => {
    await newcomer();
    const { browser } = await subOf(email, 'kartta');
    // Mails of other tests may still be on their way.
    const mails = (): number => world.mailbox.all.filter(({ to }) => to.toLowerCase() === email).length;
    const before = mails();
    expect(await setEmail(email.toUpperCase())).toEqual({ changed: true });
    expect(await resident()).toMatchObject({ email: email.toUpperCase(), passwordState: 'own', epoch: 0 });
    expect(await isSignedIn(browser)).toBe(true);
    expect(mails()).toBe(before);
  });

  test('wanted for two accounts at once goes to one', async () => {
    await newcomer();
    await newcomer({}, other('second'));
    const came = await Promise.all([setEmail(other('next')), setEmail(other('next'), other('second'))]);
    expect(came).toEqual(expect.arrayContaining([{ changed: true }, { refused: 'address_taken' }]));
  });

  test('is not undone by a list that still has the old one', async () => {
    await list('kartta', `${id},${email}`);
    await setEmail(other('next'));
    expect(await list('kartta', `${id},${email}`)).toMatchObject({ created: 0, byProblem: { email_conflict: 1 } });
    expect(await tiesOfAccount(world.database, (await resident(other('next'))).id)).toEqual([
      { source: 'kartta', id, doubt: undefined },
    ]);
    expect(await accountByKey(world.database, email)).toBeUndefined();
  });
});

describe('an old id', () => {
  const link = (change: { id?: string; email?: string; source?: string; yes?: boolean } = {}) =>
    acts.link({ email, source: 'asiointi', id, ...change }, now());
  const unlink = (change: { id?: string; email?: string; source?: string; yes?: boolean } = {}) =>
    acts.unlink({ email, source: 'asiointi', id, ...change }, now());

  test("in doubt becomes a tie on the admin's word, which settles the other doubts", async () => {
    await newcomer({ asiointi: { id, doubt: 'shared_email' } });
    const { id: accountId } = await resident();
    await world.database.query(sql`
      insert into legacy_ids (source, legacy_id, account_id, doubt, created_at)
      values ('asiointi', ${`${id}b`}, ${accountId}, 'shared_email', ${now()})`);
    const waiting = await arrive(email);
    await waiting.submit({ 'current-password': PASSWORD });
    expect(waiting.page.h1).toBe('Ota yhteyttä tukeen');

    expect(await link()).toEqual({ changed: true });
    expect(await tiesOfAccount(world.database, accountId)).toEqual([
      { source: 'asiointi', id, doubt: undefined },
      { source: 'asiointi', id: `${id}b`, doubt: 'unlinked' },
    ]);
    expect((await subOf(email)).sub).toBe(id);
    const [event] = (await events(accountId)).filter(({ kind }) => kind === 'legacy_id_linked');
    expect(event).toMatchObject({ kind: 'legacy_id_linked', actor: 'support:tester' });
    expect(await link()).toEqual({ changed: false });
    expect((await events(accountId)).filter(({ kind }) => kind === 'legacy_id_linked')).toHaveLength(1);
  });

  test('of another account is refused, and who that is is not told', async () => {
    await newcomer();
    await newcomer({ asiointi: id }, other('owner'));
    const refused = await link({ yes: true });
    expect(refused).toEqual({ refused: 'id_taken' });
    expect(await acts.show({ source: 'asiointi', id }, now())).toMatchObject({ account: { email: other('owner') } });
    await newcomer({ asiointi: `${id}c` }, other('third'));
    await unlink({ email: other('owner') });
    expect(await link({ email: other('third') })).toEqual({ refused: 'other_id' });
  });

  test('that cannot be one, or of a list that is not there, is refused', async () => {
    await newcomer();
    for (const wrong of ['', 'ä', 'a\u001b[2J', 'tunnus-x', 'x'.repeat(10_000)])
      expect(await link({ id: wrong, yes: true })).toEqual({ refused: 'unusable_id' });
    const refused = await link({ source: 'a\u0007; drop table accounts', yes: true });
    expect(refused).toMatchObject({
      refused: 'unknown_source',
      sources: expect.arrayContaining(['asiointi', 'kartta']),
    });
    expect(await unlink({ id: 'x'.repeat(10_000) })).toEqual({ refused: 'no_such_id' });
    expect(await unlink()).toEqual({ refused: 'no_such_id' });
  });

  test('that no list has is tied only after a second look', async () => {
    await newcomer();
    expect(await link()).toEqual({ refused: 'needs_yes', warnings: [{ warning: 'id_on_no_list' }] });
    expect(await tiesOfAccount(world.database, (await resident()).id)).toEqual([]);
    expect(await link({ yes: true })).toEqual({ changed: true });
  });

  test('changes the sub of an e-service that goes by it, which is told before, and signs out', async () => {
    await newcomer();
    const before = await subOf(email);
    expect(await link()).toEqual({
      refused: 'needs_yes',
      warnings: [
        { warning: 'sub_changes', eServices: ['Asiointi', 'Tili'], from: before.sub, to: id },
        { warning: 'id_on_no_list' },
      ],
    });
    expect((await subOf(email, 'tili')).sub).toBe(before.sub);
    expect(await link({ yes: true })).toEqual({ changed: true });
    expect(await isSignedIn(before.browser)).toBe(false);
    expect(await toldOf((await resident()).id)).toEqual([{ client: 'tili', sub: before.sub }]);
    expect((await subOf(email)).sub).toBe(id);
  });

  test('taken away takes its sub away, which nobody else is ever given, and which comes back to its own account', async () => {
    await list('asiointi', `${id},${email}`);
    await setPassword(email);
    const before = await subOf(email);
    expect(before.sub).toBe(id);
    expect(await unlink()).toMatchObject({
      refused: 'needs_yes',
      warnings: [{ warning: 'sub_changes', eServices: ['Asiointi', 'Tili'], from: id }],
    });
    expect(await unlink({ yes: true })).toEqual({ changed: true });
    expect(await unlink({ yes: true })).toEqual({ changed: false });
    expect(await isSignedIn(before.browser)).toBe(false);
    const after = await subOf(email);
    expect(after.sub).toMatch(/^tunnus-/);
    expect(await list('asiointi', `${id},${email}`)).toMatchObject({ unchanged: 1 });
    expect((await subOf(email)).sub).toBe(after.sub);

    await newcomer({}, other('second'));
    expect(await link({ email: other('second'), yes: true })).toEqual({ refused: 'sub_taken' });
    expect(await link({ yes: true })).toEqual({ changed: true });
    expect((await subOf(email)).sub).toBe(id);
  });

  test('taken away before the resident came, and given back, is their sub all the same', async () => {
    await list('asiointi', `${id},${email}`);
    await setPassword(email);
    await subOf(email);
    await unlink({ yes: true });
    await link({ yes: true });
    expect((await subOf(email)).sub).toBe(id);
  });

  test('taken from a tie in doubt lets the resident in without history', async () => {
    await newcomer({ asiointi: { id, doubt: 'shared_email' } });
    expect(await unlink()).toEqual({ changed: true });
    expect((await subOf(email)).sub).toMatch(/^tunnus-/);
  });

  test('never opens one list to the password of another', async () => {
    await newcomer({ kartta: id });
    await setPassword(email, 'kartta');
    await link({ yes: true });
    expect(await resident()).toMatchObject({ passwordState: 'none' });
    expect((await arrive(email)).page.h1).toBe('Tarkista sähköpostisi');
  });

  test('that two supporters tie to two accounts at once goes to one', async () => {
    await newcomer();
    await newcomer({}, other('second'));
    const came = await Promise.all([link({ yes: true }), link({ email: other('second'), yes: true })]);
    expect(came).toEqual(expect.arrayContaining([{ changed: true }, { refused: 'id_taken' }]));
  });
});

describe('erasing', () => {
  const erase = (yes?: boolean) => acts.erase({ email, yes }, now());

  test('says what would go, and goes on only with a yes', async () => {
    await newcomer({ asiointi: id });
    await subOf(email);
    await acts.resend(email, now());
    expect(await erase()).toEqual({
      refused: 'needs_yes',
      warnings: [{ warning: 'erases', email, ties: 1, links: 1, sessions: 1, subs: 1 }],
    });
    expect(await resident()).toMatchObject({ email });
  });

  test('leaves nothing in the database that tells who it was, and one last mail', async () => {
    await newcomer({ asiointi: `${email}-id`, kartta: { id: `${email}-k`, doubt: 'shared_email' } });
    await world.database.query(sql`update accounts set given_name = ${`${email}-name`} where email_key = ${email}`);
    const { browser } = await subOf(email);
    await acts.lock({ email, reason: `${email}-reason` }, now());
    await acts.unlock({ email }, now());
    await acts.resend(email, now());
    const link = await world.mailbox.nextLink(email);
    const { id: accountId } = await resident();

    expect(await erase(true)).toEqual({ changed: true });
    expect((await world.mailbox.next({ to: email })).subject).toBe('Käyttäjätunnuksesi on poistettu');
    expect(await isSignedIn(browser)).toBe(false);
    expect((await browser.get(link)).status).toBe(404);

    const tables = await world.database.query<{ name: string }>(sql`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname in ('public', 'graphile_worker') and tablename not in ('subjects', 'interactions')`);
    for (const { name } of tables) {
      const rows = await world.database.session((session) =>
        session.query<{ row: string }>({ text: `select t::text as row from ${name} t`, values: [] }),
      );
      expect(rows.filter(({ row }) => row.includes(email)).map(() => name)).toEqual([]);
    }
    const kept = await events(accountId);
    expect(kept.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['account_erased', 'account_locked', 'signed_in']),
    );
    expect(kept.filter(({ place, detail }) => place !== null || Object.keys(detail).length)).toEqual([]);
    const [{ rest }] = (await world.database.query<{ rest: number }>(sql`
      select count(*)::int as rest from artifacts where account_id = ${accountId} and model in ('Session', 'Grant', 'RefreshToken')`)) as [
      { rest: number },
    ];
    expect(rest).toBe(0);
  });

  test('is remembered: whoever looks is told when, and no list and no admin brings the id back', async () => {
    await newcomer({ asiointi: id });
    expect((await subOf(email, 'tili')).sub).toBe(id);
    const { id: accountId } = await resident();
    const at = now();
    await acts.erase({ email, yes: true }, at);
    expect(await toldOf(accountId)).toEqual([{ client: 'tili', sub: id }]);
    expect(await acts.show({ email: email.toUpperCase() }, now())).toEqual({ refused: 'erased_account', at });
    expect(await acts.show({ source: 'asiointi', id }, now())).toEqual({ refused: 'erased_id', at });
    expect(await erase(true)).toEqual({ refused: 'erased_account', at });
    expect(await acts.setEmail({ from: email, to: other('x'), reason: REASON }, now())).toMatchObject({
      refused: 'erased_account',
    });

    expect(await list('asiointi', `${id},${email}`, `${id},${other('heir')}`, `${id}x,${email}`)).toMatchObject({
      created: 0,
      byProblem: { erased: 2, duplicate_legacy_id: 1 },
    });
    await newcomer({}, other('heir'));
    const heir = { email: other('heir'), source: 'asiointi', id, yes: true };
    expect(await acts.link(heir, now())).toEqual({ refused: 'erased_id', at });
    const [row] = await world.database.query(
      sql`select 1 from subjects where sector = 'legacy:asiointi' and sub = ${id}`,
    );
    expect(row).toBeDefined();
  });

  test('meets a sign-in under way calmly', async () => {
    await newcomer();
    const browser = await arrive(email);
    const asking = await arrive(email);
    await erase(true);
    await browser.submit({ 'current-password': PASSWORD });
    expect([browser.page.status, browser.page.h1]).toEqual([422, 'Anna salasanasi']);
    await asking.submit({}, { form: 'form.aside' });
    expect([asking.page.status, asking.page.h1]).toEqual([200, 'Osoitetta ei tunnistettu']);
  });
});

test('what support changes waits for the batch that an import is merging', async () => {
  await newcomer({ asiointi: id });
  const order: string[] = [];
  await world.database.transaction(async (tx) => {
    await tx.query(sql`select pg_advisory_xact_lock_shared(${MERGE_LOCK})`);
    const change = acts
      .setEmail({ from: email, to: other('next'), reason: REASON }, now())
      .then(() => order.push('changed'));
    expect(await acts.lock({ email }, now())).toEqual({ changed: true });
    order.push('locked');
    waiting = change;
  });
  order.push('merged');
  await waiting;
  expect(order).toEqual(['locked', 'merged', 'changed']);
});
