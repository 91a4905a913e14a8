/**
 * Owns the table `digest_keys`: the one key of all digests that stand in the database (`Sealer.digest`). It is made once and
 * stays when `secret` changes: what was erased must be known again for ever, and nobody has the value to digest it anew.
 */
import { sql, type Queryable } from '../platform/database.ts';
import { randomToken, type Sealer } from '../platform/secrets.ts';
import type { SealedKind } from './seals.ts';

const PURPOSE = 'digest-key';

/** The key, made where there is none yet; any number of nodes may ask at once. */
export async function digestKey(db: Queryable, sealer: Sealer): Promise<string> {
  const known = (await standing(db)) ?? (await made(db, sealer));
  const key = sealer.open(known, PURPOSE);
  if (key === undefined) throw new Error(`the digest key cannot be opened: is 'secret' the one it was sealed with?`);
  return key;
}

async function standing(db: Queryable): Promise<string | undefined> {
  const [row] = await db.query<{ sealed: string }>(sql`select sealed from digest_keys`);
  return row?.sealed;
}

async function made(db: Queryable, sealer: Sealer): Promise<string> {
  const sealed = sealer.seal(randomToken(), PURPOSE);
  await db.query(sql`insert into digest_keys (sealed) values (${sealed}) on conflict do nothing`);
  return (await standing(db))!;
}

/** For sealing it anew (records/seals.ts). */
export const digestKeySeals: SealedKind = {
  name: 'the digest key',
  purpose: PURPOSE,
  // There is one.
  read: async (db, { after }) =>
    after === undefined ? db.query(sql`select 'key' as id, sealed from digest_keys`) : [],
  async replace(db, values) {
    for (const { from, to } of values)
      await db.query(sql`update digest_keys set sealed = ${to} where sealed = ${from}`);
  },
};
