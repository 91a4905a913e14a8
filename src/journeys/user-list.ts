/**
 * Owns reading an e-service's user list: CSV or JSON Lines, as a stream, row by row with its line in the file.
 * What a file must be to be a list at all stands here; what is wrong with a row's contents is import-accounts.ts's.
 */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { TextDecoder } from 'node:util';
import { CsvError, parse } from 'csv-parse';

export const COLUMNS = [
  'legacy_id', 'email', 'given_name', 'family_name', 'phone_number', 'locale', 'created_at', 'password_hash',
] as const; // prettier-ignore

export type Fields = Partial<Record<(typeof COLUMNS)[number], string>>;
export type ListRow = { line: number } & ({ fields: Fields } | { malformed: string });

/** Thrown for a file that is no list; its message is the one clear line. */
export class NoList extends Error {}

const LONGEST_HEADER = 16_384;
const LONGEST_ROW = 4_000_000;
const LONGEST_FIELD = 4_000;

interface List {
  file: string;
  encoding?: string;
  onRead?: (bytes: { read: number; total: number }) => void;
}

export async function* readUserList(list: List): AsyncGenerator<ListRow> {
  const { file } = list;
  const found = await stat(file).catch(() => undefined);
  if (!found) throw new NoList(`${file}: there is no such file`);
  if (!found.isFile()) throw new NoList(`${file}: this is no file`);
  if (found.size === 0) throw new NoList(`${file}: the file is empty`);
  const text = decoded(list, found.size);
  yield* file.endsWith('.jsonl') ? jsonRows(file, text) : csvRows(file, text);
}

async function* decoded({ file, encoding = 'utf-8', onRead }: List, total: number): AsyncGenerator<string> {
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(encoding, { fatal: true });
  } catch {
    throw new NoList(`${encoding}: there is no such encoding; try windows-1252`);
  }
  let read = 0;
  let lines = 1;
  let reading: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 18 })) {
      const bytes = chunk as Buffer;
      reading = bytes;
      const text = decoder.decode(bytes, { stream: true });
      yield text;
      read += bytes.length;
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1;
      onRead?.({ read, total });
    }
    yield decoder.decode();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ENCODING_INVALID_ENCODED_DATA') throw error;
    const hint = decoder.encoding === 'utf-8' ? '; if a spreadsheet wrote it, add --encoding windows-1252' : '';
    const line = lines + linesBeforeFault(reading);
    throw new NoList(`${file}:${line}: not valid ${decoder.encoding}${hint}`);
  }
}

/** How many lines of a chunk come before the first that is not UTF-8. */
function linesBeforeFault(chunk: Buffer): number {
  let line = 0;
  // The chunk may begin within a character.
  let start = chunk.findIndex((byte) => (byte & 0xc0) !== 0x80);
  for (let end = chunk.indexOf(10, start); end >= 0 && isUtf8(chunk.subarray(start, end)); line += 1) {
    start = end + 1;
    end = chunk.indexOf(10, start);
  }
  return line;
}

function columnsOf(file: string, header: string[]): Map<(typeof COLUMNS)[number], number> {
  const names = header.map((name) => name.trim().toLowerCase());
  const shown = names
    .slice(0, 12)
    .join(', ')
    .slice(0, 200)
    .replace(/[^\x20-\x7e]/g, '?');
  const columns = new Map(COLUMNS.map((name) => [name, names.indexOf(name)] as const).filter(([, at]) => at >= 0));
  if (!columns.has('email') || !columns.has('legacy_id')) {
    throw new NoList(`${file}:1: the header must name email and legacy_id; found: ${shown}`);
  }
  const twice = COLUMNS.find((name) => names.indexOf(name) !== names.lastIndexOf(name));
  if (twice) throw new NoList(`${file}:1: the header names ${twice} twice`);
  return columns;
}

/** The text again, with its first line known: the separator and the columns must be known before the first row. */
async function withHeader(
  file: string,
  text: AsyncGenerator<string>,
): Promise<{ header: string; whole: AsyncGenerator<string> }> {
  let start = '';
  while (!/[\r\n]/.test(start) && start.length <= LONGEST_HEADER) {
    const next = await text.next();
    if (next.done) break;
    start += next.value;
  }
  const header = start.split(/[\r\n]/, 1)[0]!;
  if (header.length > LONGEST_HEADER) throw new NoList(`${file}:1: the first line is too long for a header`);
  if (header.includes('\0')) throw new NoList(`${file}:1: this is no text file`);
  async function* whole(): AsyncGenerator<string> {
    yield start;
    yield* text;
  }
  return { header, whole: whole() };
}

async function* csvRows(file: string, text: AsyncGenerator<string>): AsyncGenerator<ListRow> {
  const { header, whole } = await withHeader(file, text);
  const delimiter = header.split(';').length > header.split(',').length ? ';' : ',';
  const parser = parse({
    delimiter,
    info: true,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: LONGEST_ROW,
  });
  const feeding = pipeline(Readable.from(whole), parser);
  feeding.catch(() => {}); // it comes out of the loop below
  let columns: ReturnType<typeof columnsOf> | undefined;
  let width = 0;
  let countedTwice = 0;
  try {
    for await (const { info, record } of parser as AsyncIterable<{ info: { lines: number }; record: string[] }>) {
      if (!columns) {
        columns = columnsOf(file, record);
        width = record.length;
        continue;
      }
      // The parser tells the line that a record ends on, and takes each CRLF inside quotes for two.
      const breaks = record.flatMap((field) => field.match(/\r\n|[\r\n]/g) ?? []);
      countedTwice += breaks.filter((one) => one.length === 2).length;
      const line = info.lines - countedTwice - breaks.length;
      if (record.length !== width) yield { line, malformed: `${record.length} fields where the header has ${width}` };
      else yield checked(line, Object.fromEntries([...columns].map(([name, at]) => [name, record[at]])));
    }
    await feeding;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = String((error as unknown as { lines?: number }).lines ?? '');
    if (error.code === 'CSV_QUOTE_NOT_CLOSED') {
      throw new NoList(`${file}:${line}: the file ends inside a quoted field: it is cut, or a quote is missing`);
    }
    throw new NoList(`${file}:${line}: no CSV (${error.code}): a quote may be missing`);
  }
  if (!columns) throw new NoList(`${file}: the file has no header`);
}

function checked(line: number, fields: Fields): ListRow {
  for (const [name, value = ''] of Object.entries(fields)) {
    if (value.length > LONGEST_FIELD) return { line, malformed: `${name} has ${value.length} characters` };
    if (value.includes('\0')) return { line, malformed: `${name} has a NUL byte` };
  }
  return { line, fields };
}

async function* linesOf(file: string, text: AsyncGenerator<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of text) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    if (rest.length > LONGEST_ROW) throw new NoList(`${file}: a line of more than ${LONGEST_ROW} characters`);
    yield* lines;
  }
  yield rest;
}

async function* jsonRows(file: string, text: AsyncGenerator<string>): AsyncGenerator<ListRow> {
  let line = 0;
  let rows = 0;
  for await (const written of linesOf(file, text)) {
    line++;
    if (!written.trim()) continue;
    const row = jsonRow(line, written);
    if (rows++ === 0 && !('fields' in row && row.fields.email && row.fields.legacy_id)) {
      throw new NoList(`${file}:${line}: the first line is no JSON object with email and legacy_id`);
    }
    yield row;
  }
  if (rows === 0) throw new NoList(`${file}: the file has no row`);
}

function jsonRow(line: number, written: string): ListRow {
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch {
    return { line, malformed: 'no JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { line, malformed: 'no JSON object' };
  const fields: Fields = {};
  for (const name of COLUMNS) {
    const field = (value as Record<string, unknown>)[name];
    if (field === undefined || field === null) fields[name] = '';
    else if (typeof field === 'string' || typeof field === 'number') fields[name] = String(field);
    else return { line, malformed: `${name} is no text` };
  }
  return checked(line, fields);
}
