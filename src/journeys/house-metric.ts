/**
 * Owns bringing up to date, when it is scraped, what the metrics tell of this process and of the database: the same figures as
 * `tunnus status` (status.ts). A database that is away leaves nothing that looks like a figure of now.
 */
import type { Config } from '../config.ts';
import type { Database } from '../platform/database.ts';
import { metrics, type Log } from '../platform/telemetry.ts';
import { VERSION } from '../platform/version.ts';
import { countHashes } from '../records/hashing.ts';
import { isThere, issuerCertificate, takeStock, type Due, type Stock } from './status.ts';

const SECOND = 1000;
/** How long the figures serve every scraper: with many nodes the database is asked by each. */
const FRESH = SECOND;
const LOOK_AT_CERTIFICATE = 3_600_000;

export interface HouseMetricParts {
  database: Database;
  config: Pick<Config, 'issuer'>;
  /** The ids of the e-services that there are now. */
  clients: () => readonly string[];
  due: Due;
  clock: () => Date;
  log: Log;
}

/** Never fails: what cannot be told is left out. */
export function houseMetric({ database, config, clients, due, clock, log }: HouseMetricParts): () => Promise<void> {
  metrics.build.set({ version: VERSION, node_version: process.version }, 1);
  const freshStock = every(FRESH, async () => {
    const now = clock();
    const stock = await takeStock(database, due, now).catch((error: unknown) => {
      log.warn({ err: error }, 'the figures of the house could not be read');
    });
    metrics.databaseUp.set(stock ? 1 : 0);
    forgetStock();
    if (stock) tellStock(stock, now);
  });
  const freshCertificate = every(LOOK_AT_CERTIFICATE, async () => {
    const certificate = await issuerCertificate(config.issuer);
    metrics.certificateEnds.reset();
    if (certificate && 'endsAt' in certificate)
      metrics.certificateEnds.set({ host: new URL(config.issuer).host }, certificate.endsAt.getTime() / SECOND);
  });
  return async () => {
    countFromZero(clients());
    countHashes();
    const { totalCount, idleCount, waitingCount } = database.pool;
    metrics.connections.set({ state: 'busy' }, totalCount - idleCount);
    metrics.connections.set({ state: 'idle' }, idleCount);
    metrics.connections.set({ state: 'waiting' }, waitingCount);
    // Somebody else's network may take its time: what it gives is told at the next scrape.
    void freshCertificate();
    await freshStock();
  };
}

/**
 * What alerts compare is there from the first scrape on: increase() does not see a counter that begins at 1, and a sum of none is no
 * number to compare with.
 */
function countFromZero(clients: readonly string[]): void {
  for (const client of clients) {
    metrics.signIns.inc({ step: 'password', outcome: 'signed_in', client }, 0);
    metrics.grants.inc({ grant_type: 'authorization_code', outcome: 'given', client }, 0);
    for (const outcome of ['refused', 'given_up']) metrics.logouts.inc({ client, outcome }, 0);
  }
  for (const outcome of ['sent', 'refused']) metrics.mails.inc({ mail: 'set_password', outcome }, 0);
}

/** Runs at most once in so many milliseconds; who comes meanwhile waits for the one that runs. */
function every(milliseconds: number, work: () => Promise<void>): () => Promise<void> {
  let next = 0;
  let running: Promise<void> | undefined;
  return async () => {
    if (performance.now() < next) return;
    running ??= work().finally(() => {
      next = performance.now() + milliseconds;
      running = undefined;
    });
    await running;
  };
}

const OF_STOCK = ['mailsWaiting', 'mailsFailed', 'keyRetires', 'keysNext', 'leftOver', 'nodes'] as const;

function forgetStock(): void {
  for (const name of OF_STOCK) metrics[name].reset();
  metrics.mailAge.set(0);
}

function tellStock({ mails, keys, leftOver, nodes }: Stock, now: Date): void {
  metrics.mailsWaiting.set({ state: 'queued' }, mails.queued);
  metrics.mailsWaiting.set({ state: 'delayed' }, mails.delayed);
  metrics.mailAge.set(mails.since ? Math.max(0, (now.getTime() - mails.since.getTime()) / SECOND) : 0);
  metrics.mailsFailed.set({ outcome: 'refused' }, mails.refused);
  metrics.mailsFailed.set({ outcome: 'given_up' }, mails.givenUp);
  metrics.mailsFailed.set({ outcome: 'bounced' }, mails.bounced);
  for (const { alg, retiresAt, nextAt } of keys) {
    if (retiresAt) metrics.keyRetires.set({ alg }, retiresAt.getTime() / SECOND);
    metrics.keysNext.set({ alg }, nextAt ? 1 : 0);
  }
  for (const [table, seconds] of Object.entries(leftOver)) metrics.leftOver.set({ table }, seconds);
  for (const { version, configuration } of nodes.filter((node) => isThere(node, now)))
    metrics.nodes.inc({ version, configuration });
}
