/** The audit as a table: its months, what of a row can be erased, and that what was there before the months is there still. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openDatabase, sql } from '../../src/platform/database.ts';
import { holdMonths, makeMonths, months } from '../../src/records/audit-months.ts';
import { auditRow, depersonalise, recentEvents } from '../../src/records/audit.ts';
import { createDatabase, testDatabase, type TestDatabase } from '../support/database.ts';

const SQL = join(import.meta.dirname, '..', '..', 'sql');
const ACCOUNT = '6f1c0f6e-6f38-4d0a-9a39-0d7f6f1f2a11';
const NOW = new Date('2026-11-24T10:00:00Z');

let place: TestDatabase;
beforeAll(async () => {
  place = await testDatabase();
});
afterAll(() => place.drop());

const monthAfter = (count: number): string => {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + count)).toISOString().slice(0, 7);
};

test('events from before the months keep their order, their time and what is known of the move', async () => {
  const url = await createDatabase(`audit_before_${process.pid}`);
  const database = openDatabase({ url });
  const files = readdirSync(SQL).filter((name) => /^\d{4}_/.test(name));
  const before = files.filter((name) => name < '0013').sort();
  const run = (name: string) => database.session((one) => one.script(readFileSync(join(SQL, name), 'utf8')));
  for (const name of before) await run(name);
  await database.query(sql`
    insert into accounts (id, email, email_key, created_at, updated_at) values (${ACCOUNT}, 'a@b.fi', 'a@b.fi', ${NOW}, ${NOW})`);
  await database.query(sql`
    insert into audit (at, kind, account_id, place, detail)
    select ${NOW}::timestamptz - n * interval '20 days', 'signed_in', ${ACCOUNT}::uuid, '192.0.2.1', '{"amr": "pwd"}'
    from generate_series(10, 0, -1) n`);
  const earlier = await database.query(sql`select id, at, kind, account_id, place, detail from audit order by id`);
  const progress = await database.query(sql`select * from progress`);

  await run(files.find((name) => name.startsWith('0013'))!);
  expect(await database.query(sql`select id, at, kind, account_id, place, detail from audit order by id`)).toEqual(
    earlier,
  );
  expect(await database.query(sql`select * from progress`)).toEqual(progress);
  expect(await database.query(sql`select 1 from audit_other`)).toEqual([]);
  await database.query(auditRow({ kind: 'signed_out', accountId: ACCOUNT }, NOW));
  const [next] = await database.query<{ id: number }>(sql`select max(id) as id from audit`);
  expect(next!.id).toBe(12);
  await database.close();
});

test('months are made ahead, once, and whatever no month was made for is kept all the same', async () => {
  const { database } = place;
  const first = (await months(database)).map(({ first }) => first.toISOString().slice(0, 7));
  expect(first).toEqual([0, 1, 2, 3].map(monthAfter));
  const late = new Date(`${monthAfter(5)}-15T00:00:00Z`);
  await database.query(sql`insert into audit (at, written_at, kind) values (${NOW}, ${late}, 'signed_in')`);
  const make = () =>
    database.transaction(async (tx) => {
      await holdMonths(tx);
      return makeMonths(tx, late);
    });
  const made = await Promise.all([make(), make()]);
  expect(made.sort()).toEqual([0, 4]);
  const [row] = await database.query(
    sql`select tableoid::regclass::text as month from audit where written_at = ${late}`,
  );
  expect(row).toEqual({ month: `audit_${monthAfter(5).replace('-', '_')}` });
});

test('what is personal in the events of an account can be erased; that they happened stays', async () => {
  const { database } = place;
  const event = {
    kind: 'signed_in',
    accountId: ACCOUNT,
    clientId: 'asiointi',
    place: '192.0.2.7',
    device: { browser: 'firefox', system: 'linux' },
    detail: { amr: 'pwd' },
  } as const;
  await database.query(auditRow(event, NOW));
  const { kind, clientId: client_id, place: where, device, detail } = event;
  const written = { at: NOW, kind, client_id, place: where, device, actor: 'resident', detail };
  expect(await recentEvents(database, ACCOUNT, 10)).toEqual([written]);
  await depersonalise(database, ACCOUNT);
  const erased = { ...written, place: null, device: null, detail: {} };
  expect(await recentEvents(database, ACCOUNT, 10)).toEqual([erased]);
  const [row] = await database.query<{ left: string }>(sql`
    select a::text as left from audit a where account_id = ${ACCOUNT}`);
  expect(row!.left).not.toMatch(/192\.0|firefox|pwd/);
});
