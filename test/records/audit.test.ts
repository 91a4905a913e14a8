/**
 * The audit: its months, what of an event can be erased, that its seals show whoever changed it behind our back, and what
 * operators read of it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { auditKeeping } from '../../src/journeys/audit-keeping.ts';
import { readAudit, verifyAudit } from '../../src/journeys/audit-reading.ts';
import { openDatabase, sql, type Database, type Session, type Sql } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { holdMonths, makeMonths, months } from '../../src/records/audit-months.ts';
import { auditRow, depersonalise, recentEvents } from '../../src/records/audit.ts';
import { createDatabase, testDatabase, type TestDatabase } from '../support/database.ts';

const SQL = join(import.meta.dirname, '..', '..', 'sql');
const ACCOUNT = '6f1c0f6e-6f38-4d0a-9a39-0d7f6f1f2a11';
const NOW = new Date('2026-11-24T10:00:00Z');

let place: TestDatabase;
/** When the first months were made: the month may have ended since. */
let made: Date;
beforeAll(async () => {
  place = await testDatabase();
  const [first] = await place.database.query<{ made: Date }>(sql`select min(applied_at) as made from migrations`);
  ({ made } = first!);
});
afterAll(() => place.drop());

const monthAfter = (count: number): string =>
  new Date(Date.UTC(made.getUTCFullYear(), made.getUTCMonth() + count)).toISOString().slice(0, 7);

test('events from before the months keep their order, their time and what is known of the move', async () => {
  const name = `audit_before_${process.pid}`;
  const url = await createDatabase(name);
  const database = openDatabase({ url });
  // A step of a month by a clock with summer time leaves out a month by UTC.
  await database.session((one) => one.script(`alter database ${name} set timezone = 'Europe/Helsinki'`));
  const files = readdirSync(SQL).filter((name) => /^\d{4}_/.test(name));
  const before = files.filter((name) => name < '0013').sort();
  const run = (name: string) => database.session((one) => one.script(readFileSync(join(SQL, name), 'utf8')));
  for (const name of before) await run(name);
  await database.query(sql`
    insert into accounts (id, email, email_key, created_at, updated_at) values (${ACCOUNT}, 'a@b.fi', 'a@b.fi', ${NOW}, ${NOW})`);
  await database.query(sql`
    insert into audit (at, kind, account_id, place, detail)
    select ${NOW}::timestamptz - n * interval '20 days', 'signed_in', ${ACCOUNT}::uuid, '192.0.2.1', '{"amr": "pwd"}'
    from generate_series(16, 0, -1) n`);
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
  expect(next!.id).toBe(18);
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
  const both = await Promise.all([make(), make()]);
  expect(both.sort()).toEqual([0, 4]);
  const [row] = await database.query(
    sql`select tableoid::regclass::text as month from audit where written_at = ${late}`,
  );
  expect(row).toEqual({ month: `audit_${monthAfter(5).replace('-', '_')}` });
});

test('a month ends at its last moment by UTC, on leap days, leap seconds and wherever the server thinks that it is', async () => {
  const { database } = place;
  await database.transaction(async (tx) => {
    // The clocks of Helsinki change at the end of March: a month later is then an hour less.
    await tx.query(sql`select set_config('timezone', 'Europe/Helsinki', true)`);
    await holdMonths(tx);
    await makeMonths(tx, new Date('2028-01-31T23:59:59.999Z'));
  });
  const monthOf = async (at: string) => {
    const [row] = await database.query<{ month: string }>(sql`
      insert into audit (at, written_at, kind) values (${NOW}, ${at}, 'signed_in')
      returning tableoid::regclass::text as month`);
    return row!.month;
  };
  expect(await monthOf('2028-02-29T23:59:59.999Z')).toBe('audit_2028_02');
  expect(await monthOf('2028-03-01T02:00:00+02:00')).toBe('audit_2028_03');
  expect(await monthOf('2028-03-31T23:59:60Z')).toBe('audit_2028_04');
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

describe('seals', () => {
  const sealer = makeSealer(['a secret of the tests, thirty-two characters or more'], 'digest key of the tests');
  const lines: string[] = [];
  const log = makeLog({
    destination: { write: (line: string) => lines.push(line) } as unknown as NodeJS.WritableStream,
  });
  const DAY = 86_400_000;
  let db: Database;
  const keeping = () => auditKeeping({ database: db, sealer, log, retention: 400 * DAY });
  const verify = (digest?: string) => verifyAudit(db, sealer, digest);
  const wrongs = async () =>
    (await verify()).broken.map(({ minute, what }) => `${minute.toISOString().slice(11, 16)} ${what}`);

  /** Events at these minutes of a day that is long closed. */
  async function events(...minutes: string[]): Promise<void> {
    for (const minute of minutes) {
      const at = new Date(`${today}T${minute}:30Z`);
      await db.query(sql`
        insert into audit (written_at, at, kind, account_id, place, detail)
        values (${at}, ${at}, 'signed_in', ${ACCOUNT}, '192.0.2.9', '{"amr": "pwd"}')`);
    }
  }
  // Yesterday, so that it is closed whenever this runs.
  const today = new Date(Date.now() - DAY).toISOString().slice(0, 10);

  beforeAll(() => {
    db = place.database;
  });
  beforeEach(async () => {
    lines.length = 0;
    await db.query(sql`delete from audit`);
    await db.query(sql`delete from audit_seals`);
    await events('10:00', '10:00', '10:01', '10:05');
    await keeping().seal();
  });

  test('stand over every closed minute, and what was not touched verifies', async () => {
    await db.query(auditRow({ kind: 'signed_out', accountId: ACCOUNT }, NOW));
    await keeping().seal();
    expect(await verify()).toMatchObject({ seals: 3, events: 4, waiting: 1, broken: [], last: { nth: 3 } });
  });

  test('two nodes that seal at once make one chain', async () => {
    await events('11:00', '11:01', '11:02', '11:03');
    await Promise.all([keeping().seal(), keeping().seal(), keeping().seal()]);
    await keeping().seal();
    expect(await verify()).toMatchObject({ seals: 7, events: 8, broken: [] });
  });

  test('wait for a transaction that may still write into a minute', async () => {
    await db.transaction(async (tx) => {
      const at = new Date(`${today}T12:00:00Z`);
      await tx.query(sql`insert into audit (written_at, at, kind) values (${at}, ${at}, 'signed_out')`);
      // As if it had been open since then, it holds back what was written since it began.
      const [open] = await tx.query<{ since: Date }>(sql`select date_trunc('minute', xact_start) as since
        from pg_stat_activity where pid = pg_backend_pid()`);
      await db.query(sql`insert into audit (written_at, at, kind) values (${open!.since}, ${NOW}, 'signed_out')`);
      await keeping().seal();
      expect((await verify()).waiting).toBe(1);
    });
    expect((await verify()).broken).toEqual([]);
  });

  test('tell of a changed event, whichever part of it', async () => {
    for (const change of [
      sql`kind = 'signed_out'`,
      sql`at = at + interval '1 second'`,
      sql`client_id = 'another'`,
      sql`actor = 'system'`,
      sql`account_id = gen_random_uuid()`,
      sql`personal_hash = sha256('x')`,
    ]) {
      await expect(
        db.transaction(async (tx) => {
          await tx.query(sql`update audit set ${change} where written_at = ${`${today}T10:01:30Z`}`);
          const { broken } = await verifyAudit(
            { ...db, session: (work) => work({ ...tx, script: async () => {} }) },
            sealer,
          );
          expect(broken).toMatchObject([{ what: 'changed' }]);
          throw new Error('taken back');
        }),
      ).rejects.toThrow('taken back');
    }
    expect(await wrongs()).toEqual([]);
  });

  test('tell of personal details that were changed, or taken out though nobody was erased', async () => {
    await db.query(sql`update audit set place = '203.0.113.1' where written_at = ${`${today}T10:01:30Z`}`);
    await db.query(
      sql`update audit set place = null, detail = '{}', salt = null where written_at = ${`${today}T10:05:30Z`}`,
    );
    expect(await wrongs()).toEqual(['10:01 changed', '10:05 changed']);
  });

  test('hold when an account is erased with all that is personal', async () => {
    await depersonalise(db, ACCOUNT);
    await db.query(auditRow({ kind: 'account_erased', accountId: ACCOUNT }, NOW));
    expect(await wrongs()).toEqual([]);
    await db.query(sql`update audit set place = '203.0.113.1' where written_at = ${`${today}T10:05:30Z`}`);
    expect(await wrongs()).toEqual(['10:05 changed']);
  });

  test('tell of an event that is missing, or came in late, also between two sealed minutes and before the first', async () => {
    await db.query(sql`delete from audit where written_at = ${`${today}T10:05:30Z`}`);
    await events('09:59', '10:03');
    expect(await wrongs()).toEqual(['09:59 added', '10:03 added']);
    await db.query(sql`delete from audit where written_at in (${`${today}T10:03:30Z`}, ${`${today}T09:59:30Z`})`);
    expect(await wrongs()).toEqual(['10:05 missing']);
    await events('10:01');
    expect(await wrongs()).toEqual(['10:01 added', '10:05 missing']);
  });

  test('tell of a seal that was changed, made without the key, or taken out', async () => {
    await db.query(sql`update audit_seals set events = 1 where nth = 1`);
    expect(await wrongs()).toEqual(['10:00 added']);
    await db.query(sql`update audit_seals set events = 2 where nth = 1`);
    await db.query(sql`update audit_seals set digest = sha256('forged') where nth = 2`);
    expect(await wrongs()).toEqual(['10:01 changed', '10:05 changed']);
    await db.query(sql`delete from audit_seals where nth = 2`);
    expect(await wrongs()).toEqual(['10:05 seal']);
    await db.query(sql`delete from audit_seals where nth = 1`);
    expect(await wrongs()).toEqual(['10:05 seal']);
  });

  test('go to the log with their events, so that a chain cut short at its end is found by what the log has', async () => {
    const told = lines.map((line) => JSON.parse(line) as { seal?: { digest: string }; audit?: { kind: string } });
    expect(told.filter(({ audit }) => audit)).toHaveLength(4);
    expect(told[0]!.audit).toMatchObject({
      kind: 'signed_in',
      account_id: ACCOUNT,
      place: '192.0.2.9',
      detail: { amr: 'pwd' },
    });
    expect(lines.join('')).not.toMatch(/salt|personal_hash/);
    const { digest } = told.at(-1)!.seal!;
    expect(await verify(digest)).toMatchObject({ broken: [], inChain: true });
    await db.query(sql`delete from audit where written_at >= ${`${today}T10:05:00Z`}`);
    await db.query(sql`delete from audit_seals where nth = 3`);
    expect(await verify(digest)).toMatchObject({ broken: [], inChain: false });
  });

  test('a month whose time is over goes whole, its last seal stays as the anchor, and nobody else can drop one so', async () => {
    const old = new Date(`${monthAfter(-16)}-10T00:00:00Z`);
    await db.query(sql`select make_audit_month(${old})`);
    await db.query(sql`delete from audit_seals`);
    for (const minute of ['00:00', '00:01'])
      await db.query(sql`insert into audit (written_at, at, kind)
        values (${`${old.toISOString().slice(0, 10)}T${minute}:00Z`}, ${old}, 'signed_in')`);
    const now = new Date();
    await keeping().keepMonths(now);
    expect(await months(db)).toContainEqual(
      expect.objectContaining({ name: `audit_${monthAfter(-16).replace('-', '_')}` }),
    );
    await keeping().seal();
    await keeping().keepMonths(now);
    expect((await months(db))[0]!.first.toISOString().slice(0, 7)).toBe(monthAfter(0));
    expect(await verify()).toMatchObject({ seals: 4, events: 4, broken: [] });
    expect(await db.query(sql`select detail from audit where kind = 'audit_dropped'`)).toHaveLength(1);

    await db.query(sql`insert into audit (written_at, at, kind) values (${old}, ${old}, 'signed_in')`);
    expect((await verify()).broken).toMatchObject([{ what: 'added' }]);
    await db.query(sql`delete from audit where written_at = ${old}`);
    // What an attacker can do of it: no key, no anchor.
    await db.query(sql`delete from audit_seals where nth < 3`);
    await db.query(sql`delete from audit where written_at < ${`${today}T10:01:00Z`}`);
    await db.query(sql`update audit_seals set anchor = sha256('forged') where nth = 3`);
    expect((await verify()).broken).not.toEqual([]);
  });

  test('a list of the events by account, kind, e-service and time, in the order in which they came', async () => {
    await db.query(auditRow({ kind: 'keys_replaced', actor: 'support:x', clientId: 'asiointi' }, NOW));
    const list = async (wanted: Parameters<typeof readAudit>[1]) => {
      const kinds: string[] = [];
      const refused = await readAudit(db, wanted, (page) =>
        kinds.push(...page.map(({ kind, at }) => `${kind} ${at.toISOString().slice(11, 16)}`)),
      );
      return refused ?? kinds;
    };
    expect(await list({})).toEqual(
      ['10:00', '10:00', '10:01', '10:05'].map((at) => `signed_in ${at}`).concat('keys_replaced 10:00'),
    );
    expect(await list({ kind: 'keys_replaced' })).toEqual(['keys_replaced 10:00']);
    expect(await list({ clientId: 'asiointi' })).toEqual(['keys_replaced 10:00']);
    const between = { since: new Date(`${today}T10:01:00Z`), until: new Date(`${today}T10:05:00Z`) };
    expect(await list({ account: ACCOUNT, ...between })).toEqual(['signed_in 10:01']);
    expect(await list({ kind: "x' or 1=1" })).toMatchObject({ refused: 'unknown_kind' });
    expect(await list({ account: 'nobody@example.com' })).toEqual({ refused: 'unknown_account' });
  });

  test('the events of one account are found along an index, however many others there are, and in whatever time that takes', async () => {
    await db.session(async (session) => {
      await session.query(sql`
        insert into audit (written_at, at, kind, account_id)
        select t, t, 'signed_in', gen_random_uuid()
        from generate_series(${`${today}T11:00:00Z`}::timestamptz, ${`${today}T13:00:00Z`}, interval '0.5 second') t`);
      await session.script('analyze audit');
    });
    const asked: Sql[] = [];
    const watched: Database = {
      ...db,
      query: () => Promise.reject(new Error('a statement with a limit of time')),
      session: (work) =>
        db.session((session) => {
          const query: Session['query'] = (statement) => {
            asked.push(statement);
            return session.query(statement);
          };
          return work({ ...session, query });
        }),
    };
    let found = 0;
    await readAudit(watched, { account: ACCOUNT }, (page) => (found += page.length));
    expect({ found, asked: asked.length }).toEqual({ found: 4, asked: 2 });
    for (const { text, values } of asked) {
      const plan = await db.query({ text: `explain ${text}`, values });
      expect(JSON.stringify(plan)).toMatch(/Index Cond: \(account_id = /);
    }
  });
});
