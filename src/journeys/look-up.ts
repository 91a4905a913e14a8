/**
 * Owns the statement that begins every try: it counts the try, keeps what belongs to it, and looks the account up, in one.
 * Counting comes before looking, on the canonical address, so that an unknown address counts and costs like a known one.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { accountFromRow, accountJson, type Account } from '../records/accounts.ts';
import { countTry, giveBack, waitAfter, type Allowance } from '../records/throttle.ts';

export interface LookedUp {
  /** Seconds until a try fits; 0: this one does. */
  wait: number;
  account?: Account;
  passwordHash?: string;
}

const KEPT = [sql`kept`, sql`kept_too`];

export async function lookUp(
  db: Queryable,
  { emailKey, counting, also = [] }: { emailKey: string; counting: readonly Allowance[]; also?: readonly Sql[] },
  now: Date,
): Promise<LookedUp> {
  const kept = also.reduce((all, one, i) => sql`${all}, ${KEPT[i]!} as (${one})`, sql``);
  const [row] = await db.query<{ fitted: { key: string }[]; account: Record<string, unknown> | null }>(sql`
    with tried as (${countTry(counting, now)}) ${kept}
    select (select coalesce(json_agg(tried), '[]') from tried) as fitted, (${accountJson(emailKey)}) as account`);
  const found = row!;
  return {
    wait: await waitAfter(db, { wanted: counting, fitted: found.fitted }, now),
    account: found.account ? accountFromRow(found.account) : undefined,
    passwordHash: (found.account?.['password_hash'] as string | null | undefined) ?? undefined,
  };
}

/** Does the costly part of a try. Where that fails by itself (too much to do), nobody failed: what was counted is given back. */
export async function withinTry<T>(db: Queryable, counted: readonly Allowance[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await db.query(giveBack(counted));
    throw error;
  }
}
