/**
 * Listening on this machine for the demo: taking a port, giving it back, finding free ones, naming those that are taken.
 */
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

/** All are held until the last is found, so that no two are the same. */
export async function findFreePorts(): Promise<Ports> {
  const names = ['tunnus', 'metrics', 'asiointi', 'kartta', 'terveys', 'mailbox', 'smtp'] as const;
  const servers = names.map(() => createSocketServer());
  const free = await Promise.all(servers.map((each) => listen(each, 0)));
  await Promise.all(servers.map(stopListening));
  return Object.fromEntries(names.map((name, i) => [name, free[i]])) as Ports;
}

/** Browsers try both loopback addresses for `localhost`, so another program on either would get the residents. */
export async function findTaken(ports: Ports): Promise<number[]> {
  const wanted = Object.values(ports).flatMap((port) => [
    { port, host: '127.0.0.1' },
    { port, host: '::1' },
  ]);
  const taken = await Promise.all(
    wanted.map(async ({ port, host }) => {
      const server = createSocketServer();
      try {
        await listen(server, port, host);
        await stopListening(server);
        return [];
      } catch (error) {
        // A machine without IPv6 has no ::1 to be taken.
        return (error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL' ? [] : [port];
      }
    }),
  );
  return [...new Set(taken.flat())];
}
