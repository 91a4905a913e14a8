/** A process that owns an embedded PostgreSQL, to be killed by tests: `embedded-owner.ts FOLDER`. Tells its address on stdout. */
import { startEmbedded } from '../../src/platform/embedded-postgres.ts';

try {
  const server = await startEmbedded({ folder: process.argv[2]!, durable: false });
  process.once('SIGTERM', () => void server.stop().then(() => process.exit(0)));
  process.stdout.write(`${server.url}\n`);
  process.stdin.resume();
} catch (error) {
  process.stdout.write(`${(error as Error).name}\n`);
  process.exitCode = 2;
}
