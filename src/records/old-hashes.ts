/**
 * Owns the fast old hashes among those of `accounts`: they rest as `sealed:…` from their import until they are wrapped in
 * argon2id or their resident signs in. There may be a million of them, so they are read some at a time, by the account's id.
 */
import { NIL_UUID, sql, type Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { SealedKind } from './seals.ts';

const SEALED = 'sealed:';
const PURPOSE = 'old-hash';

export const sealHash = (text: string, sealer: Sealer): string => SEALED + sealer.seal(text, PURPOSE);

/** What was sealed; undefined where no secret that is in use sealed it. */
export function unsealed(stored: string, sealer: Sealer): string | undefined {
  return stored.startsWith(SEALED) ? sealer.open(stored.slice(SEALED.length), PURPOSE) : undefined;
}

/** For sealing them anew (seals.ts). */
export const oldHashSeals: SealedKind = {
  name: 'old password hashes',
  purpose: PURPOSE,
  read: (db, { after = NIL_UUID, limit }) =>
    db.query(sql`
      select id, substr(password_hash, 8) as sealed from accounts
      where password_hash like 'sealed:%' and id > ${after}::uuid order by id limit ${limit}`),
  async replace(db, values) {
    // In the order of their ids, as an import locks them.
    await db.query(sql`
      with locked as materialized (
        select a.id, v.becomes from accounts a
        join unnest(${values.map(({ id }) => id)}::uuid[], ${values.map(({ from }) => from)}::text[],
          ${values.map(({ to }) => to)}::text[]) as v (id, was, becomes)
          on a.id = v.id and a.password_hash = 'sealed:' || v.was
        order by a.id for no key update of a)
      update accounts a set password_hash = 'sealed:' || locked.becomes from locked where a.id = locked.id`);
  },
};

/** The next ones by the account's id, as they stand there. */
export function sealedHashes(
  db: Queryable,
  { after = NIL_UUID, limit }: { after?: string; limit: number },
): Promise<{ accountId: string; hash: string }[]> {
  return db.query(sql`
    select id as "accountId", password_hash as hash from accounts
    where password_hash like 'sealed:%' and id > ${after}::uuid order by id limit ${limit}`);
}

export async function countSealedHashes(db: Queryable): Promise<number> {
  const [row] = await db.query<{ count: number }>(sql`
    select count(*) from accounts where password_hash like 'sealed:%'`);
  return row!.count;
}
