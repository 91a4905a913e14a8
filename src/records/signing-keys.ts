/**
 * Owns the table `signing_keys`. A key's state follows from its times and the clock alone, so all nodes agree without
 * telling each other: next (published, does not sign yet), active (signs), retired (published for checking only).
 * Private halves are sealed before they come here. When a key is due and how it is made is oidc/keys.ts's.
 */
import { sql, type Database, type Queryable } from '../platform/database.ts';

export interface SigningKey {
  kid: string;
  alg: string;
  publicJwk: Record<string, unknown>;
  /** Sealed; gone once retired. */
  privateJwk: string | null;
  publishedAt: Date;
  activeAt: Date;
  retiresAt: Date;
  removedAt: Date;
}

export type KeyState = 'next' | 'active' | 'retired';

export function keyState(key: SigningKey, now: Date): KeyState {
  if (now >= key.retiresAt) return 'retired';
  return now < key.activeAt ? 'next' : 'active';
}

export const keysChannel = 'tunnus_keys';

export async function publishedKeys(db: Queryable, now: Date): Promise<SigningKey[]> {
  return db.query<SigningKey>(sql`
    select kid, alg, public_jwk as "publicJwk", private_jwk as "privateJwk", published_at as "publishedAt",
      active_at as "activeAt", retires_at as "retiresAt", removed_at as "removedAt"
    from signing_keys where removed_at > ${now} order by retires_at, kid`);
}

/**
 * Changes the set of keys, one node at a time: `choose` sees the keys as they stand under the lock and gives those to
 * add; where a new one begins, the former ones of its algorithm end. Private halves of retired keys and whole removed
 * ones go too. Other nodes are told when something changed.
 */
export async function changeKeys(
  db: Database,
  now: Date,
  choose: (standing: SigningKey[]) => SigningKey[],
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.query(sql`select pg_advisory_xact_lock(hashtext(${keysChannel}))`);
    const added = choose(await publishedKeys(tx, now));
    for (const key of added) {
      await tx.query(sql`
        insert into signing_keys
          (kid, alg, public_jwk, private_jwk, published_at, active_at, retires_at, removed_at)
        values (${key.kid}, ${key.alg}, ${JSON.stringify(key.publicJwk)}::jsonb, ${key.privateJwk}, ${key.publishedAt},
          ${key.activeAt}, ${key.retiresAt}, ${key.removedAt})`);
      await tx.query(sql`
        update signing_keys
        set retires_at = ${key.activeAt}::timestamptz, removed_at = ${key.activeAt}::timestamptz + (removed_at - retires_at)
        where alg = ${key.alg} and kid <> ${key.kid} and retires_at > ${key.activeAt}`);
    }
    const erased = await tx.query(sql`
      update signing_keys set private_jwk = null where retires_at <= ${now} and private_jwk is not null returning kid`);
    const removed = await tx.query(sql`delete from signing_keys where removed_at <= ${now} returning kid`);
    const changed = added.length + erased.length + removed.length > 0;
    if (changed) await tx.query(sql`select pg_notify(${keysChannel}, '')`);
    return changed;
  });
}
