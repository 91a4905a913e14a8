/**
 * `npm run demo -- --check`: sets a demo of its own up, on free ports and in a folder that is removed afterwards, and lives the
 * story there as residents would, through HTTP and SMTP alone. One line a step; the first that fails ends it.
 *
 * The steps themselves are story.ts's and own-story.ts's.
 */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { comeAsNew, seeToTheirOwn, signInMoreSafely, signInWithoutPassword } from './own-story.ts';
import { findFreePorts } from './ports.ts';
import type { Demo } from './start.ts';
import { logFile, startDemo } from './start.ts';
import type { Story } from './steps.ts';
import { comeBack, findTheHistories, liveTheStory } from './story.ts';

const timeLimit = 120_000;
const patience = 20_000;

/** `stopped` ends it early, in order: nothing of it is left on the machine either way. */
export async function check(say: (line: string) => void, stopped?: AbortSignal): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'tunnus-check-'));
  // Under root the embedded PostgreSQL runs as another user, who has to get through to its own folder.
  await chmod(folder, 0o711);
  const ports = await findFreePorts();
  const signal = AbortSignal.any([AbortSignal.timeout(timeLimit), ...(stopped ? [stopped] : [])]);
  let demo: Demo | undefined;
  let lastWork: Promise<unknown> = Promise.resolve();
  const step: Story['step'] = async (promise, work) => {
    try {
      const doing = work();
      lastWork = doing;
      const result = await within(signal, doing);
      say(`✓ ${promise}`);
      return result;
    } catch (error) {
      say(`✗ ${promise}`);
      throw error;
    }
  };
  const start = async () => {
    signal.throwIfAborted();
    const begun = performance.now();
    demo = await startDemo({ folder, ports });
    say(`  ready in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    return demo.urls;
  };
  const stop = async () => {
    await demo?.close();
    demo = undefined;
  };

  try {
    const urls = await step('the demo starts and takes three old user lists in', start);
    await liveTheStory({ urls, step, signal });
    await findTheHistories({ urls, step, signal });
    await seeToTheirOwn({ urls, step, signal });
    await signInWithoutPassword({ urls, step, signal });
    await signInMoreSafely({ urls, step, signal });
    await comeAsNew({ urls, step, signal });
    await step('the demo stops, starts again and has the same data', async () => {
      await stop();
      await start();
    });
    await comeBack({ urls, step, signal });
    say('The whole story works.');
    return 0;
  } catch (error) {
    say(`  ${(error as Error).message}`);
    for (const line of await readTroubles(join(folder, logFile))) say(`  log: ${line}`);
    return 1;
  } finally {
    // A demo that still starts when the time is up would outlive its folder.
    await Promise.race([lastWork.catch(() => undefined), wait(patience, undefined, { ref: false })]);
    await stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the provider's own log has of warnings and worse: its folder is gone with the answer. */
async function readTroubles(file: string): Promise<string[]> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
  return lines.filter((line) => /^{"level":"(warn|error)"/.test(line)).slice(-5);
}

function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = () => reject(signal.reason as Error);
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', end));
  });
}
