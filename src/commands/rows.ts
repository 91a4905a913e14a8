/**
 * Owns how a command prints rows for programs as they come: as CSV, or as one JSON document. It waits for whoever reads, so
 * that a million rows take no memory.
 */
import { Option } from 'commander';
import { csvLine } from '../platform/csv-line.ts';
import { standardOutput } from '../platform/whole-file.ts';
import { jsonOption } from './house.ts';

const write = (text: string): Promise<void> => standardOutput.write(text);

export interface RowForm {
  json?: boolean;
  csv?: boolean;
}

export const rowOptions = (): Option[] => [
  jsonOption(),
  new Option('--csv', 'print CSV, for spreadsheets').conflicts('json'),
];

type Row<C extends string> = { readonly [column in C]?: string | number | null };

/** Neither form asked for: prints nothing. `name` is what the rows are called in the JSON document. */
export function rowPrinter<C extends string>({ json, csv }: RowForm, name: string, columns: readonly C[]) {
  let begun = false;
  return {
    async print(rows: readonly Row<C>[]): Promise<void> {
      if (csv)
        await write((begun ? '' : csvLine(columns)) + rows.map((row) => csvLine(columns.map((c) => row[c]))).join(''));
      if (json) {
        const texts = rows.map((row) => JSON.stringify(Object.fromEntries(columns.map((c) => [c, row[c] ?? null]))));
        const start = begun ? ',\n' : `{"${name}":[\n`;
        if (texts.length > 0) await write(start + texts.join(',\n'));
        begun ||= texts.length > 0;
      } else begun = true;
    },
    /** `rest` is what else stands in the JSON document. */
    async end(rest: object): Promise<void> {
      if (csv && !begun) await write(csvLine(columns));
      if (json) await write(`${begun ? '' : `{"${name}":[`}\n],${JSON.stringify(rest).slice(1)}\n`);
    },
  };
}
