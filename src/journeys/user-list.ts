/**
 * Owns reading an e-service's user list: CSV or JSON Lines, piece by piece, each row with its line in the file. What a file
 * must be to be a list at all stands here; what is wrong with a row's contents is import-accounts.ts's.
 *
 * A list is a stranger's file of any size: no more of it is held than one piece and one unfinished row.
 */
import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { TextDecoder } from 'node:util';
import { BrokenRecord, csvReader, type CsvRecord } from './csv.ts';

export const COLUMNS = [
  'legacy_id', 'email', 'given_name', 'family_name', 'phone_number', 'locale', 'created_at', 'password_hash',
] as const; // prettier-ignore

type Column = (typeof COLUMNS)[number];
export type Fields = Record<Column, string>;
export type ListRow = { line: number } & ({ fields: Fields } | { malformed: string });

/** Thrown for a file that is no list; its message is the one clear line. */
export class NoList extends Error {}

const PIECE = 1 << 16;
const LONGEST_HEADER = 16_384;
const LONGEST_ROW = 4_000_000;
const LONGEST_FIELD = 4_000;

interface List {
  file: string;
  encoding?: string;
  onRead?: (bytes: { read: number; total: number }) => void;
}

/** The rows in the file's order, some at a time. Throws NoList. */
export async function* readUserList(list: List): AsyncGenerator<ListRow[]> {
  const text = piecesOf(list);
  try {
    yield* list.file.endsWith('.jsonl') ? jsonRows(list.file, text) : csvRows(list.file, text);
  } finally {
    await text.return(undefined);
  }
}

const CANNOT_OPEN: Record<string, string> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'the file may not be read by this user',
};

/** Opened before it is looked at, so that both speak of one file; without waiting, since a pipe may have no writer. */
async function opened(file: string): Promise<{ handle: FileHandle; size: number }> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    throw new NoList(`${file}: ${CANNOT_OPEN[error.code ?? ''] ?? `cannot be opened (${error.code})`}`);
  });
  const found = await handle.stat();
  if (found.isFile() && found.size > 0) return { handle, size: found.size };
  await handle.close();
  throw new NoList(
    `${file}: ${found.isFile() ? 'the file is empty' : 'this is no file: a folder, a pipe or a device'}`,
  );
}

async function* piecesOf({ file, encoding = 'utf-8', onRead }: List): AsyncGenerator<string> {
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding, { fatal: true });
  } catch {
    throw new NoList(`${encoding}: there is no such encoding; try windows-1252`);
  }
  const { handle, size } = await opened(file);
  let lines = 1;
  let piece: Buffer = Buffer.alloc(0);
  try {
    let read = 0;
    // A stream reads the next piece while one is worked on.
    for await (piece of handle.createReadStream({ highWaterMark: PIECE, autoClose: false }) as AsyncIterable<Buffer>) {
      if (read === 0) refuseUtf16(file, decoder.encoding, piece);
      const text = decoder.decode(piece, { stream: true });
      yield text;
      read += piece.length;
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1;
      onRead?.({ read, total: size });
    }
    yield decoder.decode();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ENCODING_INVALID_ENCODED_DATA') throw error;
    const utf8 = decoder.encoding === 'utf-8';
    const hint = utf8 ? '; if a spreadsheet wrote it, add --encoding windows-1252' : '';
    throw new NoList(`${file}:${lines + (utf8 ? linesBeforeFault(piece) : 0)}: not valid ${decoder.encoding}${hint}`);
  } finally {
    await handle.close();
  }
}

function refuseUtf16(file: string, encoding: string, start: Buffer): void {
  const mark = start.readUIntBE(0, Math.min(2, start.length));
  if (encoding.startsWith('utf-16') || (mark !== 0xfffe && mark !== 0xfeff)) return;
  throw new NoList(`${file}: this is UTF-16; add --encoding utf-16${mark === 0xfffe ? 'le' : 'be'}`);
}

/** How many lines of a piece come before the first that is not UTF-8. */
function linesBeforeFault(piece: Buffer): number {
  let line = 0;
  // The piece may begin within a character.
  let start = piece.findIndex((byte) => (byte & 0xc0) !== 0x80);
  for (let end = piece.indexOf(10, start); end >= 0 && isUtf8(piece.subarray(start, end)); line += 1) {
    start = end + 1;
    end = piece.indexOf(10, start);
  }
  return line;
}

/** The text again, with its first line known: separator and columns must be known before the first row. */
async function withHeader(file: string, text: AsyncGenerator<string>): Promise<{ header: string; start: string }> {
  let start = '';
  while (!/[\r\n]./s.test(start) && start.length <= LONGEST_HEADER) {
    const next = await text.next();
    if (next.done) break;
    start += next.value;
  }
  const header = start.split(/[\r\n]/, 1)[0]!;
  if (header.length > LONGEST_HEADER) throw new NoList(`${file}:1: the first line is too long for a header`);
  if (header.includes('\0')) throw new NoList(`${file}:1: this is no text file`);
  return { header, start };
}

async function* csvRows(file: string, text: AsyncGenerator<string>): AsyncGenerator<ListRow[]> {
  const { header, start } = await withHeader(file, text);
  const delimiter = header.split(';').length > header.split(',').length ? ';' : ',';
  const reader = csvReader({ delimiter, longest: LONGEST_ROW });
  // Old Macs end lines in CR alone.
  const newlines = /^[^\r\n]*\r(?!\n)/.test(start)
    ? (piece: string): string => piece.replaceAll('\r', '\n')
    : (piece: string): string => piece;
  let rows: ((record: CsvRecord) => ListRow) | undefined;
  const rowsOf = (records: CsvRecord[]): ListRow[] => {
    if (!rows && records.length > 0) rows = rowReader(file, records.shift()!.fields);
    return rows ? records.map(rows) : [];
  };
  try {
    yield rowsOf(reader.read(newlines(start)));
    for await (const piece of text) yield rowsOf(reader.read(newlines(piece)));
    yield rowsOf(reader.end());
  } catch (error) {
    if (!(error instanceof BrokenRecord)) throw error;
    const what =
      error.reason === 'cut'
        ? 'the file ends inside a quoted field that begins here: it is cut, or a quote is missing'
        : `a row of more than ${LONGEST_ROW} characters begins here: a quote may be missing`;
    throw new NoList(`${file}:${error.line}: ${what}`);
  }
  if (!rows) throw new NoList(`${file}: the file has no header`);
}

function rowReader(file: string, header: string[]): (record: CsvRecord) => ListRow {
  const names = header.map((name) => name.trim().toLowerCase());
  const shown = names
    .slice(0, 12)
    .join(', ')
    .slice(0, 200)
    .replace(/[^\x20-\x7e]/g, '?');
  if (!names.includes('email') || !names.includes('legacy_id')) {
    throw new NoList(`${file}:1: the header must name email and legacy_id; found: ${shown}`);
  }
  const twice = COLUMNS.find((name) => names.indexOf(name) !== names.lastIndexOf(name));
  if (twice) throw new NoList(`${file}:1: the header names ${twice} twice`);
  const [id, email, given, family, phone, locale, created, hash] = COLUMNS.map((name) => names.indexOf(name));
  return ({ line, fields }) => {
    if (fields.length !== header.length) {
      return { line, malformed: `${fields.length} fields where the header has ${header.length}` };
    }
    // A column that the list lacks is at -1, where no field is.
    const row = {
      legacy_id: fields[id!] ?? '',
      email: fields[email!] ?? '',
      given_name: fields[given!] ?? '',
      family_name: fields[family!] ?? '',
      phone_number: fields[phone!] ?? '',
      locale: fields[locale!] ?? '',
      created_at: fields[created!] ?? '',
      password_hash: fields[hash!] ?? '',
    };
    return fields.some(isSuspicious) ? checked(line, row) : { line, fields: row };
  };
}

const isSuspicious = (value: string): boolean => value.length > LONGEST_FIELD || value.includes('\0');

function checked(line: number, fields: Fields): ListRow {
  for (const name of COLUMNS) {
    const value = fields[name];
    if (value.length > LONGEST_FIELD) return { line, malformed: `${name} has ${value.length} characters` };
    if (value.includes('\0')) return { line, malformed: `${name} has a NUL byte` };
  }
  return { line, fields };
}

async function* jsonRows(file: string, text: AsyncGenerator<string>): AsyncGenerator<ListRow[]> {
  let line = 0;
  let rest = '';
  let first = true;
  const rowsOf = (lines: string[]): ListRow[] => {
    const rows: ListRow[] = [];
    for (const written of lines) {
      line += 1;
      if (!written.trim()) continue;
      const row = jsonRow(line, written);
      if (first && !('fields' in row && row.fields.email && row.fields.legacy_id)) {
        throw new NoList(`${file}:${line}: the first line is no JSON object with email and legacy_id`);
      }
      first = false;
      rows.push(row);
    }
    return rows;
  };
  for await (const piece of text) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    if (rest.length > LONGEST_ROW) {
      throw new NoList(`${file}:${line + lines.length + 1}: a line of more than ${LONGEST_ROW} characters`);
    }
    yield rowsOf(lines);
  }
  yield rowsOf([rest]);
  if (first) throw new NoList(`${file}: the file has no row`);
}

function jsonRow(line: number, written: string): ListRow {
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch {
    return { line, malformed: 'no JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { line, malformed: 'no JSON object' };
  // RFC 8259, 4: which of two values a reader takes is anybody's guess, and an id must not be one.
  for (const name of ['legacy_id', 'email']) {
    if (written.split(`"${name}"`).length > 2 && written.match(new RegExp(`"${name}"\\s*:`, 'g'))!.length > 1) {
      return { line, malformed: `${name} is there twice` };
    }
  }
  const fields: Partial<Fields> = {};
  for (const name of COLUMNS) {
    const field = (value as Partial<Record<Column, unknown>>)[name] ?? '';
    // A number beyond 2^53 has lost its last digits by now: it would be somebody else's id.
    if (typeof field === 'number' && !Number.isSafeInteger(field)) {
      return { line, malformed: `${name} is a number that is not kept whole: write it in quotes` };
    }
    if (typeof field !== 'string' && typeof field !== 'number') return { line, malformed: `${name} is no text` };
    // Half of a surrogate pair becomes what the database would make of it.
    fields[name] = String(field).toWellFormed();
  }
  return checked(line, fields as Fields);
}
