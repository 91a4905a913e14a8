/**
 * Owns telling how the move is going: of the residents of the old lists, who has come how far, by list and by day; for
 * whoever runs it, and as a metric for operators.
 */
import type { Database } from '../platform/database.ts';
import { metrics, type Log } from '../platform/telemetry.ts';
import {
  countsByDay,
  countsBySource,
  STEPS,
  type Counts,
  type DayCount,
  type SourceCounts,
} from '../records/progress.ts';

export { STEPS, type Step } from '../records/progress.ts';

export interface Progress {
  timeZone: string;
  /** `source` null: in all, each resident once however many lists they stand on. */
  totals: SourceCounts[];
  days: DayCount[];
}

/** Of one list, or of all of them. 'unknown_source': no list was imported under this name. */
export async function progress(
  { database, timeZone }: { database: Database; timeZone: string },
  source?: string,
): Promise<Progress | { refused: 'unknown_source'; known: string[] }> {
  const all = await database.session((session) => countsByDay(session, timeZone));
  const totals = totalsOf(all);
  if (source === undefined) return { timeZone, totals, days: all };
  const own = totals.filter((row) => row.source === source);
  if (own.length === 0) return { refused: 'unknown_source', known: totals.flatMap((row) => row.source ?? []) };
  return { timeZone, totals: own, days: all.filter((row) => row.source === source) };
}

/** A resident does each step first on one day, so the days add up. */
function totalsOf(days: readonly DayCount[]): SourceCounts[] {
  const totals = new Map<string | null, SourceCounts>();
  for (const { source, step, residents } of days) {
    const counts = totals.get(source) ?? { source, ...nobody() };
    counts[step] += residents;
    totals.set(source, counts);
  }
  return [...totals.values()];
}

const nobody = (): Counts => Object.fromEntries(STEPS.map((step) => [step, 0])) as Counts;

const MINUTE = 60_000;
/** Counting takes a second or two with a million residents: it may take this part of one connection's time at most. */
const SHARE = 1 / 50;

/** Brings the metric up to date before a scrape, at most once a minute; a database that is away leaves it as it was. */
export function progressMetric({ database, log }: { database: Database; log: Log }): () => Promise<void> {
  let next = 0;
  let counting: Promise<void> | undefined;
  const count = async (): Promise<void> => {
    const begun = performance.now();
    try {
      const rows = await countsBySource(database);
      metrics.residents.reset();
      metrics.residentsBySource.reset();
      for (const { source, ...counts } of rows) {
        for (const step of STEPS) {
          if (source === null) metrics.residents.set({ step }, counts[step]);
          else metrics.residentsBySource.set({ source, step }, counts[step]);
        }
      }
    } catch (error) {
      log.warn({ err: error }, 'the progress of the move could not be counted');
    }
    const ended = performance.now();
    next = ended + Math.max(MINUTE, (ended - begun) / SHARE);
  };
  return async () => {
    if (performance.now() < next) return;
    counting ??= count().finally(() => (counting = undefined));
    await counting;
  };
}
