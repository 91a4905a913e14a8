/**
 * A file that says which process owns a folder and is void once that process is gone, however it went. It owns no opinion
 * on what the folder is for.
 */
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { randomToken } from './secrets.ts';

/** Makes the file with its whole content and mode 0600, or leaves the one that is there: then false. */
export function createWhole(path: string, content: string): boolean {
  const draft = `${path}.${randomToken(6)}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, content);
    fsyncSync(file);
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    closeSync(file);
    rmSync(draft, { force: true });
  }
}

export function isRunning(pid: number): boolean {
  // the dead wait as zombies where nobody reaps them, as in many containers
  if (/^\d+ \(.*\) Z/s.test(contentOf(`/proc/${pid}/stat`) ?? '')) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Returns how to let go, or the number of the process that holds it. */
export function takeLock(path: string): { release: () => void; holder?: undefined } | { holder: number } {
  const mine = lifeOf(process.pid);
  for (;;) {
    if (createWhole(path, mine)) return { release: () => rmSync(path, { force: true }) };
    const found = contentOf(path);
    if (found === undefined) continue;
    const pid = Number.parseInt(found, 10);
    if (isRunning(pid) && lifeOf(pid) === found) return { holder: pid };
    clear(path, found);
  }
}

/** Two starters may find the same dead owner: the slower one must not clear away the lock of the faster. */
function clear(path: string, dead: string): void {
  const aside = `${path}.${randomToken(6)}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (contentOf(aside) !== dead) linkSync(aside, path);
  rmSync(aside);
}

/** Process numbers are used again; number, boot and time of start together are not. Without /proc the number has to do. */
function lifeOf(pid: number): string {
  const started = contentOf(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ')[19];
  const boot = contentOf('/proc/sys/kernel/random/boot_id')?.trim();
  return [pid, boot, started].filter((part) => part !== undefined).join(' ');
}

export function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
