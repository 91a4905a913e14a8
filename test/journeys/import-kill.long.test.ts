/** An import is a process that may be killed at any moment, while residents go on with theirs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { expected, writeList } from '../../bench/list.ts';
import { importAccounts, type Progress } from '../../src/journeys/import-accounts.ts';
import { sql } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { accountByKey, setOwnPassword } from '../../src/records/accounts.ts';
import { eraseAccount } from '../../src/records/erasures.ts';
import { tiesOfAccount } from '../../src/records/legacy-ids.ts';
import { CLI, environment, folderOf } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { SECRET } from '../support/world.ts';

// Enough for several batches.
const ROWS = 22_000;
const LIMIT = 90_000;
const NOW = new Date('2026-11-23T10:00:00Z');
const sealer = makeSealer([SECRET]);

let place: TestDatabase;
let folder: string;
let list: string;

beforeAll(async () => {
  place = await testDatabase();
  folder = await folderOf({ issuer: 'https://tunnistus.example', secret: SECRET, database: { url: place.url } });
  list = join(folder, 'list.csv');
  await writeList({ path: list, rows: ROWS });
});
afterAll(async () => {
  await place.drop();
  await rm(folder, { recursive: true });
});

function command(source: string) {
  const child = spawn(process.execPath, [CLI, 'accounts', 'import', list, '--source', source, '--json'], {
    env: environment(folder),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, output: text(child.stdout), complaints: text(child.stderr), ended: once(child, 'exit') };
}

async function count(table: 'accounts' | 'import_rows'): Promise<number> {
  const [row] = await place.database.query<{ count: number }>({ text: `select count(*) from ${table}`, values: [] });
  return row!.count;
}

/** Resolves once the import is as far as that, or over. */
async function until(reached: () => Promise<boolean>, import_: Promise<unknown>): Promise<void> {
  let over = false;
  void import_.then(() => (over = true));
  while (!over && !(await reached())) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** What can be seen of an import from outside, in the order in which it comes. */
const MOMENTS: Record<string, () => Promise<boolean>> = {
  reading: async () =>
    (await place.database.query(sql`select 1 from pg_stat_progress_copy where datname = current_database()`)).length >
    0,
  comparing: async () => (await count('import_rows')) > 0,
  merging: async () => (await count('accounts')) > 0,
};

test(
  'killed at any moment and run again: everybody is there, nobody twice',
  async () => {
    const { accounts } = expected(ROWS);
    for (const [moment, reached] of Object.entries(MOMENTS)) {
      const killed = command('a');
      await until(reached, killed.ended);
      killed.child.kill('SIGKILL');
      // Each of them is met: the import did not end before.
      expect([moment, (await killed.ended)[1]]).toEqual([moment, 'SIGKILL']);
    }
    let run = command('a');
    // The killed one's connection needs a moment to end, and so long the next is told that an import is running.
    for (; ((await run.ended) as [number])[0] === 2; run = command('a'))
      expect(await run.complaints).toContain('another import');
    expect(JSON.parse(await run.output)).toMatchObject({ rows: ROWS, byProblem: expected(ROWS).byProblem });
    expect(await count('accounts')).toBe(accounts);
    const [twice] = await place.database.query<{ ids: number; people: number }>(sql`
    select count(*) - count(distinct legacy_id) as ids, count(*) filter (where doubt is null) as people from legacy_ids`);
    const inDoubt = expected(ROWS).byProblem['shared_email']!;
    expect(twice).toEqual({ ids: 0, people: accounts - inDoubt / 2 });
    expect(await count('import_rows')).toBe(0);

    const again = command('a');
    await again.ended;
    expect(JSON.parse(await again.output)).toMatchObject({ created: 0, joined: 0, unchanged: accounts });
  },
  LIMIT,
);

test(
  'residents who set a password or are erased while another list joins wait for nobody, and lose nothing',
  async () => {
    const { database } = place;
    const accounts = await count('accounts');
    const people = await database.query<{ key: string }>(sql`
    select email_key as key from accounts a join legacy_ids l on l.account_id = a.id
    where doubt is null order by l.legacy_id limit 200`);
    const [toSet, toErase] = [people.slice(0, 100), people.slice(100)];
    const slowest = { set: 0, erase: 0 };
    let merging = false;
    const onProgress = ({ step }: Progress): void => void (merging ||= step === 'merging');
    const importing = importAccounts(
      { database, sealer, log: makeLog({ level: 'silent' }) },
      { file: list, source: 'b', onProgress },
      NOW,
    );
    await until(async () => merging, importing);

    const setting = (async () => {
      for (const { key } of toSet) {
        const begun = performance.now();
        // As the mailed link does: where the joining came between, it looks again.
        for (let done = false; !done;) {
          const { id: accountId, epoch } = (await accountByKey(database, key))!;
          const hash = `$argon2id$v=19$m=19456,t=2,p=1$${key}`;
          done = (await setOwnPassword(database, { accountId, epoch, hash, emailVerified: true }, NOW)) !== undefined;
        }
        slowest.set = Math.max(slowest.set, performance.now() - begun);
      }
    })();
    for (const { key } of toErase) {
      const begun = performance.now();
      await database.transaction(async (tx) => {
        const account = (await accountByKey(tx, key))!;
        await eraseAccount(tx, { account, legacyIds: await tiesOfAccount(tx, account.id), sealer }, NOW);
      });
      slowest.erase = Math.max(slowest.erase, performance.now() - begun);
    }
    await setting;
    expect(await importing).toMatchObject({ created: 0, joined: accounts });

    const kept = await database.query(sql`
    select 1 from accounts where email_key = any(${toSet.map(({ key }) => key)}) and password_state = 'own'
      and password_hash = '$argon2id$v=19$m=19456,t=2,p=1$' || email_key`);
    expect(kept).toHaveLength(toSet.length);
    expect(
      await database.query(sql`select 1 from accounts where email_key = any(${toErase.map(({ key }) => key)})`),
    ).toEqual([]);
    expect(await count('accounts')).toBe(accounts - toErase.length);
    expect(slowest.set).toBeLessThan(3_000);
    expect(slowest.erase).toBeLessThan(3_000);
  },
  LIMIT,
);
