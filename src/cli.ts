#!/usr/bin/env node
/**
 * The street door: the commands, their output and their exit codes (0 done, 1 it failed, 2 the call or the configuration is
 * wrong). Owns no rule: each command asks the configuration and the journeys.
 */
import { userInfo } from 'node:os';
import { Command, CommanderError, Option } from 'commander';
import { ConfigurationWrong, connect, signingKeys, startTunnus, supportFor, type Connection } from './app.ts';
import { configFolder, describeFaults, readConfig, type Config } from './config.ts';
import { checkHouse } from './check.ts';
import { importAccounts } from './journeys/import-accounts.ts';
import { DatabaseUnavailable } from './platform/database.ts';
import { EmbeddedInUse } from './platform/embedded-postgres.ts';
import { SchemaTooNew } from './platform/migrate.ts';
import { makeLog } from './platform/telemetry.ts';

const DONE = 0;
const FAILED = 1;
const WRONG = 2;

/** What is wrong with the call or the configuration, told in plain lines. */
class Wrong extends Error {}

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const complain = (line: string): void => void process.stderr.write(`${line}\n`);
// Whoever reads may stop reading (`| head`): the work goes on to its end all the same.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

function configuration(): Config {
  const { config, faults } = readConfig(configFolder());
  if (!config) throw new Wrong(describeFaults(faults));
  return config;
}

/** Runs a command on the database, joining a running embedded one. Its log keeps to warnings: output is for people. */
async function withHouse<T>(work: (house: Connection & { config: Config }) => Promise<T>): Promise<T> {
  const config = configuration();
  const house = await connect(config, { log: makeLog({ level: 'warn', destination: process.stderr }) });
  try {
    return await work({ ...house, config });
  } finally {
    await house.close();
  }
}

async function serve(): Promise<void> {
  const config = configuration();
  const log = makeLog();
  const running = await startTunnus({ config, log });
  log.info({ issuer: config.issuer, port: running.port }, 'ready');
  // What a library lets fall in the background must not take every resident's sign-in with it.
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'something failed in the background'));
  process.on('SIGHUP', () => void running.reload());
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  log.info({}, 'stopping');
  await running.close();
}

const actor = (): string => `support:${userInfo().username}`;

async function supportCommand(
  act: (support: ReturnType<typeof supportFor>, now: Date) => Promise<object>,
  { json, tell }: { json?: boolean; tell: (result: never) => string[] },
): Promise<void> {
  await withHouse(async (house) => {
    const result = await act(supportFor(house, actor()), new Date());
    if (json) say(JSON.stringify(result));
    if ('refused' in result) {
      if (!json) complain(REFUSALS[result.refused as string] ?? String(result.refused));
      process.exitCode = FAILED;
    } else if (!json) for (const line of tell(result as never)) say(line);
  });
}

const REFUSALS: Readonly<Record<string, string>> = {
  unknown_account: 'no account has this address',
  account_locked: 'the account is locked: unlock it first',
};

const jsonOption = (): Option => new Option('--json', 'print JSON, for programs');

interface Picture {
  account: { email: string; emailVerified: boolean; locale?: string; createdAt: Date; signedInAt?: Date };
  state: string;
  links: { live: number; newest?: Date };
  ties: { source: string; id: string; doubt?: string }[];
  events: { at: Date; kind: string; actor: string }[];
}

function tellPicture({ account, state, links, ties, events }: Picture): string[] {
  return [
    `${account.email}${account.emailVerified ? '' : '  (not verified yet)'}`,
    `state          ${state.replaceAll('_', ' ')}`,
    `language       ${account.locale ?? 'not chosen'}`,
    `last sign-in   ${account.signedInAt?.toISOString() ?? 'never'}`,
    `live links     ${links.live}${links.newest ? `, newest asked for ${links.newest.toISOString()}` : ''}`,
    ...ties.map(({ source, id, doubt }) => `on ${source}   ${id}${doubt ? `  (not tied: ${doubt})` : ''}`),
    ...events.map(({ at, kind, actor: who }) => `${at.toISOString()}  ${kind.replaceAll('_', ' ')}  ${who}`),
  ];
}

function program(): Command {
  const tunnus = new Command('tunnus')
    .description('The sign-in of a city: an OpenID Connect identity provider')
    .exitOverride();
  tunnus.command('serve').description('runs the provider').action(serve);
  tunnus
    .command('migrate')
    .description('brings the database schema up to date')
    .action(() => withHouse(() => Promise.resolve(say('The schema is up to date.'))));
  tunnus
    .command('check')
    .description('reads the configuration, opens database and mail server, says what is wrong or weak; changes nothing')
    .action(async () => {
      const found = await checkHouse(configuration());
      if ('wrong' in found) throw new Wrong(describeFaults(found.wrong));
      found.lines.forEach(say);
      process.exitCode = found.failed ? FAILED : DONE;
    });

  const accounts = tunnus.command('accounts').description("residents' accounts");
  accounts
    .command('import')
    .argument('<file>', "an e-service's user list, .csv or .jsonl")
    .requiredOption('--source <name>', 'the e-service that the list is from')
    .option('--encoding <name>', 'of the file, where it is not UTF-8', 'utf-8')
    .option('--dry-run', 'do everything but the last step')
    .option('--report <file>', 'write what was left out or left in doubt to this CSV file')
    .addOption(jsonOption())
    .description("loads an e-service's user list; mails nobody")
    .action(async (file: string, options: ImportOptions) => importCommand(file, options));
  accounts
    .command('show')
    .argument('<email>')
    .addOption(jsonOption())
    .description('what is known of an account')
    .action((email: string, { json }: { json?: boolean }) =>
      supportCommand((support, now) => support.show(email, now), { json, tell: tellPicture }),
    );
  accounts
    .command('resend')
    .argument('<email>')
    .addOption(jsonOption())
    .description('mails a link that sets a password')
    .action((email: string, { json }: { json?: boolean }) =>
      supportCommand((support, now) => support.resend(email, now), {
        json,
        tell: ({ sent }: { sent: boolean }) => [
          sent ? 'A link is on its way.' : 'Enough links were mailed lately; the last ones still work.',
        ],
      }),
    );
  for (const act of ['lock', 'unlock'] as const) {
    accounts
      .command(act)
      .argument('<email>')
      .addOption(jsonOption())
      .description(act === 'lock' ? 'ends every session and refuses sign-in' : 'lets the resident sign in again')
      .action((email: string, { json }: { json?: boolean }) =>
        supportCommand((support, now) => support[act](email, now), { json, tell: () => ['Done.'] }),
      );
  }

  const keys = tunnus.command('keys').description('signing keys');
  keys
    .command('list')
    .addOption(jsonOption())
    .description('the signing keys and what each does now')
    .action(({ json }: { json?: boolean }) =>
      withHouse(async (house) => {
        const rows = await signingKeys(house).list(new Date());
        if (json) say(JSON.stringify(rows));
        else for (const { kid, alg, state } of rows) say(`${kid}  ${alg}  ${state}`);
      }),
    );
  keys
    .command('rotate')
    .description('publishes new signing keys before their time')
    .action(() =>
      withHouse(async (house) => {
        await signingKeys(house).replace(new Date());
        say('New keys are published; they sign once e-services have had time to fetch them.');
      }),
    );
  return tunnus;
}

interface ImportOptions {
  source: string;
  encoding: string;
  dryRun?: boolean;
  report?: string;
  json?: boolean;
}

async function importCommand(file: string, { json, ...options }: ImportOptions): Promise<void> {
  await withHouse(async ({ database, sealer }) => {
    const log = makeLog({ level: 'warn', destination: process.stderr });
    const result = await importAccounts({ database, sealer, log }, { file, actor: actor(), ...options }, new Date());
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

const WRONGS = [Wrong, ConfigurationWrong, EmbeddedInUse, SchemaTooNew];

/** What is the caller's to mend is told in a line; anything else is a fault of ours, told with its trace only in the log. */
function exitFor(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG;
  if (error instanceof Wrong || WRONGS.some((kind) => error instanceof kind)) {
    complain((error as Error).message);
    return WRONG;
  }
  if (error instanceof Error && (error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
    complain(`${error.message}: another program listens there; stop it or change listen.port`);
    return WRONG;
  }
  complain(error instanceof DatabaseUnavailable ? error.message : `failed: ${(error as Error).message}`);
  return FAILED;
}

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = exitFor(error);
}
