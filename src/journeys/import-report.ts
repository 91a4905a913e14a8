/**
 * Owns the report of an import: CSV, a line for each problem, safe to open in a spreadsheet; and the counts by problem.
 * A report is whole or not there.
 */
import { csvLine } from '../platform/csv-line.ts';
import { unwritable, wholeFile, type WholeFile } from '../platform/whole-file.ts';
import type { Complaint } from '../records/account-lists.ts';

/** The report cannot be written, so nothing is imported: what is left out must be told. */
export class NoReport extends Error {}

export interface Told {
  byProblem: Record<string, number>;
  /** Hashes that cannot be checked, by the form that they claim to be of. */
  unusableHashes: Record<string, number>;
}

/** Counts the complaints, and writes them down where a report is asked for. Throws NoReport. */
export async function tellComplaints(
  complaints: AsyncIterable<Complaint[]>,
  report: string | undefined,
): Promise<Told> {
  const byProblem: Record<string, number> = {};
  const unusableHashes: Record<string, number> = {};
  let out: WholeFile | undefined;
  try {
    out = report === undefined ? undefined : await wholeFile(report);
    await out?.write('line,legacy_id,email,problem,detail\n');
    for await (const some of complaints) {
      let lines = '';
      for (const { line, legacyId, email, problem, detail } of some) {
        byProblem[problem] = (byProblem[problem] ?? 0) + 1;
        if (problem === 'invalid_hash') unusableHashes[detail!] = (unusableHashes[detail!] ?? 0) + 1;
        lines += csvLine([line, legacyId, email, problem, detail]);
      }
      await out?.write(lines);
    }
    await out?.keep();
  } catch (error) {
    await out?.drop();
    const code = unwritable(error);
    if (code === undefined) throw error;
    throw new NoReport(`--report ${report}: cannot be written (${code})`);
  }
  return { byProblem, unusableHashes };
}
