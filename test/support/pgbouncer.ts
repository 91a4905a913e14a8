/** PgBouncer in transaction mode in front of a test's database: each transaction runs on whatever connection is free. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/demo/ports.ts';
import { untilListening } from './until.ts';

export interface PgBouncer {
  url: string;
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** As the manual says how to run it, with so few connections that they have to be shared. */
export async function startPgBouncer(target: string): Promise<PgBouncer> {
  const { hostname, port: far, username, password, pathname } = new URL(target);
  const folder = await mkdtemp(join(tmpdir(), 'tunnus-pgbouncer-'));
  const port = await freePort();
  const name = pathname.slice(1);
  const file = join(folder, 'pgbouncer.ini');
  await writeFile(
    file,
    `[databases]
${name} = host=${hostname} port=${far} dbname=${name} user=${username} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
server_login_retry = 1
`,
  );
  await chmod(folder, 0o755);
  let running: ChildProcess | undefined;
  async function start(): Promise<void> {
    // It does not run as root.
    const as = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    running = spawn('/usr/sbin/pgbouncer', ['-q', ...as, file], { stdio: 'ignore' });
    await untilListening(port, running);
  }
  async function stop(): Promise<void> {
    const ended = once(running!, 'exit');
    running!.kill('SIGKILL');
    await ended;
  }
  await start();
  const url = new URL(target);
  url.host = `127.0.0.1:${port}`;
  return {
    url: url.href,
    start,
    stop,
    async close() {
      await stop();
      await rm(folder, { recursive: true });
    },
  };
}
