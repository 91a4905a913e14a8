/** `tunnus accounts import`: its options and how it tells what came of a list. */
import type { Command } from 'commander';
import { importAccounts } from '../journeys/import-accounts.ts';
import { isExport } from '../journeys/export-form.ts';
import { makeLog } from '../platform/telemetry.ts';
import { actor, DONE, FAILED, jsonOption, say, withHouse, Wrong } from './house.ts';
import { importExport } from './move.ts';

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
    const result = await importAccounts(
      { database, sealer, log },
      { file, source, actor: actor(), ...options },
      new Date(),
    );
    if ('refused' in result) throw new Wrong(result.refused);
    if (json) say(JSON.stringify(result));
    else {
      const { rows, created, joined, unchanged, gone, byProblem } = result;
      say(
        `${rows} rows: ${created} new accounts, ${joined} joined to an account, ${unchanged} unchanged, ${gone} no longer on the list`,
      );
      for (const [problem, count] of Object.entries(byProblem)) say(`${String(count).padStart(7)}  ${problem}`);
      if (options.dryRun) say('Nothing was written: this was a dry run.');
    }
    process.exitCode = Object.keys(result.byProblem).length ? FAILED : DONE;
  });
}
