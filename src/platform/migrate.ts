/**
 * Brings the schema up to date: sql/NNNN_*.sql, forward only, each in a transaction of its own that also records its
 * number, then the job queue's own migrations. One lock lets any number of nodes start at once. What the tables are for
 * stands in the SQL files.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runMigrations } from 'graphile-worker';
import { type Database, sql } from './database.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'sql');
/** Any number does, so long as nobody else in this database locks with it. */
const LOCK = 8_677_687;

export class SchemaTooNew extends Error {
  constructor(number: number) {
    super(`the database has migration ${number}, which this version of Tunnus does not know: start a newer version`);
    this.name = 'SchemaTooNew';
  }
}

/** Safe when several nodes do it at once; throws SchemaTooNew on a database of a later version. */
export async function migrate(database: Database): Promise<void> {
  const files = await migrationFiles();
  // the lock ends with its connection, whatever happens to this process
  await database.session(async (session) => {
    await session.query(sql`select pg_advisory_lock(${LOCK})`);
    await session.script(
      'create table if not exists migrations (number integer primary key, applied_at timestamptz not null)',
    );
    const rows = await session.query<{ number: number }>(sql`select number from migrations`);
    const applied = new Set(rows.map((row) => row.number));
    for (const number of applied) if (!files.has(number)) throw new SchemaTooNew(number);

    for (const [number, file] of files) {
      if (applied.has(number)) continue;
      const text = await readFile(join(FOLDER, file), 'utf8');
      await session.script('begin');
      await session.query(sql`insert into migrations values (${number}, now())`);
      await session.script(text);
      await session.script('commit');
    }
    await runMigrations({ pgPool: database.queuePool });
  });
}

/** Number to file name, in the order of the numbers. */
async function migrationFiles(): Promise<Map<number, string>> {
  const files = (await readdir(FOLDER)).filter((file) => /^\d{4}_.+\.sql$/.test(file)).sort();
  return new Map(files.map((file) => [Number(file.slice(0, 4)), file]));
}
