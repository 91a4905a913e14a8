/**
 * Makes user lists of any size for the bench and the long tests: made-up residents with the dirt of real lists, two rows in
 * a hundred, the same each time. Says what an import of it has to report.
 */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';

const GIVEN = ['Aino', 'Väinö', 'Åsa', 'Matti', 'Liisa', 'Öövi', 'Jean-Luc', 'Anna Maria', 'Kerstin', 'Onni'];
const FAMILY = ['Virtanen', 'Korhonen', 'Mäkinen', 'Räty', 'Lindström', 'Nieminen', 'af Hällström', 'Niemi, o.s. Salo'];
const BCRYPT = '$2b$10$saltsaltsaltsaltsaltsukdaa3tOImfWikQBFNFLu1jRfGTaoyiu';
const DOMAINS = 50;

export interface Expected {
  rows: number;
  accounts: number;
  byProblem: Record<string, number>;
}

const quoted = (field: string): string => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);

/** One row, clean by itself. The address is far from its neighbour's, as in a list that is ordered by id. */
function person(n: number): string[] {
  const scattered = (n * 2_654_435_761) % 2 ** 32;
  const hash = n % 5 < 2 ? BCRYPT : '';
  const created = `20${String(10 + (n % 15))}-0${1 + (n % 9)}-1${n % 10}T0${n % 10}:29:00Z`;
  return [
    `U${10_000 + n}`,
    `${n % 3 ? 'first' : 'First'}.last${scattered}@posti${scattered % DOMAINS}.example`,
    GIVEN[n % GIVEN.length]!,
    FAMILY[n % FAMILY.length]!,
    n % 4 ? '' : `+3585000${String(n % 100_000).padStart(5, '0')}`,
    n % 7 ? 'fi' : 'sv',
    created,
    hash,
  ];
}

/** Of each thousand rows twenty are dirty, by what is done to them. */
const DIRT: [string, number, (row: string[], n: number) => void][] = [
  ['invalid_email', 6, (row) => (row[1] = 'ei sähköpostia')],
  ['missing_legacy_id', 2, (row) => (row[0] = '')],
  ['malformed_row', 2, (row) => row.pop()],
  ['duplicate_legacy_id', 3, (row, n) => (row[0] = `U${10_000 + n - 500}`)],
  ['shared_email', 4, (row, n) => (row[1] = person(n - 500)[1]!)],
  ['invalid_hash', 3, (row) => (row[7] = '$1$salt$abcdefghijklmnopqrstuv')],
];
const DIRTY = DIRT.flatMap(([problem, many, spoil]) => Array.from({ length: many }, () => ({ problem, spoil })));

export const HEADER = 'legacy_id,email,given_name,family_name,phone_number,locale,created_at,password_hash\n';

/** Writes the list; `clean` leaves the dirty rows out. `rows` is a multiple of a thousand. */
export async function writeList({ path, rows, clean = false }: { path: string; rows: number; clean?: boolean }) {
  const out = createWriteStream(path);
  out.write(HEADER);
  for (let thousand = 0; thousand < rows; thousand += 1000) {
    let text = '';
    for (let n = thousand; n < thousand + 1000; n += 1) {
      // The dirt comes in the second half, so that what it repeats is a clean row before it.
      const dirt = n - thousand >= 500 ? DIRTY[n - thousand - 500] : undefined;
      if (dirt && clean) continue;
      const row = person(n);
      dirt?.spoil(row, n);
      text += `${row.map(quoted).join(',')}\n`;
    }
    if (!out.write(text)) await once(out, 'drain');
  }
  out.end();
  await finished(out);
}

export function expected(rows: number): Expected {
  const thousands = rows / 1000;
  const byProblem = Object.fromEntries(DIRT.map(([problem, many]) => [problem, many * thousands]));
  // Both rows of a shared address are reported; the second makes no account of its own.
  const none = ['invalid_email', 'missing_legacy_id', 'malformed_row', 'duplicate_legacy_id', 'shared_email'];
  const left = none.reduce((sum, problem) => sum + byProblem[problem]!, 0);
  return { rows, accounts: rows - left, byProblem: { ...byProblem, shared_email: 2 * byProblem['shared_email']! } };
}
