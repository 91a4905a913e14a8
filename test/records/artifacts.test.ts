/** Rows of the provider: found while their proof stands, written as their parts promise. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql, type Database } from '../../src/platform/database.ts';
import * as artifacts from '../../src/records/artifacts.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const now = new Date('2026-03-01T10:00:00Z');
const later = (minutes: number) => new Date(now.getTime() + minutes * 60_000);

let house: TestDatabase;
let db: Database;
let accountId: string;

beforeAll(async () => {
  house = await testDatabase();
  db = house.database;
  const [row] = await db.query<{ id: string }>(sql`
    insert into accounts (email, email_key, password_state, password_hash, created_at, updated_at)
    values ('a@example.fi', 'a@example.fi', 'own', 'the hash', ${now}::timestamptz, ${now}::timestamptz) returning id`);
  accountId = row!.id;
});
afterAll(() => house.drop());

function artifact(model: string, id: string, more: Partial<artifacts.Artifact> = {}): artifacts.Artifact {
  return {
    id: artifacts.artifactId(model, id),
    model,
    payload: JSON.stringify({ kind: model }),
    expiresAt: later(10),
    ...more,
  };
}
const save = (...given: artifacts.Artifact[]) => db.query(artifacts.savedArtifacts(given));
const find = (given: artifacts.Artifact) => artifacts.findArtifact(db, given.id);

test('a row is found also when it has expired, until it is swept', async () => {
  const old = artifact('AuthorizationCode', 'old', { expiresAt: later(-10) });
  await save(old);
  expect(await find(old)).toBeDefined();
  expect(await artifacts.sweepArtifacts(db, later(-60))).toBe(0);
  expect(await artifacts.sweepArtifacts(db, now)).toBe(1);
  expect(await find(old)).toBeUndefined();
});

test('with a row comes its account, never the password hash', async () => {
  const token = artifact('AccessToken', 'mine', { accountId, epoch: 0 });
  await save(token);
  const { account } = (await find(token))!;
  expect(account).toMatchObject({ id: accountId, email: 'a@example.fi', epoch: 0 });
  expect(JSON.stringify(account)).not.toContain('the hash');
});

test('written without an epoch a row has the account’s own', async () => {
  const grant = artifact('Grant', 'from a job', { accountId });
  await save(grant);
  expect(await find(grant)).toMatchObject({ epoch: 0 });
});

test('a row whose account changed, was locked or is gone is not found', async () => {
  const token = artifact('AccessToken', 'outlived', { accountId, epoch: 0 });
  await save(token, artifact('AccessToken', 'nobody', { accountId: crypto.randomUUID(), epoch: 0 }));
  await db.query(sql`update accounts set locked_at = now()`);
  expect(await find(token)).toBeUndefined();
  await db.query(sql`update accounts set locked_at = null, epoch = 1`);
  expect(await find(token)).toBeUndefined();
  expect(await find(artifact('AccessToken', 'nobody'))).toBeUndefined();
  await db.query(sql`update accounts set epoch = 0`);
  expect(await find(token)).toBeDefined();
});

test('consuming works once', async () => {
  const code = artifact('AuthorizationCode', 'once');
  await save(code);
  expect(await db.query(artifacts.consumedArtifact(code.id, now))).toHaveLength(1);
  expect(await db.query(artifacts.consumedArtifact(code.id, later(1)))).toHaveLength(0);
  expect((await find(code))!.consumedAt).toEqual(now);
});

test('what may come again does so in its time only, and not too often', async () => {
  const token = artifact('RefreshToken', 'again');
  const again = { since: later(-30), most: 2 };
  await save(token);
  const consume = (seconds: number, since = -30) =>
    db.query(artifacts.consumedArtifact(token.id, later(seconds), { ...again, since: later(since) }));
  expect(await consume(0)).toHaveLength(1);
  expect(await consume(31, 1)).toHaveLength(0);
  expect(await consume(1)).toHaveLength(1);
  expect(await consume(2)).toHaveLength(1);
  expect(await consume(3)).toHaveLength(0);
  expect((await find(token))!.consumedAt).toEqual(now);
});

test('saving a consumed row again does not bring it back', async () => {
  const code = artifact('RefreshToken', 'spent');
  await save(code);
  await db.query(artifacts.consumedArtifact(code.id, now));
  await save(code);
  expect((await find(code))!.consumedAt).toEqual(now);
});

test('what may be once is new again only after its former use has expired', async () => {
  const replay = artifact('ReplayDetection', 'proof');
  const again = { ...replay, expiresAt: later(30) };
  expect(await db.query(artifacts.firstArtifact(replay, now))).toHaveLength(1);
  expect(await db.query(artifacts.firstArtifact(again, later(5)))).toHaveLength(0);
  expect(await db.query(artifacts.firstArtifact(again, later(15)))).toHaveLength(1);
});

test('ending a grant ends all that was issued under it, and nothing else', async () => {
  const grantHash = artifacts.artifactId('Grant', 'g');
  const [token, other] = [artifact('AccessToken', 'under g', { grantHash }), artifact('AccessToken', 'not under g')];
  await save(token, other);
  await db.query(artifacts.removedArtifacts([], [grantHash]));
  expect(await find(token)).toBeUndefined();
  expect(await find(other)).toBeDefined();
});

test('a token brings its grant and the session that it lives by, in one statement', async () => {
  const grant = artifact('Grant', 'g2', { accountId, epoch: 0 });
  const session = artifact('Session', 's2', { accountId, epoch: 0, uidHash: artifacts.sessionUidHash('u2') });
  const token = artifact('AccessToken', 't2', {
    accountId,
    epoch: 0,
    grantHash: grant.id,
    payload: JSON.stringify({ grantId: 'g2', sessionUid: 'u2', expiresWithSession: true }),
  });
  await save(grant, session, token);
  const before = db.counts.statements;
  const [found] = await artifacts.findTokens(db, [token.id]);
  expect(db.counts.statements - before).toBe(1);
  expect(found).toMatchObject({ grants: [{ id: 'g2', payload: grant.payload }], session: session.payload });
});

test('a session brings the grants of its authorizations', async () => {
  const payload = JSON.stringify({ uid: 'u3', authorizations: { a: { grantId: 'g3' }, b: { sid: 'no grant' } } });
  const uidHash = artifacts.sessionUidHash('u3');
  const session = artifact('Session', 's3', { accountId, epoch: 0, uidHash, payload });
  await save(artifact('Grant', 'g3', { accountId, epoch: 0 }), session);
  expect((await artifacts.findSession(db, { id: session.id }))!.grants).toEqual([
    { id: 'g3', payload: JSON.stringify({ kind: 'Grant' }) },
  ]);
  expect((await artifacts.findSession(db, { uidHash }))!.payload).toBe(payload);
});

test('a session goes on under a new id as one row, and not at all when it was ended', async () => {
  const uidHash = artifacts.sessionUidHash('u4');
  const old = artifact('Session', 'old id', { accountId, epoch: 0, uidHash });
  await save(old);
  const renewed = artifact('Session', 'new id', { accountId, epoch: 0, uidHash });
  const goOn = (read: Buffer, authorizations: string | null = null) =>
    db.query(artifacts.continuedSession(renewed, { id: read, authorizations }));
  expect(await goOn(old.id, '{"a":{}}')).toHaveLength(0);
  expect(await goOn(old.id)).toHaveLength(1);
  expect(await goOn(old.id)).toHaveLength(0);
  expect(await find(artifact('Session', 'old id'))).toBeUndefined();
  await db.query(artifacts.removedArtifacts([renewed.id], []));
  expect(await goOn(renewed.id)).toHaveLength(0);
});
