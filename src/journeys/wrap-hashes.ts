/**
 * Owns wrapping the fast old hashes (md5, sha1, sha256) that an import left sealed in argon2id. Takes its time in the
 * background: residents sign in meanwhile, and whoever does has a hash of our own before their turn comes. Killed and run
 * again, it goes on where it was; two at once only do some work twice.
 */
import { availableParallelism } from 'node:os';
import type { Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { countSealedHashes, dropHash, replaceHash, sealedHashes } from '../records/accounts.ts';
import { unsealed, wrapWeakHash } from '../records/passwords.ts';

interface WrapParts {
  database: Queryable;
  sealer: Sealer;
}

/** The cores that are left over by whoever signs in. */
const AT_ONCE = Math.max(1, availableParallelism() - 1);

const SOME = 100;

/** Wraps the next few; gives how many there were. */
export async function wrapSomeHashes({ database, sealer }: WrapParts, now: Date): Promise<number> {
  const some = await sealedHashes(database, SOME);
  for (let i = 0; i < some.length; i += AT_ONCE) {
    await Promise.all(
      some.slice(i, i + AT_ONCE).map(async ({ accountId, hash }) => {
        const weak = unsealed(hash, sealer);
        const wrapped = weak && (await wrapWeakHash(weak));
        if (wrapped) await replaceHash(database, { accountId, from: hash, to: wrapped }, now);
        // Sealed with a secret that is no longer in use: nobody can check it any more.
        else await dropHash(database, { accountId, hash }, now);
      }),
    );
  }
  return some.length;
}

export async function wrapAllHashes(
  parts: WrapParts & { clock: () => Date; onProgress?: (progress: { done: number; total: number }) => void },
): Promise<void> {
  const total = await countSealedHashes(parts.database);
  for (let done = 0, some = 1; total > 0 && some > 0; done += some) {
    parts.onProgress?.({ done: Math.min(done, total), total });
    some = await wrapSomeHashes(parts, parts.clock());
  }
}
