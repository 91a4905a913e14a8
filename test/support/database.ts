/** A migrated database for each test file, copied from the run's template (global-setup.ts). */
import { type Database, openDatabase } from '../../src/platform/database.ts';
import { randomToken } from '../../src/platform/secrets.ts';

export const SERVER = 'TUNNUS_TEST_SERVER';
export const TEMPLATE = 'tunnus_template';

export interface TestDatabase {
  database: Database;
  url: string;
  drop(): Promise<void>;
}

export async function testDatabase(): Promise<TestDatabase> {
  const name = `test_${randomToken(9).replaceAll('-', '_').toLowerCase()}`;
  const url = await createDatabase(name, TEMPLATE);
  const database = openDatabase({ url });
  return {
    database,
    url,
    drop: async () => {
      await database.close();
      await onServer(`drop database ${name} with (force)`);
    },
  };
}

/** Returns the new database's URL. */
export async function createDatabase(name: string, template = 'template1'): Promise<string> {
  await onServer(`create database ${name} template ${template}`);
  const url = new URL(process.env[SERVER]!);
  url.pathname = `/${name}`;
  return url.href;
}

async function onServer(statement: string): Promise<void> {
  const server = openDatabase({ url: process.env[SERVER]!, max: 1 });
  await server.session((session) => session.script(statement)).finally(() => server.close());
}
