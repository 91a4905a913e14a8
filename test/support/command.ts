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

/** The folder of a configuration, which whoever asked for it takes away. JSON is YAML: operators' own reader reads it. */
export async function folderOf(settings: object, clients: Readonly<Record<string, object>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tunnus-config-'));
  await mkdir(join(folder, 'clients'));
  await writeFile(join(folder, 'tunnus.yaml'), JSON.stringify(settings));
  for (const [name, metadata] of Object.entries(clients))
    await writeFile(join(folder, 'clients', `${name}.yaml`), JSON.stringify({ client_id: name, ...metadata }));
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
