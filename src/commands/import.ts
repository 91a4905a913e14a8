/** `tunnus accounts import`: its options and how it tells what came of a list. */
import type { Command } from 'commander';
import { importAccounts, type ImportResult, type Progress } from '../journeys/import-accounts.ts';
import { wrapAllHashes } from '../journeys/wrap-hashes.ts';
import { makeLog } from '../platform/telemetry.ts';
import { actor, DONE, FAILED, jsonOption, say, withHouse, Wrong } from './house.ts';
import { progressBar, type ProgressBar } from './progress-bar.ts';

interface ImportOptions {
  source: string;
  encoding: string;
  dryRun?: boolean;
  report?: string;
  json?: boolean;
}

export function importCommand(accounts: Command): void {
  accounts
    .command('import')
    .argument('<file>', "an e-service's user list, .csv or .jsonl")
    .requiredOption('--source <name>', 'the e-service that the list is from')
    .option('--encoding <name>', 'of the file, where it is not UTF-8', 'utf-8')
    .option('--dry-run', 'do everything but the last step')
    .option('--report <file>', 'write what was left out or left in doubt to this CSV file')
    .addOption(jsonOption())
    .description("loads an e-service's user list; mails nobody")
    .action((file: string, options: ImportOptions) => importList(file, options));
}

async function importList(file: string, { json, ...options }: ImportOptions): Promise<void> {
  await withHouse(async ({ database, sealer }) => {
    const log = makeLog({ level: 'warn', destination: process.stderr });
    const bar = progressBar(process.stderr);
    const onProgress = ({ step, done, total, rows }: Progress): void =>
      bar.show({ name: step, done, total, count: { number: rows, of: 'rows' } });
    const wishes = { file, actor: actor(), onProgress, ...options };
    const result = await importAccounts({ database, sealer, log }, wishes, new Date()).finally(() => bar.clear());
    if ('refused' in result) throw new Wrong(result.refused);
    say(json ? JSON.stringify(result) : summary(result, options).join('\n'));
    process.exitCode = Object.keys(result.byProblem).length ? FAILED : DONE;
    if (!options.dryRun) await wrapHashes({ database, sealer }, { bar, quiet: json });
  });
}

function summary(result: ImportResult, { dryRun }: Pick<ImportOptions, 'dryRun'>): string[] {
  const { rows, created, joined, unchanged, inDoubt, gone, byProblem, unusableHashes } = result;
  const counted = (count: number, what: string): string => `${String(count).padStart(9)}  ${what}`;
  return [
    counted(rows, 'rows'),
    counted(created, 'new accounts'),
    counted(joined, 'joined to an account'),
    counted(unchanged, 'unchanged'),
    counted(inDoubt, 'rows in doubt: the old id is tied to nobody'),
    counted(gone, 'old ids no longer on the list: kept'),
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
