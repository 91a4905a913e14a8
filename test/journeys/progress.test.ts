/** How the move is going: every resident counts once for each step and list, in the city's days. */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { progress, type Progress } from '../../src/journeys/progress.ts';
import { sql } from '../../src/platform/database.ts';
import { accountByKey } from '../../src/records/accounts.ts';
import { eraseAccount } from '../../src/records/erasures.ts';
import { auditRow } from '../../src/records/audit.ts';
import { untilMail } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
/** As a browser opens what a person pressed. */
const NAVIGATION = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document', 'Sec-Fetch-Site': 'none' };

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

const counted = async (source?: string): Promise<Progress> => {
  const found = await progress({ database: world.database, timeZone: 'Europe/Helsinki' }, source);
  if ('refused' in found) throw new Error(found.refused);
  return found;
};
const steps = async (source: string | null = null) => {
  const { totals } = await counted();
  const { source: _source, ...counts } = totals.find((row) => row.source === source)!;
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
};

async function askLink(email: string): Promise<string> {
  const browser = world.browser();
  await browser.get((await (await world.relyingParty('bare')).begin()).url);
  await browser.submit({ username: email });
  const link = await world.mailbox.nextLink(email);
  // The outcome is noted once the mail server has answered.
  await untilMail(world.database, (await accountByKey(world.database, email))!.id, 'sent');
  return link;
}

test('nobody is counted before a list is imported', async () => {
  expect(await counted()).toMatchObject({ totals: [], days: [] });
  expect(await progress({ database: world.database, timeZone: 'UTC' }, 'asiointi')).toEqual({
    refused: 'unknown_source',
    known: [],
  });
});

test('a resident counts at each step once, on each list and once in all', async () => {
  await world.account({ email: 'ennallaan@example.com', ids: { kartta: 'kt-9' } });
  const email = 'askeleet@example.com';
  const id = await world.account({ email, ids: { asiointi: 'U1', kartta: { id: 'kt-1', doubt: 'mixed_script' } } });
  // One address with two ids in doubt is one resident.
  await world.database.query(sql`
    insert into legacy_ids (source, legacy_id, account_id, doubt, created_at)
    values ('kartta', 'kt-2', ${id}, 'shared_email', ${world.clock.now()})`);
  // A resident of no list is none of the move.
  await world.account({ email: 'uusi@example.com', password: PASSWORD });
  expect(await steps()).toEqual({ imported: 2, never_seen: 2 });

  await askLink(email);
  const link = await askLink(email);
  expect(await steps()).toEqual({ imported: 2, link_requested: 1, mailed: 1, never_seen: 1 });

  // A mail scanner looks at the link in every way it can.
  const scanner = world.browser();
  for (const method of ['HEAD', 'GET']) await scanner.send(link, { method });
  await scanner.send(link, { method: 'HEAD', headers: NAVIGATION });
  await scanner.get(link, { headers: { ...NAVIGATION, 'Sec-Purpose': 'prefetch' } });
  await scanner.get(link, { headers: { ...NAVIGATION, 'Sec-Fetch-Dest': 'iframe' } });
  expect(await steps()).not.toHaveProperty('link_opened');

  const resident = world.browser({ headers: NAVIGATION });
  await resident.get(link);
  const [first] = await world.database.query(sql`select opened_at from links where opened_at is not null`);
  world.clock.advance(60_000);
  await resident.get(link);
  expect(await world.database.query(sql`select opened_at from links where opened_at is not null`)).toEqual([first]);
  expect(await steps()).toMatchObject({ link_opened: 1 });

  await resident.submit({ 'new-password': PASSWORD });
  const service = await world.relyingParty('bare');
  await resident.get((await service.begin()).url);
  await resident.submit({ username: email });
  await resident.submit({ 'current-password': PASSWORD });
  await world.database.query(auditRow({ kind: 'support_requested', accountId: id }, world.clock.now()));

  const all = { link_requested: 1, mailed: 1, link_opened: 1, password_set: 1, signed_in: 1, support_requested: 1 };
  expect(await steps()).toEqual({ imported: 2, ...all, never_seen: 1 });
  expect(await steps('asiointi')).toEqual({ imported: 1, ...all });
  expect(await steps('kartta')).toEqual({ imported: 2, ...all, never_seen: 1 });
  expect((await counted('asiointi')).totals.map(({ source }) => source)).toEqual(['asiointi']);
});

test('a mail that is refused counts, and one that is withdrawn does not', async () => {
  const [refused, withdrawn] = [
    await world.account({ email: 'tyrmatty@example.com', ids: { posti: '1' } }),
    await world.account({ email: 'peruttu@example.com', ids: { posti: '2' } }),
  ];
  const outcome = (id: string, is: string) =>
    world.database
      .query(
        sql`
      with m as (insert into mails (account_id, kind, queued_at, outcome_at)
        values (${id}, 'set_password', ${world.clock.now()}, ${world.clock.now()}) returning id) select id from m`,
      )
      .then(([row]) =>
        world.database.query(sql`update mails set outcome = ${is} where id = ${(row as { id: string }).id}`),
      );
  await outcome(refused, 'refused');
  await outcome(withdrawn, 'given_up');
  expect(await steps('posti')).toEqual({ imported: 2, mail_refused: 1, never_seen: 1 });
});

test('days begin when they begin in the city', async () => {
  const id = await world.account({ email: 'yo@example.com', ids: { yot: '1' } });
  await world.database.query(sql`update legacy_ids set created_at = '2026-01-31T22:30:00Z' where account_id = ${id}`);
  const days = async (timeZone: string) => {
    const found = (await progress({ database: world.database, timeZone }, 'yot')) as Progress;
    return found.days.filter(({ step }) => step === 'imported').map(({ day }) => day);
  };
  expect(await days('Europe/Helsinki')).toEqual(['2026-02-01']);
  expect(await days('UTC')).toEqual(['2026-01-31']);
});

test('the figures stay when old events are swept, and go with an erased account', async () => {
  const before = await steps('asiointi');
  await world.database.query(sql`delete from audit`);
  await world.database.query(sql`delete from links`);
  await world.database.query(sql`delete from mails`);
  expect(await steps('asiointi')).toEqual(before);
  const account = await accountByKey(world.database, 'askeleet@example.com');
  await world.database.transaction((tx) =>
    eraseAccount(tx, { account: account!, legacyIds: [], sealer: world.tunnus.sealer }, world.clock.now()),
  );
  expect((await counted()).totals.map(({ source }) => source)).not.toContain('asiointi');
});

test('operators scrape the same figures, counted once a minute at most', async () => {
  const asked = jest.spyOn(world.database, 'query');
  const counts = (): number => asked.mock.calls.filter(([{ text }]) => text.includes('never_seen')).length;
  const scrape = async () => (await fetch(`http://127.0.0.1:${world.tunnus.metricsPort}/metrics`)).text();
  const first = await scrape();
  expect(first).toContain('tunnus_residents_by_source{source="posti",step="mail_refused"} 1');
  expect(first).toContain('tunnus_residents{step="imported"} 4');
  const once = counts();
  expect(once).toBeGreaterThan(0);
  await world.account({ email: 'viela@example.com', ids: { posti: '3' } });
  expect(await scrape()).toContain('tunnus_residents{step="imported"} 4');
  expect(counts()).toBe(once);
  asked.mockRestore();
});

test.each([
  ['2026-10-25', '2026-10-24T21:00:00Z', 25],
  ['2026-03-29', '2026-03-28T22:00:00Z', 23],
  ['2028-02-29', '2028-02-28T22:00:00Z', 24],
])('%s has all its hours, and no other', async (day, begins, hours) => {
  const source = `p-${day}`;
  const at = (hour: number) => new Date(Date.parse(begins) + hour * 3_600_000).toISOString();
  for (const [index, hour] of [-0.001, 0, hours - 0.001, hours].entries()) {
    const id = await world.account({ email: `${source}-${index}@example.com`, ids: { [source]: String(index) } });
    await world.database.query(sql`update legacy_ids set created_at = ${at(hour)} where account_id = ${id}`);
  }
  const found = (await progress({ database: world.database, timeZone: 'Europe/Helsinki' }, source)) as Progress;
  const imported = found.days.filter(({ step }) => step === 'imported');
  expect(imported.map(({ residents }) => residents)).toEqual([1, 2, 1]);
  expect(imported[1]!.day).toBe(day);
});
