/** Who is dormant, who is warned, who is erased; and everybody who must not be. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { dormantJourney, monthsBefore, type DormantAccount } from '../../src/journeys/dormant.ts';
import { makeMails } from '../../src/mail/mails.ts';
import { mailWriter, type RenderedMail } from '../../src/mail/writing.ts';
import { sql, type Database, type Sql } from '../../src/platform/database.ts';
import { loadTexts } from '../../src/platform/i18n.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { erasureDigests, MERGE_LOCK } from '../../src/records/erasures.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { untilBlocked } from '../support/until.ts';

const DAY = 86_400_000;
const NOW = new Date('2026-11-24T10:00:00Z');
const days = (number: number): Date => new Date(NOW.getTime() + number * DAY);
const sealer = makeSealer(['a secret of thirty-two characters!']);

let place: TestDatabase;
beforeAll(async () => {
  place = await testDatabase();
});
afterAll(() => place.drop());
beforeEach(async () => {
  await place.database.query(sql`delete from accounts`);
  await place.database.query(sql`delete from audit`);
  await place.database.query(sql`delete from graphile_worker._private_jobs`);
});

const journey = (
  dormant: 'off' | number = 720 * DAY,
  url: string | undefined = 'smtp://mail.example',
  database = place.database,
) =>
  dormantJourney({
    database,
    sealer,
    mails: makeMails({ sealer }),
    told: [],
    config: {
      retention: { dormant, audit: 400 * DAY },
      issuer: 'https://id.example.fi',
      timeZone: 'Europe/Helsinki',
      mail: { url, from: 'x@y.example', limits: { perMinute: 60, perMinuteToDomain: 60, warmUp: 0 } },
    },
  });

interface Made {
  listed?: Date[];
  state?: 'none' | 'list' | 'own';
  signedIn?: Date;
  locked?: boolean;
  asked?: Date;
}

async function account({ listed = [days(-1000)], state = 'none', signedIn, locked, asked }: Made = {}) {
  const email = `asukas-${randomUUID().slice(0, 8)}@example.com`;
  const [row] = await place.database.query<{ id: string }>(sql`
    insert into accounts (email, email_key, locale, password_state, password_hash, password_list, locked_at, signed_in_at,
      created_at, updated_at)
    values (${email}, ${email}, 'sv', ${state}, ${state === 'none' ? null : 'x'}, ${state === 'list' ? 'l0' : null},
      ${locked ? NOW : null}, ${signedIn ?? null}, ${days(-4000)}, ${NOW}) returning id`);
  const id = row!.id;
  for (const [index, at] of listed.entries()) {
    await place.database.query(sql`
      insert into legacy_ids (source, legacy_id, account_id, created_at) values (${`l${index}`}, ${id}, ${id}, ${at})`);
  }
  if (asked) {
    await place.database.query(sql`
      insert into links (token_hash, account_id, purpose, created_at, expires_at)
      values (${Buffer.from(id)}, ${id}, 'set_password', ${asked}, ${new Date(asked.getTime() + DAY)})`);
  }
  return { id, email };
}

/** So many on one list, long ago. */
async function crowd(count: number): Promise<void> {
  await place.database.query(sql`
    with made as (insert into accounts (email, email_key, created_at, updated_at)
      select n || '@example.com', n || '@example.com', ${NOW}, ${NOW} from generate_series(1, ${count}::int) n returning id)
    insert into legacy_ids (source, legacy_id, account_id, created_at) select 'l0', id::text, id, ${days(-1000)} from made`);
}

async function reported(since = days(-720)): Promise<DormantAccount[]> {
  const found: DormantAccount[] = [];
  await journey().report(since, (page) => Promise.resolve(void found.push(...page)), NOW);
  return found;
}

async function left(): Promise<string[]> {
  return (await place.database.query<{ id: string }>(sql`select id from accounts`)).map(({ id }) => id);
}

async function mails(): Promise<RenderedMail[]> {
  const write = mailWriter({
    sealer,
    texts: loadTexts('Europe/Helsinki'),
    config: { brand: { name: { fi: 'K', sv: 'S', en: 'C' } }, support: {}, languages: ['fi', 'sv', 'en'] },
  });
  const jobs = await place.database.query<{ payload: unknown }>(sql`
    select payload from graphile_worker._private_jobs where task_id in (
      select id from graphile_worker._private_tasks where identifier = 'mail')`);
  return Promise.all(jobs.map(async ({ payload }) => (await write(payload))!));
}

describe('dormant', () => {
  test('is who came by a list and was never used since, by however many lists', async () => {
    const { id, email } = await account({ listed: [days(-1000), days(-800)] });
    expect(await reported()).toEqual([{ id, email, sources: ['l0', 'l1'], listedAt: days(-800), warnedAt: undefined }]);
    expect(await reported(days(-900))).toEqual([]);
  });

  test.each<[string, Made]>([
    ['has set a password', { state: 'own' }],
    ['signed in with an old password', { state: 'list', signedIn: days(-900) }],
    ['signed in with an old password that another list has dropped since', { signedIn: days(-900) }],
    ['stands on a list that was imported lately', { listed: [days(-1000), days(-1)] }],
    ['came by no list', { listed: [] }],
    ['is locked by support', { locked: true }],
    ['asked for a link lately', { asked: days(-29) }],
  ])('is nobody who %s', async (_what, made) => {
    await account(made);
    expect(await reported()).toEqual([]);
  });

  test('is who asked for a link long ago, and who has an old password that was never used', async () => {
    await account({ asked: days(-31) });
    await account({ state: 'list' });
    expect(await reported()).toHaveLength(2);
  });

  test('is told of a page at a time, each once', async () => {
    await crowd(2100);
    const found = await reported();
    expect(new Set(found.map(({ id }) => id)).size).toBe(2100);
    expect(found).toHaveLength(2100);
  });
});

test('months go back to the same day, or to the last one of a shorter month', () => {
  expect(monthsBefore(NOW, 24).toISOString()).toBe('2024-11-24T10:00:00.000Z');
  expect(monthsBefore(new Date('2026-03-31T00:00:00Z'), 1).toISOString()).toBe('2026-02-28T00:00:00.000Z');
  expect(monthsBefore(new Date('2028-02-29T12:00:00Z'), 24).toISOString()).toBe('2026-02-28T12:00:00.000Z');
  expect(monthsBefore(new Date('2030-02-28T12:00:00Z'), 24).toISOString()).toBe('2028-02-28T12:00:00.000Z');
});

describe('erasing', () => {
  const erase = (id: string) => journey().erase(id, { since: days(-720), actor: 'support:maija' }, NOW);

  test('is the erasing of every account: nothing comes back, and the audit has who did it', async () => {
    const { id, email } = await account();
    expect(await erase(id)).toBe(true);
    expect(await left()).toEqual([]);
    const digests = [...erasureDigests.email(sealer, email), ...erasureDigests.legacyId(sealer, 'l0', id)];
    const kept = await place.database.query(sql`select 1 from erasures where digest = any(${digests}::bytea[])`);
    expect(kept).toHaveLength(2);
    expect(await place.database.query(sql`select kind, actor from audit where account_id = ${id}`)).toEqual([
      { kind: 'account_erased', actor: 'support:maija' },
    ]);
  });

  test('leaves who signed in after the report', async () => {
    const { id } = await account();
    await place.database.query(sql`update accounts set signed_in_at = ${NOW} where id = ${id}`);
    expect(await erase(id)).toBe(false);
    expect(await left()).toEqual([id]);
  });

  test('waits for a sign-in under way, and leaves that resident', async () => {
    const { id } = await account();
    let erasing: Promise<unknown> | undefined;
    await place.database.transaction(async (tx) => {
      await tx.query(sql`update accounts set signed_in_at = ${NOW} where id = ${id}`);
      erasing = erase(id);
      await untilBlocked(place.database);
    });
    expect(await erasing).toBe(false);
    expect(await left()).toEqual([id]);
  });

  test('waits for the rows that an import is merging', async () => {
    const { id } = await account();
    let erasing: Promise<unknown> | undefined;
    await place.database.transaction(async (tx) => {
      await tx.query(sql`select pg_advisory_xact_lock_shared(${MERGE_LOCK})`);
      erasing = erase(id);
      await untilBlocked(place.database);
      await tx.query(sql`
        insert into legacy_ids (source, legacy_id, account_id, created_at) values ('late', 'x', ${id}, ${NOW})`);
    });
    expect(await erasing).toBe(false);
    expect(await left()).toEqual([id]);
  });
});

describe('the retention of dormant accounts', () => {
  test('is off until it is set, and without a mail server', async () => {
    await account();
    for (const off of [journey('off'), journey(720 * DAY, '')])
      expect(await off.retire(NOW)).toEqual({ warned: 0, erased: 0 });
    expect(await mails()).toEqual([]);
  });

  test('warns 30 days before, once, and erases then', async () => {
    const { id, email } = await account({ listed: [days(-691)] });
    const young = await account({ listed: [days(-689)] });
    expect(await journey().retire(NOW)).toEqual({ warned: 1, erased: 0 });
    const [mail, ...more] = await mails();
    expect(more).toEqual([]);
    expect(mail).toMatchObject({
      to: email,
      language: 'sv',
      subject: 'Ditt användarnamn tas bort den 24 december 2026',
    });
    expect(mail!.text.split('\n')).toContain('https://id.example.fi/account');
    expect(mail!.html).toContain('24 december 2026');
    expect(await place.database.query(sql`select kind, actor from audit where account_id = ${id}`)).toEqual([
      { kind: 'dormancy_warned', actor: 'system' },
    ]);
    expect((await reported(days(-30)))[0]).toMatchObject({ warnedAt: NOW });

    expect(await journey().retire(days(0.9))).toEqual({ warned: 0, erased: 0 });
    expect(await journey().retire(days(29.9))).toMatchObject({ erased: 0 });
    expect(await journey().retire(days(30))).toMatchObject({ erased: 1 });
    expect(await left()).toEqual([young.id]);
  });

  test.each<[string, (id: string) => Promise<unknown>]>([
    ['signs in', (id) => place.database.query(sql`update accounts set signed_in_at = ${days(10)} where id = ${id}`)],
    [
      'sets a password',
      (id) =>
        place.database.query(sql`update accounts set password_state = 'own', password_hash = 'x' where id = ${id}`),
    ],
    [
      'is on a new list',
      (id) =>
        place.database.query(sql`
          insert into legacy_ids (source, legacy_id, account_id, created_at) values ('late', 'x', ${id}, ${days(10)})`),
    ],
    ['is locked', (id) => place.database.query(sql`update accounts set locked_at = ${days(10)} where id = ${id}`)],
  ])('leaves a resident who %s after the warning', async (_what, act) => {
    const { id } = await account();
    await journey().retire(NOW);
    await act(id);
    for (const later of [30, 60, 89]) expect(await journey().retire(days(later))).toEqual({ warned: 0, erased: 0 });
    expect(await left()).toEqual([id]);
  });

  test('warns anew whose warning is forgotten: the setting was off for long, or a list came after it', async () => {
    const { id } = await account();
    await journey().retire(NOW);
    expect(await journey().retire(days(91))).toEqual({ warned: 1, erased: 0 });
    const [row] = await place.database.query(sql`select warned_at from dormancy_warnings where account_id = ${id}`);
    expect(row).toEqual({ warned_at: days(91) });

    await place.database.query(sql`update legacy_ids set created_at = ${days(100)} where account_id = ${id}`);
    expect(await journey().retire(days(121))).toEqual({ warned: 0, erased: 0 });
    expect(await journey().retire(days(100 + 691))).toEqual({ warned: 1, erased: 0 });
  });

  test('is spread out: at most a thousand mails an hour, however many nodes run it', async () => {
    await crowd(1010);
    await place.database.query(sql`insert into dormancy_warnings select id, ${days(-0.01)} from accounts limit 950`);
    const both = await Promise.all([journey().retire(NOW), journey().retire(NOW)]);
    expect(both[0].warned + both[1].warned).toBe(50);
    expect(await mails()).toHaveLength(50);
    expect(await journey().retire(days(0.02))).toEqual({ warned: 0, erased: 0 });
    expect(await journey().retire(days(0.05))).toEqual({ warned: 10, erased: 0 });
  });

  test('is as spread out where another node warns between two looks of one', async () => {
    await crowd(1060);
    await place.database.query(sql`insert into dormancy_warnings select id, ${days(-0.01)} from accounts limit 970`);
    let other: Promise<{ warned: number }> | undefined;
    const interrupted: Database = {
      ...place.database,
      session: (work) =>
        place.database.session((session) =>
          work({
            ...session,
            query: async <R extends object>(statement: Sql) => {
              const rows = await session.query<R>(statement);
              await (other ??= journey().retire(NOW));
              return rows;
            },
          }),
        ),
    };
    const { warned } = await journey(undefined, undefined, interrupted).retire(NOW);
    expect(warned + (await other!).warned).toBe(30);
  });
});
