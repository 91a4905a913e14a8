/**
 * Owns the statement that begins every try: it counts the try, keeps what belongs to it, and looks the account up, in one.
 * Counting comes before looking, on the canonical address, so that an unknown address counts and costs like a known one.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { accountFromRow, accountJson, type Account } from '../records/accounts.ts';
import { countTry, waitAfter, type Allowance } from '../records/throttle.ts';

export interface LookedUp {
  /** Seconds until a try fits; 0: this one does. */
  wait: number;
  account?: Account;
  passwordHash?: string;
}

export async function lookUp(
  db: Queryable,
  { emailKey, counting, also }: { emailKey: string; counting: readonly Allowance[]; also?: Sql },
  now: Date,
): Promise<LookedUp> {
  const [row] = await db.query<{ fitted: { key: string }[]; account: Record<string, unknown> | null }>(sql`
    with tried as (${countTry(counting, now)}) ${also ? sql`, kept as (${also})` : sql``}
    select (select coalesce(json_agg(tried), '[]') from tried) as fitted, (${accountJson(emailKey)}) as account`);
  const found = row!;
  return {
    wait: await waitAfter(db, { wanted: counting, fitted: found.fitted }, now),
    account: found.account ? accountFromRow(found.account) : undefined,
    passwordHash: (found.account?.['password_hash'] as string | null | undefined) ?? undefined,
  };
}
