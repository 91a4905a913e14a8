/** `tunnus serve`, `migrate` and `check`: the provider itself, and what an operator does before it starts. */
import { Session } from 'node:inspector/promises';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import type { RunningTunnus } from '../app.ts';
import { describeFaults, securityAdvice } from '../config.ts';
import { makeLog } from '../platform/telemetry.ts';
import { configuration, DONE, FAILED, say, withHouse, Wrong } from './house.ts';

export function serveCommands(tunnus: Command): void {
  tunnus.command('serve').description('runs the provider').action(serve);
  tunnus
    .command('migrate')
    .description('brings the database schema up to date')
    .action(() => withHouse(() => Promise.resolve(say('The schema is up to date.'))));
  tunnus
    .command('check')
    .option('--security', 'only name what is weaker than advised; 1 where something is')
    .description('reads the configuration, opens database and mail server, says what is wrong or weak; changes nothing')
    .action(async ({ security }: { security?: boolean }) => {
      if (security) return checkSecurity();
      const { checkHouse } = await import('../check.ts');
      const found = await checkHouse(configuration());
      if ('wrong' in found) throw new Wrong(describeFaults(found.wrong));
      found.lines.forEach(say);
      process.exitCode = found.failed ? FAILED : DONE;
    });
}

function checkSecurity(): void {
  const { weak, notes } = securityAdvice(configuration());
  for (const { file, message } of weak) say(`weak: ${file}: ${message}`);
  for (const { file, message } of notes) say(`note: ${file}: ${message}`);
  if (weak.length === 0) say('ok: no setting is weaker than advised');
  process.exitCode = weak.length ? FAILED : DONE;
}

async function serve(): Promise<void> {
  const config = configuration();
  const log = makeLog();
  // Signals are listened to before anything else: one that comes during the start must neither kill the process nor be lost.
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  let running: RunningTunnus | undefined = undefined;
  let changed = false;
  process.on('SIGHUP', () => {
    changed = true;
    void running?.reload();
  });
  // What a library lets fall in the background must not take every resident's sign-in with it.
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'something failed in the background'));
  const { startTunnus } = await import('../app.ts');
  running = await startTunnus({ config, log });
  if (changed) await running.reload();
  log.info({ issuer: config.issuer, port: running.port }, 'ready');
  // Not yet: whoever waits for the start is answered first.
  setTimeout(() => void stayLean(), 1000).unref();
  await stopped;
  log.info({}, 'stopping');
  await running.close();
}

/**
 * Keeps the heap near what is alive in it. A tenth of the memory is of use to the start alone, and left to itself V8 keeps that
 * for hours where little goes on, and under load clears the old heap only once it is four times as large.
 */
async function stayLean(): Promise<void> {
  setFlagsFromString('--heap-growing-percent=50');
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.collectGarbage');
  session.disconnect();
}
