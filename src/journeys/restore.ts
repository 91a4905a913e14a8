/**
 * Owns taking in what another Tunnus exported (export.ts): the same accounts with the same passwords, old ids, doubts and
 * subs. What meets an account that is here is reported and left out: nothing is overwritten. The file is read whole and
 * judged before anything is written; killed half-way and run again, it is complete.
 */
import { csvLine } from '../platform/csv-line.ts';
import { sql, type Database, type Queryable } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { unwritable, wholeFile } from '../platform/whole-file.ts';
import { erasureDigests, MERGE_LOCK } from '../records/erasures.ts';
import { auditRow } from '../records/audit.ts';
import { isCheckable } from '../records/passwords.ts';
import {
  erasedHere,
  keepErasures,
  keepTombstones,
  makeWhole,
  metHere,
  takenTombstones,
  type WholeAccount,
} from '../records/whole-accounts.ts';
import { EXPORT, NoExport, readExport, type ExportCounts, type ReadLine } from './export-form.ts';
import { knowsDigests } from './export.ts';
import { IMPORT_LOCK } from './import-accounts.ts';
import { REMIND } from './leave.ts';

export interface RestoreOptions {
  file: string;
  dryRun?: boolean;
  report?: string;
  actor?: string;
}

/**
 * `existing_account`: an account here has this address or id. `id_taken`, `sub_taken`: one here has its old id or its sub.
 * `erased`: the address or an old id was erased here. `invalid_hash`: the account is made, without its password.
 */
export type RestoreProblem = 'existing_account' | 'id_taken' | 'sub_taken' | 'erased' | 'invalid_hash';

export interface RestoreResult {
  accounts: number;
  created: number;
  /** Here already, under the same id and address. */
  unchanged: number;
  byProblem: Partial<Record<RestoreProblem, number>>;
  /** Erasures in the file that were made with another key than this database's: they would keep nobody out here. */
  foreignErasures: number;
}

const BATCH = 500;

export async function restoreAccounts(
  { database, sealer }: { database: Database; sealer: Sealer },
  options: RestoreOptions,
  now: Date,
): Promise<RestoreResult | { refused: string }> {
  try {
    const counts = await judgeWhole(options.file);
    return await database.session(async (session) => {
      const [lock] = await session.query<{ got: boolean }>(sql`select pg_try_advisory_lock(${IMPORT_LOCK}) as got`);
      if (!lock?.got) return { refused: 'another import is running; try again when it has ended' };
      return takeIn({ database, sealer }, { ...options, counts }, now);
    });
  } catch (error) {
    if (error instanceof NoExport) return { refused: error.message };
    const code = unwritable(error);
    if (code === undefined || options.report === undefined) throw error;
    return { refused: `--report ${options.report}: cannot be written (${code})` };
  }
}

/** Reads the file to its end: a fault anywhere means that nothing is written. */
async function judgeWhole(file: string): Promise<ExportCounts> {
  const counts = { accounts: 0, subjects: 0, erasures: 0 };
  for await (const row of readExport(file)) {
    if (row.type === 'account') counts.accounts += 1;
    if (row.type === 'subject') counts.subjects += 1;
    if (row.type === 'erasure') counts.erasures += 1;
    if (row.type === 'end') {
      const told =
        row.accounts === counts.accounts && row.subjects === counts.subjects && row.erasures === counts.erasures;
      if (told) return counts;
      throw new NoExport(`${file}:${row.line}: the export is not whole: its end counts other numbers than came`);
    }
  }
  throw new NoExport(`${file}: the export is not whole: it has no end`);
}

async function takeIn(
  parts: { database: Database; sealer: Sealer },
  { file, dryRun = false, report, actor = 'system', counts }: RestoreOptions & { counts: ExportCounts },
  now: Date,
): Promise<RestoreResult> {
  const { database, sealer } = parts;
  const { accounts } = counts;
  const result: RestoreResult = { accounts, created: 0, unchanged: 0, byProblem: {}, foreignErasures: 0 };
  // Whoever asked to leave may have had no place to come back to during the move: they are reminded first.
  const leaving = new Date(now.getTime() + REMIND);
  const out = report === undefined ? undefined : await wholeFile(report);
  try {
    await out?.write('line,legacy_id,email,problem,detail\n');
    let ours = true;
    for await (const batch of batches(file)) {
      for (const row of batch) if (row.type === EXPORT) ours = knowsDigests(sealer, row.digests);
      const taken = await database.transaction(async (tx) => {
        // Who is erased meanwhile must not come back with the file.
        await tx.query(sql`select pg_advisory_xact_lock_shared(${MERGE_LOCK})`);
        return takeBatch(tx, batch, { sealer, ours, dryRun, leaving });
      });
      result.created += taken.created;
      result.unchanged += taken.unchanged;
      result.foreignErasures += taken.foreignErasures;
      for (const { line, id, email, problem } of taken.complaints) {
        result.byProblem[problem] = (result.byProblem[problem] ?? 0) + 1;
        await out?.write(csvLine([line, id, email, problem, '']));
      }
    }
    const detail = { source: EXPORT, rows: accounts, created: result.created, joined: 0 };
    if (!dryRun) await database.query(auditRow({ kind: 'list_imported', actor, detail }, now));
    await out?.keep();
    return result;
  } finally {
    await out?.drop();
  }
}

interface Taken extends Pick<RestoreResult, 'created' | 'unchanged' | 'foreignErasures'> {
  complaints: { line: number; id?: string; email?: string; problem: RestoreProblem }[];
}

async function takeBatch(
  tx: Queryable,
  batch: readonly ReadLine[],
  { sealer, ours, dryRun, leaving }: { sealer: Sealer; ours: boolean; dryRun: boolean; leaving: Date },
): Promise<Taken> {
  const complaints: Taken['complaints'] = [];
  const made: WholeAccount[] = [];
  let unchanged = 0;
  const accounts = batch.filter((row) => row.type === 'account');
  for (const { row, found } of await judged(tx, accounts, sealer)) {
    const { line, email } = row;
    if (found === 'unchanged') unchanged += 1;
    else if (found) complaints.push({ line, email, problem: found });
    else {
      const { account, invalid } = withCheckableHash(row);
      if (invalid) complaints.push({ line, email, problem: 'invalid_hash' });
      made.push(account);
    }
  }
  const erasures = batch.filter((row) => row.type === 'erasure');
  const tombstones = batch.filter((row) => row.type === 'subject');
  if (!dryRun) {
    if (made.length > 0) await makeWhole(tx, made, leaving);
    if (ours) await keepErasures(tx, erasures);
    await keepTombstones(tx, tombstones);
  }
  for (const { line, sub } of await takenTombstones(tx, tombstones))
    complaints.push({ line, id: sub, problem: 'sub_taken' });
  return { created: made.length, unchanged, foreignErasures: ours ? 0 : erasures.length, complaints };
}

async function* batches(file: string): AsyncGenerator<ReadLine[]> {
  let batch: ReadLine[] = [];
  for await (const row of readExport(file)) {
    batch.push(row);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

type AccountRow = Extract<ReadLine, { type: 'account' }>;

/** What keeps each account from being made; undefined: nothing does. */
async function judged(
  tx: Queryable,
  accounts: readonly AccountRow[],
  sealer: Sealer,
): Promise<{ row: AccountRow; found?: RestoreProblem | 'unchanged' }[]> {
  if (accounts.length === 0) return [];
  const digests = accounts.map((row) => [
    ...erasureDigests.account(sealer, row.id).map((digest) => ({ kind: 'account' as const, digest })),
    ...erasureDigests.email(sealer, row.email_key).map((digest) => ({ kind: 'email' as const, digest })),
    ...row.ids.flatMap(({ source, id }) =>
      erasureDigests.legacyId(sealer, source, id).map((digest) => ({ kind: 'legacy_id' as const, digest })),
    ),
  ]);
  const met = await metHere(tx, accounts);
  const erased = await erasedHere(tx, digests.flat());
  return accounts.map((row, index) => {
    const ids = row.ids.filter(({ doubt }) => doubt === null).map(({ source, id }) => `${source}\n${id}`);
    const subs = row.subjects.map(({ sector, sub }) => `${sector}\n${sub}`);
    const found = (): RestoreProblem | 'unchanged' | undefined => {
      if (met.same.has(row.id)) return 'unchanged';
      if (met.accounts.has(row.id) || met.accounts.has(row.email_key)) return 'existing_account';
      if (met.gone.has(row.id)) return 'erased';
      if (digests[index]!.some(({ kind, digest }) => erased.has(`${kind}\n${digest.toString('base64url')}`)))
        return 'erased';
      if (ids.some((id) => met.ids.has(id))) return 'id_taken';
      return subs.some((sub) => met.subs.has(sub)) ? 'sub_taken' : undefined;
    };
    const problem = found();
    // What comes later in the file meets this one.
    if (!problem) {
      met.accounts.add(row.id).add(row.email_key);
      ids.forEach((id) => met.ids.add(id));
      subs.forEach((sub) => met.subs.add(sub));
    }
    return { row, found: problem };
  });
}

function withCheckableHash(row: AccountRow): { account: WholeAccount; invalid: boolean } {
  const { type: _type, line: _line, ...account } = row;
  const { hash } = account.password;
  if (hash === null || isCheckable(hash)) return { account, invalid: false };
  return { account: { ...account, password: { state: 'none', hash: null, list: null } }, invalid: true };
}
