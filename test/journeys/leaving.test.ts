/** Rehearsing the switch, and leaving by an export: another Tunnus knows the same residents by the same subs. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { isExport } from '../../src/journeys/export-form.ts';
import { exportAccounts } from '../../src/journeys/export.ts';
import { importAccounts } from '../../src/journeys/import-accounts.ts';
import { rehearse, type EService, type RehearsedResident } from '../../src/journeys/rehearse.ts';
import { restoreAccounts, type RestoreResult } from '../../src/journeys/restore.ts';
import { wrapAllHashes } from '../../src/journeys/wrap-hashes.ts';
import { sql, type Database } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { accountByKey, accountJson, changeEmail, setOwnPassword } from '../../src/records/accounts.ts';
import { eraseAccount } from '../../src/records/erasures.ts';
import { tiesOfAccount } from '../../src/records/legacy-ids.ts';
import { hashPassword, verifyPassword } from '../../src/records/passwords.ts';
import { namingOf, subjectFor, type Relation } from '../../src/records/subjects.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { untilBlocked } from '../support/until.ts';

const NOW = new Date('2026-11-24T10:00:00Z');
const DAY = 86_400_000;
const LEAVES = new Date(NOW.getTime() + 5 * DAY);
const sealer = makeSealer(['a secret of thirty-two characters!']);
const MD5 = 'md5$$78b63c80931864d50159a108f5ee4900';
const MD5_PASSWORD = 'Hyvää päivää 1';
const asiointi: Relation = { sector: 'legacy:asiointi', subjectType: 'legacy', source: 'asiointi' };
const kartta: Relation = { sector: 'kartta.example', subjectType: 'pairwise', source: 'kartta' };
const avoin: Relation = { sector: 'avoin.example', subjectType: 'public' };

let home: TestDatabase;
let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'leaving-'));
  home = await testDatabase();
  await list('asiointi', [
    'legacy_id,email,given_name,password_hash',
    `U1,Matti@Example.com,Matti,${MD5}`,
    'U2,maija@example.com,Maija,',
    'U3,perhe@example.com,Yksi,',
    'U4,perhe@example.com,Kaksi,',
    'U5,pois@example.com,Poissa,',
  ]);
  await list('kartta', ['legacy_id,email', 'kt-2,maija@example.com', 'kt-6,uusi@example.com']);
  const maija = await accountByKey(home.database, 'maija@example.com');
  const hash = await hashPassword('kolme vihreää omenaa pöydällä');
  await setOwnPassword(home.database, { accountId: maija!.id, epoch: maija!.epoch, hash, emailVerified: true }, NOW);
  await home.database.query(sql`
    update accounts set locale = 'sv', locked_at = ${NOW}, signed_in_at = ${NOW}, leaves_at = ${LEAVES}
    where id = ${maija!.id}`);
  await sub(home.database, asiointi, 'maija@example.com');
  await sub(home.database, kartta, 'maija@example.com');
  // Known by a sub of our making before the list came.
  await sub(home.database, asiointi, 'uusi@example.com');
  await sub(home.database, asiointi, 'pois@example.com');
  await sub(home.database, kartta, 'pois@example.com');
  const gone = await accountByKey(home.database, 'pois@example.com');
  const legacyIds = await tiesOfAccount(home.database, gone!.id);
  await home.database.transaction((tx) => eraseAccount(tx, { account: gone!, legacyIds, sealer }, NOW));
  file = join(folder, 'all.jsonl');
  // A fast old hash is exported only once it is wrapped.
  expect(await exported(home, file)).toEqual({ refused: expect.stringMatching(/^1 fast old password hashes/) });
  await wrapAllHashes({ database: home.database, sealer, clock: () => NOW });
  await exported(home, file);
});
afterAll(async () => {
  await home.drop();
  await rm(folder, { recursive: true });
});

let lists = 0;
async function list(source: string, rows: string[], database = home.database) {
  const path = join(folder, `list-${++lists}.csv`);
  await writeFile(path, `${rows.join('\n')}\n`);
  const done = await importAccounts(
    { database, sealer, log: makeLog({ level: 'silent' }) },
    { file: path, source },
    NOW,
  );
  if ('refused' in done) throw new Error(done.refused);
  return done;
}

async function sub(database: Database, relation: Relation, email: string) {
  const account = await accountByKey(database, email);
  return subjectFor(database, relation, { accountId: account!.id, now: NOW });
}

const exported = ({ database }: TestDatabase, path: string) =>
  exportAccounts({ database, sealer, issuer: 'https://id.example.fi' }, path, NOW);

async function elsewhere<T>(work: (place: TestDatabase) => Promise<T>): Promise<T> {
  const place = await testDatabase();
  return work(place).finally(() => place.drop());
}

async function restored(place: TestDatabase, more: { file?: string; dryRun?: boolean; report?: string } = {}) {
  const parts = { database: place.database, sealer: makeSealer(['a secret of thirty-two characters!']) };
  const result = await restoreAccounts(parts, { file, ...more }, NOW);
  if ('refused' in result) throw new Error(result.refused);
  return result;
}

async function everything({ database }: TestDatabase): Promise<unknown> {
  return [
    await database
      .query(sql`select * from accounts order by id`)
      .then((rows) => rows.map((row) => ({ ...row, epoch: 0 }))),
    await database.query(sql`select * from legacy_ids order by source, legacy_id, account_id`),
    await database.query(sql`select * from subjects order by sector, sub`),
    await database.query(sql`select * from erasures order by digest`),
    await database.query(sql`select * from progress order by account_id`),
  ];
}

describe('the rehearsal', () => {
  const services: EService[] = [
    { clientId: 'asiointi', relation: asiointi, legacyClaim: true },
    { clientId: 'kartta', relation: kartta, legacyClaim: true },
    { clientId: 'avoin', relation: avoin, legacyClaim: false },
  ];

  test('tells for each resident what the sign-in would, and counts the doubts', async () => {
    const rows: RehearsedResident[] = [];
    const before = await everything(home);
    const counts = await rehearse(home.database, services, async (page) => void rows.push(...page));
    expect(await everything(home)).toEqual(before);
    const at = (client: string) =>
      Object.fromEntries(
        rows
          .filter((row) => row.client === client)
          .map(({ email, naming, sub: is, legacy_id, doubt }) => [email, [naming, is, legacy_id, doubt]]),
      );
    const [given, made] = await Promise.all([
      sub(home.database, kartta, 'maija@example.com'),
      sub(home.database, asiointi, 'uusi@example.com'),
    ]);
    expect(at('asiointi')).toEqual({
      'Matti@Example.com': ['old_id', 'U1', 'U1', null],
      'maija@example.com': ['given', 'U2', 'U2', null],
      'perhe@example.com': ['in_doubt', null, null, 'shared_email'],
      'uusi@example.com': ['given', made, null, null],
    });
    expect(at('kartta')).toEqual({
      'Matti@Example.com': ['new', null, null, null],
      'maija@example.com': ['given', given, 'kt-2', null],
      'perhe@example.com': ['new', null, null, null],
      'uusi@example.com': ['new', null, 'kt-6', null],
    });
    expect(at('avoin')['maija@example.com']).toEqual([
      'public',
      (await accountByKey(home.database, 'maija@example.com'))!.id,
      null,
      null,
    ]);
    expect(
      counts.map(({ client, residents, sub: by, legacy_id, in_doubt }) => [client, residents, by, legacy_id, in_doubt]),
    ).toEqual([
      ['asiointi', 4, { given: 2, old_id: 1, new: 0, public: 0, in_doubt: 1, taken: 0 }, 2, 1],
      ['kartta', 4, { given: 1, old_id: 0, new: 3, public: 0, in_doubt: 0, taken: 0 }, 2, 0],
      ['avoin', 4, { given: 0, old_id: 0, new: 0, public: 4, in_doubt: 0, taken: 0 }, 0, 0],
    ]);
  });

  test('says what then happens: whom it promised the old id gets it', async () => {
    await elsewhere(async (place) => {
      await restored(place);
      const rows: RehearsedResident[] = [];
      await rehearse(place.database, services.slice(0, 1), async (page) => void rows.push(...page));
      for (const { email, naming, sub: promised } of rows) {
        const account = await accountByKey(place.database, email.toLowerCase());
        expect(await namingOf(place.database, asiointi, account!.id)).toBe(naming);
        if (promised) expect(await sub(place.database, asiointi, email.toLowerCase())).toBe(promised);
      }
    });
  });

  test('goes through more than a page, each resident once', async () => {
    await elsewhere(async (place) => {
      await place.database.query(sql`
        insert into accounts (email, email_key, created_at, updated_at)
        select n || '@example.com', n || '@example.com', ${NOW}, ${NOW} from generate_series(1, 4001) n`);
      const seen = new Set<string>();
      const [count] = await rehearse(place.database, services.slice(2), async (page) =>
        page.forEach(({ email }) => seen.add(email)),
      );
      expect([seen.size, count!.residents]).toEqual([4001, 4001]);
    });
  });
});

describe('an export', () => {
  test('has everything that is known of residents, nothing that signs anybody in, and is for its owner only', async () => {
    const text = await readFile(file, 'utf8');
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({ type: 'tunnus-export', version: 1, issuer: 'https://id.example.fi' });
    expect(lines.map(({ type }) => type)).toEqual([
      'tunnus-export', 'account', 'account', 'account', 'account', 'subject', 'subject', 'erasure', 'erasure', 'erasure', 'end',
    ]); // prettier-ignore
    expect(lines.at(-1)).toEqual({ type: 'end', accounts: 4, subjects: 2, erasures: 3 });
    expect(text).not.toContain('pois@example.com');
    expect(text).not.toContain('"U5","doubt"');
    expect(text).not.toContain('a secret of');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await isExport(file)).toBe(true);
  });

  test('that cannot be written is refused in one line and leaves nothing', async () => {
    expect(await exported(home, join(folder, 'no-such-folder', 'x'))).toEqual({
      refused: expect.stringMatching(/^--file .*cannot be written \(ENOENT\)$/),
    });
    expect(await exported(home, folder)).toEqual({ refused: expect.stringContaining('cannot be written') });
    await expect(stat(`${folder}.unfinished`)).rejects.toThrow('ENOENT');
  });

  test('is one moment’s, however long it takes', async () => {
    const path = join(folder, 'moment.jsonl');
    let done: ReturnType<typeof exported> | undefined;
    await elsewhere(async (place) => {
      await place.database.transaction(async (tx) => {
        await tx.query(sql`lock table erasures in access exclusive mode`);
        done = exported(place, path);
        await untilBlocked(place.database);
        // The export has begun, and comes to this table only now.
        await tx.query(
          sql`insert into erasures (kind, digest, erased_at) values ('email', ${Buffer.alloc(32)}, ${NOW})`,
        );
      });
      expect(await done).toEqual({ accounts: 0, subjects: 0, erasures: 0 });
    });
  });
});

describe('taken in by another Tunnus', () => {
  test('gives the same accounts, passwords, doubts and subs; the second time changes nothing', async () => {
    await elsewhere(async (place) => {
      expect(await restored(place, { dryRun: true })).toMatchObject({ accounts: 4, created: 4, unchanged: 0 });
      expect((await everything(place)) as unknown[][]).toEqual([[], [], [], [], []]);
      expect(await restored(place)).toEqual({
        accounts: 4,
        created: 4,
        unchanged: 0,
        byProblem: {},
        foreignErasures: 0,
      });
      const here = await everything(place);
      expect(here).toEqual(await everything(home));
      expect(await restored(place)).toMatchObject({ created: 0, unchanged: 4, byProblem: {} });
      expect(await everything(place)).toEqual(here);

      for (const relation of [asiointi, kartta]) {
        for (const email of ['maija@example.com', 'uusi@example.com'])
          if (relation === asiointi || email.startsWith('maija'))
            expect(await sub(place.database, relation, email)).toBe(await sub(home.database, relation, email));
      }
      for (const [email, password] of [
        ['matti@example.com', MD5_PASSWORD],
        ['maija@example.com', 'kolme vihreää omenaa pöydällä'],
      ] as const) {
        const [row] = await place.database.query<{ account: { password_hash: string } }>(
          sql`select (${accountJson(email)}) as account`,
        );
        expect(await verifyPassword(row!.account.password_hash, password)).toMatchObject({ ok: true });
      }
      // Erased stays erased, and a sub of an erased account is nobody else's.
      expect(
        await list('asiointi', ['legacy_id,email', 'U5,pois@example.com', 'U9,toinen@example.com'], place.database),
      ).toMatchObject({
        created: 1,
        byProblem: { erased: 1 },
      });
      const other = await accountByKey(place.database, 'toinen@example.com');
      await place.database.query(sql`update legacy_ids set legacy_id = 'U5' where account_id = ${other!.id}`);
      expect(await namingOf(place.database, asiointi, other!.id)).toBe('taken');
    });
  });

  test('goes out again as it came in', async () => {
    await elsewhere(async (place) => {
      await restored(place);
      const again = join(folder, 'again.jsonl');
      await exported(place, again);
      const rest = async (path: string) => (await readFile(path, 'utf8')).split('\n').slice(1);
      expect(await rest(again)).toEqual(await rest(file));
    });
  });

  test('reports whoever meets somebody who is there, and overwrites nothing', async () => {
    await elsewhere(async (place) => {
      await list('asiointi', ['legacy_id,email', 'X1,maija@example.com', 'U1,eri@example.com'], place.database);
      await sub(place.database, asiointi, 'eri@example.com');
      const gone = { emailKey: 'uusi@example.com', id: randomUUID() } as never;
      await place.database.transaction((tx) => eraseAccount(tx, { account: gone, legacyIds: [], sealer }, NOW));
      const before = (await everything(place)) as unknown[][];
      const report = join(folder, 'met.csv');
      const result = await restored(place, { report });
      expect(result).toMatchObject({ created: 1, byProblem: { existing_account: 1, id_taken: 1, erased: 1 } });
      const lines = (await readFile(report, 'utf8')).trimEnd().split('\n');
      expect(lines[0]).toBe('line,legacy_id,email,problem,detail');
      expect(
        lines
          .slice(1)
          .map((line) => line.replace(/^\d+/, 'n'))
          .sort(),
      ).toEqual([
        'n,,Matti@Example.com,id_taken,',
        'n,,maija@example.com,existing_account,',
        'n,,uusi@example.com,erased,',
      ]);
      const after = (await everything(place)) as { id?: string }[][];
      for (const row of before[0] as { id: string }[]) expect(after[0]).toContainEqual(row);
      expect(after[0]).toHaveLength(3);
    });
  });

  test('reports a sub of an erased account that is somebody else’s here, in a dry run too', async () => {
    await elsewhere(async (place) => {
      await place.database.query(sql`
        insert into subjects (sector, account_id, sub, created_at) values ('legacy:asiointi', ${randomUUID()}, 'U5', ${NOW})`);
      const told = { created: 4, byProblem: { sub_taken: 1 } };
      expect(await restored(place, { dryRun: true })).toMatchObject(told);
      expect(await restored(place)).toMatchObject(told);
      expect(await restored(place, { dryRun: true })).toMatchObject({ ...told, created: 0 });
    });
  });

  test('erases nobody sooner than three days after, who may have had no place to come back to', async () => {
    const over = join(folder, 'over.jsonl');
    const lines = await readFile(file, 'utf8');
    await writeFile(over, lines.replace(/"leaves_at":"[^"]+"/, '"leaves_at":"2020-01-01T00:00:00Z"'));
    await elsewhere(async (place) => {
      await restored(place, { file: over });
      const leaving = sql`select leaves_at, leave_reminded_at from accounts where leaves_at is not null`;
      const inThreeDays = new Date(NOW.getTime() + 3 * DAY);
      expect(await place.database.query(leaving)).toEqual([{ leaves_at: inThreeDays, leave_reminded_at: null }]);
    });
  });

  test('brings nobody back who was erased since, under whatever address the file still has', async () => {
    await elsewhere(async (place) => {
      await list('kartta', ['legacy_id,email', 'kt-9,vanha@example.com'], place.database);
      await sub(place.database, kartta, 'vanha@example.com');
      const before = join(folder, 'before.jsonl');
      await exported(place, before);
      const { id } = (await accountByKey(place.database, 'vanha@example.com'))!;
      const gone = { id, emailKey: 'toinen@example.com' } as never;
      await place.database.transaction((tx) => eraseAccount(tx, { account: gone, legacyIds: [], sealer }, NOW));
      expect(await restored(place, { file: before })).toMatchObject({ created: 0, byProblem: { erased: 1 } });
    });
  });

  test('brings nobody back whom no e-service knew by a sub of its own, and who had another address when erased', async () => {
    await elsewhere(async (place) => {
      await list('kartta', ['legacy_id,email', 'kt-9,vanha@example.com'], place.database);
      const { id: accountId } = (await accountByKey(place.database, 'vanha@example.com'))!;
      await place.database.query(sql`delete from legacy_ids where account_id = ${accountId}`);
      const before = join(folder, 'public.jsonl');
      await exported(place, before);
      await changeEmail(place.database, { accountId, email: 'toinen@example.com', verified: true }, NOW);
      const account = (await accountByKey(place.database, 'toinen@example.com'))!;
      await place.database.transaction((tx) => eraseAccount(tx, { account, legacyIds: [], sealer }, NOW));
      expect(await restored(place, { file: before })).toMatchObject({ created: 0, byProblem: { erased: 1 } });
    });
  });

  test('with another key for its digests leaves out the erasures, which would keep nobody out, and says so', async () => {
    await elsewhere(async (place) => {
      const parts = { database: place.database, sealer: makeSealer(['b secret of thirty-two characters!']) };
      expect(await restoreAccounts(parts, { file }, NOW)).toMatchObject({ created: 4, foreignErasures: 3 });
    });
  });

  const changed = async (change: (lines: string[]) => string[]): Promise<string> => {
    const path = join(folder, `changed-${++lists}.jsonl`);
    await writeFile(path, change((await readFile(file, 'utf8')).trimEnd().split('\n')).join('\n'));
    return path;
  };
  const account = (lines: string[], change: (row: Record<string, unknown>) => object): string[] =>
    lines.map((line, index) =>
      index === 1 ? JSON.stringify({ ...(JSON.parse(line) as object), ...change(JSON.parse(line) as never) }) : line,
    );

  test.each<[string, (lines: string[]) => string[], RegExp]>([
    ['ends early', (lines) => lines.slice(0, -1), /has no end/],
    ['has lost a line', (lines) => lines.filter((_, index) => index !== 2), /:10: the export is not whole/],
    ['is cut within a line', (lines) => [...lines.slice(0, 3), lines[3]!.slice(0, 30)], /:4: this is no line/],
    ['has a second header', (lines) => [lines[0]!, ...lines], /:2: this is no line/],
    [
      'is of a later version',
      (lines) => [lines[0]!.replace('"version":1', '"version":2'), ...lines.slice(1)],
      /:1: an export of version 2/,
    ],
    ['has an address that is none', (lines) => account(lines, () => ({ email: 'none' })), /:2: this is no line/],
    ['has an id that is none', (lines) => account(lines, () => ({ id: "x'; drop" })), /:2: this is no line/],
    ['has a NUL in it', (lines) => account(lines, () => ({ given_name: 'a\0b' })), /:2: this is no line/],
    [
      'has a password without a hash',
      (lines) => account(lines, () => ({ password: { state: 'own', hash: null, list: null } })),
      /:2: this/,
    ],
    [
      'has a day that is none',
      (lines) => account(lines, () => ({ created_at: '2026-13-45T00:00:00Z' })),
      /:2: this is no line/,
    ],
    [
      'has a doubt that nobody knows',
      (lines) => account(lines, () => ({ ids: [{ source: 'a', id: 'b', doubt: 'x', created_at: NOW }] })),
      /:2/,
    ],
    [
      'has a line of a megabyte and more',
      (lines) => account(lines, () => ({ more: 'x'.repeat(1_500_000) })),
      /longer than any/,
    ],
    [
      'has steps that nobody knows',
      (lines) => account(lines, () => ({ progress: { 'drop table': 'x' } })),
      /:2: this is no line/,
    ],
  ])('a file that %s is refused in one line, and nothing is written', async (_what, change, words) => {
    const path = await changed(change);
    const result = await restoreAccounts({ database: home.database, sealer }, { file: path }, NOW);
    expect(result).toEqual({ refused: expect.stringMatching(words) });
    expect((result as { refused: string }).refused).not.toContain('\n');
  });

  test('leaves out a password hash that nothing can check, and a row that is there twice', async () => {
    await elsewhere(async (place) => {
      const path = await changed((lines) => {
        const weak = account(lines, () => ({ password: { state: 'own', hash: MD5, list: null } }));
        const end = JSON.stringify({ type: 'end', accounts: 5, subjects: 2, erasures: 3 });
        return [...weak.slice(0, 5), weak[4]!, ...weak.slice(5, -1), end];
      });
      const result = (await restoreAccounts(
        { database: place.database, sealer },
        { file: path },
        NOW,
      )) as RestoreResult;
      expect(result).toMatchObject({ created: 4, byProblem: { invalid_hash: 1, existing_account: 1 } });
      expect(await place.database.query(sql`select 1 from accounts where password_hash = ${MD5}`)).toEqual([]);
    });
  });
});

test.each(['', '\0\x01binary', 'legacy_id,email\n', '{"legacy_id":"1","email":"a@example.com"}\n', '[]', 'null'])(
  'a file that begins with %j is no export',
  async (content) => {
    const path = join(folder, 'other');
    await writeFile(path, content);
    expect(await isExport(path)).toBe(false);
  },
);
