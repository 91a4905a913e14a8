/**
 * `npm run demo`: the whole story on one machine, until Ctrl-C; with `-- --check` it tries the story out by itself.
 *
 * Owns what stands on the terminal and the exit code (0 done, 1 failed, 2 wrong call or a port that is taken).
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { check } from './check.ts';
import { findTaken } from './ports.ts';
import type { Ports } from './ports.ts';
import { residents } from './residents.ts';
import { logFile, startDemo } from './start.ts';
import type { Demo } from './start.ts';

const folder = join(import.meta.dirname, '../../.data/demo');
const ports: Ports = {
  tunnus: 3000,
  asiointi: 3001,
  kartta: 3002,
  mailbox: 3003,
  terveys: 3004,
  smtp: 3025,
  metrics: 9464,
};
const stopLimit = 30_000;

// With `| tee` Ctrl-C ends the reader too: the demo still stops in order.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.exitCode = await main(process.argv.slice(2));

async function main(words: string[]): Promise<number> {
  let options: { check?: boolean };
  try {
    options = parseArgs({ args: words, options: { check: { type: 'boolean' } } }).values;
  } catch {
    say('usage: npm run demo [-- --check]');
    return 2;
  }
  const stop = untilStopped();
  return options.check ? check(say, stop) : run(stop);
}

async function run(stop: AbortSignal): Promise<number> {
  const taken = await findTaken(ports);
  if (taken.length > 0) {
    for (const port of taken)
      say(`Port ${port} is in use. The demo needs it: stop the other program (or the other demo) first.`);
    return 2;
  }
  const begun = performance.now();
  say('Starting the demo (the first start takes longest) …');
  let demo: Demo;
  try {
    demo = await startDemo({ folder, ports });
  } catch (error) {
    say(`The demo could not start: ${(error as Error).message}`);
    say(`More may stand in ${join(folder, logFile)}`);
    return 1;
  }
  sayWhatToTry(demo, (performance.now() - begun) / 1000);
  if (!stop.aborted) await once(stop, 'abort');
  await demo.close();
  say('Stopped. The next start finds the same data.');
  return 0;
}

function sayWhatToTry({ urls }: Demo, seconds: number): void {
  say(`
Ready in ${seconds.toFixed(1)} s.

  E-service       ${urls.asiointi}   begin here
  Map service     ${urls.kartta}   single sign-on
  My health       ${urls.terveys}   asks for two steps
  Mailbox         ${urls.mailbox}   every mail lands here
  Tunnus          ${urls.tunnus}/account
  Log             ${join(folder, logFile)}

Every page speaks your browser's language, Finnish, Swedish or English, and can be switched at its top.

Try: open ${urls.asiointi}, press 'Kirjaudu sisään' (Sign in) and give
  ${residents.onAllLists.email}   on all three old user lists; no password yet
Then others:
  ${residents.onTwoLists.email}   on the lists of both e-services here
  ${residents.onErrandListOnly.email}   has history in the first e-service only
  ${residents.onMapListOnly.email}   has history in the map service only
  ${residents.inDoubt.email}   one address with two old user ids: in doubt
  ${residents.unknown.email}   on no list: 'Luo uusi käyttäjätunnus' (Create a new account)
Then click the username at the top:
  - name and phone, another address (the mail to the old one undoes it), password, language
  - 'Kirjautumistavat' (Ways to sign in): a passkey (next time no password is needed), an authenticator app, recovery codes
  - where you are signed in, your sign-ins so far, the e-services that know you, your data, leaving (and coming back)
Then open ${urls.terveys}: a password alone is not enough there.

Ctrl-C stops everything; the next start finds the same data.
`);
}

/** Ctrl-C may come twice (from the terminal and from npm), and while the demo still starts: one orderly stop for all. */
function untilStopped(): AbortSignal {
  const stop = new AbortController();
  const begin = () => {
    if (stop.signal.aborted) return;
    say('Stopping …');
    setTimeout(() => process.exit(1), stopLimit).unref();
    stop.abort(new Error('stopped before the end'));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, begin);
  return stop.signal;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
