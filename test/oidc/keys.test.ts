/** The signing keys: made once, published before they sign, checked long after, and what the library makes of them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeProtectedHeader } from 'jose';
import Provider from 'oidc-provider';
import { sql, type Database } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeKeys, type Keys } from '../../src/oidc/keys.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { openWorld, redeem, signIn, Browser } from './support.ts';

const day = 86_400_000;
const first = new Date('2026-01-01T00:00:00Z');
const after = (days: number) => new Date(first.getTime() + days * day);

let house: TestDatabase;
let db: Database;
let keys: Keys;

const make = (secret = 'a secret of at least thirty-two characters') =>
  makeKeys({ db, sealer: makeSealer([secret]), algorithms: ['RS256', 'ES256'], rotation: 90 * day, keepFor: 60 * day });
const kids = async (now: Date, alg = 'ES256') =>
  (await keys.jwks(now)).keys.filter((key) => key.alg === alg).map((key) => key.kid);

beforeAll(async () => {
  house = await testDatabase();
  db = house.database;
});
afterAll(() => house.drop());
beforeEach(() => {
  keys = make();
});
afterEach(async () => {
  await db.query(sql`delete from signing_keys`);
});

describe('making', () => {
  test('the first start makes one key of each algorithm, however many nodes start together', async () => {
    await Promise.all([make(), make(), make()].map((node) => node.rotate(first)));
    expect((await keys.jwks(first)).keys.map((key) => key.alg).sort()).toEqual(['ES256', 'RS256']);
    expect(await keys.rotate(first)).toBe(false);
  });

  test('the private half stands sealed in the database, and opens with the right secret only', async () => {
    await keys.rotate(first);
    const { keys: whole } = await keys.jwks(first);
    const dump = JSON.stringify(await db.query(sql`select * from signing_keys`));
    for (const key of whole) expect(dump).not.toContain(key.d);
    await expect(make('another secret of thirty-two characters').jwks(first)).rejects.toThrow('cannot be opened');
  });

  test('other nodes are told of a change', async () => {
    let told = () => {};
    const change = new Promise<void>((resolve) => (told = resolve));
    const stop = await make().watch(told);
    await keys.rotate(first);
    await change;
    await stop();
  });
});

describe('changing', () => {
  test('the next key is published a week before it signs, and comes after the one that signs', async () => {
    await keys.rotate(first);
    const [old] = await kids(first);
    expect(await keys.rotate(after(82))).toBe(false);
    expect(await keys.rotate(after(83))).toBe(true);
    const published = await kids(after(83));
    expect(published).toHaveLength(2);
    expect(published[0]).toBe(old);
    expect(await keys.changesAt(after(83))).toEqual(after(90));
    expect((await kids(after(90)))[0]).toBe(published[1]);
  });

  test('a retired key loses its private half, stays published and goes in the end', async () => {
    await keys.rotate(first);
    const [old] = await kids(first);
    await keys.rotate(after(83));
    await keys.rotate(after(91));
    expect(await kids(after(91))).toContain(old);
    const [row] = await db.query(sql`select private_jwk from signing_keys where kid = ${old}`);
    expect(row).toEqual({ private_jwk: null });
    await keys.rotate(after(151));
    expect(await kids(after(151))).not.toContain(old);
  });

  test('replaced before their time, the new ones sign after a day and the old ones no more', async () => {
    await keys.rotate(first);
    const [old] = await kids(first);
    await keys.replace(after(10));
    expect((await kids(after(10)))[0]).toBe(old);
    expect((await kids(after(11)))[0]).not.toBe(old);
    const states = (await keys.list(after(11))).filter((key) => key.alg === 'ES256').map((key) => key.state);
    expect(states).toEqual(['retired', 'active']);
    expect(await keys.rotate(after(12))).toBe(true); // the old private half goes
    expect(await keys.rotate(after(12))).toBe(false);
  });

  test('where nobody changed keys in time the old one signs until the next start makes a new one', async () => {
    await keys.rotate(first);
    const [old] = await kids(first);
    expect((await kids(after(100)))[0]).toBe(old);
    await keys.rotate(after(100));
    expect((await kids(after(100)))[0]).not.toBe(old);
  });
});

describe('the library', () => {
  test('refuses a key without a private half, and takes the empty shell of a retired one', async () => {
    await keys.rotate(first);
    await keys.rotate(after(83));
    await keys.rotate(after(91));
    const jwks = await keys.jwks(after(91));
    const features = { devInteractions: { enabled: false } };
    new Provider('https://id.example', { jwks, features, adapter: (() => ({})) as never });
    const bare = jwks.keys.map(({ kty, crv, x, y, kid, alg, n, e }) => ({ kty, crv, x, y, kid, alg, n, e }));
    expect(() => new Provider('https://id.example', { jwks: { keys: bare }, features })).toThrow();
  });

  test('signs with the first key, publishes no private half, and takes a hint signed by a retired one', async () => {
    const world = await openWorld();
    const account = await world.account('resident@example.fi');
    const { body } = await redeem(world, await signIn(new Browser(world), account));
    const [active] = (await world.keys.jwks(world.now)).keys.filter((key) => key.alg === 'RS256');
    expect(decodeProtectedHeader(body.id_token!).kid).toBe(active!.kid);

    const published = await fetch(`${world.origin}/jwks`).then((answer) => answer.text());
    for (const part of ['"d"', '"p"', '"dp"', '"qi"']) expect(published).not.toContain(part);

    const later = new Date(world.now.getTime() + 91 * day);
    await world.keys.rotate(later);
    const jwks = await world.keys.jwks(later);
    expect(jwks.keys.find((key) => key.kid === active!.kid)!.d).toBe('retired');
    world.rebuild(jwks);
    const hinted = `${world.origin}/session/end?id_token_hint=${body.id_token}`;
    expect((await fetch(hinted)).status).toBe(200);

    world.rebuild({ keys: jwks.keys.filter((key) => key.kid !== active!.kid) });
    expect((await fetch(hinted)).status).toBe(400);
    await world.close();
  });
});
