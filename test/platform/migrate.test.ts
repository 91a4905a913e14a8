import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openDatabase, sql } from '../../src/platform/database.ts';
import { migrate, SchemaTooNew } from '../../src/platform/migrate.ts';
import { createDatabase, testDatabase, type TestDatabase } from '../support/database.ts';
import { dumpSchema, SCHEMA_FILE } from '../support/dump-schema.ts';

let house: TestDatabase;

beforeAll(async () => {
  house = await testDatabase();
});
afterAll(() => house.drop());

test('sql/schema.sql is a true picture of what the migrations add up to', async () => {
  expect(readFileSync(SCHEMA_FILE, 'utf8')).toBe(await dumpSchema(house.database));
});

test('migrating again changes nothing', async () => {
  const applied = () => house.database.query(sql`select * from migrations order by number`);
  const before = await applied();
  await migrate(house.database);
  expect(await applied()).toEqual(before);
});

test('two nodes that start at once both find the schema made', async () => {
  const url = await createDatabase(`two_starters_${process.pid}`);
  const nodes = [openDatabase({ url }), openDatabase({ url })];
  await Promise.all(nodes.map((node) => migrate(node)));
  for (const node of nodes) {
    await node.query(sql`select from accounts`);
    await node.query(sql`select graphile_worker.add_job('nothing')`);
    await node.close();
  }
});

test('a schema of a later version is refused, and left as it is', async () => {
  await house.database.query(sql`insert into migrations values (9999, now())`);
  await expect(migrate(house.database)).rejects.toBeInstanceOf(SchemaTooNew);
  await expect(migrate(house.database)).rejects.toThrow('migration 9999');
});
