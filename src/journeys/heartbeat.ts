/**
 * Owns how a node lets the others and its operator know that it is there: a row that is written anew every few seconds, with its
 * version and the hash of its configuration. It never fails and holds nothing up: a database that is away only makes it silent.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../config.ts';
import type { Database } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';
import { VERSION } from '../platform/version.ts';
import { beat, leave, takePlace } from '../records/nodes.ts';

const BEAT_EVERY = 15_000;

/** What each node may have of its own: where it stands, listens and reads. */
const OF_ONE_NODE = new Set(['folder', 'file', 'line', 'lines', 'listen', 'database', 'logo', 'telemetry']);

/**
 * Alike where two nodes give residents and e-services the same. Keyed, since it is made of secrets too.
 */
export function configurationHash(sealer: Sealer, config: Config): string {
  const text = JSON.stringify(config, (name, value: unknown) => {
    if (OF_ONE_NODE.has(name)) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    // In whatever order an operator wrote the keys.
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
  return sealer.digest(text, 'configuration').toString('hex').slice(0, 12);
}

export interface Heartbeat {
  /** Tells at once that something has changed. */
  beat(): Promise<void>;
  /** Takes the row away. */
  stop(): Promise<void>;
}

export async function startHeartbeat({
  database,
  port,
  configuration,
  stopping,
  clock,
  log,
}: {
  database: Database;
  /** Where it listens. */
  port: number;
  /** The hash, of now. */
  configuration: () => string;
  stopping: () => boolean;
  clock: () => Date;
  log: Log;
}): Promise<Heartbeat> {
  const node = { id: randomUUID(), name: `${hostname()}:${port}`, version: VERSION, startedAt: clock() };
  let last: Promise<void> = Promise.resolve();
  const quietly = (work: () => Promise<void>): Promise<void> =>
    (last = last.then(work).catch((error: unknown) => log.debug({ err: error }, 'the heartbeat was not written')));
  const beatNow = (): Promise<void> =>
    quietly(() => beat(database, { ...node, configuration: configuration(), stopping: stopping() }, clock()));
  const timer = setInterval(() => void beatNow(), BEAT_EVERY).unref();
  await quietly(() => takePlace(database, node.name));
  await beatNow();
  return {
    beat: beatNow,
    async stop() {
      clearInterval(timer);
      await quietly(() => leave(database, node.id));
    },
  };
}
