/**
 * sql/schema.sql, the picture of what all migrations add up to, read from PostgreSQL's catalogs (the embedded one comes
 * without pg_dump). `npm run schema` draws it anew; a test says when it is no longer true.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase, sql, type Database } from '../../src/platform/database.ts';
import { startEmbedded } from '../../src/platform/embedded-postgres.ts';
import { migrate } from '../../src/platform/migrate.ts';

export const SCHEMA_FILE = join(import.meta.dirname, '..', '..', 'sql', 'schema.sql');

const HEAD = `-- What all migrations add up to. A picture, never run: \`npm run schema\` draws it.`;

export async function dumpSchema(database: Database): Promise<string> {
  const tables = await database.query<{ name: string; lines: string[]; parted: string | null; indexes: string[] }>(sql`
    select t.relname as name, pg_get_partkeydef(t.oid) as parted,
      array(
        select format('%I %s', attname, format_type(atttypid, atttypmod))
            || case when attnotnull then ' not null' else '' end
            || case when attidentity = 'a' then ' generated always as identity' else '' end
            || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
        from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where attrelid = t.oid and attnum > 0 and not attisdropped
        order by attnum
      ) || array(
        select format('constraint %I %s', conname, pg_get_constraintdef(oid))
        from pg_constraint where conrelid = t.oid and contype <> 'n'
        order by position(contype::text in 'pufcx'), conname
      ) as lines,
      array(
        select pg_get_indexdef(indexrelid) from pg_index
        where indrelid = t.oid and not exists (select from pg_constraint where conindid = indexrelid)
        order by indexrelid::regclass::text collate "C"
      ) as indexes
    from pg_class t
    where t.relnamespace = 'public'::regnamespace and t.relkind in ('r', 'p')
      -- Which months there are depends on the day.
      and not t.relispartition
    order by t.relname collate "C"`);
  const drawn = tables.map(({ name, lines, parted, indexes }) =>
    [
      `create table ${name} (\n  ${lines.join(',\n  ')}\n)${parted ? ` partition by ${parted}` : ''};`,
      ...indexes.map((index) => `${index};`),
    ].join('\n'),
  );
  return `${[HEAD, ...drawn].join('\n\n')}\n`;
}

if (import.meta.main) {
  const folder = join(tmpdir(), `tunnus-schema-${process.pid}`);
  const server = await startEmbedded({ folder, durable: false });
  const database = openDatabase({ url: server.url });
  try {
    await migrate(database);
    writeFileSync(SCHEMA_FILE, await dumpSchema(database));
  } finally {
    await database.close();
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}
