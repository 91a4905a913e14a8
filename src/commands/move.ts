/** The `tunnus accounts` commands of the move: how it goes, the rehearsal before it, dormant accounts after it, and leaving. */
import { setFlagsFromString } from 'node:v8';
import { Option, type Command } from 'commander';
import { monthsBefore, type DormantAccount } from '../journeys/dormant.ts';
import { exportAccounts } from '../journeys/export.ts';
import { progress, STEPS, type Progress, type Step } from '../journeys/progress.ts';
import { rehearse, type Rehearsal } from '../journeys/rehearse.ts';
import { restoreAccounts } from '../journeys/restore.ts';
import { CLOCKS_DIFFER, MOST_APART, secondsAhead } from '../platform/clock.ts';
import { actor, complain, DONE, FAILED, say, sayJson, withHouse, Wrong, type House } from './house.ts';
import { rowOptions, rowPrinter, type RowForm } from './rows.ts';

export function moveCommands(accounts: Command): void {
  const withRows = (command: Command): Command => rowOptions().reduce((all, each) => all.addOption(each), command);
  withRows(accounts.command('progress'))
    .option('--source <name>', 'one list only')
    .description('how far the residents of the old lists have come, by list and by day')
    .action(tellProgress);
  withRows(accounts.command('rehearse'))
    .option('--client <name>', 'one e-service only')
    .description('which sub and old id each resident would get at each e-service; writes nothing')
    .action(tellRehearsal);
  withRows(accounts.command('dormant'))
    .addOption(new Option('--months <n>', 'how long ago a list brought them; default: 24').argParser(months))
    .option('--erase', 'erase them')
    .option('--yes', 'yes, erase them: it cannot be taken back')
    .description('accounts that came by a list and that nobody ever used')
    .action(tellDormant);
  accounts
    .command('export')
    .option('--file <file>', 'write it there, readable for its owner only; default: standard output')
    .description('every account in an open form (docs/export.md); `accounts import` reads it')
    .action(writeExport);
}

const COLUMN = 12;
const line = (label: string, cells: readonly (string | number)[]): string =>
  label.padEnd(20) + cells.map((cell) => String(cell).padStart(COLUMN)).join('');
const inWords = (step: string): string => step.replaceAll('_', ' ');

async function tellProgress({ source, ...form }: RowForm & { source?: string }): Promise<void> {
  await withHouse(async ({ database, config }) => {
    const found = await progress({ database, timeZone: config.timeZone }, source);
    if ('refused' in found) {
      const known = found.known.join(', ') || 'none yet';
      throw new Wrong(`--source ${source?.slice(0, 64)}: no list was imported under this name; imported: ${known}`);
    }
    if (form.json) sayJson(found);
    else if (form.csv) await printProgress(found);
    else progressLines(found).forEach(say);
  });
}

/** A line for each day and list; `total` for all days and `*` for all lists together. */
async function printProgress({ totals, days }: Progress): Promise<void> {
  const printer = rowPrinter({ csv: true }, '', ['day', 'source', ...STEPS]);
  await printer.print(totals.map((row) => ({ ...row, day: 'total', source: row.source ?? '*' })));
  const rows = new Map<string, Partial<Record<Step, number>> & { day: string; source: string }>();
  for (const { day, source, step, residents } of days) {
    const key = `${day} ${source ?? '*'}`;
    const row = rows.get(key) ?? { day, source: source ?? '*' };
    rows.set(key, { ...row, [step]: residents });
  }
  await printer.print([...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row));
  await printer.end({});
}

const DAYS_SHOWN = 14;

function progressLines({ timeZone, totals, days }: Progress): string[] {
  const [first] = totals;
  if (!first) return ['No list was imported yet.'];
  const shown = [...new Set(days.map(({ day }) => day))].sort().slice(-DAYS_SHOWN);
  const byStep = (step: Step) => (day: string) =>
    days.find((row) => row.day === day && row.step === step && row.source === first.source)?.residents ?? 0;
  const steps = STEPS.filter((step) => first[step] > 0);
  return [
    line(
      '',
      totals.map(({ source }) => source ?? 'in all'),
    ),
    ...STEPS.map((step) =>
      line(
        inWords(step),
        totals.map((row) => row[step]),
      ),
    ),
    '',
    `The last days (${timeZone}), ${first.source ?? 'in all'}; --csv has every day and list`,
    ...shown.map((day) => `${day}  ${steps.map((step) => `${inWords(step)} ${byStep(step)(day)}`).join(', ')}`),
  ];
}

/**
 * For going through everybody page by page. By default the young heap grows to three times 32 MB and the old one to four times
 * what is alive before it is cleared, all of it pages that were printed long ago.
 */
function withEverybody(work: (house: House) => Promise<void>): Promise<void> {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=100');
  return withHouse(work);
}

async function tellRehearsal({ client, ...form }: RowForm & { client?: string }): Promise<void> {
  await withEverybody(async ({ database, config }) => {
    const { eServices } = await import('../desk.ts');
    const all = eServices(config);
    const chosen = client === undefined ? all : all.filter(({ clientId }) => clientId === client);
    if (client !== undefined && chosen.length === 0) {
      const known = all.map(({ clientId }) => clientId).join(', ') || 'none';
      throw new Wrong(`--client ${client.slice(0, 128)}: no e-service has this client_id; there are: ${known}`);
    }
    const columns = ['client', 'email', 'naming', 'sub', 'legacy_id', 'doubt'] as const;
    const printer = rowPrinter(form, 'residents', columns);
    const wanted = form.json || form.csv;
    const rehearsals = await rehearse(database, chosen, wanted ? (page) => printer.print(page) : undefined);
    await printer.end({ clients: rehearsals });
    const tell = form.csv ? complain : say;
    if (!form.json) rehearsals.flatMap(rehearsalLines).forEach(tell);
  });
}

const NAMINGS: readonly [keyof Rehearsal['sub'], string][] = [
  ['given', 'sub: given out before, and stays'],
  ['old_id', 'sub: the old user id'],
  ['new', 'sub: made at the first sign-in'],
  ['public', "sub: the account's own id, the same at every public e-service"],
  ['in_doubt', 'do not get in before support has tied their old id'],
  ['taken', "do not get in: their old id is somebody else's sub"],
];

function rehearsalLines({ client, subject_type, source, residents, sub, legacy_id, in_doubt }: Rehearsal): string[] {
  const count = (number: number, words: string): string => `${String(number).padStart(9)}  ${words}`;
  return [
    `${client}  (${subject_type}${source ? `, list ${source}` : ''}): ${residents} residents`,
    ...NAMINGS.filter(([naming]) => sub[naming] > 0).map(([naming, words]) => count(sub[naming], words)),
    ...(source ? [count(legacy_id, 'legacy_id: the old user id'), count(in_doubt, 'on the list, in doubt')] : []),
  ];
}

function months(given: string): number {
  const number = /^\d{1,3}$/.test(given) ? Number(given) : 0;
  if (number < 1 || number > 120)
    throw new Wrong(`--months ${given.slice(0, 20)}: a whole number from 1 to 120 is expected`);
  return number;
}

interface DormantOptions extends RowForm {
  months?: number;
  erase?: boolean;
  yes?: boolean;
}

const TWO_YEARS = 24;

async function tellDormant({ months: since, erase, yes, ...form }: DormantOptions): Promise<void> {
  if (erase && since === undefined)
    throw new Wrong('--months is missing: whoever erases says how long ago a list brought them');
  if (erase && !yes) throw new Wrong('--erase cannot be taken back: look at the report without it, then add --yes');
  await withEverybody(async (house) => {
    const now = new Date();
    if (erase && Math.abs(await secondsAhead(house.database, now)) > MOST_APART)
      throw new Error(`${CLOCKS_DIFFER}: set both by NTP`);
    const before = monthsBefore(now, since ?? TWO_YEARS);
    const { dormantFor } = await import('../desk.ts');
    const journey = dormantFor(house);
    const columns = ['email', 'sources', 'listed_at', 'warned_at', ...(erase ? (['erased'] as const) : [])] as const;
    const printer = rowPrinter(form, 'accounts', columns);
    const bySource = new Map<string, number>();
    let found = 0;
    let erased = 0;
    const tellPage = async (page: DormantAccount[]): Promise<void> => {
      const rows = [];
      for (const account of page) {
        const done = erase && (await journey.erase(account.id, { since: before, actor: actor() }, now));
        found += 1;
        erased += done ? 1 : 0;
        for (const source of account.sources) bySource.set(source, (bySource.get(source) ?? 0) + 1);
        const { email, sources, listedAt, warnedAt } = account;
        const [listed_at, warned_at] = [listedAt.toISOString(), warnedAt?.toISOString()];
        rows.push({ email, sources: sources.join(' '), listed_at, warned_at, erased: done ? 'yes' : 'no' });
      }
      await printer.print(rows);
    };
    await journey.report(before, tellPage, now);
    const counts = { since: before.toISOString(), dormant: found, erased };
    await printer.end({ ...counts, by_source: Object.fromEntries(bySource) });
    if (form.json) return;
    const tell = form.csv ? complain : say;
    tell(`${found} accounts came by a list before ${counts.since.slice(0, 10)} and were never used`);
    for (const [source, count] of bySource) tell(`${String(count).padStart(9)}  on ${source}`);
    if (erase) tell(`${erased} were erased`);
  });
}

async function writeExport({ file }: { file?: string }): Promise<void> {
  await withEverybody(async ({ database, sealer, config }) => {
    const done = await exportAccounts({ database, sealer, issuer: config.issuer }, file, new Date());
    if ('refused' in done) throw new Wrong(done.refused);
    if (file) say(`${done.accounts} accounts, ${done.subjects} subs of erased ones, ${done.erasures} erasures`);
  });
}

/** For `accounts import`, where the file is an export. */
export async function importExport(
  file: string,
  { json, source, dryRun, report }: { json?: boolean; source?: string; dryRun?: boolean; report?: string },
): Promise<void> {
  if (source !== undefined)
    throw new Wrong(`--source ${source.slice(0, 64)}: ${file} is an export and has its own; leave it out`);
  await withHouse(async ({ database, sealer }) => {
    const result = await restoreAccounts({ database, sealer }, { file, dryRun, report, actor: actor() }, new Date());
    if ('refused' in result) throw new Wrong(result.refused);
    const { accounts, created, unchanged, byProblem, foreignErasures } = result;
    if (json) sayJson(result);
    else {
      say(`${accounts} accounts: ${created} new, ${unchanged} unchanged`);
      for (const [problem, count] of Object.entries(byProblem)) say(`${String(count).padStart(9)}  ${problem}`);
      if (foreignErasures > 0)
        say(`${foreignErasures} erasures are of another database's key and left out: they would keep nobody out here`);
      if (dryRun) say('Nothing was written: this was a dry run.');
    }
    process.exitCode = Object.keys(byProblem).length ? FAILED : DONE;
  });
}
