/** What pg_basebackup does, by PostgreSQL's own functions: the embedded one comes without that program. */
import { chmod, chown, cp, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDatabase, sql } from '../../src/platform/database.ts';

/** Folder and data of a running embedded server, as PostgreSQL's own manual copies it (Low Level API). */
export async function baseBackup(url: string, from: string, to: string): Promise<void> {
  const database = openDatabase({ url, max: 1 });
  const owner = await stat(join(from, 'postgres'));
  await database.session(async (session) => {
    await session.query(sql`select pg_backup_start('drill', true)`);
    await cp(from, to, {
      recursive: true,
      filter: (path) =>
        !/\/(postmaster\.(pid|opts)|owner|pg_wal\/[0-9A-F]{24}|programs-.*|postgres\.log.*)$/.test(path),
    });
    const [end] = await session.query<{ label: string }>(sql`select labelfile as label from pg_backup_stop()`);
    await writeFile(join(to, 'postgres', 'backup_label'), end!.label);
  });
  await database.close();
  for (const name of ['', ...(await readdir(join(to, 'postgres'), { recursive: true }))])
    await chown(join(to, 'postgres', name), owner.uid, owner.gid);
  await chmod(join(to, 'postgres'), 0o700);
}
