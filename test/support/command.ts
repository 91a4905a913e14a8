/** Runs `tunnus` as operators do: a real process, its words and its exit code. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';

const CLI = join(import.meta.dirname, '..', '..', 'src', 'cli.ts');

export interface Ended {
  code: number;
  out: string;
  err: string;
}

export function runTunnus(folder: string, words: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], TUNNUS_CONFIG: folder };
    execFile(process.execPath, [CLI, ...words], { env, cwd: folder, maxBuffer: 1 << 26 }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err });
    });
  });
}
