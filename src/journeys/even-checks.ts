/**
 * Owns how long a wrong password takes under `conceal`: for every address as long as the dearest kind of hash that any account
 * has, with as much again for a busy machine. Else the time would tell that an address has an account from an old list, whose
 * hash may cost a hundred times ours. What that kind is here is measured, and measured anew every hour.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';
import { oneHashOfEachKind } from '../records/accounts.ts';
import { verifyPassword, type Hashing } from '../records/passwords.ts';

/** In milliseconds. */
const LEAST = 1000;
const MOST = 10_000;
const HOUR = 3_600_000;

export interface EvenChecks {
  /** Waits until a check that took so long (in milliseconds) has taken as long as each does. */
  fill: (took: number) => Promise<void>;
}

interface EvenCheckParts {
  database: Queryable;
  sealer: Sealer;
  hashing: Hashing;
  log: Log;
}

export async function evenChecks({ database, sealer, hashing, log }: EvenCheckParts): Promise<EvenChecks> {
  let lasts = LEAST;
  let measuredAt: number;

  /** Also of a check that a resident waits for: one kind that an import brought meanwhile is late once. */
  const learn = (took: number): void => {
    lasts = Math.min(MOST, Math.max(lasts, Math.ceil((2 * took) / 1000) * 1000));
  };

  async function measure(): Promise<void> {
    measuredAt = performance.now();
    const times: number[] = [];
    for (const stored of await oneHashOfEachKind(database))
      await verifyPassword(stored, 'measured', {
        sealer,
        hashing,
        refused: (took) => Promise.resolve(void times.push(took)),
      });
    lasts = LEAST;
    times.forEach(learn);
  }

  await measure();
  return {
    async fill(took) {
      learn(took);
      if (performance.now() - measuredAt > HOUR)
        measure().catch((error: unknown) => log.error({ err: error }, 'what a check costs was not measured'));
      await pause(lasts - took);
    },
  };
}
