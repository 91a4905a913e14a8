/**
 * Owns writing everything that a city takes with it, from one snapshot, page by page, in the form of export-form.ts. Coming
 * back is restore.ts's.
 */
import { beginSnapshot, type Database } from '../platform/database.ts';
import { sameSecret, type Sealer } from '../platform/secrets.ts';
import { standardOutput, wholeFile, type WholeFile } from '../platform/whole-file.ts';
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

/** To a file, which is whole or not there, or to standard output. `refused` is one line. */
export async function exportAccounts(
  { database, sealer, issuer }: { database: Database; sealer: Sealer; issuer: string },
  file: string | undefined,
  now: Date,
): Promise<ExportCounts | { refused: string }> {
  let out: WholeFile;
  try {
    out = file === undefined ? standardOutput : await wholeFile(file);
  } catch (error) {
    return { refused: `--file ${file}: cannot be written (${(error as NodeJS.ErrnoException).code})` };
  }
  try {
    const header = {
      type: EXPORT,
      version: VERSION,
      issuer,
      exported_at: now.toISOString(),
      digests: marksOf(sealer)[0]!,
    };
    await out.write(`${JSON.stringify(header)}\n`);
    const counts = await writeAll(database, out);
    if ('refused' in counts) return counts;
    await out.write(`${JSON.stringify({ type: 'end', ...counts })}\n`);
    await out.keep();
    return counts;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === 'write' || syscall === 'rename' || syscall === 'fsync')
      return { refused: `--file ${file}: cannot be written (${code})` };
    throw error;
  } finally {
    await out.drop();
  }
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
