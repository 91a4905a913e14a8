/** The signing keys: made once, published before they sign, checked long after, and what the library makes of them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeProtectedHeader } from 'jose';
import Provider from 'oidc-provider';
import { sql, type Database, type Queryable, type Sql } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { JWKS_CACHE, makeKeys, type Keys } from '../../src/oidc/keys.ts';
import { digestKey } from '../../src/records/digest-key.ts';
import { sealHash, unsealed } from '../../src/records/old-hashes.ts';
import { reseal, seals } from '../../src/records/seals.ts';
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
  await db.query(sql`delete from audit`);
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

  test('a node whose clock is behind never signs with a key whose private half another node took away', async () => {
    await keys.rotate(first);
    await keys.rotate(after(84));
    const [, next] = await kids(after(84));
    await make().rotate(after(90));
    for (const behind of [5_000, 60_000]) {
      const now = new Date(after(90).getTime() - behind);
      const [signing] = (await keys.jwks(now)).keys.filter((key) => key.alg === 'ES256');
      expect(signing!.kid).toBe(next);
      expect(signing!.d).not.toBe('retired');
    }
  });

  test('withdrawn by a node whose clock is ahead, none of the old ones signs on a node that is behind', async () => {
    await keys.rotate(first);
    const old = await kids(first);
    await make().replace({ actor: 'a', withdraw: true }, new Date(first.getTime() + 10_000));
    const { keys: standing } = await keys.jwks(first);
    expect(standing).toHaveLength(2);
    expect(standing.map(({ kid }) => kid)).not.toEqual(expect.arrayContaining(old));
    expect(standing.every(({ d }) => d !== 'retired')).toBe(true);
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
    await keys.replace({ actor: 'test', withdraw: false }, after(10));
    expect((await kids(after(10)))[0]).toBe(old);
    expect((await kids(after(11)))[0]).not.toBe(old);
    const states = (await keys.list(after(11))).filter((key) => key.alg === 'ES256').map((key) => key.state);
    expect(states).toEqual(['retired', 'active']);
    expect(await keys.rotate(after(12))).toBe(true); // the old private half goes
    expect(await keys.rotate(after(12))).toBe(false);
  });

  test('where nobody changed keys in time the old one signs on until e-services know the new one', async () => {
    await keys.rotate(first);
    const [old] = await kids(first);
    expect((await kids(after(100)))[0]).toBe(old);
    await keys.rotate(after(100));
    expect(await kids(after(100))).toEqual([old, expect.any(String)]);
    const known = new Date(after(100).getTime() + JWKS_CACHE);
    expect((await kids(new Date(known.getTime() - 1)))[0]).toBe(old);
    expect((await kids(known))[0]).not.toBe(old);
  });

  test('known to others, they are withdrawn at once: new ones sign, and nothing older is published', async () => {
    await keys.rotate(first);
    await keys.rotate(after(83));
    await keys.rotate(after(91));
    const before = await kids(after(91));
    expect(before).toHaveLength(2);
    await keys.replace({ actor: 'support:someone', withdraw: true }, after(92));
    const now = await kids(after(92));
    expect(now).toHaveLength(1);
    expect(before).not.toContain(now[0]);
    expect(await db.query(sql`select kind, actor, detail from audit`)).toEqual([
      { kind: 'keys_replaced', actor: 'support:someone', detail: { withdrawn: true } },
    ]);
    expect(await keys.rotate(after(93))).toBe(false);
  });

  test('replaced while the next one is published already, one key signs at a time', async () => {
    await keys.rotate(first);
    await keys.rotate(after(85));
    await keys.replace({ actor: 'test', withdraw: false }, after(86));
    for (const day of [86.5, 87.5, 90.5, 95]) {
      await keys.rotate(after(day));
      const active = (await keys.list(after(day))).filter(({ alg, state }) => alg === 'ES256' && state === 'active');
      expect(active).toHaveLength(1);
    }
  });

  test('through a year on two nodes no ID token is ever signed by a key that e-services may not know', async () => {
    const nodes = [make(), make()];
    const known = new Map<string, Date>();
    const signed = new Set<string>();
    const hints = new Map<string, Date>();
    for (let hours = 0; hours < 365 * 24; hours += hours > 82 * 24 && hours < 92 * 24 ? 1 : 17) {
      const now = new Date(first.getTime() + hours * 3_600_000);
      // Once a while both are down for longer than a key lives.
      if (hours > 200 * 24 && hours < 300 * 24) continue;
      await Promise.all(nodes.map((node) => node.rotate(now)));
      const { keys: whole } = await nodes[hours % 2]!.jwks(now);
      const es = whole.filter(({ alg }) => alg === 'ES256');
      for (const { kid } of es) if (!known.has(kid!)) known.set(kid!, now);
      const signer = es[0]!;
      expect(signer.d).not.toBe('retired');
      const age = now.getTime() - known.get(signer.kid!)!.getTime();
      if (signed.size > 0 && !signed.has(signer.kid!)) expect(age).toBeGreaterThanOrEqual(JWKS_CACHE);
      signed.add(signer.kid!);
      hints.set(signer.kid!, now);
      // What signed lately can be checked as a hint.
      for (const [kid, last] of hints)
        if (now.getTime() - last.getTime() < 59 * day) expect(es.map((key) => key.kid)).toContain(kid);
    }
    expect(signed.size).toBe(4);
    const rows = await db.query<{ count: number }>(sql`select count(*) as count from signing_keys where alg = 'ES256'`);
    expect(rows[0]!.count).toBeLessThanOrEqual(3);
  });
});

describe('a change of the secret', () => {
  const OLD = 'an old secret of at least thirty-two characters';
  const NEW = 'a new secret of at least thirty-two characters!';
  const both = makeSealer([NEW, OLD]);

  test('seals anew what the old one sealed, after which the new one alone opens everything', async () => {
    await make(OLD).rotate(first);
    const key = await digestKey(db, makeSealer([OLD]));
    const before = (await make(OLD).jwks(first)).keys;
    const list = () =>
      makeKeys({ db, sealer: both, algorithms: ['ES256'], rotation: 90 * day, keepFor: day }).list(first);
    expect((await list()).map(({ secret }) => secret)).toEqual([1, 1]);
    expect(await seals(db, both)).toEqual([
      { name: 'signing keys', secret: 1, count: 2 },
      { name: 'the digest key', secret: 1, count: 1 },
    ]);

    expect((await Promise.all([reseal(db, both), reseal(db, both)])).every((count) => count <= 3)).toBe(true);
    expect(await reseal(db, both)).toBe(0);
    expect((await list()).map(({ secret }) => secret)).toEqual([0, 0]);
    expect((await make(NEW).jwks(first)).keys).toEqual(before);
    expect(await digestKey(db, makeSealer([NEW]))).toBe(key);
    await expect(make(OLD).jwks(first)).rejects.toThrow('cannot be opened');
    await expect(digestKey(db, makeSealer([OLD]))).rejects.toThrow('cannot be opened');
  });

  test('changes no digest: what was erased under the old secret is known for ever', async () => {
    await db.query(sql`delete from digest_keys`);
    const made = await Promise.all([1, 2, 3].map(() => digestKey(db, makeSealer([OLD]))));
    expect(new Set(made).size).toBe(1);
    const old = makeSealer([OLD], made[0]);
    expect(JSON.stringify(await db.query(sql`select * from digest_keys`))).not.toContain(made[0]);
    await reseal(db, both);
    const now = makeSealer([NEW], await digestKey(db, makeSealer([NEW])));
    expect(now.digests('maija@example.com', 'erased-email')).toEqual([old.digest('maija@example.com', 'erased-email')]);
    expect(now.digest('maija@example.com', 'other')).not.toEqual(old.digest('maija@example.com', 'erased-email'));
  });

  test('leaves alone what neither secret opens', async () => {
    await make('a third secret of at least thirty-two characters').rotate(first);
    await reseal(db, both);
    expect((await seals(db, both)).filter(({ secret }) => secret === undefined)).toEqual([
      { name: 'signing keys', secret: undefined, count: 2 },
    ]);
  });

  test('seals thousands of old hashes anew, but none that its resident has replaced', async () => {
    const md5 = '{MD5}CY9rzUYh03PK3k6DJie09g==';
    const third = 'a third secret of at least thirty-two characters';
    const listed = (from: number, to: number, hash: string) =>
      db.query(sql`
        insert into accounts (email, email_key, password_state, password_hash, password_list, created_at, updated_at)
        select mail, mail, 'list', ${hash}, 'a', ${first}, ${first}
        from (select n || '@example.com' as mail from generate_series(${from}::int, ${to}::int) n) as residents`);
    await listed(1, 2_500, sealHash(md5, makeSealer([OLD])));
    await listed(2_501, 2_501, sealHash(md5, makeSealer([third])));
    const own = async () =>
      (await seals(db, both))
        .filter(({ name }) => name === 'old password hashes')
        .map(({ secret, count }) => [secret, count]);
    expect(await own()).toEqual(expect.arrayContaining([[1, 2_500], [undefined, 1]])); // prettier-ignore

    // The first has signed in since the page with theirs was read.
    const reading: Queryable = {
      query: async <R extends object>(statement: Sql) => {
        const rows = await db.query<R>(statement);
        if (statement.text.includes('substr(password_hash'))
          await db.query(sql`
            update accounts set password_state = 'own', password_hash = 'new', password_list = null
            where email_key = '1@example.com'`);
        return rows;
      },
    };
    await reseal(reading, both);
    expect(await own()).toEqual(expect.arrayContaining([[0, 2_499], [undefined, 1]])); // prettier-ignore
    const hashes = await db.query<{ hash: string }>(
      sql`select password_hash as hash from accounts order by length(password_hash)`,
    );
    expect(hashes[0]!.hash).toBe('new');
    expect(hashes.filter(({ hash }) => unsealed(hash, makeSealer([NEW])) === md5)).toHaveLength(2_499);
    await db.query(sql`delete from accounts`);
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
    await world.keys.rotate(new Date(world.now.getTime() + 85 * day));
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
