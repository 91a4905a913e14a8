/**
 * Listening on this machine for the demo: taking a port, giving it back, finding free ones, naming those that are taken.
 */
import { randomInt } from 'node:crypto';
import { createServer as createSocketServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';

/** All that the demo listens on. */
export type Ports = Record<'tunnus' | 'metrics' | 'asiointi' | 'kartta' | 'terveys' | 'mailbox' | 'smtp', number>;

/** The port that was taken: any free one for 0. */
export async function listen(server: Server, port: number, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** Open keep-alive connections of browsers must not hold a stop up. */
export function stopListening(server: Server & { closeAllConnections?(): void }): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections?.();
  });
}

/** Each process has some for itself, below those that the system hands out: nobody takes one before it is listened on. */
const OWN = 100;
const first = 10_000 + (process.pid % 220) * OWN;
let turn = randomInt(OWN);

/** A port that nobody listens on, and never the one of the call before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = first + (turn++ % OWN);
    if (await isFree(port, '127.0.0.1')) return port;
  }
}

export async function findFreePorts(): Promise<Ports> {
  const names = ['tunnus', 'metrics', 'asiointi', 'kartta', 'terveys', 'mailbox', 'smtp'] as const;
  const found = await Promise.all(names.map(freePort));
  return Object.fromEntries(names.map((name, i) => [name, found[i]])) as Ports;
}

/** Browsers try both loopback addresses for `localhost`, so another program on either would get the residents. */
export async function findTaken(ports: Ports): Promise<number[]> {
  const all = Object.values(ports);
  const free = await Promise.all(
    all.map(async (port) => (await isFree(port, '127.0.0.1')) && (await isFree(port, '::1'))),
  );
  return all.filter((_, index) => !free[index]);
}

async function isFree(port: number, host: string): Promise<boolean> {
  const server = createSocketServer();
  try {
    await listen(server, port, host);
    await stopListening(server);
    return true;
  } catch (error) {
    // A machine without IPv6 has no ::1 to be taken.
    return (error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL';
  }
}
