/** The commands of the move as operators run them. */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import { sql } from '../src/platform/database.ts';
import { folderOf, runTunnus, type Ended } from './support/command.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';

let place: TestDatabase;
let folder: string;
const tunnus = (...words: string[]): Promise<Ended> => runTunnus(folder, words);
const rows = (csv: string) => parse(csv, { columns: true }) as unknown as Record<string, string>[];

/** A name that a spreadsheet would run, in an address that is one. */
const FORMULA = '=cmd|calc@example.com';

beforeAll(async () => {
  place = await testDatabase();
  const secret = 'a secret of the tests, thirty-two characters or more';
  const settings = { issuer: 'https://tunnistus.kaupunki.example', secret, database: { url: place.url } };
  const client = { client_secret: secret, redirect_uris: ['https://a.example/in'], scope: 'openid legacy' };
  folder = await folderOf(settings, {
    asiointi: { ...client, client_name: 'A', subject_type: 'legacy', legacy_source: 'asiointi' },
    kartta: { ...client, client_name: 'K', subject_type: 'pairwise', legacy_source: 'kartta' },
  });
  await place.database.query(sql`
    with made as (insert into accounts (email, email_key, created_at, updated_at)
      values (${FORMULA}, ${FORMULA}, now(), now()), ('b@example.com', 'b@example.com', now(), now()) returning id, email)
    insert into legacy_ids (source, legacy_id, account_id, created_at)
    select 'asiointi', case email when ${FORMULA} then '-2+3' else 'U2' end, id, now() - interval '3 years' from made`);
});
afterAll(async () => {
  await place.drop();
  await rm(folder, { recursive: true });
});

test('a wrong call ends with 2 and one clear line, and touches nothing', async () => {
  const calls: [string, RegExp][] = [
    ['progress --source nobody', /--source nobody: no list .*imported: asiointi/],
    ['progress --json --csv', /cannot be used with/],
    ['rehearse --client nobody', /--client nobody: no e-service .*there are: asiointi, kartta/],
    ['dormant --erase --yes', /--months is missing/],
    ['dormant --months 0', /--months 0: a whole number from 1 to 120/],
    ['dormant --months 1.5', /--months 1\.5: a whole number/],
    ['dormant --months 24 --erase', /add --yes/],
    [`export --file ${folder}/none/x`, /cannot be written \(ENOENT\)/],
    ['import list.csv', /--source NAME is missing/],
  ];
  const ended = await Promise.all(calls.map(([words]) => tunnus('accounts', ...words.split(' '))));
  for (const [index, { code, out, err }] of ended.entries()) {
    expect([calls[index]![0], code, out]).toEqual([calls[index]![0], 2, '']);
    expect(err).toMatch(calls[index]![1]);
    expect(err.trim().split('\n')).toHaveLength(1);
  }
  expect(await place.database.query(sql`select 1 from accounts`)).toHaveLength(2);
}, 60_000);

test('progress tells people, programs and spreadsheets the same', async () => {
  const [plain, json, csv] = await Promise.all([
    tunnus('accounts', 'progress'),
    tunnus('accounts', 'progress', '--json', '--source', 'asiointi'),
    tunnus('accounts', 'progress', '--csv'),
  ]);
  expect([plain.code, json.code, csv.code]).toEqual([0, 0, 0]);
  expect(plain.out).toMatch(/imported +2 +2\n/);
  expect(plain.out).toMatch(/never seen +2 +2\n/);
  const told = JSON.parse(json.out) as { timeZone: string; totals: object[] };
  expect(told).toMatchObject({ timeZone: 'Europe/Helsinki', totals: [{ source: 'asiointi', imported: 2 }] });
  const [all, asiointi, ...days] = rows(csv.out);
  expect(all).toMatchObject({ day: 'total', source: '*', imported: '2', never_seen: '2', signed_in: '0' });
  expect(asiointi).toMatchObject({ day: 'total', source: 'asiointi', imported: '2' });
  expect(days.map(({ source, imported }) => [source, imported])).toEqual([
    ['*', '2'],
    ['asiointi', '2'],
  ]);
});

test('rehearse gives totals always, and rows that a spreadsheet does not run', async () => {
  const [plain, json, csv] = await Promise.all([
    tunnus('accounts', 'rehearse'),
    tunnus('accounts', 'rehearse', '--json'),
    tunnus('accounts', 'rehearse', '--csv', '--client', 'asiointi'),
  ]);
  expect(plain.out).toMatch(/^asiointi {2}\(legacy, list asiointi\): 2 residents\n +2 {2}sub: the old user id/);
  const { residents, clients } = JSON.parse(json.out) as { residents: object[]; clients: object[] };
  expect([residents.length, clients.length]).toEqual([4, 2]);
  expect(clients[1]).toMatchObject({ client: 'kartta', sub: { new: 2 }, legacy_id: 0 });
  expect(csv.err).toContain('asiointi  (legacy, list asiointi): 2 residents');
  const formula = rows(csv.out).find(({ email }) => email!.includes('calc'));
  expect(formula).toMatchObject({ email: `'${FORMULA}`, naming: 'old_id', sub: "'-2+3" });
});

test('export goes into a file of its own and is taken in by another Tunnus', async () => {
  const file = join(folder, 'all.jsonl');
  const done = await tunnus('accounts', 'export', '--file', file);
  expect([done.code, done.out]).toEqual([0, '2 accounts, 0 subs of erased ones, 0 erasures\n']);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const [piped, again, named] = await Promise.all([
    tunnus('accounts', 'export'),
    tunnus('accounts', 'import', file, '--dry-run'),
    tunnus('accounts', 'import', file, '--source', 'asiointi'),
  ]);
  expect(piped.out.split('\n').slice(1)).toEqual((await readFile(file, 'utf8')).split('\n').slice(1));
  expect([again.code, again.out]).toEqual([
    0,
    '2 accounts: 0 new, 2 unchanged\nNothing was written: this was a dry run.\n',
  ]);
  expect([named.code, named.err]).toEqual([2, expect.stringContaining('is an export')]);
});

test('dormant reports first and erases on a second word', async () => {
  const [plain, none] = await Promise.all([
    tunnus('accounts', 'dormant'),
    tunnus('accounts', 'dormant', '--months', '48', '--json'),
  ]);
  expect(plain.out).toMatch(
    /^2 accounts came by a list before \d{4}-\d\d-\d\d and were never used\n +2 {2}on asiointi\n$/,
  );
  expect(JSON.parse(none.out)).toMatchObject({ accounts: [], dormant: 0, erased: 0 });
  const erased = await tunnus('accounts', 'dormant', '--months', '24', '--erase', '--yes', '--csv');
  expect(erased.code).toBe(0);
  expect(rows(erased.out).map(({ email, erased: done }) => [email, done])).toEqual(
    expect.arrayContaining([
      [`'${FORMULA}`, 'yes'],
      ['b@example.com', 'yes'],
    ]),
  );
  expect(await place.database.query(sql`select 1 from accounts`)).toEqual([]);
  const audit = await place.database.query<{ actor: string }>(
    sql`select actor from audit where kind = 'account_erased'`,
  );
  expect(audit.map(({ actor }) => actor.split(':')[0])).toEqual(['support', 'support']);
});

test('audit list tells events a line each, audit verify names the minute that was tampered with', async () => {
  const [json, plain, wrong] = await Promise.all([
    tunnus('audit', 'list', '--kind', 'account_erased', '--since', '2026-01-01', '--json'),
    tunnus('audit', 'list', '--kind', 'account_erased'),
    tunnus('audit', 'list', '--since', 'yesterday'),
  ]);
  const events = json.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(events).toMatchObject([{ kind: 'account_erased', place: null }, { kind: 'account_erased' }]);
  expect(plain.out).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}account_erased .*support:/);
  expect(wrong).toMatchObject({ code: 2, err: expect.stringMatching(/^yesterday is no time, expected one like/) });

  const minute = new Date(Date.now() - 3_600_000).toISOString().slice(0, 16);
  await place.database.query(sql`
    insert into audit (written_at, at, kind) values (${`${minute}:30Z`}, ${`${minute}:30Z`}, 'keys_replaced')`);
  await place.database.query(sql`
    insert into audit_seals (nth, minute, events, digest) values (1, ${`${minute}:00Z`}, 2, sha256('forged'))`);
  const [verified, absent] = await Promise.all([
    tunnus('audit', 'verify'),
    tunnus('audit', 'verify', '--json', '--seal', 'f'.repeat(64)),
  ]);
  expect(verified).toMatchObject({ code: 1, err: '' });
  expect(verified.out.split('\n')[0]).toBe(`${minute}Z  events are missing: 1`);
  expect(JSON.parse(absent.out)).toMatchObject({ good: false, inChain: false, broken: [{ what: 'missing' }] });
});
