/**
 * A big list whose import is killed again and again: whenever that happens, another run completes it. And lists of any rubbish:
 * each is refused in a line or reported by row, and what it makes stays sound.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { expected, writeList } from '../../bench/list.ts';
import { importAccounts } from '../../src/journeys/import-accounts.ts';
import { sql } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { CLI, environment, folderOf } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';
import { SECRET } from '../support/world.ts';

const ROWS = 100_000;
const LIMIT = 300_000;
const MEMORY = 300;
const KILLS = 5;
const NOW = new Date('2026-11-23T10:00:00Z');

let place: TestDatabase;
let folder: string;

beforeAll(async () => {
  place = await testDatabase();
  folder = await folderOf({ issuer: 'https://tunnistus.example', secret: SECRET, database: { url: place.url } });
});
afterAll(async () => {
  await place.drop();
  await rm(folder, { recursive: true });
});

/** Runs the command; kills it after so many milliseconds. `peak`: megabytes. */
async function run(list: string, killAfter?: number): Promise<{ code: number | null; told: string; peak: number }> {
  const child = spawn(process.execPath, [CLI, 'accounts', 'import', list, '--source', 'a', '--json'], {
    env: environment(folder),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let peak = 0;
  const watch = setInterval(() => {
    void readFile(`/proc/${child.pid}/status`, 'utf8').then(
      (status) => (peak = Math.max(peak, Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024)),
      () => {},
    );
  }, 50);
  const killing = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
  const [told, [code]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number | null]>]);
  clearInterval(watch);
  clearTimeout(killing);
  return { code, told, peak };
}

/** The killed one's connection needs a moment to end, and so long the next is told that an import is running. */
async function runWhenFree(list: string, killAfter?: number): ReturnType<typeof run> {
  for (;;) {
    const ran = await run(list, killAfter);
    if (ran.code !== 2) return ran;
  }
}

test(
  'a list of a hundred thousand, killed at any moment, is complete after another run, and nobody is there twice',
  async () => {
    const list = join(folder, 'list.csv');
    await writeList({ path: list, rows: ROWS });
    const { accounts, byProblem } = expected(ROWS);
    const begun = performance.now();
    const dry = await run(list, undefined);
    const whole = performance.now() - begun;
    expect(JSON.parse(dry.told)).toMatchObject({ created: accounts });
    await place.database.session((session) => session.script('truncate accounts, legacy_ids cascade'));

    const peaks = [dry.peak];
    for (let kill = 0; kill < KILLS; kill += 1) {
      const after = whole * ((kill + Math.random()) / KILLS);
      const { peak } = await runWhenFree(list, after);
      peaks.push(peak);
      const [half] = await place.database.session((session) =>
        session.query(sql`
          select (select count(*) from accounts) - (select count(distinct account_id) from legacy_ids) as lone,
            (select count(*) - count(distinct legacy_id) from legacy_ids) as twice`),
      );
      expect({ after, ...half }).toEqual({ after, lone: 0, twice: 0 });
    }
    const last = await runWhenFree(list);
    expect(JSON.parse(last.told)).toMatchObject({ rows: ROWS, byProblem });
    const [count] = await place.database.session((session) =>
      session.query(sql`
        select count(*) as accounts, (select count(distinct legacy_id) from legacy_ids) as ids,
          (select count(*) from import_rows) as staged from accounts`),
    );
    const inDoubt = byProblem['shared_email']! / 2;
    expect(count).toEqual({ accounts, ids: accounts + inDoubt, staged: 0 });
    const again = await run(list);
    expect(JSON.parse(again.told)).toMatchObject({ created: 0, joined: 0, unchanged: accounts, gone: 0 });
    expect(Math.max(...peaks, last.peak, again.peak)).toBeLessThan(MEMORY);
  },
  LIMIT,
);

// Few values, so that rows meet; and what breaks readers, rules of addresses and SQL.
const cell = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('1', '2', '3', 'x@example.com', 'X@Example.com', 'y@example.com', 'mаtti@example.com'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '',
      '"',
      '""',
      ' ',
      'a"b',
      "';drop",
      '\\N',
      '\\.',
      '\0',
      '\ufeff',
      '\ud800',
      'tunnus-1',
      '9'.repeat(300),
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
);
const row = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(cell, cell, cell, cell) },
  { weight: 1, arbitrary: fc.array(cell, { maxLength: 6 }) },
);
const written = fc
  .tuple(fc.constantFrom(',', ';'), fc.constantFrom('\n', '\r\n', '\r'), fc.boolean())
  .chain(([separator, newline, quoted]) =>
    fc
      .array(row, { maxLength: 12 })
      .map((rows) =>
        [['legacy_id', 'email', 'given_name', 'password_hash'], ...rows]
          .map((cells) => cells.map((one) => (quoted ? `"${one.replaceAll('"', '""')}"` : one)).join(separator))
          .join(newline),
      ),
  );

test(
  'no list of any rubbish breaks anything: it is refused in a line, or counted whole, and the second time changes nothing',
  async () => {
    const { database } = place;
    const parts = { database, sealer: makeSealer([SECRET]), log: makeLog({ level: 'silent' }) };
    const path = join(folder, 'rubbish.csv');
    await database.session((session) => session.script('truncate accounts, legacy_ids cascade'));
    await fc.assert(
      fc.asyncProperty(written, fc.constantFrom('a', 'b'), async (content, source) => {
        await writeFile(path, content);
        const dry = await importAccounts(parts, { file: path, source, dryRun: true }, NOW);
        const first = await importAccounts(parts, { file: path, source }, NOW);
        expect(first).toEqual(dry);
        if ('refused' in first) return expect(first.refused).toMatch(/^[^\n]+$/);
        const second = await importAccounts(parts, { file: path, source }, NOW);
        expect(second).toMatchObject({ rows: first.rows, created: 0, joined: 0 });
        const [unsound] = await database.query(sql`
          select (select count(*) from legacy_ids l where not exists (select 1 from accounts a where a.id = l.account_id)) as ties,
            (select count(*) from accounts where password_hash like '%$1$%') as hashes,
            (select count(*) from import_rows) as staged`);
        expect(unsound).toEqual({ ties: 0, hashes: 0, staged: 0 });
      }),
      { numRuns: 60 },
    );
  },
  LIMIT,
);

test(
  'a dump that reads every table puts an import off, longer than a page would wait, and no more',
  async () => {
    const list = join(folder, 'short.csv');
    await writeFile(list, 'legacy_id,email\n1,waits@example.com\n');
    const parts = { database: place.database, sealer: makeSealer([SECRET]), log: makeLog({ level: 'silent' }) };
    const importing = await place.database.session(async (dump) => {
      await dump.script('begin; lock table import_rows in access share mode');
      const result = importAccounts(parts, { file: list, source: 'dumped' }, NOW);
      await until('a wait longer than that of a page', async () => {
        const [waiting] = await place.database.query(sql`
          select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
            and clock_timestamp() - query_start > interval '3.5 seconds'`);
        return waiting !== undefined;
      });
      return { result };
    });
    expect(await importing.result).toMatchObject({ created: 1 });
  },
  LIMIT,
);
