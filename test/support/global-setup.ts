/**
 * One PostgreSQL for the whole run, outside the checkout, with one migrated database that every test file copies. What a
 * killed run left behind is cleared away first.
 */
import { readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '../../src/platform/database.ts';
import { findEmbedded, startEmbedded } from '../../src/platform/embedded-postgres.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { isRunning } from '../../src/platform/process-lock.ts';
import { randomToken } from '../../src/platform/secrets.ts';
import { COMPILED } from './command.ts';
import { createDatabase, SERVER, TEMPLATE } from './database.ts';
import { running } from './running.ts';

const PREFIX = 'tunnus-test-';

export default async function globalSetup(): Promise<void> {
  await clearLeftOvers();
  const folder = join(tmpdir(), `${PREFIX}${process.pid}-${randomToken(6)}`);
  const server = await startEmbedded({ folder, durable: false });
  process.env[SERVER] = server.url;
  // The many processes that tests start compile the same files.
  process.env[COMPILED] = join(folder, 'compiled');
  running.stop = async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const database = openDatabase({ url: await createDatabase(TEMPLATE) });
  await migrate(database);
  await database.close();
}

/** A run that goes on beside this one keeps its own: the number in the name is that of its process. */
async function clearLeftOvers(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    if (isRunning(Number.parseInt(name.slice(PREFIX.length), 10))) continue;
    const folder = join(tmpdir(), name);
    // to adopt it is the way to stop it
    if (await findEmbedded(folder)) await (await startEmbedded({ folder })).stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
