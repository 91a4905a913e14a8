/**
 * Owns what is known of all that stands sealed in the database for long: under which secret each value is, and sealing it
 * anew when `secret` changes. A new kind of sealed value joins `KINDS`. What waits in the queue (mails) goes by itself within
 * a day and is not here.
 */
import type { Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { digestKeySeals } from './digest-key.ts';
import { authenticatorSeals } from './factors.ts';
import { signingKeySeals } from './signing-keys.ts';

export interface SealedKind {
  name: string;
  /** Of `Sealer.seal`. */
  purpose: string;
  read: (db: Queryable) => Promise<{ id: string; sealed: string }[]>;
  /** Does nothing where `from` is no longer what stands there. */
  replace: (db: Queryable, value: { id: string; from: string; to: string }) => Promise<void>;
}

const KINDS: readonly SealedKind[] = [signingKeySeals, digestKeySeals, authenticatorSeals];

export interface Seal {
  name: string;
  id: string;
  /** Which of the secrets sealed it: 0 is the first. Undefined: none of them. */
  secret: number | undefined;
}

export async function seals(db: Queryable, sealer: Sealer): Promise<Seal[]> {
  const found: Seal[] = [];
  for (const { name, purpose, read } of KINDS)
    for (const { id, sealed } of await read(db)) found.push({ name, id, secret: sealer.sealedWith(sealed, purpose) });
  return found;
}

/**
 * Seals with the first secret what another sealed; says how many. Changes no value: running nodes open both, and it may run
 * any number of times. What none of the secrets opens stays as it is.
 */
export async function reseal(db: Queryable, sealer: Sealer): Promise<number> {
  let count = 0;
  for (const { purpose, read, replace } of KINDS) {
    for (const { id, sealed } of await read(db)) {
      const plain = sealer.sealedWith(sealed, purpose) ? sealer.open(sealed, purpose) : undefined;
      if (plain === undefined) continue;
      await replace(db, { id, from: sealed, to: sealer.seal(plain, purpose) });
      count += 1;
    }
  }
  return count;
}
