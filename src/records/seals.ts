/**
 * Owns what is known of all that stands sealed in the database for long: under which secret it is, and sealing it anew when
 * `secret` changes. A new kind of sealed value joins `KINDS`. What waits in the queue (mails) goes by itself within a day and
 * is not here. A kind may have millions of values: they pass some at a time.
 */
import type { Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { digestKeySeals } from './digest-key.ts';
import { authenticatorSeals } from './factors.ts';
import { oldHashSeals } from './old-hashes.ts';
import { signingKeySeals } from './signing-keys.ts';

export interface SealedKind {
  /** As whoever runs Tunnus reads it. */
  name: string;
  /** Of `Sealer.seal`. */
  purpose: string;
  /** The next values by id, at most `limit`; none where there are no more. */
  read: (db: Queryable, page: { after?: string; limit: number }) => Promise<{ id: string; sealed: string }[]>;
  /** Leaves a value alone where `from` is no longer what stands there. */
  replace: (db: Queryable, values: readonly { id: string; from: string; to: string }[]) => Promise<void>;
}

const KINDS: readonly SealedKind[] = [signingKeySeals, digestKeySeals, authenticatorSeals, oldHashSeals];

const PAGE = 1_000;

async function* pages(db: Queryable, { read }: SealedKind): AsyncGenerator<{ id: string; sealed: string }[]> {
  for (let after: string | undefined; ;) {
    const page = await read(db, { after, limit: PAGE });
    if (page.length === 0) return;
    yield page;
    after = page.at(-1)!.id;
  }
}

/** What one secret sealed of one kind. */
export interface Seal {
  name: string;
  /** Which of the secrets: 0 is the first. Undefined: none of them. */
  secret: number | undefined;
  count: number;
}

export async function seals(db: Queryable, sealer: Sealer): Promise<Seal[]> {
  const found: Seal[] = [];
  for (const kind of KINDS) {
    const counts = new Map<number | undefined, number>();
    for await (const page of pages(db, kind)) {
      for (const { sealed } of page) {
        const secret = sealer.sealedWith(sealed, kind.purpose);
        counts.set(secret, (counts.get(secret) ?? 0) + 1);
      }
    }
    for (const [secret, count] of counts) found.push({ name: kind.name, secret, count });
  }
  return found;
}

/**
 * Seals with the first secret what another sealed; says how many. Changes no value: running nodes open both, and it may run
 * any number of times. What none of the secrets opens stays as it is.
 */
export async function reseal(db: Queryable, sealer: Sealer): Promise<number> {
  let count = 0;
  for (const kind of KINDS) {
    for await (const page of pages(db, kind)) {
      const old = page.filter(({ sealed }) => sealer.sealedWith(sealed, kind.purpose));
      const anew = old.map(({ id, sealed }) => {
        const plain = sealer.open(sealed, kind.purpose)!;
        return { id, from: sealed, to: sealer.seal(plain, kind.purpose) };
      });
      if (anew.length > 0) await kind.replace(db, anew);
      count += anew.length;
    }
  }
  return count;
}
