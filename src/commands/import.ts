/** `tunnus accounts import`: its options and how it tells what came of a list. */
import type { Command } from 'commander';
import { isExport } from '../journeys/export-form.ts';
import { importAccounts, type ImportResult, type Progress } from '../journeys/import-accounts.ts';
import { wrapAllHashes } from '../journeys/wrap-hashes.ts';
import { makeLog } from '../platform/telemetry.ts';
import { actor, DONE, FAILED, jsonOption, say, sayJson, withHouse, Wrong } from './house.ts';
import { importExport } from './move.ts';
import { progressBar, type ProgressBar } from './progress-bar.ts';

interface ImportOptions {
  source?: string;
  encoding: string;
  dryRun?: boolean;
  report?: string;
  json?: boolean;
}

export function importCommand(accounts: Command): void {
  accounts
    .command('import')
    .argument('<file>', "an e-service's user list, .csv or .jsonl")
    .option('--source <name>', 'the e-service that the list is from (none for what `accounts export` wrote)')
    .option('--encoding <name>', 'of the file, where it is not UTF-8', 'utf-8')
    .option('--dry-run', 'do everything but the last step')
    .option('--report <file>', 'write what was left out or left in doubt to this CSV file')
    .addOption(jsonOption())
    .description("loads an e-service's user list; mails nobody")
    .action((file: string, options: ImportOptions) => importList(file, options));
}

async function importList(file: string, { json, source, ...options }: ImportOptions): Promise<void> {
  if (await isExport(file)) return importExport(file, { json, source, ...options });
  if (source === undefined) throw new Wrong('--source NAME is missing: the e-service that the list is from');
  await withHouse(async ({ database, sealer }) => {
    const log = makeLog({ level: 'warn', destination: process.stderr });
    const bar = progressBar(process.stderr);
    const onProgress = ({ step, done, total, rows }: Progress): void =>
      bar.show({ name: step, done, total, count: { number: rows, of: 'rows' } });
    const wishes = { file, source, actor: actor(), onProgress, ...options };
    const result = await importAccounts({ database, sealer, log }, wishes, new Date()).finally(() => bar.clear());
    if ('refused' in result) throw new Wrong(result.refused);
    if (json) sayJson(result);
    else summary(result, options).forEach(say);
    process.exitCode = Object.keys(result.byProblem).length ? FAILED : DONE;
    if (!options.dryRun) await wrapHashes({ database, sealer }, { bar, quiet: json });
  });
}

function summary(result: ImportResult, { dryRun }: Pick<ImportOptions, 'dryRun'>): string[] {
  const { rows, created, joined, unchanged, inDoubt, gone, byProblem, unusableHashes } = result;
  const counted = (count: number, what: string): string => `${String(count).padStart(9)}  ${what}`;
  return [
    `${rows} rows: ${created} new accounts, ${joined} joined to an account, ${unchanged} unchanged, ` +
      `${inDoubt} in doubt, ${gone} no longer on the list`,
    ...Object.entries(byProblem).flatMap(([problem, count]) => [
      counted(count, problem),
      ...(problem === 'invalid_hash'
        ? Object.entries(unusableHashes).map(([form, many]) => `${' '.repeat(11)}${many} of the form ${form}`)
        : []),
    ]),
    ...(dryRun ? ['Nothing was written: this was a dry run.'] : []),
  ];
}

/** Whoever is imported can sign in by now. */
async function wrapHashes(
  house: Pick<Parameters<typeof wrapAllHashes>[0], 'database' | 'sealer'>,
  { bar, quiet }: { bar: ProgressBar; quiet?: boolean },
): Promise<void> {
  let told = quiet ?? false;
  await wrapAllHashes({
    ...house,
    clock: () => new Date(),
    onProgress: ({ done, total }) => {
      if (!told)
        say(`${total} fast old hashes are being wrapped; residents can sign in meanwhile, and you may stop this.`);
      told = true;
      bar.show({ name: 'wrapping', done, total, count: { number: done, of: 'hashes' } });
    },
  }).finally(() => bar.clear());
}
