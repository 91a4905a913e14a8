/**
 * Owns wrapping the fast old hashes (md5, sha1, sha256) that an import left sealed in argon2id. Takes its time in the
 * background: residents sign in meanwhile, and whoever does has a hash of our own before their turn comes. Killed and run
 * again, it goes on where it was; two at once only do some work twice.
 */
import { availableParallelism } from 'node:os';
import type { Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { replaceHash } from '../records/accounts.ts';
import { countSealedHashes, sealedHashes, unsealed } from '../records/old-hashes.ts';
import { wrapWeakHash } from '../records/passwords.ts';

interface WrapParts {
  database: Queryable;
  sealer: Sealer;
}

/** The cores that are left over by whoever signs in. */
const AT_ONCE = Math.max(1, availableParallelism() - 1);

const SOME = 100;

/** Wraps the next few after an account; gives the last one that was looked at, and how many were wrapped. */
async function wrapNext(
  { database, sealer }: WrapParts,
  after: string | undefined,
  now: Date,
): Promise<{ last?: string; wrapped: number }> {
  const some = await sealedHashes(database, { after, limit: SOME });
  let wrapped = 0;
  for (let i = 0; i < some.length; i += AT_ONCE) {
    await Promise.all(
      some.slice(i, i + AT_ONCE).map(async ({ accountId, hash }) => {
        const weak = unsealed(hash, sealer);
        const safe = weak && (await wrapWeakHash(weak));
        // What no secret opens stays as it is: nobody can read it, and the resident's way in is a mailed link.
        if (!safe) return;
        await replaceHash(database, { accountId, from: hash, to: safe }, now);
        wrapped += 1;
      }),
    );
  }
  return { last: some.at(-1)?.accountId, wrapped };
}

/** For the sweep of a running provider: what an import that was stopped left to do. Gives how many were wrapped. */
export async function wrapSomeHashes(parts: WrapParts, now: Date): Promise<number> {
  return (await wrapNext(parts, undefined, now)).wrapped;
}

export async function wrapAllHashes(
  parts: WrapParts & { clock: () => Date; onProgress?: (progress: { done: number; total: number }) => void },
): Promise<void> {
  const total = await countSealedHashes(parts.database);
  if (total === 0) return;
  let after: string | undefined;
  for (let done = 0; ;) {
    parts.onProgress?.({ done, total });
    const { last, wrapped } = await wrapNext(parts, after, parts.clock());
    if (last === undefined) return;
    after = last;
    done = Math.min(done + wrapped, total);
  }
}
