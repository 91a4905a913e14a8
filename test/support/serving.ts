/** `tunnus serve` as a process of its own, for what only a process can show: signals, kills, starting anew. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CLI, environment, SHIFTED } from './command.ts';

export interface Serving {
  process: ChildProcess;
  port: number;
  log: string[];
  /** The exit code, or the signal that ended it. */
  ended: Promise<number | string>;
}

/**
 * Resolves when it is ready; the configuration is the folder's. `meanwhile` is handed the process at its first line; `ahead`:
 * milliseconds by which all of its clock is wrong; `jump`: by which it is from SIGUSR2 on.
 */
export async function serve(
  folder: string,
  {
    meanwhile,
    ahead = 0,
    jump = 0,
    cli = CLI,
  }: { meanwhile?: (starting: ChildProcess) => void; ahead?: number; jump?: number; cli?: string } = {},
): Promise<Serving> {
  const args = [...(ahead || jump ? ['--import', SHIFTED] : []), cli, 'serve'];
  const child = spawn(process.execPath, args, {
    env: { ...environment(folder), CLOCK_SHIFT: String(ahead), CLOCK_JUMP: String(jump) },
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
