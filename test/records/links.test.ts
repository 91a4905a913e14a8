/** A mailed link works once, on any device, until its time is up. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { endLinks, findLink, liveLinks, makeLink, spendLink, sweepLinks } from '../../src/records/links.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let place: TestDatabase;
let accountId: string;
const noon = new Date('2026-11-23T12:00:00Z');
const HOUR = 3_600_000;
const later = (hours: number): Date => new Date(noon.getTime() + hours * HOUR);

beforeAll(async () => {
  place = await testDatabase();
  const [row] = await place.database.query<{ id: string }>(sql`
    insert into accounts (email, email_key, created_at, updated_at)
    values ('maija@example.com', 'maija@example.com', ${noon}, ${noon}) returning id`);
  accountId = row!.id;
});
afterAll(() => place.drop());

const make = () =>
  makeLink(place.database, { accountId, purpose: 'set_password', clientId: 'asiointi', lifetime: 24 * HOUR }, noon);

test('is live until its time is up, then expired', async () => {
  const token = await make();
  expect(await findLink(place.database, { token, purpose: 'set_password' }, later(23))).toMatchObject({
    state: 'live',
    clientId: 'asiointi',
  });
  expect(await findLink(place.database, { token, purpose: 'set_password' }, later(24))).toMatchObject({
    state: 'expired',
  });
});

test('is spent once, also by twenty at the same time', async () => {
  const token = await make();
  const { id } = (await findLink(place.database, { token, purpose: 'set_password' }, noon))!;
  const spent = await Promise.all(Array.from({ length: 20 }, () => spendLink(place.database, id, noon)));
  expect(spent.filter(Boolean)).toHaveLength(1);
  expect(await findLink(place.database, { token, purpose: 'set_password' }, noon)).toMatchObject({ state: 'used' });
});

test('is not spent when it has expired', async () => {
  const token = await make();
  const { id } = (await findLink(place.database, { token, purpose: 'set_password' }, noon))!;
  expect(await spendLink(place.database, id, later(25))).toBe(false);
});

test('a new one ends no older one; setting the password ends them all', async () => {
  const [first, second] = [await make(), await make()];
  for (const token of [first, second])
    expect(await findLink(place.database, { token, purpose: 'set_password' }, noon)).toMatchObject({ state: 'live' });
  expect((await liveLinks(place.database, accountId, noon)).length).toBeGreaterThanOrEqual(2);
  await endLinks(place.database, accountId, noon);
  for (const token of [first, second])
    expect(await findLink(place.database, { token, purpose: 'set_password' }, noon)).toMatchObject({ state: 'ended' });
  expect(await liveLinks(place.database, accountId, noon)).toEqual([]);
});

test('its token does not stand in the database', async () => {
  const token = await make();
  const rows = await place.database.query(sql`select links::text as row from links`);
  expect(JSON.stringify(rows)).not.toContain(token);
  expect(JSON.stringify(rows)).not.toContain(Buffer.from(token).toString('hex'));
});

test('stays known for a while after its end, so that its page can say what became of it', async () => {
  const token = await make();
  expect(await sweepLinks(place.database, later(24 * 60))).toBe(0);
  expect(await findLink(place.database, { token, purpose: 'set_password' }, later(24 * 60))).toBeDefined();
  expect(await sweepLinks(place.database, later(24 * 100))).toBeGreaterThan(0);
  expect(await findLink(place.database, { token, purpose: 'set_password' }, later(24 * 100))).toBeUndefined();
});
