/**
 * Owns the list of erasures that is kept outside the database, so that a restored backup does not bring back who was erased
 * since: keyed hashes of accounts, addresses and old ids, JSON Lines with a header and an end that counts them. Whoever has the list
 * learns nothing by it: the key is in the database.
 */
import { readFile } from 'node:fs/promises';
import { beginSnapshot, type Database } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { erasuresPage, type Erasure } from '../records/whole-accounts.ts';
import { knowsDigests, marksOf, toFile } from './export.ts';

const LIST = 'tunnus-erasures';
const VERSION = 1;

/** To a file or to standard output. Says how many. */
export function writeErasures(
  { database, sealer }: { database: Database; sealer: Sealer },
  file: string | undefined,
): Promise<{ erasures: number } | { refused: string }> {
  return toFile(file, async (out) => {
    let erasures = 0;
    await out.write(`${JSON.stringify({ type: LIST, version: VERSION, digests: marksOf(sealer)[0] })}\n`);
    await database.session(async (session) => {
      await beginSnapshot(session);
      for (let page: Erasure[], after; (page = await erasuresPage(session, after)).length > 0; after = page.at(-1)) {
        await out.write(page.map((row) => `${JSON.stringify({ type: 'erasure', ...row })}\n`).join(''));
        erasures += page.length;
      }
    });
    await out.write(`${JSON.stringify({ type: 'end', erasures })}\n`);
    return { erasures };
  });
}

/** Read whole, and judged before anything is done by it. */
export async function readErasures(file: string, sealer: Sealer): Promise<Erasure[] | { refused: string }> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    return { refused: `${file}: cannot be read (${(error as NodeJS.ErrnoException).code})` };
  }
  const rows = text.split('\n').filter(Boolean).map(rowOf);
  const [head, last] = [rows[0], rows.at(-1)];
  if (head?.['type'] !== LIST || head['version'] !== VERSION)
    return { refused: `${file}:1: this is no list of erasures (tunnus accounts erasures)` };
  if (!knowsDigests(sealer, String(head['digests'])))
    return { refused: `${file}: this list is another database's: its hashes are made with another key` };
  const erasures = rows.slice(1, -1);
  const wrong = erasures.findIndex((row) => !isErasure(row));
  if (wrong >= 0) return { refused: `${file}:${wrong + 2}: this is no line of a list of erasures` };
  if (last?.['type'] !== 'end' || last['erasures'] !== erasures.length)
    return { refused: `${file}: the list is not whole: its end is missing or counts another number` };
  return erasures as unknown as Erasure[];
}

type Parsed = Record<string, unknown>;

function rowOf(line: string): Parsed | undefined {
  try {
    const row = JSON.parse(line) as unknown;
    return typeof row === 'object' && row !== null ? (row as Parsed) : undefined;
  } catch {
    return undefined;
  }
}

const KINDS: readonly unknown[] = ['account', 'email', 'legacy_id'] satisfies Erasure['kind'][];

const isErasure = (row: Parsed | undefined): boolean =>
  row?.['type'] === 'erasure' &&
  KINDS.includes(row['kind']) &&
  /^[\w-]{43}$/.test(String(row['digest'])) &&
  !isNaN(Date.parse(String(row['erased_at'])));
