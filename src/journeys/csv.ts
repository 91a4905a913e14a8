/**
 * Owns the grammar of CSV (RFC 4180): text in pieces becomes records, each with the line of the file that it begins on.
 * Knows neither columns nor what a list is. Of our own, since it is the inner loop of an import: a record without a quote
 * is one `split`, and lines are counted on the way.
 *
 * More lenient than the RFC where spreadsheets are: lines may end in LF, a quote within an unquoted field is a character,
 * and so is what follows a closing quote.
 */

export interface CsvRecord {
  /** From 1; a record may go on over several lines. */
  line: number;
  fields: string[];
}

/** The record is longer than `longest`, or the text ended inside it: most often a quote is missing. */
export class BrokenRecord extends Error {
  readonly line: number;
  readonly reason: 'too_long' | 'cut';

  constructor(reason: 'too_long' | 'cut', line: number) {
    super(`a record that is ${reason}`);
    this.reason = reason;
    this.line = line;
  }
}

export interface CsvReader {
  /** The records that are whole by now. Throws BrokenRecord. */
  read(text: string): CsvRecord[];
  /** What is left when no text is to come. Throws BrokenRecord. */
  end(): CsvRecord[];
}

export function csvReader({ delimiter, longest }: { delimiter: string; longest: number }): CsvReader {
  let rest = '';
  let line = 1;

  function records(text: string, whole: boolean): CsvRecord[] {
    const found: CsvRecord[] = [];
    let at = 0;
    let quote = text.indexOf('"');
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      if (quote >= 0 && quote < at) quote = text.indexOf('"', at);
      if (quote < 0 || quote > end) {
        const stop = text[end - 1] === '\r' && end > at ? end - 1 : end;
        if (stop > at) found.push({ line, fields: text.slice(at, stop).split(delimiter) });
        line += 1;
        at = end + 1;
        continue;
      }
      const quoted = quotedRecord(text, at, delimiter);
      if (!quoted) break;
      found.push({ line, fields: quoted.fields });
      line += linesIn(text, at, quoted.end);
      at = quoted.end;
    }
    rest = text.slice(at);
    if (rest.length > longest) throw new BrokenRecord('too_long', line);
    if (whole && rest) throw new BrokenRecord('cut', line);
    return found;
  }

  return {
    read: (text) => records(rest + text, false),
    end: () => (rest ? records(rest.endsWith('\n') ? rest : `${rest}\n`, true) : []),
  };
}

/** A record with quotes in it, and where the next begins; undefined where the text ends before the record does. */
function quotedRecord(text: string, start: number, delimiter: string): { fields: string[]; end: number } | undefined {
  const fields: string[] = [];
  for (let at = start; ;) {
    let value = '';
    if (text[at] === '"') {
      for (let from = at + 1; ; from = at + 1) {
        const close = text.indexOf('"', from);
        // At the very end the next piece tells whether this quote closes or is the first of a pair.
        if (close < 0 || close + 1 === text.length) return undefined;
        at = close + 1;
        if (text[at] !== '"') {
          value += text.slice(from, close);
          break;
        }
        value += text.slice(from, at);
      }
    }
    const newline = text.indexOf('\n', at);
    if (newline < 0) return undefined;
    const next = text.indexOf(delimiter, at);
    if (next >= 0 && next < newline) {
      fields.push(value + text.slice(at, next));
      at = next + 1;
      continue;
    }
    const stop = text[newline - 1] === '\r' && newline > at ? newline - 1 : newline;
    fields.push(value + text.slice(at, stop));
    return { fields, end: newline + 1 };
  }
}

function linesIn(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf('\n', from); at >= 0 && at < to; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}
