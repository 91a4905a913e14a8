/**
 * Owns writing everything that a city takes with it, from one snapshot, page by page, in the form of export-form.ts. Coming
 * back is restore.ts's.
 */
import { beginSnapshot, type Database } from '../platform/database.ts';
import { sameSecret, type Sealer } from '../platform/secrets.ts';
import { standardOutput, unwritable, wholeFile, type WholeFile } from '../platform/whole-file.ts';
import { countSealedHashes } from '../records/old-hashes.ts';
import {
  accountsPage,
  erasuresPage,
  tombstonesPage,
  type Erasure,
  type Tombstone,
  type WholeAccount,
} from '../records/whole-accounts.ts';
import { EXPORT, VERSION, type ExportCounts, type ExportLine } from './export-form.ts';

/** A mark of the key that the erasure hashes are made with; tells nothing of it. */
export const marksOf = (sealer: Sealer): string[] =>
  sealer.digests('export', 'export').map((mark) => mark.toString('base64url'));

/** Were the erasure hashes of an export made with the key of this database? */
export const knowsDigests = (sealer: Sealer, mark: string): boolean =>
  marksOf(sealer)
    .map((own) => sameSecret(own, mark))
    .includes(true);

/** Writes to a file, which is whole or not there, or to standard output. `refused` is one line. */
export async function toFile<T extends object>(
  file: string | undefined,
  work: (out: WholeFile) => Promise<T>,
): Promise<T | { refused: string }> {
  let out: WholeFile | undefined;
  try {
    out = file === undefined ? standardOutput : await wholeFile(file);
    const done = await work(out);
    if (!('refused' in done)) await out.keep();
    return done;
  } catch (error) {
    const code = unwritable(error);
    if (code === undefined) throw error;
    return { refused: `--file ${file}: cannot be written (${code})` };
  } finally {
    await out?.drop();
  }
}

export function exportAccounts(
  { database, sealer, issuer }: { database: Database; sealer: Sealer; issuer: string },
  file: string | undefined,
  now: Date,
): Promise<ExportCounts | { refused: string }> {
  return toFile(file, async (out) => {
    const digests = marksOf(sealer)[0]!;
    const header = { type: EXPORT, version: VERSION, issuer, exported_at: now.toISOString(), digests };
    await out.write(`${JSON.stringify(header)}\n`);
    const counts = await writeAll(database, out);
    if (!('refused' in counts)) await out.write(`${JSON.stringify({ type: 'end', ...counts })}\n`);
    return counts;
  });
}

async function writeAll(database: Database, out: WholeFile): Promise<ExportCounts | { refused: string }> {
  const lines = (type: ExportLine['type'], rows: readonly object[]): string =>
    rows.map((row) => `${JSON.stringify({ type, ...row })}\n`).join('');
  const counts = { accounts: 0, subjects: 0, erasures: 0 };
  return database.session(async (session) => {
    await beginSnapshot(session);
    // Sealed, they would be of no use elsewhere; as they are, they must not rest anywhere.
    const sealed = await countSealedHashes(session);
    if (sealed > 0)
      return {
        refused: `${sealed} fast old password hashes are still being wrapped: try again when serve has done it`,
      };
    for (let page: WholeAccount[], after; (page = await accountsPage(session, after)).length > 0;) {
      await out.write(lines('account', page));
      counts.accounts += page.length;
      after = page.at(-1)!.id;
    }
    for (let page: Tombstone[], after; (page = await tombstonesPage(session, after)).length > 0; after = page.at(-1)) {
      await out.write(lines('subject', page));
      counts.subjects += page.length;
    }
    for (let page: Erasure[], after; (page = await erasuresPage(session, after)).length > 0; after = page.at(-1)) {
      await out.write(lines('erasure', page));
      counts.erasures += page.length;
    }
    return counts;
  });
}
