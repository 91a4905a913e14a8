import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { importAccounts, type ImportOptions, type ImportResult } from '../../src/journeys/import-accounts.ts';
import { sql } from '../../src/platform/database.ts';
import { makeSealer, type Sealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { clearRows, copyLine, countRows, judgeRows, mergeRows, stageRows } from '../../src/records/account-lists.ts';
import { accountByKey, accountJson, changeEmail, setOwnPassword } from '../../src/records/accounts.ts';
import { eraseAccount } from '../../src/records/erasures.ts';
import { digestKey } from '../../src/records/digest-key.ts';
import { legacyId, tieLegacyId, tiesOfAccount, untieLegacyId } from '../../src/records/legacy-ids.ts';
import { hashPassword, verifyPassword } from '../../src/records/passwords.ts';
import { reseal } from '../../src/records/seals.ts';
import { wrapAllHashes } from '../../src/journeys/wrap-hashes.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { everybodyOnce, everything, importDemoList, LISTS } from '../support/three-lists.ts';

const NOW = new Date('2026-11-23T10:00:00Z');
const sealer = makeSealer(['a secret of thirty-two characters!']);
const PBKDF2 = 'pbkdf2_sha256$1000$saltsalt$7F/C4ZaPS11rb8IY23IXs979kMf957OI9EH4XuSahrY=';
const PASSWORD = 'Hyvää päivää 1';

let db: TestDatabase;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lists-'));
  db = await testDatabase();
});
afterAll(async () => {
  await db.drop();
  await rm(folder, { recursive: true });
});
afterEach(async () => {
  for (const table of [sql`accounts`, sql`legacy_ids`, sql`subjects`, sql`erasures`, sql`audit`, sql`digest_keys`])
    await db.database.query(sql`truncate ${table} cascade`);
});

const parts = () => ({ database: db.database, sealer, log: makeLog({ level: 'silent' }) });
const run = (options: ImportOptions) => importAccounts(parts(), options, NOW);

async function imported(options: ImportOptions): Promise<ImportResult> {
  const result = await run(options);
  if ('refused' in result) throw new Error(result.refused);
  return result;
}

let files = 0;
async function file(content: string | Buffer, ending = 'csv'): Promise<string> {
  const path = join(folder, `${++files}.${ending}`);
  await writeFile(path, content);
  return path;
}

const list = async (source: string, ...rows: string[]) =>
  imported({ file: await file(['legacy_id,email,given_name,password_hash', ...rows, ''].join('\n')), source });

/** Every row of every table but the staged ones, which are empty. */
async function allTables(): Promise<Record<string, unknown>> {
  const tables = await db.database.query<{ name: string }>(sql`
    select table_name as name from information_schema.tables where table_schema = 'public' order by 1`);
  const content: Record<string, unknown> = {};
  await db.database.session(async (session) => {
    for (const { name } of tables)
      content[name] = await session.query({
        text: `select to_jsonb(t)::text as row from ${name} t order by 1`,
        values: [],
      });
  });
  expect(content).toMatchObject({ import_rows: [] });
  return content;
}

async function erase(email: string, sealer: Sealer): Promise<void> {
  const account = (await accountByKey(db.database, email))!;
  const legacyIds = await tiesOfAccount(db.database, account.id);
  await db.database.transaction((tx) => eraseAccount(tx, { account, legacyIds, sealer }, NOW));
}

async function stored(email: string): Promise<{ password_hash?: string; password_state: string; epoch: number }> {
  const [row] = await db.database.query<{ account: never }>(sql`select (${accountJson(email)}) as account`);
  return row!.account;
}

describe('the three lists of the demo', () => {
  test.each([
    ['asiointi', 'kartta', 'varaukset'],
    ['varaukset', 'kartta', 'asiointi'],
  ] as const)('%s, %s, %s: everybody is there once, and the second time changes nothing', (...order) =>
    everybodyOnce(parts(), order, NOW),
  );

  test('the list in Windows-1252 is refused as UTF-8, with the hint, and nothing is written', async () => {
    const result = await run({ file: `${LISTS}varaukset.csv`, source: 'varaukset' });
    expect(result).toEqual({ refused: expect.stringContaining('--encoding windows-1252') });
    expect(await everything(db.database)).toEqual([[], []]);
  });

  test('a dry run counts the same and writes nothing', async () => {
    await importDemoList(parts(), 'asiointi', NOW);
    const options = { file: `${LISTS}kartta.csv`, source: 'kartta' };
    const before = await allTables();
    const dry = await imported({ ...options, dryRun: true });
    expect(await allTables()).toEqual(before);
    expect(await imported(options)).toEqual(dry);
    expect(await allTables()).not.toEqual(before);
  });
});

describe('an old password proves only its own list', () => {
  const ATTACKER = `7,uhri@example.com,,${PBKDF2}`;

  test("whoever registered with somebody else's address does not reach their history at another e-service", async () => {
    await list('asiointi', ATTACKER);
    const before = await stored('uhri@example.com');
    expect(before).toMatchObject({ password_state: 'list', epoch: 0 });
    expect(await verifyPassword(before.password_hash, PASSWORD)).toMatchObject({ ok: true });

    expect(await list('kartta', 'k-7,uhri@example.com,,')).toMatchObject({ joined: 1, created: 0 });
    const after = await stored('uhri@example.com');
    expect(after).toMatchObject({ password_state: 'none', password_hash: null, password_list: null });
    expect(after.epoch).toBeGreaterThan(before.epoch);
  });

  test('nor does the second list bring its password, nor the first one again', async () => {
    await list('kartta', 'k-7,uhri@example.com,,');
    await list('asiointi', ATTACKER);
    await list('asiointi', ATTACKER);
    expect(await stored('uhri@example.com')).toMatchObject({ password_state: 'none', password_hash: null });
  });

  test("the resident's own password stays when a list joins", async () => {
    await list('asiointi', ATTACKER);
    const account = await accountByKey(db.database, 'uhri@example.com');
    const hash = await hashPassword('own password');
    const { id: accountId, epoch } = account!;
    await setOwnPassword(db.database, { accountId, epoch, hash, emailVerified: true }, NOW);
    await list('kartta', 'k-7,uhri@example.com,,');
    expect(await stored('uhri@example.com')).toMatchObject({
      password_state: 'own',
      password_hash: hash,
      epoch: epoch + 2,
    });
  });

  test('nor does a password that was only ever changed by whoever knew the old one', async () => {
    await list('asiointi', ATTACKER);
    const { id: accountId, epoch } = (await accountByKey(db.database, 'uhri@example.com'))!;
    await setOwnPassword(db.database, { accountId, epoch, hash: await hashPassword('chosen by the attacker') }, NOW);
    await list('kartta', 'k-7,uhri@example.com,,');
    expect(await stored('uhri@example.com')).toMatchObject({ password_state: 'none', password_hash: null });
  });

  test('a fast hash is sealed at once, wrapped after, and opens the door all the while', async () => {
    await list('asiointi', '1,a@example.com,,md5$$78b63c80931864d50159a108f5ee4900');
    const sealed = await stored('a@example.com');
    expect(sealed.password_hash).toMatch(/^sealed:v1\./);
    expect(await verifyPassword(sealed.password_hash, PASSWORD, { sealer })).toEqual({ ok: true, rehash: true });
    expect(await verifyPassword(sealed.password_hash, 'Hyvää päivää 2', { sealer })).toMatchObject({ ok: false });
    expect(await verifyPassword(sealed.password_hash, PASSWORD)).toMatchObject({ ok: false });
    await wrapAllHashes({
      database: db.database,
      sealer: makeSealer(['another secret, lost or wrong by mistake']),
      clock: () => NOW,
    });
    expect(await stored('a@example.com')).toEqual(sealed);

    await wrapAllHashes({ database: db.database, sealer, clock: () => NOW });
    const { password_hash } = await stored('a@example.com');
    expect(password_hash).toMatch(/^wrapped\$md5\$\$\$argon2id\$/);
    expect(await verifyPassword(password_hash, PASSWORD)).toEqual({ ok: true, rehash: true });
  });
});

describe('what is in doubt is tied to nobody', () => {
  const tied = async (email: string, source = 'a') => {
    const account = await accountByKey(db.database, email);
    return account && legacyId(db.database, account.id, source);
  };

  test('one address with several ids: each row reported, none tied, until an admin says which', async () => {
    const result = await list('a', '1,x@example.com,A,', '2,X@example.com,B,');
    expect(result).toMatchObject({ created: 1, byProblem: { shared_email: 2 } });
    expect(await tied('x@example.com')).toEqual({ doubt: 'shared_email' });
    const account = await accountByKey(db.database, 'x@example.com');
    await tieLegacyId(db.database, { accountId: account!.id, source: 'a', id: '2' }, NOW);
    await list('a', '1,x@example.com,A,', '2,X@example.com,B,');
    expect(await tied('x@example.com')).toEqual({ id: '2' });
  });

  test('an address that comes with another id than before keeps its tie, and the new id is in doubt', async () => {
    await list('a', '1,x@example.com,,');
    expect(await list('a', '2,x@example.com,,')).toMatchObject({ gone: 1, byProblem: { shared_email: 1 } });
    expect(await tied('x@example.com')).toEqual({ id: '1' });
  });

  test('a placeholder that many have for an address: each row is judged once, however many ids it came with before', async () => {
    const rows = [1, 2, 3].map((id) => ({ line: id + 1, legacyId: `${id}`, email: 'none@example.com' }));
    await list('a', ...rows.map(({ legacyId, email }) => `${legacyId},${email},,`));
    await stageRows(
      db.database,
      rows.map((row) => copyLine({ ...row, emailKey: row.email, again: true })),
    );
    await db.database.session(async (session) => {
      await judgeRows(session, 'a');
      expect(await session.query(sql`select line from rivals order by line`)).toEqual(
        rows.map(({ line }) => ({ line })),
      );
      await clearRows(session);
    });
  });

  test('an id that comes with another address than before stays with the old one', async () => {
    await list('a', '1,x@example.com,,');
    expect(await list('a', '1,y@example.com,,')).toMatchObject({ created: 0, byProblem: { email_conflict: 1 } });
    expect(await tied('x@example.com')).toEqual({ id: '1' });
    expect(await accountByKey(db.database, 'y@example.com')).toBeUndefined();
  });

  test('of rows that share an address, no name, phone, language or password enters its account', async () => {
    const header = 'legacy_id,email,given_name,family_name,phone_number,locale,password_hash';
    const rows = [`1,x@example.com,Matti,A,+358,sv,${PBKDF2}`, `2,X@example.com,Maija,B,+359,fi,${PBKDF2}`];
    await imported({ file: await file([header, ...rows].join('\n')), source: 'a' });
    const account = (await accountByKey(db.database, 'x@example.com'))!;
    const { givenName, familyName, phoneNumber, locale, passwordState } = account;
    expect({ givenName, familyName, phoneNumber, locale, passwordState }).toEqual({ passwordState: 'none' });
    expect(await list('b', '7,x@example.com,Matti,')).toMatchObject({ joined: 1, byProblem: {} });
  });

  test('two rows that swap their addresses change nothing, and both are reported', async () => {
    await list('a', '1,x@example.com,,', '2,y@example.com,,');
    const before = await everything(db.database);
    expect(await list('a', '1,y@example.com,,', '2,x@example.com,,')).toMatchObject({
      created: 0,
      byProblem: { email_conflict: 2 },
    });
    expect(await everything(db.database)).toEqual(before);
  });

  test('a resident who has another address since keeps the id; who has the old one on another list is somebody new', async () => {
    await list('a', '1,x@example.com,,');
    const { id: accountId } = (await accountByKey(db.database, 'x@example.com'))!;
    await changeEmail(db.database, { accountId, email: 'new@example.com', verified: false }, NOW);
    expect(await list('a', '1,x@example.com,,')).toMatchObject({ created: 0, byProblem: { email_conflict: 1 } });
    expect(await tied('new@example.com')).toEqual({ id: '1' });
    expect(await list('b', '7,x@example.com,,')).toMatchObject({ created: 1, byProblem: {} });
    expect(await tied('new@example.com', 'b')).toBeUndefined();
  });

  test('an id that an admin untied, and that the list then gives to another address, is tied there', async () => {
    await list('a', '1,x@example.com,,');
    const { id: accountId } = (await accountByKey(db.database, 'x@example.com'))!;
    await untieLegacyId(db.database, { accountId, source: 'a', id: '1' });
    await list('a', '1,y@example.com,,');
    expect(await tied('y@example.com')).toEqual({ id: '1' });
    expect(await tied('x@example.com')).toBeUndefined();
  });

  test('an id that was untied by an admin is not tied again', async () => {
    await list('a', '1,x@example.com,,');
    const account = await accountByKey(db.database, 'x@example.com');
    expect(await untieLegacyId(db.database, { accountId: account!.id, source: 'a', id: '1' })).toBe(true);
    await list('a', '1,x@example.com,,');
    expect(await tied('x@example.com')).toBeUndefined();
    expect(await tiesOfAccount(db.database, account!.id)).toEqual([{ source: 'a', id: '1', doubt: 'unlinked' }]);
  });

  test('ids that could be no sub, and addresses that imitate another, make an account without a tie', async () => {
    const result = await list(
      'a',
      `${'9'.repeat(256)},x@example.com,,`,
      'ä1,y@example.com,,',
      'tunnus-1,z@example.com,,',
      '4,mаtti@example.com,,',
    );
    expect(result).toMatchObject({ created: 4, byProblem: { unusable_legacy_id: 3, mixed_script: 1 } });
    expect(await tied('x@example.com')).toEqual({ doubt: 'unusable_legacy_id' });
    expect(await tied('mаtti@example.com')).toEqual({ doubt: 'mixed_script' });
    expect(await list('a', `${'9'.repeat(256)},x@example.com,,`)).toMatchObject({ unchanged: 1, joined: 0 });
  });

  test('another name in another list is joined and reported, each time; case and spaces do not count', async () => {
    await list('a', '1,x@example.com,Matti,', '2,y@example.com,Anna-Liisa,', '3,z@example.com,,');
    const second = ['1,x@example.com,Maija,', '2,y@example.com, anna-LIISA ,', '3,z@example.com,Ville,'];
    expect(await list('b', ...second)).toMatchObject({ joined: 3, byProblem: { name_mismatch: 1 } });
    expect(await list('b', ...second)).toMatchObject({ joined: 0, unchanged: 3, byProblem: { name_mismatch: 1 } });
    expect(await accountByKey(db.database, 'z@example.com')).toMatchObject({ givenName: 'Ville' });
  });

  describe('what support changes between judging and merging stands', () => {
    /** Judges a list of one row, lets support work, and merges; a second list joins. */
    async function meanwhile(row: { legacyId: string; email: string }, work: () => Promise<unknown>): Promise<number> {
      const staged = copyLine({ line: 2, emailKey: row.email, ...row });
      await stageRows(db.database, [staged]);
      return db.database.session(async (session) => {
        await judgeRows(session, 'b');
        const { counts, extent } = await countRows(session, 'b');
        expect(extent).toEqual({ last: 2, changes: 1, known: true });
        await work();
        const batch = { source: 'b', after: 0, upTo: 2, joins: counts.joined > 0, known: true };
        const merged = await db.database.transaction((tx) => mergeRows(tx, batch, NOW));
        await clearRows(session);
        return merged;
      });
    }
    const account = async (email: string): Promise<string> => (await accountByKey(db.database, email))!.id;

    beforeEach(async () => {
      await list('a', `1,x@example.com,,${PBKDF2}`, '2,y@example.com,,');
    });

    test('an id tied to the account: there is nothing left to do, and nothing ends', async () => {
      const accountId = await account('x@example.com');
      const tie = () => tieLegacyId(db.database, { accountId, source: 'b', id: '7' }, NOW);
      const before = await stored('x@example.com');
      expect(await meanwhile({ legacyId: '7', email: 'x@example.com' }, tie)).toBe(0);
      expect(await stored('x@example.com')).toEqual(before);
      expect(await tied('x@example.com', 'b')).toEqual({ id: '7' });
    });

    test('an id tied to somebody else: it stays theirs', async () => {
      const accountId = await account('y@example.com');
      const before = await stored('x@example.com');
      const tie = () => tieLegacyId(db.database, { accountId, source: 'b', id: '7' }, NOW);
      expect(await meanwhile({ legacyId: '7', email: 'x@example.com' }, tie)).toBe(0);
      expect(await stored('x@example.com')).toEqual(before);
      expect(await tied('y@example.com', 'b')).toEqual({ id: '7' });
    });

    test('a tied account that took another address: nobody is made of the old one', async () => {
      const accountId = await account('x@example.com');
      const move = async (): Promise<void> => {
        await tieLegacyId(db.database, { accountId, source: 'b', id: '7' }, NOW);
        await changeEmail(db.database, { accountId, email: 'new@example.com', verified: true }, NOW);
      };
      expect(await meanwhile({ legacyId: '7', email: 'x@example.com' }, move)).toBe(0);
      expect(await accountByKey(db.database, 'x@example.com')).toBeUndefined();
    });
  });

  test('erased stays erased while `secret` changes, with the old one still listed and when it is gone', async () => {
    await list('a', '1,x@example.com,,');
    const [old, next] = ['an old secret of thirty-two characters', 'a new secret of thirty-two characters'];
    const key = await digestKey(db.database, makeSealer([old]));
    await erase('x@example.com', makeSealer([old], key));
    const path = await file('legacy_id,email\n1,other@example.com\n2,x@example.com\n');
    const changing = makeSealer([next, old]);
    for (const secrets of [[next, old], [next]]) {
      const opened = await digestKey(db.database, makeSealer(secrets));
      const own = { ...parts(), sealer: makeSealer(secrets, opened) };
      const result = await importAccounts(own, { file: path, source: 'a' }, NOW);
      expect(result).toMatchObject({ created: 0, byProblem: { erased: 2 } });
      await reseal(db.database, changing);
    }
  });

  test('erased stays erased: neither the address nor the old id comes back', async () => {
    await list('a', '1,x@example.com,,');
    await erase('x@example.com', sealer);
    expect(await list('a', '1,other@example.com,,', '2,x@example.com,,')).toMatchObject({
      created: 0,
      byProblem: { erased: 2 },
    });
    expect(await everything(db.database)).toEqual([[], []]);
  });

  test('whoever shares an address with an erased id is counted, and in doubt all the same', async () => {
    await list('a', '1,x@example.com,,');
    await erase('x@example.com', sealer);
    expect(await list('a', '1,y@example.com,,', '2,y@example.com,,')).toMatchObject({
      created: 1,
      inDoubt: 1,
      byProblem: { erased: 1, shared_email: 1 },
    });
    expect(await tied('y@example.com')).toEqual({ doubt: 'shared_email' });
  });

  test('a hash that cannot be checked is named by its form, and the account comes without a password', async () => {
    const result = await list('a', '1,x@example.com,,$1$abc$def', '2,y@example.com,,Salasana123');
    expect(result).toMatchObject({
      created: 2,
      byProblem: { invalid_hash: 2 },
      unusableHashes: { $1$: 1, unknown: 1 },
    });
    expect(await stored('x@example.com')).toMatchObject({ password_state: 'none' });
  });
});

test('the report names line, id, address and problem, and starts no formula', async () => {
  const report = join(folder, 'report.csv');
  const content =
    'email;legacy_id;given_name\r\n-;1;A\r\nx@example.com;2;"two\r\nlines ""q"""\r\n=cmd();3;\r\n\r\ny@example.com;4\r\n"q;""";5;\r\n';
  await imported({ file: await file(content), source: 'a', report });
  expect((await readFile(report, 'utf8')).split('\n')).toEqual([
    'line,legacy_id,email,problem,detail',
    "2,1,'-,invalid_email,",
    "5,3,'=cmd(),invalid_email,",
    '7,,,malformed_row,2 fields where the header has 3',
    '8,5,"q;""",invalid_email,',
    '',
  ]);
});

test('JSON Lines with the same names work, with numbers for ids and a bad line reported', async () => {
  const rows = [
    '{"email":"x@example.com","legacy_id":7,"given_name":null}',
    '{oops',
    '["a"]',
    '{"email":"y@example.com","legacy_id":"8"}',
  ];
  const result = await imported({ file: await file(rows.join('\n'), 'jsonl'), source: 'a' });
  expect(result).toMatchObject({ rows: 4, created: 2, byProblem: { malformed_row: 2 } });
});

test('a date that no account can have been made on is left out, and stops nothing', async () => {
  const dates = {
    '0000-01-01': NOW,
    '0001-01-01T00:00:00': NOW,
    '0001-01-01T00:00:00+14:00': NOW,
    '1899-12-31': NOW,
    '9999-12-31': NOW,
    '2026-13-45': NOW,
    '2026-11-25': NOW,
    '2009-06-05': new Date('2009-06-05T00:00:00Z'),
    '2009-06-05T12:00:00+03:00': new Date('2009-06-05T09:00:00Z'),
    // Of no zone: the same wherever the import runs.
    '2009-06-05 12:00:00': new Date('2009-06-05T12:00:00Z'),
  };
  const rows = Object.keys(dates).map((date, i) => `${i},a${i}@example.com,${date}`);
  const content = ['legacy_id,email,created_at', ...rows, ''].join('\n');
  expect(await imported({ file: await file(content), source: 'a' })).toMatchObject({ created: rows.length });
  const made = await db.database.query<{ at: Date }>(sql`select created_at as at from accounts order by email_key`);
  expect(made.map(({ at }) => at)).toEqual(Object.values(dates));
});

test('an id too long to keep whole is the same id the next time', async () => {
  const row = `${'i'.repeat(300)},x@example.com,,`;
  await list('a', row);
  const before = await everything(db.database);
  expect(await list('a', row)).toMatchObject({ gone: 0, unchanged: 1, created: 0 });
  expect(await everything(db.database)).toEqual(before);
});

describe('a file that is no list is refused in one line, and nothing is written', () => {
  const good = 'legacy_id,email,given_name\n1,a@example.com,A\n';
  test.each([
    ['an empty file', '', 'csv', 'empty'],
    ['a program', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 1, 0xff, 0xfe]), 'csv', ''],
    ['NUL bytes', Buffer.alloc(5000), 'csv', 'no text file'],
    ['another header', 'nimi,osoite\n1,2\n', 'csv', 'found: nimi, osoite'],
    ['no header', '1,a@example.com\n', 'csv', 'the header must name'],
    ['a header that names a column twice', 'email,email,legacy_id\n', 'csv', 'email twice'],
    ['an end inside a quoted field', `${good}2,b@example.com,"B`, 'csv', 'quoted field'],
    [
      'a quote that swallows the rest',
      `${good}2,b@example.com,"B\n${'3,c@example.com,C\n'.repeat(300_000)}`,
      'csv',
      'quote',
    ],
    ['very many columns', `email,legacy_id${','.repeat(10_000_000)}\n`, 'csv', 'too long for a header'],
    [
      'bytes that are no UTF-8 far down',
      Buffer.concat([Buffer.from(good.repeat(20_000)), Buffer.from([0xe4, 0x0a])]),
      'csv',
      'windows-1252',
    ],
    ['JSON that is no lines', '[\n{"email":"a@example.com"}]', 'jsonl', 'no JSON object'],
  ])('%s', async (...[, content, ending, told]) => {
    const result = await run({ file: await file(content, ending), source: 'a' });
    expect(result).toEqual({ refused: expect.stringContaining(told) });
    expect((result as { refused: string }).refused).not.toContain('\n');
    expect(await everything(db.database)).toEqual([[], []]);
  });

  test('a missing file, a folder, an unknown encoding, a source that is no name', async () => {
    const path = await file(good);
    expect(await run({ file: `${path}x`, source: 'a' })).toEqual({ refused: expect.stringContaining('no such file') });
    expect(await run({ file: folder, source: 'a' })).toEqual({ refused: expect.stringContaining('no file') });
    expect(await run({ file: path, source: 'a', encoding: 'klingon' })).toEqual({
      refused: expect.stringContaining('encoding'),
    });
    expect(await run({ file: path, source: 'a b' })).toEqual({ refused: expect.stringContaining('--source') });
  });

  test('rows of the wrong width, NUL bytes and fields of a megabyte are reported rows', async () => {
    const rows = [
      '1,a@example.com',
      '2,b@example.com,B,more',
      '3,c@example.com,C\0',
      `4,d@example.com,${'D'.repeat(1_000_000)}`,
      '5,e@example.com,E\t\\N',
    ];
    const result = await imported({
      file: await file(['legacy_id,email,given_name', ...rows].join('\n')),
      source: 'a',
    });
    expect(result).toMatchObject({ rows: 5, created: 1, byProblem: { malformed_row: 4 } });
    expect(await accountByKey(db.database, 'e@example.com')).toMatchObject({ givenName: 'E \\N' });
  });
});

test('an import killed half-way is completed by the next', async () => {
  const rows = Array.from({ length: 5_000 }, (_, i) => `${i},resident${i}@example.com`);
  const options = { file: await file(['legacy_id,email', ...rows].join('\n')), source: 'a' };
  const onProgress: ImportOptions['onProgress'] = ({ step }) => {
    if (step === 'merging') throw new Error('killed');
  };
  await expect(run({ ...options, onProgress })).rejects.toThrow('killed');
  const { created, unchanged } = await imported(options);
  expect(unchanged).toBeGreaterThan(0);
  expect(created + unchanged).toBe(5_000);
  expect(await imported(options)).toMatchObject({ created: 0, unchanged: 5_000 });
});

test('of two imports at once one runs and the other is told so', async () => {
  const options = { file: `${LISTS}kartta.csv`, source: 'kartta' };
  const results = await Promise.all([run(options), run(options)]);
  expect(results.filter((result) => 'refused' in result)).toEqual([
    { refused: expect.stringContaining('another import') },
  ]);
});
