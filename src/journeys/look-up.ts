/**
 * Owns the statement that begins every try: it counts the try, keeps what belongs to it, and looks the account up, in one.
 * Counting comes before looking, on the canonical address, so that an unknown address counts and costs like a known one.
 */
import { notWaitingForDisk, sql, type Queryable, type Sql } from '../platform/database.ts';
import { accountFromRow, accountJson, type Account } from '../records/accounts.ts';
import type { AccountRow } from '../records/artifacts.ts';
import { countTry, giveBack, waitAfter, type Allowance } from '../records/throttle.ts';

export interface LookedUp {
  /** Seconds until a try fits; 0: this one does. */
  wait: number;
  account?: Account;
  /** The same as it came, without the password hash. */
  row?: AccountRow;
  passwordHash?: string;
}

const KEPT = [sql`kept`, sql`kept_too`];

export async function lookUp(
  db: Queryable,
  {
    emailKey,
    counting,
    also = [],
    followed = false,
  }: {
    emailKey: string;
    counting: readonly Allowance[];
    also?: readonly Sql[];
    /** However the try ends, a write follows before its answer. */
    followed?: boolean;
  },
  now: Date,
): Promise<LookedUp> {
  const kept = also.reduce((all, one, i) => sql`${all}, ${KEPT[i]!} as (${one})`, sql``);
  const [row] = await db.query<{ fitted: { key: string }[]; account: Record<string, unknown> | null }>(sql`
    with tried as (${countTry(counting, now)}) ${kept}
    select (select coalesce(json_agg(tried), '[]') from tried) as fitted, (${accountJson(emailKey)}) as account
      ${followed ? sql`, ${notWaitingForDisk}` : sql``}`);
  const found = row!;
  const { password_hash: passwordHash, ...account } = found.account ?? {};
  return {
    wait: await waitAfter(db, { wanted: counting, fitted: found.fitted }, now),
    account: found.account ? accountFromRow(found.account) : undefined,
    row: found.account ? (account as AccountRow) : undefined,
    passwordHash: (passwordHash as string | null | undefined) ?? undefined,
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
