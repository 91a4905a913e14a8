import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import {
  accountByKey,
  accountById,
  accountFromRow,
  accountJson,
  changeEmail,
  lockAccount,
  oneHashOfEachKind,
  raiseEpoch,
  replaceHash,
  setDetails,
  setOwnPassword,
  signedInRow,
  unlockAccount,
  type Account,
} from '../../src/records/accounts.ts';
import { eraseAccount } from '../../src/records/erasures.ts';
import { OLD_HASHES } from '../support/old-hashes.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const NOW = new Date('2026-11-23T10:00:00Z');
let db: TestDatabase;
let count = 0;

beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.drop());

async function resident(): Promise<Account> {
  const email = `Resident${++count}@example.com`;
  await db.database.query(sql`
    insert into accounts (email, email_key, given_name, created_at, updated_at)
    values (${email}, ${email.toLowerCase()}, 'Matti', ${NOW}, ${NOW})`);
  return (await accountByKey(db.database, email.toLowerCase()))!;
}
const again = async (account: Account): Promise<Account> => (await accountById(db.database, account.id))!;

test('a fresh database has no account: none that everybody knows', async () => {
  expect(await db.database.query(sql`select 1 from accounts`)).toEqual([]);
});

test('an account carries no password hash, and reads the same from a row and from JSON', async () => {
  const account = await resident();
  await setOwnPassword(db.database, { accountId: account.id, epoch: account.epoch, hash: 'the hash' }, NOW);
  const [row] = await db.database.query<{ json: Record<string, unknown> }>(
    sql`select (${accountJson(account.emailKey)}) as json`,
  );
  expect(accountFromRow(row!.json)).toEqual(await again(account));
  expect(JSON.stringify(await again(account))).not.toContain('the hash');
});

test('of passwords that cost alike to check one each is found, whatever form a list brought them in', async () => {
  const hashes = [
    ...OLD_HASHES,
    ...['$2b$14$', '$6$rounds=9000$', '$pbkdf2-sha256$9000$', '$argon2id$v=19$m=9000,p=2,t=3$', 'sealed:x', 'wrapped$'],
  ];
  // Twice each, with another salt: the kinds stay as many.
  for (const hash of hashes.flatMap((hash) => [hash, `${hash}z`])) {
    const { id } = await resident();
    await db.database.query(sql`update accounts set password_state = 'own', password_hash = ${hash} where id = ${id}`);
  }
  const found = await oneHashOfEachKind(db.database);
  expect(found.filter((hash) => hashes.includes(hash)).sort()).toEqual([...hashes].sort());
  await db.database.query(sql`update accounts set password_state = 'none', password_hash = null`);
});

test('what must end proofs raises the epoch; what need not, does not', async () => {
  const account = await resident();
  const { database } = db;
  const raised = async (change: () => Promise<unknown>): Promise<number> => {
    const before = await again(account);
    await change();
    return (await again(account)).epoch - before.epoch;
  };
  const { id: accountId, epoch } = account;
  const own = { accountId, epoch, hash: 'a', emailVerified: true };
  expect(await raised(() => setOwnPassword(database, own, NOW))).toBe(1);
  expect(await raised(() => replaceHash(database, { accountId, from: 'a', to: 'b' }, NOW))).toBe(0);
  const details = { givenName: account.givenName, familyName: account.familyName, phoneNumber: account.phoneNumber };
  const change = { accountId, before: { ...details, locale: account.locale }, after: { ...details, locale: 'sv' } };
  expect(await raised(() => setDetails(database, change, NOW))).toBe(0);
  expect(await raised(() => database.query(signedInRow({ accountId }, NOW)))).toBe(0);
  expect(await raised(() => raiseEpoch(database, accountId, NOW))).toBe(1);
  expect(await raised(() => lockAccount(database, accountId, NOW))).toBe(1);
  expect(await raised(() => lockAccount(database, accountId, new Date()))).toBe(0);
  expect(await again(account)).toMatchObject({ lockedAt: NOW, emailVerified: true, locale: 'sv', signedInAt: NOW });
  expect(await raised(() => unlockAccount(database, accountId, NOW))).toBe(0);
  expect(
    await raised(() => changeEmail(database, { accountId, email: `Uusi${count}@example.com`, verified: false }, NOW)),
  ).toBe(1);
  expect(await again(account)).toMatchObject({ emailKey: `uusi${count}@example.com`, emailVerified: false });
});

test('a hash is replaced only where it is still the one that was checked', async () => {
  const { id: accountId, epoch } = await resident();
  await setOwnPassword(db.database, { accountId, epoch, hash: 'newer' }, NOW);
  await replaceHash(db.database, { accountId, from: 'older', to: 'other' }, NOW);
  const [row] = await db.database.query(sql`select password_hash from accounts where id = ${accountId}`);
  expect(row).toEqual({ password_hash: 'newer' });
});

test('a password is set only where the account is still as it was when that was allowed', async () => {
  const account = await resident();
  const { id: accountId, epoch } = account;
  const both = ['one', 'other'].map((hash) => setOwnPassword(db.database, { accountId, epoch, hash }, NOW));
  const raised = await Promise.all(both);
  expect(raised.filter((one) => one !== undefined)).toEqual([epoch + 1]);
  const [row] = await db.database.query(sql`select password_hash from accounts where id = ${accountId}`);
  expect(row).toEqual({ password_hash: raised[0] === undefined ? 'other' : 'one' });
});

test('nobody gets an address that is taken, in whatever form it is written', async () => {
  const [one, other] = [await resident(), await resident()];
  expect(
    await changeEmail(db.database, { accountId: one.id, email: ` ${other.email.toUpperCase()}`, verified: false }, NOW),
  ).toBe('taken');
});

test('erasing leaves keyed hashes alone: neither address nor old id can be read from them', async () => {
  const account = await resident();
  const sealer = makeSealer(['a secret of thirty-two characters!']);
  const legacyIds = [{ source: 'a', id: 'old-id' }];
  await db.database.transaction((tx) => eraseAccount(tx, { account, legacyIds, sealer }, NOW));
  expect(await accountById(db.database, account.id)).toBeUndefined();
  const rows = await db.database.query<{ kind: string; digest: Buffer }>(
    sql`select kind, digest from erasures order by kind`,
  );
  expect(rows).toEqual([
    { kind: 'account', digest: sealer.digest(account.id, 'erased-account') },
    { kind: 'email', digest: sealer.digest(account.emailKey, 'erased-email') },
    { kind: 'legacy_id', digest: sealer.digest('a\nold-id', 'erased-legacy-id') },
  ]);
});
