#!/usr/bin/env node
/**
 * The street door: which commands there are, and their exit codes (0 done, 1 it failed, 2 the call or the configuration is
 * wrong). Owns no rule and no command's words: those stand in commands/.
 */
import { Command, CommanderError } from 'commander';
import { auditCommands } from './commands/audit.ts';
import { clientsCommands } from './commands/clients.ts';
import { complain, DONE, FAILED, WRONG, Wrong } from './commands/house.ts';
import { importCommand } from './commands/import.ts';
import { keysCommands } from './commands/keys.ts';
import { mailCommands } from './commands/mail.ts';
import { moveCommands } from './commands/move.ts';
import { restoredCommands } from './commands/restored.ts';
import { serveCommands } from './commands/serve.ts';
import { statusCommand } from './commands/status.ts';
import { supportCommands } from './commands/support.ts';
import { ConfigurationWrong } from './config.ts';
import { DatabaseUnavailable } from './platform/database.ts';
import { EmbeddedInUse } from './platform/embedded-postgres.ts';
import { SchemaTooNew } from './platform/migrate.ts';
import { TracingMissing } from './platform/tracing.ts';

// Whoever reads may stop reading (`| head`): the work goes on to its end all the same. What a full disk does not take is lost.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') return;
    complain(`the output cannot be written: ${message}`);
    process.exit(FAILED);
  });

function program(): Command {
  const tunnus = new Command('tunnus')
    .description('The sign-in of a city: an OpenID Connect identity provider')
    .exitOverride();
  serveCommands(tunnus);
  statusCommand(tunnus);
  const accounts = tunnus.command('accounts').description("residents' accounts");
  importCommand(accounts);
  supportCommands(accounts);
  moveCommands(accounts);
  restoredCommands(tunnus, accounts);
  clientsCommands(tunnus);
  keysCommands(tunnus);
  auditCommands(tunnus);
  mailCommands(tunnus);
  return tunnus;
}

const WRONGS = [Wrong, ConfigurationWrong, EmbeddedInUse, SchemaTooNew, TracingMissing];

/** What is the caller's to mend is told in a line; anything else is a fault of ours, told with its trace only in the log. */
function exitFor(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG;
  if (WRONGS.some((kind) => error instanceof kind)) {
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
