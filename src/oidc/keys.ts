/**
 * The provider's signing keys: made, changed in good time, and handed to the library as it needs them.
 *
 * A key is published well before it signs, so that e-services know it, and its public half stays long after, since they
 * keep ID tokens as hints. The library signs with the first key that fits and refuses keys without a private half: the
 * active ones go first, and retired ones carry an empty shell in its place, which checking a signature never looks at.
 */
import { generateKeyPair, type KeyPairKeyObjectResult } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint, type JWK } from 'jose';
import type { SigningAlgorithm } from '../config.ts';
import type { Database } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { auditRow } from '../records/audit.ts';
import {
  changeKeys,
  keysChannel,
  keyState,
  publishedKeys,
  signingKeySeals,
  type KeyState,
  type SigningKey,
} from '../records/signing-keys.ts';

const { purpose } = signingKeySeals;
const hour = 60 * 60 * 1000;
const day = 24 * hour;

/**
 * How long e-services may keep the published keys, in milliseconds: a new one signs only after that, but at the very first
 * start. Rotation is a day at least, and half of it is the lead.
 */
export const JWKS_CACHE = hour;

export interface KeysDeps {
  db: Database;
  sealer: Sealer;
  algorithms: readonly SigningAlgorithm[];
  /** How long a key signs, in milliseconds. */
  rotation: number;
  /** How long its public half stays after that: as long as an e-service may show an ID token as a hint. */
  keepFor: number;
}

export type ListedKey = Pick<SigningKey, 'kid' | 'alg' | 'activeAt' | 'retiresAt' | 'removedAt'> & {
  state: KeyState;
  /** Which of the secrets sealed its private half, 0 the first, undefined none of them; null where that half is gone. */
  secret: number | null | undefined;
};

export interface Keys {
  /** Makes what is missing or due (also at the very first start); safe to call on every node at any time. */
  rotate(now: Date): Promise<boolean>;
  /**
   * New keys before their time. They sign after a day; or at once, with every older key withdrawn, when one may be known to
   * others: whoever has it could sign as this service as long as it is published.
   */
  replace(options: { actor: string; withdraw: boolean }, now: Date): Promise<void>;
  list(now: Date): Promise<ListedKey[]>;
  /** For the library's `jwks`: whole keys, those that sign first. */
  jwks(now: Date): Promise<{ keys: JWK[] }>;
  /** When the order of the keys changes next by the clock alone: build the provider anew then. */
  changesAt(now: Date): Promise<Date | undefined>;
  /** Tells when any node has changed the keys. */
  watch(onChange: () => void): Promise<() => Promise<void>>;
}

const generate = promisify(generateKeyPair);

export function generatePair(alg: SigningAlgorithm): Promise<KeyPairKeyObjectResult> {
  return alg === 'RS256' ? generate('rsa', { modulusLength: 2048 }) : generate('ec', { namedCurve: 'P-256' });
}

export function makeKeys(deps: KeysDeps): Keys {
  const lead = Math.min(7 * day, deps.rotation / 2);

  /** The time from which a new key of this algorithm is to sign; nothing when none is due. */
  function dueFrom(standing: readonly SigningKey[], alg: string, now: Date): Date | undefined {
    const last = standing.filter((key) => key.alg === alg && key.privateJwk !== null).at(-1);
    if (!last) return now;
    if (last.retiresAt.getTime() - lead > now.getTime()) return undefined;
    // Late: the last one goes on signing until e-services know the new one.
    return new Date(Math.max(last.retiresAt.getTime(), now.getTime() + JWKS_CACHE));
  }

  async function make(alg: SigningAlgorithm, activeAt: Date, now: Date): Promise<SigningKey> {
    const pair = await generatePair(alg);
    const publicJwk = pair.publicKey.export({ format: 'jwk' }) as JWK;
    const kid = await calculateJwkThumbprint(publicJwk);
    const retiresAt = new Date(activeAt.getTime() + deps.rotation);
    return {
      kid,
      alg,
      publicJwk: { ...publicJwk, kid, alg, use: 'sig' },
      privateJwk: deps.sealer.seal(JSON.stringify(pair.privateKey.export({ format: 'jwk' })), purpose),
      publishedAt: now,
      activeAt,
      retiresAt,
      removedAt: new Date(retiresAt.getTime() + deps.keepFor),
    };
  }

  async function rotate(now: Date): Promise<boolean> {
    const standing = await publishedKeys(deps.db, now);
    const made: SigningKey[] = [];
    for (const alg of deps.algorithms) {
      const activeAt = dueFrom(standing, alg, now);
      if (activeAt) made.push(await make(alg, activeAt, now));
    }
    // Another node may have been quicker while these were made: what is no longer due is thrown away.
    return changeKeys(deps.db, now, (current) => ({ add: made.filter((key) => dueFrom(current, key.alg, now)) }));
  }

  async function replace({ actor, withdraw }: { actor: string; withdraw: boolean }, now: Date): Promise<void> {
    const activeAt = withdraw ? now : new Date(now.getTime() + Math.min(day, lead));
    const add = await Promise.all(deps.algorithms.map((alg) => make(alg, activeAt, now)));
    const audit = auditRow({ kind: 'keys_replaced', actor, detail: { withdrawn: withdraw } }, now);
    await changeKeys(deps.db, now, () => ({ add, withdraw, audit }));
  }

  async function list(now: Date): Promise<ListedKey[]> {
    return (await publishedKeys(deps.db, now)).map((key) => {
      const { kid, alg, activeAt, retiresAt, removedAt, privateJwk } = key;
      const secret = privateJwk === null ? null : deps.sealer.sealedWith(privateJwk, purpose);
      return { kid, alg, state: keyState(key, now), activeAt, retiresAt, removedAt, secret };
    });
  }

  async function jwks(now: Date): Promise<{ keys: JWK[] }> {
    const order = { active: 0, next: 1, retired: 2 };
    const keys = (await publishedKeys(deps.db, now)).map((key) => ({ key, state: keyState(key, now) }));
    // With no rotation for too long the last key goes on signing rather than nobody being able to sign in.
    for (const alg of new Set(keys.map(({ key }) => key.alg))) {
      const these = keys.filter(({ key }) => key.alg === alg);
      const last = these.findLast(({ key }) => key.privateJwk !== null);
      if (last && !these.some(({ state }) => state === 'active')) last.state = 'active';
    }
    return {
      keys: keys.sort((a, b) => order[a.state] - order[b.state]).map(({ key }) => wholeKey(key, deps.sealer)),
    };
  }

  async function changesAt(now: Date): Promise<Date | undefined> {
    const times = (await publishedKeys(deps.db, now))
      .flatMap((key) => [key.activeAt, key.retiresAt, key.removedAt])
      .filter((time) => time > now);
    return times.sort((a, b) => a.getTime() - b.getTime())[0];
  }

  return {
    rotate,
    replace,
    list,
    jwks,
    changesAt,
    watch: (onChange) => deps.db.listen(keysChannel, onChange),
  };
}

function wholeKey(key: SigningKey, sealer: Sealer): JWK {
  const publicJwk = key.publicJwk as JWK;
  if (key.privateJwk === null) {
    const shell = key.alg === 'RS256' ? ['d', 'p', 'q', 'dp', 'dq', 'qi'] : ['d'];
    return { ...publicJwk, ...Object.fromEntries(shell.map((name) => [name, 'retired'])) };
  }
  const privateJwk = sealer.open(key.privateJwk, purpose);
  if (!privateJwk) throw new Error(`signing key ${key.kid} cannot be opened: is 'secret' the one it was sealed with?`);
  return { ...(JSON.parse(privateJwk) as JWK), ...publicJwk };
}
