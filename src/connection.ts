/** Opens what everything stands on, the database and the sealer: for the provider and for commands, which need no more. */
import type { Config } from './config.ts';
import { openDatabase, type Database } from './platform/database.ts';
import { embeddedSecret, findEmbedded, startEmbedded } from './platform/embedded-postgres.ts';
import { migrate } from './platform/migrate.ts';
import { makeSealer, type Sealer } from './platform/secrets.ts';
import type { Log } from './platform/telemetry.ts';
import { digestKey } from './records/digest-key.ts';

export interface Connection {
  database: Database;
  sealer: Sealer;
  close(): Promise<void>;
}

/**
 * Opens the database, brings its schema up to date, and makes the sealer.
 * `serve` starts the embedded PostgreSQL and owns it; anything else joins a running one, or starts it for its own time.
 */
export async function connect(
  config: Config,
  { serve = false, log }: { serve?: boolean; log: Log },
): Promise<Connection> {
  const { folder } = config.database;
  const running = config.database.url ?? (serve ? undefined : (await findEmbedded(folder))?.url);
  const tell = (line: string): void => log.info({}, line);
  const embedded = running ? undefined : await startEmbedded({ folder, log: tell });
  if (serve && embedded)
    log.info({ folder: embedded.folder }, 'no database.url is set: this is the embedded PostgreSQL');
  const database = openDatabase({
    url: running ?? embedded!.url,
    direct: config.database.direct,
    max: config.database.pool,
    onError: (error: Error) => log.warn({ err: error }, 'a database connection broke'),
  });
  const close = async (): Promise<void> => {
    await database.close();
    await embedded?.stop();
  };
  try {
    await migrate(database);
    const secrets = config.secret.length ? config.secret : [embeddedSecret(embedded?.folder ?? folder)];
    const sealer = makeSealer(secrets, await digestKey(database, makeSealer(secrets)));
    return { database, sealer, close };
  } catch (error) {
    await close();
    throw error;
  }
}
