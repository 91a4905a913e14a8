/** The three lists of the demo: what each brings, and what must be there after all of them, in whatever order. */
import { expect } from '@jest/globals';
import { importAccounts, type ImportParts, type ImportResult } from '../../src/journeys/import-accounts.ts';
import { type Database, sql } from '../../src/platform/database.ts';

export const LISTS = new URL('../../config/demo/lists/', import.meta.url).pathname;

const DEMO = {
  asiointi: { rows: 2033, shared: 16, encoding: undefined },
  kartta: { rows: 1530, shared: 14, encoding: undefined },
  varaukset: { rows: 932, shared: 16, encoding: 'windows-1252' },
};
type Source = keyof typeof DEMO;

export async function importDemoList(parts: ImportParts, source: Source, now: Date): Promise<ImportResult> {
  const file = `${LISTS}${source}.csv`;
  const result = await importAccounts(parts, { file, source, encoding: DEMO[source].encoding }, now);
  if ('refused' in result) throw new Error(result.refused);
  return result;
}

export async function everything(database: Database): Promise<unknown> {
  return [
    await database.query(sql`select * from accounts order by email_key`),
    await database.query(sql`select * from legacy_ids order by source, legacy_id, account_id`),
  ];
}

/** Imports the lists in this order into an empty database, and once more: everybody is there once, and nothing changes. */
export async function everybodyOnce(parts: ImportParts, order: readonly Source[], now: Date): Promise<void> {
  const { database } = parts;
  for (const source of order) {
    const { rows, byProblem, gone, inDoubt } = await importDemoList(parts, source, now);
    expect({ rows, gone, inDoubt, byProblem }).toEqual({
      rows: DEMO[source].rows,
      gone: 0,
      inDoubt: DEMO[source].shared,
      byProblem: {
        invalid_email: 9,
        missing_legacy_id: 4,
        duplicate_legacy_id: 3,
        shared_email: DEMO[source].shared,
      },
    });
  }
  const [{ count } = { count: 0 }] = await database.query<{ count: number }>(sql`select count(*) from accounts`);
  expect(count).toBe(2935);
  const together = async (...sources: string[]): Promise<number> => {
    const rows = await database.query(sql`
      select 1 from legacy_ids where doubt is null and source = any(${sources}) group by account_id
      having count(*) = ${sources.length}`);
    return rows.length;
  };
  expect(await together('asiointi', 'kartta')).toBe(891);
  expect(await together('asiointi', 'varaukset')).toBe(398);
  expect(await together('kartta', 'varaukset')).toBe(432);
  expect(await together('asiointi', 'kartta', 'varaukset')).toBe(237);

  const before = await everything(database);
  for (const source of order)
    expect(await importDemoList(parts, source, now)).toMatchObject({ created: 0, joined: 0, gone: 0 });
  expect(await everything(database)).toEqual(before);
  expect(await database.query(sql`select 1 from import_rows limit 1`)).toEqual([]);
}
