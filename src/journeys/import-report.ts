/**
 * Owns the report of an import: CSV, a line for each problem, safe to open in a spreadsheet; and the counts by problem.
 * A report is whole or not there.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import type { Complaint } from '../records/account-lists.ts';

/** The report cannot be written, so nothing is imported: what is left out must be told. */
export class NoReport extends Error {}

export interface Told {
  byProblem: Record<string, number>;
  /** Hashes that cannot be checked, by the form that they claim to be of. */
  unusableHashes: Record<string, number>;
}

/** A spreadsheet takes a cell that begins like this for a formula and runs it. */
const FORMULA = /^[=+\-@\t\r]/;

function cell(value: string | number | null): string {
  const text = FORMULA.test(String(value ?? '')) ? `'${value}` : String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Counts the complaints, and writes them down where a report is asked for. Throws NoReport. */
export async function tellComplaints(
  complaints: AsyncIterable<Complaint[]>,
  report: string | undefined,
): Promise<Told> {
  const byProblem: Record<string, number> = {};
  const unusableHashes: Record<string, number> = {};
  const out = report === undefined ? undefined : reportFile(report);
  try {
    await out?.write('line,legacy_id,email,problem,detail\n');
    for await (const some of complaints) {
      let lines = '';
      for (const { line, legacyId, email, problem, detail } of some) {
        byProblem[problem] = (byProblem[problem] ?? 0) + 1;
        if (problem === 'invalid_hash') unusableHashes[detail!] = (unusableHashes[detail!] ?? 0) + 1;
        lines += `${[line, legacyId, email, problem, detail].map(cell).join(',')}\n`;
      }
      await out?.write(lines);
    }
    await out?.keep();
  } catch (error) {
    await out?.drop();
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (!['open', 'write', 'rename'].includes(syscall ?? '')) throw error;
    throw new NoReport(`--report ${report}: cannot be written (${code})`);
  }
  return { byProblem, unusableHashes };
}

/** Written beside its place and renamed when it is whole. */
function reportFile(path: string) {
  const unfinished = `${path}.unfinished`;
  const stream = createWriteStream(unfinished, { mode: 0o600 });
  const done = finished(stream);
  done.catch(() => {}); // whoever writes next is told
  return {
    async write(text: string): Promise<void> {
      if (!stream.write(text)) await Promise.race([once(stream, 'drain'), done]);
    },
    async keep(): Promise<void> {
      stream.end();
      await done;
      await rename(unfinished, path);
    },
    async drop(): Promise<void> {
      stream.destroy();
      await rm(unfinished, { force: true });
    },
  };
}
