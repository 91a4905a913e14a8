/** `tunnus serve` as a process of its own, for what only a process can show: signals, kills, starting anew. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CLI, environment } from './command.ts';

export interface Serving {
  process: ChildProcess;
  port: number;
  log: string[];
  /** The exit code, or the signal that ended it. */
  ended: Promise<number | string>;
}

/** Resolves when it is ready; the configuration is the folder's. `meanwhile` is handed the process at its first line. */
export async function serve(folder: string, meanwhile?: (starting: ChildProcess) => void): Promise<Serving> {
  const child = spawn(process.execPath, [CLI, 'serve'], {
    env: environment(folder),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  const log: string[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      if (log.push(line) === 1) meanwhile?.(child);
      const { msg, port: listening } = JSON.parse(line) as { msg: string; port: number };
      if (msg === 'ready') resolve(listening);
    });
    void ended.then((code) => reject(new Error(`ended with ${code}: ${log.join('\n')}`)));
  });
  return { process: child, port, log, ended };
}
