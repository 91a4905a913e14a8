/**
 * Owns importing an e-service's user list: what is wrong with a row, the order of the steps, the summary and the report.
 * Mails nobody. The same file again changes nothing; killed half-way and run again, it is complete.
 *
 * The file is staged whole before anybody becomes an account, so a file that turns out to be no list has written nothing.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { csvLine } from '../platform/csv.ts';
import { sql, type Database, type Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';
import {
  clearRows,
  complaints,
  COPY_ROWS,
  copyLine,
  countRows,
  judgeRows,
  keepWrapped,
  lastLine,
  leaveOutErased,
  mergeRows,
  rowsToWrap,
  type Complaint,
  type Counts,
  type StagedRow,
} from '../records/account-lists.ts';
import { LISTS_LOCK } from '../records/accounts.ts';
import { canonicalAddress, displayAddress, mixedScript } from '../records/addresses.ts';
import { auditRow } from '../records/audit.ts';
import { isUsable } from '../records/legacy-ids.ts';
import { isWeakHash, knownHashForm, wrapWeakHash } from '../records/passwords.ts';
import { NoList, readUserList, type ListRow } from './user-list.ts';

export interface ImportParts {
  database: Database;
  sealer: Sealer;
  log: Log;
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
  onProgress?: (progress: { step: 'reading' | 'merging'; done: number; total: number }) => void;
}

export interface ImportResult extends Counts {
  byProblem: Record<string, number>;
  /** Hashes that cannot be checked, by the form that they claim to be of. */
  unusableHashes: Record<string, number>;
}

/** The report cannot be written, so nothing is imported: what is left out must be told. */
class NoReport extends Error {}

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
    const [lock] = await session.query<{ got: boolean }>(sql`select pg_try_advisory_lock(${LISTS_LOCK}) as got`);
    if (!lock?.got) return { refused: 'another import is running; try again when it has ended' };
    await clearRows(session);
    try {
      await database.copyFrom(COPY_ROWS, stagedLines(sealer, options, now));
      await judgeRows(session, source);
      await leaveOutErased(session, source, sealer);
      const counts = await countRows(session, source);
      const found = await tellComplaints(session, options.report);
      if (!dryRun) {
        await mergeAll({ database, session, sealer }, options, now);
        const { rows, created, joined } = counts;
        const detail = { source, rows, created, joined };
        await session.query(auditRow({ kind: 'list_imported', actor: options.actor ?? 'system', detail }, now));
      }
      log.info({ source, dryRun, ...counts, ...found }, 'user list imported');
      return { ...counts, ...found };
    } catch (error) {
      if (error instanceof NoList || error instanceof NoReport) return { refused: error.message };
      throw error;
    } finally {
      await clearRows(session);
    }
  });
}

async function* stagedLines(
  sealer: Sealer,
  { file, encoding, onProgress }: ImportOptions,
  now: Date,
): AsyncGenerator<string> {
  const onRead = ({ read, total }: { read: number; total: number }): void =>
    onProgress?.({ step: 'reading', done: read, total });
  let lines = '';
  for await (const row of readUserList({ file, encoding, onRead })) {
    lines += copyLine(staged(row, sealer, now));
    if (lines.length < 65_536) continue;
    yield lines;
    lines = '';
  }
  yield lines;
}

/** Judges what the row alone can tell. */
function staged(row: ListRow, sealer: Sealer, now: Date): StagedRow {
  const { line } = row;
  if ('malformed' in row) return { line, problem: 'malformed_row', detail: row.malformed };
  const { fields } = row;
  const legacyId = fields.legacy_id?.trim();
  const emailKey = canonicalAddress(fields.email ?? '');
  const email = displayAddress(fields.email ?? '');
  if (!emailKey) return { line, legacyId, email, problem: 'invalid_email' };
  if (!legacyId) return { line, email, emailKey, problem: 'missing_legacy_id' };
  return {
    line,
    legacyId,
    email,
    emailKey,
    givenName: oneLine(fields.given_name),
    familyName: oneLine(fields.family_name),
    phoneNumber: oneLine(fields.phone_number),
    locale: /^[a-z]{2,3}\b/i.exec(fields.locale?.trim() ?? '')?.[0].toLowerCase(),
    createdAt: timeOf(fields.created_at, now),
    ...hashOf(fields.password_hash?.trim(), sealer),
    doubt: !isUsable(legacyId) ? 'unusable_legacy_id' : mixedScript(emailKey) ? 'mixed_script' : undefined,
  };
}

const oneLine = (text = ''): string =>
  text
    .normalize('NFC')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, 255);

const FIRST_DAY = new Date('1900-01-01T00:00:00Z');
const DAY = 86_400_000;

/** When the account was made. Exports write 'unknown' as year 0, 1 or 9999, and some of those the database has no date for. */
function timeOf(text = '', now: Date): Date | undefined {
  const time = /^\d{4}-\d\d-\d\d/.test(text.trim()) ? new Date(text.trim()) : undefined;
  // The list may come from a clock in another time zone.
  return time && time >= FIRST_DAY && time.getTime() <= now.getTime() + DAY ? time : undefined;
}

function hashOf(hash: string | undefined, sealer: Sealer): Pick<StagedRow, 'passwordHash' | 'hashProblem'> {
  if (!hash) return {};
  const form = knownHashForm(hash);
  if (form !== 'ok') return { hashProblem: form.unusable };
  return { passwordHash: isWeakHash(hash) ? `sealed:${sealer.seal(hash, 'import')}` : hash };
}

const BATCH = 2_000;

/** Small transactions: a resident whose row is being joined waits for one batch at most. */
async function mergeAll(
  { database, session, sealer }: { database: Database; session: Queryable; sealer: Sealer },
  { source, onProgress }: ImportOptions,
  now: Date,
): Promise<void> {
  await wrapWeakHashes(session, sealer);
  const total = (await lastLine(session)) + 1;
  for (let from = 0; from < total; from += BATCH) {
    await database.transaction((tx) => mergeRows(tx, { source, from, to: from + BATCH }, now));
    onProgress?.({ step: 'merging', done: Math.min(from + BATCH, total), total });
  }
}

async function wrapWeakHashes(db: Queryable, sealer: Sealer): Promise<void> {
  for (let after = 0; ;) {
    const rows = await rowsToWrap(db, after);
    if (rows.length === 0) return;
    after = rows.at(-1)!.line;
    const wrapped: { line: number; hash: string }[] = [];
    // A few at a time: wrapping shares the machine with residents who sign in.
    for (let i = 0; i < rows.length; i += 4) {
      const some = rows.slice(i, i + 4).map(async ({ line, hash }) => {
        const weak = sealer.open(hash, 'import');
        const safe = weak && (await wrapWeakHash(weak));
        if (!safe) throw new Error('a staged hash could not be wrapped');
        return { line, hash: safe };
      });
      wrapped.push(...(await Promise.all(some)));
    }
    await keepWrapped(db, wrapped);
  }
}

/** Counts the problems, and writes them down where a report is asked for; a report is whole or not there. */
async function tellComplaints(
  db: Queryable,
  report: string | undefined,
): Promise<Pick<ImportResult, 'byProblem' | 'unusableHashes'>> {
  const byProblem: Record<string, number> = {};
  const unusableHashes: Record<string, number> = {};
  const unfinished = report && `${report}.unfinished`;
  const out = unfinished ? createWriteStream(unfinished, { mode: 0o600 }) : undefined;
  const done = out && finished(out);
  done?.catch(() => {});
  try {
    out?.write('line,legacy_id,email,problem,detail\n');
    for (let page: Complaint[], after = 0; (page = await complaints(db, after)).length > 0; after = page.at(-1)!.line) {
      for (const { line, legacyId, email, problem, detail } of page) {
        byProblem[problem] = (byProblem[problem] ?? 0) + 1;
        if (problem === 'invalid_hash') unusableHashes[detail!] = (unusableHashes[detail!] ?? 0) + 1;
        const written = out?.write(csvLine([line, legacyId, email, problem, detail]));
        if (written === false) await Promise.race([once(out!, 'drain'), done]);
      }
    }
    out?.end();
    await done;
    if (unfinished) await rename(unfinished, report);
  } catch (error) {
    out?.destroy();
    if (unfinished) await rm(unfinished, { force: true });
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === 'open' || syscall === 'rename')
      throw new NoReport(`--report ${report}: cannot be written (${code})`);
    throw error;
  }
  return { byProblem, unusableHashes };
}
