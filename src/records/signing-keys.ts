/**
 * Owns the table `signing_keys`. A key's state follows from its times and the clock alone, so all nodes agree without
 * telling each other: next (published, does not sign yet), active (signs), retired (published for checking only).
 * Private halves are sealed before they come here. When a key is due and how it is made is oidc/keys.ts's.
 */
import { sql, type Database, type Queryable, type Sql } from '../platform/database.ts';
import type { SealedKind } from './seals.ts';

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
  // A node whose clock is ahead may have taken the private half away already.
  if (now >= key.retiresAt || key.privateJwk === null) return 'retired';
  return now < key.activeAt ? 'next' : 'active';
}

export const keysChannel = 'tunnus_keys';

export async function publishedKeys(db: Queryable, now: Date): Promise<SigningKey[]> {
  return db.query<SigningKey>(sql`
    select kid, alg, public_jwk as "publicJwk", private_jwk as "privateJwk", published_at as "publishedAt",
      active_at as "activeAt", retires_at as "retiresAt", removed_at as "removedAt"
    from signing_keys where removed_at > ${now} order by retires_at, kid`);
}

export interface KeyChange {
  add: SigningKey[];
  /** True: every older key goes at once, the published halves too. */
  withdraw?: boolean;
  audit?: Sql;
}

/**
 * Changes the set of keys, one node at a time: `choose` sees the keys as they stand under the lock and says what to do. Where
 * a new key begins, the former ones of its algorithm end, not before: one that is overdue signs until then. Private halves of
 * retired keys and whole removed ones go too. Other nodes are told when something changed.
 */
export async function changeKeys(
  db: Database,
  now: Date,
  choose: (standing: SigningKey[]) => KeyChange,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.query(sql`select pg_advisory_xact_lock(hashtext(${keysChannel}))`);
    const { add, withdraw, audit } = choose(await publishedKeys(tx, now));
    const withdrawn = withdraw ? await tx.query(sql`delete from signing_keys returning kid`) : [];
    const erased = await tx.query(sql`
      update signing_keys k set private_jwk = null
      where k.retires_at <= ${now} and k.private_jwk is not null and exists (select 1 from signing_keys other
        where other.alg = k.alg and other.active_at <= ${now} and other.retires_at > ${now}) returning kid`);
    for (const key of add) {
      await tx.query(sql`
        update signing_keys
        set retires_at = ${key.activeAt}::timestamptz, removed_at = ${key.activeAt}::timestamptz + (removed_at - retires_at)
        where alg = ${key.alg} and private_jwk is not null`);
      await tx.query(sql`
        insert into signing_keys
          (kid, alg, public_jwk, private_jwk, published_at, active_at, retires_at, removed_at)
        values (${key.kid}, ${key.alg}, ${JSON.stringify(key.publicJwk)}::jsonb, ${key.privateJwk}, ${key.publishedAt},
          ${key.activeAt}, ${key.retiresAt}, ${key.removedAt})`);
    }
    const removed = await tx.query(sql`delete from signing_keys where removed_at <= ${now} returning kid`);
    if (audit) await tx.query(audit);
    const changed = add.length + withdrawn.length + erased.length + removed.length > 0;
    if (changed) await tx.query(sql`select pg_notify(${keysChannel}, '')`);
    return changed;
  });
}

/** For sealing the private halves anew (records/seals.ts). */
export const signingKeySeals: SealedKind = {
  name: 'signing keys',
  purpose: 'signing-key',
  read: (db, { after = '', limit }) =>
    db.query(sql`
      select kid as id, private_jwk as sealed from signing_keys
      where private_jwk is not null and kid > ${after} order by kid limit ${limit}`),
  async replace(db, values) {
    for (const { id, from, to } of values)
      await db.query(sql`update signing_keys set private_jwk = ${to} where kid = ${id} and private_jwk = ${from}`);
  },
};
