/**
 * Owns importing an e-service's user list: what is wrong with a row, the order of the steps and the summary. Mails nobody.
 * The same file again changes nothing; killed half-way and run again, it is complete.
 *
 * The file is staged whole before anybody becomes an account, so a file that turns out to be no list has written nothing.
 */
import { isTaken, notWaitingForDisk, sql, type Database } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';
import {
  clearRows,
  complaints,
  copyLine,
  countRows,
  erasedSoFar,
  isErased,
  judgeRows,
  leaveOutNewlyErased,
  mergeRows,
  stageRows,
  type Counts,
  type Erased,
  type Extent,
  type StagedRow,
} from '../records/account-lists.ts';
import { MERGE_LOCK } from '../records/erasures.ts';
import { canonicalAddress, displayAddress, mixedScript } from '../records/addresses.ts';
import { auditRow } from '../records/audit.ts';
import { isUsable } from '../records/legacy-ids.ts';
import { restingHash } from '../records/passwords.ts';
import { NoReport, tellComplaints, type Told } from './import-report.ts';
import { NoList, readUserList, type ListRow } from './user-list.ts';

export interface ImportParts {
  database: Database;
  sealer: Sealer;
  log: Log;
}

export interface Progress {
  /** `reading` counts bytes, `merging` the rows that change something; what is between takes no part of either. */
  step: 'reading' | 'comparing' | 'merging';
  done: number;
  total: number;
  /** So far, in this step. */
  rows: number;
}

export interface ImportOptions {
  file: string;
  /** The e-service whose list it is: `legacy_source` of its client. */
  source: string;
  encoding?: string;
  dryRun?: boolean;
  /** Who runs it, for the audit: `support:<operating system user>`. */
  actor?: string;
  /** Where the report goes; written also when it has no line. */
  report?: string;
  onProgress?: (progress: Progress) => void;
}

export type ImportResult = Counts & Told;

/** One import at a time. */
export const IMPORT_LOCK = 7_112_024;

/** `refused` is one line for whoever runs the import: the file is no list, and nothing was written. */
export async function importAccounts(
  { database, sealer, log }: ImportParts,
  options: ImportOptions,
  now: Date,
): Promise<{ refused: string } | ImportResult> {
  const { source, dryRun = false } = options;
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(source)) {
    return {
      refused: `--source ${source.slice(0, 64)}: a name of small letters, digits, '-' and '_' is expected, as in legacy_source`,
    };
  }
  return database.session(async (session) => {
    const [lock] = await session.query<{ got: boolean }>(sql`select pg_try_advisory_lock(${IMPORT_LOCK}) as got`);
    if (!lock?.got) return { refused: 'another import is running; try again when it has ended' };
    // Waits for whoever reads the table, as a dump does, for as long as that takes; staging could not.
    await clearRows(session);
    try {
      const erased = await erasedSoFar(session);
      await stageRows(database, stagedLines({ sealer, erased, ...options }, now));
      options.onProgress?.({ step: 'comparing', done: 0, total: 1, rows: 0 });
      await judgeRows(session, source);
      const { counts, extent } = await countRows(session, source);
      const told = await tellComplaints(complaints(session), options.report);
      if (!dryRun) {
        const merged = await mergeAll(
          { database, sealer, erased, joins: counts.joined > 0, ...extent, ...options },
          now,
        );
        if (merged < extent.changes)
          log.warn({ source, rows: extent.changes - merged }, 'accounts changed meanwhile: run the import again');
        const { rows: all, created, joined } = counts;
        const detail = { source, rows: all, created, joined };
        await session.query(auditRow({ kind: 'list_imported', actor: options.actor ?? 'system', detail }, now));
      }
      log.info({ source, dryRun, ...counts, ...told }, 'user list imported');
      return { ...counts, ...told };
    } catch (error) {
      if (error instanceof NoList || error instanceof NoReport) return { refused: error.message };
      throw error;
    } finally {
      await clearRows(session);
    }
  });
}

/** A bit for each hash of a text: 4 MB, whatever is put in. Beyond a few million texts false alarms cost time. */
const BITS = 25;

/** Says whether a text may have come before; 'no' is certain. */
function memory(): (text: string) => boolean {
  const seen = new Uint32Array(2 ** (BITS - 5));
  return (text) => {
    let hash = 0;
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01_00_01_93);
    // The last characters have reached the low bits only.
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c_1b_3c_6d) >>> (32 - BITS);
    const [word, bit] = [hash >>> 5, 1 << (hash & 31)];
    const came = (seen[word]! & bit) !== 0;
    seen[word]! |= bit;
    return came;
  };
}

type Memories = Record<'ids' | 'addresses', ReturnType<typeof memory>>;
type Staging = ImportOptions & { sealer: Sealer; erased: Erased } & Memories;

async function* stagedLines(options: Omit<Staging, keyof Memories>, now: Date): AsyncGenerator<string> {
  const { file, encoding, onProgress } = options;
  const staging = { ...options, ids: memory(), addresses: memory() };
  let count = 0;
  const onRead = ({ read, total }: { read: number; total: number }): void =>
    onProgress?.({ step: 'reading', done: read, total, rows: count });
  for await (const rows of readUserList({ file, encoding, onRead })) {
    let lines = '';
    for (const row of rows) lines += copyLine(staged(row, staging, now));
    count += rows.length;
    yield lines;
  }
}

/** Judges what the row alone can tell. */
function staged(row: ListRow, { source, sealer, erased, ids, addresses }: Staging, now: Date): StagedRow {
  const { line } = row;
  if ('malformed' in row) return { line, problem: 'malformed_row', detail: row.malformed };
  const { fields } = row;
  const legacyId = fields.legacy_id.trim();
  const emailKey = canonicalAddress(fields.email);
  const email = displayAddress(fields.email);
  if (!emailKey) return { line, legacyId, email, problem: 'invalid_email' };
  if (!legacyId) return { line, email, emailKey, problem: 'missing_legacy_id' };
  const [idAgain, addressAgain] = [ids(legacyId), addresses(emailKey)];
  const hash = fields.password_hash ? restingHash(fields.password_hash.trim(), sealer) : undefined;
  return {
    line,
    legacyId,
    email,
    emailKey,
    givenName: oneLine(fields.given_name),
    familyName: oneLine(fields.family_name),
    phoneNumber: oneLine(fields.phone_number),
    locale: languageOf(fields.locale),
    createdAt: fields.created_at ? timeOf(fields.created_at.trim(), now) : undefined,
    passwordHash: hash && 'hash' in hash ? hash.hash : undefined,
    hashProblem: hash && 'unusable' in hash ? hash.unusable : undefined,
    doubt: !isUsable(legacyId) ? 'unusable_legacy_id' : mixedScript(emailKey) ? 'mixed_script' : undefined,
    erased: isErased(erased, { source, legacyId, emailKey }, sealer),
    again: idAgain || addressAgain,
  };
}

const languageOf = (text: string): string | undefined => /^\s*([a-z]{2,3})\b/i.exec(text)?.[1]!.toLowerCase();

const CLEAN = /^[!-~\xa1-\xac\xae-\xff]{0,255}$/;

function oneLine(text: string): string {
  if (CLEAN.test(text)) return text;
  return text
    .normalize('NFC')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, 255);
}

const FIRST_DAY = Date.parse('1900-01-01T00:00:00Z');
const DAY = 86_400_000;

// Nearly all are written so, and need no reading.
const PLAIN_TIME = /^(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/;

/** A time of day at its end: of which zone nobody says. Taken for UTC, or each machine would read another. */
const WITHOUT_ZONE = /[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?$/;

/** When the account was made. Exports write 'unknown' as year 0, 1 or 9999, and some of those the database has no date for. */
function timeOf(text: string, now: Date): string | undefined {
  if (PLAIN_TIME.test(text) && Number(text.slice(0, 4)) < now.getUTCFullYear()) return text;
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return undefined;
  const time = Date.parse(WITHOUT_ZONE.test(text) ? `${text}Z` : text);
  // The list may come from a clock in another time zone.
  return time >= FIRST_DAY && time <= now.getTime() + DAY ? new Date(time).toISOString() : undefined;
}

/** Rows of one transaction. A resident whose account is being joined waits for its end; for new ones nobody does. */
const BATCH = { joining: 500, new: 25_000 };
const AT_ONCE = 2;

type Merging = Omit<Staging, keyof Memories> & Extent & { database: Database; joins: boolean };

async function mergeAll(
  { database, source, last, changes, joins, known, onProgress, ...rest }: Merging,
  now: Date,
): Promise<number> {
  if (changes === 0) return 0;
  const size = joins ? BATCH.joining : BATCH.new;
  let [begun, done, merged] = [0, 0, 0];
  let failed = false;
  async function mergeNext(): Promise<void> {
    while (begun < last && !failed) {
      const batch = { source, after: begun, upTo: (begun += size) };
      // All rows of one address are in one batch, however many: it takes its time.
      const merge = (yielding: boolean): Promise<number> =>
        database.transaction(
          async (tx) => {
            // Nothing is told before the audit row is on disk, and that waits for all before it. A batch is sorted in memory.
            await tx.query(sql`
              select pg_advisory_xact_lock_shared(${MERGE_LOCK}), ${notWaitingForDisk}, set_config('work_mem', '32MB', true)`);
            await leaveOutNewlyErased(tx, { ...batch, erased: rest.erased }, rest.sealer);
            return mergeRows(tx, { ...batch, joins, known, yielding }, now);
          },
          { timed: false },
        );
      const ties = await merge(false).catch((error: unknown) => {
        if (!isTaken(error)) throw error;
        return merge(true);
      });
      merged += ties;
      done = Math.min(done + size, last);
      onProgress?.({ step: 'merging', done, total: last, rows: merged });
    }
  }
  const workers = Array.from({ length: AT_ONCE }, () =>
    mergeNext().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  // All have stopped before anything else happens to the staged rows.
  for (const { status, reason } of (await Promise.allSettled(workers)) as PromiseRejectedResult[])
    if (status === 'rejected') throw reason;
  return merged;
}
