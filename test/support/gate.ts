/** A way to the database that tests can close, block and open again: everything goes through it byte by byte. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Gate {
  /** The same address, through the gate. */
  readonly url: string;
  /** Cuts every connection; new ones are refused. */
  close(): Promise<void>;
  /** Connections stay and new ones are taken, but nothing comes through any more. */
  block(): void;
  /** What comes back takes so many milliseconds longer. */
  slow(milliseconds: number): void;
  /** New connections lead to this address; those there are stay. */
  leadTo(target: string): void;
  open(): Promise<void>;
}

export async function startGate(target: string): Promise<Gate> {
  let goal = new URL(target);
  const sockets = new Set<Socket>();
  let blocked = false;
  let delay = 0;
  const server = createServer((near) => {
    const far = connect({ host: goal.hostname, port: Number(goal.port) });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      const pass = (chunk: Buffer): void => void (blocked || other.write(chunk));
      one.on('data', (chunk: Buffer) => {
        if (delay && one === far) setTimeout(() => pass(chunk), delay);
        else pass(chunk);
      });
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  const listen = (at: number): Promise<void> => new Promise((resolve) => server.listen(at, '127.0.0.1', resolve));
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  await listen(0);
  const own = (server.address() as AddressInfo).port;
  const url = new URL(target);
  url.host = `127.0.0.1:${own}`;
  return {
    url: url.href,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
    block: () => void (blocked = true),
    slow: (milliseconds) => void (delay = milliseconds),
    leadTo: (address) => void (goal = new URL(address)),
    async open() {
      delay = 0;
      if (blocked) cut();
      blocked = false;
      if (!server.listening) await listen(own);
    },
  };
}
