/** What support sees of an account and does for it; and that looking costs little however many accounts there are. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { supportFor } from '../../src/desk.ts';
import { tellPicture } from '../../src/commands/account-picture.ts';
import type { AccountPicture } from '../../src/journeys/support.ts';
import { sql, type Database, type Sql } from '../../src/platform/database.ts';
import { accountByKey } from '../../src/records/accounts.ts';
import { manyAccounts } from '../support/many-accounts.ts';
import { untilMail } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const DAY = 86_400_000;

let world: World;
const actsOn = (database: Database) => {
  const { sealer } = world.tunnus;
  return supportFor({ database, sealer, config: world.config, close: () => Promise.resolve() }, 'support:tester');
};
let acts: ReturnType<typeof actsOn>;
beforeAll(async () => {
  world = await startWorld();
  acts = actsOn(world.database);
});
afterAll(() => world.close());

const now = (): Date => world.clock.now();

async function picture(email: string): Promise<AccountPicture> {
  const shown = await acts.show({ email }, now());
  if ('refused' in shown) throw new Error(shown.refused);
  return shown;
}

async function tryPassword(email: string, password: string, client = 'asiointi') {
  const browser = world.browser();
  const errand = await (await world.relyingParty(client)).begin();
  await browser.get(errand.url);
  await browser.submit({ username: email });
  await browser.submit({ 'current-password': password });
  if (browser.page.leadsTo) await errand.finish(browser.page.leadsTo);
  return browser.page;
}

describe('what support sees', () => {
  test('of an account that nobody has used yet', async () => {
    await world.account({
      email: 'Uusi@example.com',
      ids: { asiointi: 'U1', kartta: { id: 'K1', doubt: 'shared_email' } },
    });
    const seen = await picture('uusi@EXAMPLE.com');
    expect(seen).toMatchObject({
      account: { email: 'Uusi@example.com', emailVerified: false, passwordState: 'none' },
      state: 'no_password',
      links: [],
      mails: [],
      counted: {},
      subjects: [],
      sessions: { sessions: 0, clients: [] },
      events: [],
    });
    const told = tellPicture(seen).join('\n');
    for (const words of ['not verified', 'none yet', 'not chosen', 'never', 'in doubt: the address has several ids'])
      expect(told).toContain(words);
  });

  test('of links and mails: until when they work, and what the mail server said', async () => {
    const id = await world.account({ email: 'postia@example.com' });
    expect(await acts.resend('postia@example.com', now())).toEqual({ sent: true });
    await world.mailbox.next({ to: 'postia@example.com' });
    await untilMail(world.database, id, 'sent');
    world.mailbox.refuseWith(550, '5.7.1 postia@example.com is not welcome');
    await acts.resend('postia@example.com', now());
    await untilMail(world.database, id, 'refused');
    world.mailbox.refuseWith(undefined);
    const seen = await picture('postia@example.com');
    expect(seen.links).toHaveLength(2);
    expect(seen.links[0]!.expiresAt.getTime() - seen.links[0]!.createdAt.getTime()).toBe(DAY);
    expect(seen.mails).toMatchObject([
      { kind: 'set_password', outcome: 'refused', tries: 1, reply: 550, status: '5.7.1' },
      { kind: 'set_password', outcome: 'sent', tries: 1, reply: 250 },
    ]);
    expect(seen.counted.links).toMatchObject({ tries: 2, limit: 5 });
    expect(tellPicture(seen).join('\n')).toContain('refused');
  });

  test('of failed tries: how many count now, and until when', async () => {
    await world.account({ email: 'arvattu@example.com', password: PASSWORD });
    for (let tries = 0; tries < 3; tries += 1) await tryPassword('arvattu@example.com', 'not this one');
    const { counted } = await picture('arvattu@example.com');
    expect(counted.passwords).toMatchObject({ tries: 3, limit: 30 });
    expect(counted.passwords!.fitsAt).toBeUndefined();
    const later = new Date(counted.passwords!.emptyAt.getTime() + 1000);
    expect(await acts.show({ email: 'arvattu@example.com' }, later)).toMatchObject({ counted: {} });

    await world.database.query(sql`update throttle set points = 1`);
    const full = await picture('arvattu@example.com');
    expect(full.counted.passwords!.fitsAt!.getTime()).toBeGreaterThan(now().getTime());
    expect(tellPicture(full).join('\n')).toContain('no more before');
    await world.database.query(sql`delete from throttle`);
  });

  test('of sessions, e-services, and what each of them knows the resident by', async () => {
    await world.account({ email: 'kayttaja@example.com', password: PASSWORD, ids: { asiointi: 'U77' } });
    await tryPassword('kayttaja@example.com', PASSWORD);
    await tryPassword('kayttaja@example.com', PASSWORD, 'kartta');
    const seen = await picture('kayttaja@example.com');
    expect(seen.sessions).toEqual({ sessions: 2, clients: ['asiointi', 'kartta'] });
    expect(seen.subjects).toEqual(
      expect.arrayContaining([
        { eServices: ['asiointi'], sub: 'U77' },
        { eServices: ['kartta'], sub: expect.stringMatching(/^tunnus-/) },
      ]),
    );
    expect(seen.events.map(({ kind }) => kind)).toEqual(['signed_in', 'signed_in']);
    await acts.lock({ email: 'kayttaja@example.com' }, now());
    const locked = await picture('kayttaja@example.com');
    expect(locked).toMatchObject({ state: 'locked', sessions: { sessions: 0, clients: [] } });
  });

  test('is never a password, a hash, a link or a token', async () => {
    await acts.resend('postia@example.com', now());
    const link = await world.mailbox.nextLink('postia@example.com');
    for (const email of ['postia@example.com', 'kayttaja@example.com'])
      expect(JSON.stringify(await picture(email))).not.toMatch(
        new RegExp(`argon2|hash|${link.split('/').at(-1)}`, 'i'),
      );
  });

  test('is on record, and what is on record does not crowd out what happened', async () => {
    const { id } = (await accountByKey(world.database, 'kayttaja@example.com'))!;
    for (let looks = 0; looks < 3; looks += 1) await picture('kayttaja@example.com');
    const looked = await world.database.query(sql`
      select actor from audit where account_id = ${id} and kind = 'account_viewed'`);
    expect(looked.length).toBeGreaterThan(3);
    expect(looked[0]).toEqual({ actor: 'support:tester' });
    expect((await picture('kayttaja@example.com')).events.map(({ kind }) => kind)).not.toContain('account_viewed');
  });
});

test('an address that is none, or that nobody has, is told so', async () => {
  for (const wrong of [
    '',
    'no address',
    'a@b\u0000.example',
    `${'x'.repeat(10_000)}@a.example`,
    "' or 1=1 --@a.example",
  ]) {
    expect(await acts.show({ email: wrong }, now())).toEqual({ refused: 'not_an_address' });
    expect(await acts.resend(wrong, now())).toEqual({ refused: 'not_an_address' });
    expect(await acts.lock({ email: wrong }, now())).toEqual({ refused: 'not_an_address' });
  }
  expect(await acts.show({ email: 'nobody@example.com' }, now())).toEqual({ refused: 'unknown_account' });
  expect(await acts.show({ source: 'asiointi', id: 'x'.repeat(10_000) }, now())).toEqual({ refused: 'unknown_id' });
});

test('a locked account is locked once, with the reason on record, and unlocked once', async () => {
  await world.account({ email: 'lukittu@example.com', password: PASSWORD });
  const { id } = (await accountByKey(world.database, 'lukittu@example.com'))!;
  const lock = (reason?: string) => acts.lock({ email: 'lukittu@example.com', reason }, now());
  expect(await lock('x'.repeat(501))).toEqual({ refused: 'bad_reason' });
  const both = await Promise.all([lock('seen\u001b[2J elsewhere'), lock('seen\u001b[2J elsewhere')]);
  expect(both).toEqual(expect.arrayContaining([{ changed: true }, { changed: false }]));
  expect(await acts.resend('lukittu@example.com', now())).toEqual({ refused: 'account_locked' });
  expect(await acts.unlock({ email: 'lukittu@example.com' }, now())).toEqual({ changed: true });
  expect(await acts.unlock({ email: 'lukittu@example.com' }, now())).toEqual({ changed: false });
  const rows = await world.database.query(sql`
    select kind, detail from audit where account_id = ${id} order by id`);
  expect(rows).toEqual([
    { kind: 'account_locked', detail: { reason: 'seen [2J elsewhere' } },
    { kind: 'account_unlocked', detail: {} },
  ]);
});

test('links past the limit of an address are not sent, and support is told', async () => {
  await world.account({ email: 'monta@example.com' });
  const sent: object[] = [];
  for (let times = 0; times < 6; times += 1) sent.push(await acts.resend('monta@example.com', now()));
  expect(sent.filter((one) => 'sent' in one)).toHaveLength(4);
  expect(sent.at(-1)).toEqual({ refused: 'enough_links' });
});

test('looking, and each change, takes an index at every step', async () => {
  await manyAccounts(world.database, 3000);
  const asked: Sql[] = [];
  const database: Database = {
    ...world.database,
    transaction: (work) =>
      world.database.transaction((tx) =>
        work({
          ...tx,
          query: (statement) => {
            asked.push(statement);
            return tx.query(statement);
          },
        }),
      ),
  };
  const watched = actsOn(database);
  await watched.show({ email: 'many1500@example.com' }, now());
  await watched.show({ source: 'asiointi', id: 'M1500' }, now());
  await watched.show({ email: 'gone1500@example.com' }, now());
  await watched.resend('many1500@example.com', now());
  const id = { email: 'many1500@example.com', source: 'asiointi', id: 'M1500', yes: true };
  expect(await watched.unlink(id, now())).toEqual({ changed: true });
  expect(await watched.link(id, now())).toEqual({ changed: true });
  const renamed = { from: 'many1500@example.com', to: 'other1500@example.com', reason: 'asked' };
  expect(await watched.setEmail(renamed, now())).toEqual({ changed: true });
  expect(await watched.erase({ email: 'other1500@example.com', yes: true }, now())).toEqual({ changed: true });
  expect(asked.length).toBeGreaterThan(40);
  for (const { text, values } of asked) {
    const plan = await world.database.query({ text: `explain ${text}`, values });
    const steps = plan.map((row) => Object.values(row)[0] as string);
    // What has no rows yet (a month of the audit, new accounts) is read without its index.
    const costly = steps.filter((step) => !/Seq Scan on (?:audit_\w+|registrations) .*cost=0\.00\.\.0\.00/.test(step));
    expect(costly.join('\n')).not.toContain('Seq Scan');
  }
});
