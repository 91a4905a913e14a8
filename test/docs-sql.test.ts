/** The SQL that docs/for-e-services.md gives to e-services does what is said of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from '../src/platform/database.ts';
import { testDatabase, type TestDatabase } from './support/database.ts';

const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'for-e-services.md'), 'utf8');
const [before, signIn] = [...page.matchAll(/```sql\n(.*?)```/gs)].map((match) => match[1]!);

let place: TestDatabase;
beforeAll(async () => {
  place = await testDatabase();
  await place.database.session(async (session) => {
    await session.script(`create table users (id text primary key); insert into users values ('U1'), ('U2');`);
    await session.script(before!);
  });
});
afterAll(() => place.drop());

let made = 0;
/** As the page says: the first statement that returns a row. */
async function userOf(sub: string, legacyId?: string): Promise<string | undefined> {
  const values: Record<string, string | null> = {
    iss: 'https://id.example.fi',
    sub,
    legacy_id: legacyId ?? null,
    new_id: `new-${++made}`,
  };
  for (const statement of signIn!.split(';').filter((text) => text.trim())) {
    const names: string[] = [];
    const text = statement.replace(/:(\w+)/g, (_, name: string) => `$${names.push(name)}::text`);
    const rows = await place.database.query<{ id: string }>({ text, values: names.map((name) => values[name]) });
    if (rows[0]) return rows[0].id;
  }
  return undefined;
}

test('the old user is found by legacy_id once, and by iss and sub from then on', async () => {
  expect(await userOf('s1', 'U1')).toBe('U1');
  expect(await userOf('s1', 'U1')).toBe('U1');
  expect(await userOf('s1')).toBe('U1');
  // Whatever a later list says.
  expect(await userOf('s1', 'U2')).toBe('U1');
});

test('who has no legacy_id, or one that another has taken, is a new user, each time the same', async () => {
  const fresh = await userOf('s2');
  expect(fresh).toMatch(/^new-/);
  expect(await userOf('s2')).toBe(fresh);
  expect(await userOf('s3', 'U1')).toMatch(/^new-/);
  expect(await userOf('s4', 'none-of-ours')).toMatch(/^new-/);
});

test('many first sign-ins at once make one user', async () => {
  const all = await Promise.all(Array.from({ length: 10 }, () => userOf('s5', 'U2')));
  expect(new Set(all.filter(Boolean)).size).toBe(1);
  expect(await place.database.query(sql`select id from users where oidc_sub = 's5'`)).toHaveLength(1);
});
