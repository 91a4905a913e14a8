/** `tunnus` as operators run it: a real process, its words and its exit code. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Where processes of this run keep what they compiled, as global-setup.ts has it. By Node's own name jest's workers would write
 * all of theirs when they end, for longer than jest waits.
 */
export const COMPILED = 'TUNNUS_TEST_COMPILED';
export const CLI = join(import.meta.dirname, '..', '..', 'src', 'cli.ts');
/** Loaded first, it shifts the clock of the whole process. */
export const SHIFTED = join(import.meta.dirname, 'shifted-clock.js');

/** A configuration that has what commands need: a folder that whoever asked for it takes away. */
export async function folderFor(databaseUrl: string, secret: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tunnus-commands-'));
  await mkdir(join(folder, 'clients'));
  const settings = { issuer: 'https://tunnistus.example', secret, database: { url: databaseUrl } };
  await writeFile(join(folder, 'tunnus.yaml'), JSON.stringify(settings));
  return folder;
}

/** What a process of ours is given: its configuration, and what others of this run have compiled already. */
export function environment(folder: string): Record<string, string | undefined> {
  return { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env[COMPILED], TUNNUS_CONFIG: folder };
}

export interface Ended {
  code: number;
  out: string;
  err: string;
}

/** `ahead`: milliseconds by which all of its clock is wrong. */
export function runTunnus(folder: string, words: readonly string[], { ahead = 0 } = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...environment(folder), CLOCK_SHIFT: String(ahead) };
    const args = [...(ahead ? ['--import', SHIFTED] : []), CLI, ...words];
    execFile(process.execPath, args, { env, cwd: folder, maxBuffer: 1 << 26 }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err });
    });
  });
}
