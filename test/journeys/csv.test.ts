/** Lists are strangers' files: whatever is in them is read as it was written, or refused; nothing is read otherwise. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BrokenRecord, csvReader, type CsvRecord } from '../../src/journeys/csv.ts';
import { NoList, readUserList, type ListRow } from '../../src/journeys/user-list.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);

function read(pieces: string[], { delimiter = ',', longest = 1000 } = {}): CsvRecord[] {
  const reader = csvReader({ delimiter, longest });
  return [...pieces.flatMap((piece) => reader.read(piece)), ...reader.end()];
}

/** Cuts a text into pieces of these lengths, over and over. */
function cut(text: string, lengths: number[]): string[] {
  const pieces: string[] = [];
  for (let at = 0, i = 0; at < text.length; i += 1) {
    const length = lengths[i % lengths.length]!;
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
const character = fc.constantFrom('a', 'ä', '"', ',', ';', '\n', '\r', '\r\n', ' ', '😀', '');
const field = fc.array(character, { maxLength: 6 }).map((parts) => parts.join(''));

describe('the grammar of RFC 4180', () => {
  test('gives back what was written, however it comes in pieces, each record with its line', () => {
    const record = fc.array(fc.tuple(field, fc.boolean()), { minLength: 2, maxLength: 4 });
    const list = fc.array(record, { maxLength: 6 });
    fc.assert(
      fc.property(list, lengths, fc.constantFrom('\n', '\r\n'), (records, sizes, newline) => {
        const quoted = ([text, always]: [string, boolean]): string =>
          always || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
        const written = records.map((fields) => fields.map(quoted).join(',') + newline);
        const lines = written.map((_, i) => 1 + (written.slice(0, i).join('').match(/\n/g) ?? []).length);
        expect(read(cut(written.join(''), sizes))).toEqual(
          records.map((fields, i) => ({ line: lines[i], fields: fields.map(([text]) => text) })),
        );
      }),
      { numRuns },
    );
  });

  test('any text at all is read the same in one piece and in many, or breaks at the same line', () => {
    const outcome = (pieces: string[]): unknown => {
      try {
        return read(pieces);
      } catch (error) {
        if (!(error instanceof BrokenRecord)) throw error;
        return [error.reason, error.line];
      }
    };
    fc.assert(
      fc.property(fc.array(character, { maxLength: 60 }), lengths, (parts, sizes) => {
        const text = parts.join('');
        expect(outcome(cut(text, sizes))).toEqual(outcome([text]));
      }),
      { numRuns },
    );
  });

  test.each([
    ['a quote within a field is a character', 'a,5" pipe\n', ['a', '5" pipe']],
    ['what follows a closing quote belongs to the field', 'a,"b"c\n', ['a', 'bc']],
    ['a last line needs no end', 'a,"b"', ['a', 'b']],
    ['an empty quoted field is empty', '"",b\n', ['', 'b']],
  ])('%s', (_rule, text, fields) => {
    expect(read([text])).toEqual([{ line: 1, fields }]);
  });

  test('an open quote breaks where its record began, at the end of the file or past the longest record', () => {
    expect(() => read(['a,b\n', 'c,"d\ne\n'])).toThrow(expect.objectContaining({ reason: 'cut', line: 2 }));
    const endless = ['a,b\nc,"', ...Array.from({ length: 20 }, () => 'd\n'.repeat(50))];
    expect(() => read(endless)).toThrow(expect.objectContaining({ reason: 'too_long', line: 2 }));
  });
});

describe('a file', () => {
  let folder: string;
  let files = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lists-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function rowsOf(content: string | Buffer, { ending = 'csv', encoding = 'utf-8' } = {}): Promise<ListRow[]> {
    const file = join(folder, `${(files += 1)}.${ending}`);
    await writeFile(file, content);
    const rows: ListRow[] = [];
    for await (const some of readUserList({ file, encoding })) rows.push(...some);
    return rows;
  }
  const emails = (rows: ListRow[]): string[] => rows.map((row) => ('fields' in row ? row.fields.email : row.malformed));
  const utf16 = Buffer.from('\ufefflegacy_id,email\n1,ä@example.com\n', 'utf16le');

  test.each([
    ['lines that end in CR alone', 'legacy_id,email\r1,a@example.com\r2,b@example.com\r'],
    ['lines that end in CRLF', 'legacy_id,email\r\n1,a@example.com\r\n2,b@example.com'],
    ['a header in capitals with spaces and quotes', '"Legacy_ID" ; EMAIL\n1;a@example.com\n2;b@example.com\n'],
    ['a BOM', '\ufefflegacy_id,email\n1,a@example.com\n2,b@example.com\n'],
    ['empty lines', 'legacy_id,email\n\n1,a@example.com\n\r\n2,b@example.com\n\n'],
  ])('is read with %s', async (_how, content) => {
    expect(emails(await rowsOf(content))).toEqual(['a@example.com', 'b@example.com']);
  });

  test('with a header alone has no rows', async () => {
    expect(await rowsOf('legacy_id,email\n')).toEqual([]);
    expect(await rowsOf('legacy_id,email')).toEqual([]);
  });

  test('in UTF-16 is told from one that is no text, and read when it is named', async () => {
    await expect(rowsOf(utf16)).rejects.toThrow('--encoding utf-16le');
    expect(emails(await rowsOf(utf16, { encoding: 'utf-16le' }))).toEqual(['ä@example.com']);
    await expect(rowsOf(Buffer.from(utf16).swap16())).rejects.toThrow('--encoding utf-16be');
  });

  test('that is made of two has a second header that is no resident', async () => {
    const rows = await rowsOf('legacy_id,email\n1,a@example.com\n\ufefflegacy_id,email\n2,b@example.com\n');
    expect(emails(rows)).toEqual(['a@example.com', 'email', 'b@example.com']);
  });

  test('names the line that is not in its encoding, far down too', async () => {
    const good = 'legacy_id,email\n' + '1,ä@example.com\n'.repeat(40_000);
    const bad = Buffer.concat([Buffer.from(good), Buffer.from('2,b@example.com\n3,'), Buffer.from([0xe4, 0x0a])]);
    await expect(rowsOf(bad)).rejects.toThrow(/csv:40003: not valid utf-8; .*--encoding windows-1252/);
  });

  test.each([
    ['a folder', () => folder],
    ['a device without end', () => '/dev/zero'],
    [
      'a pipe that nobody writes to',
      () => {
        const pipe = join(folder, `pipe${(files += 1)}.csv`);
        execFileSync('mkfifo', [pipe]);
        return pipe;
      },
    ],
  ])('that is %s is refused at once', async (_what, path) => {
    await expect(readUserList({ file: path() }).next()).rejects.toThrow('this is no file');
  });

  test('of any size in one line, of many columns or of one open quote is refused, and hardly anything of it is held', async () => {
    const line = Buffer.alloc(60_000_000, 'a');
    const before = process.memoryUsage().arrayBuffers;
    await expect(rowsOf(line)).rejects.toThrow('too long for a header');
    await expect(rowsOf(Buffer.concat([Buffer.from('legacy_id,email\n1,'), line]))).rejects.toThrow(
      'csv:2: a row of more',
    );
    await expect(rowsOf(`legacy_id,email\n${','.repeat(10_000_000)}\n`)).rejects.toThrow('csv:2: a row of more');
    await expect(rowsOf(Buffer.concat([Buffer.from('{"email":"'), line]), { ending: 'jsonl' })).rejects.toThrow(
      'a line of more',
    );
    // What this test itself made is gone first.
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000_000);
  });

  test.each([
    ['an array', '["1","b@example.com"]', 'no JSON object'],
    ['nested', '{"legacy_id":"1","email":{"at":"b@example.com"}}', 'email is no text'],
    ['true', '{"legacy_id":true,"email":"b@example.com"}', 'legacy_id is no text'],
    ['a number beyond what JSON keeps', '{"legacy_id":12345678901234567890,"email":"b@example.com"}', 'not kept whole'],
    ['a fraction', '{"legacy_id":1.5,"email":"b@example.com"}', 'not kept whole'],
    ['an id twice', '{"legacy_id":"1","email":"b@example.com","legacy_id":"2"}', 'legacy_id is there twice'],
    ['not JSON', '{"legacy_id":"1",', 'no JSON'],
    ['a prototype', '{"__proto__":{"email":"b@example.com"},"legacy_id":"1"}', 'an address of its own is missing'],
  ])('of JSON Lines with %s reports that row and reads the others', async (_what, row, told) => {
    const rows = await rowsOf(
      `{"legacy_id":0,"email":"a@example.com"}\n${row}\n{"legacy_id":"3","email":"c@example.com"}`,
      {
        ending: 'jsonl',
      },
    );
    expect(rows).toHaveLength(3);
    const [, middle] = rows;
    if (told.startsWith('an address')) expect(middle).toMatchObject({ fields: { email: '', legacy_id: '1' } });
    else expect(middle).toMatchObject({ malformed: expect.stringContaining(told) });
    expect(({} as { email?: string }).email).toBeUndefined();
  });

  test('of any bytes at all is read or refused in one line, and nothing else', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
      fc.array(character, { maxLength: 80 }).map((parts) => Buffer.from(`legacy_id,email\n${parts.join('')}`)),
      fc.array(fc.json(), { maxLength: 5 }).map((parts) => Buffer.from(parts.join('\n'))),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.constantFrom('csv', 'jsonl'), async (content, ending) => {
        try {
          for (const row of await rowsOf(content, { ending })) expect(row.line).toBeGreaterThan(0);
        } catch (error) {
          if (!(error instanceof NoList)) throw error;
          expect(error.message).not.toMatch(/[\r\n\0]/);
        }
      }),
      { numRuns },
    );
  });
});
