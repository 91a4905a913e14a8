/** A DNS server for tests (RFC 1035, over UDP): it knows the texts that it is given, and no other name. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { Resolver } from 'node:dns/promises';

export interface Dns {
  /** One that waits so many milliseconds for an answer. */
  resolver(timeout?: number): Resolver;
  close(): Promise<void>;
}

const NOT_THERE = 3;
const TXT = 16;

/** `silent`: names about which it does not answer. */
export async function startDns(
  texts: Readonly<Record<string, string[]>>,
  silent: readonly string[] = [],
): Promise<Dns> {
  const socket = createSocket('udp4');
  socket.on('message', (asked, { port, address }) => {
    const labels: string[] = [];
    let at = 12;
    while (asked[at]) {
      labels.push(asked.toString('latin1', at + 1, at + 1 + asked[at]!));
      at += 1 + asked[at]!;
    }
    const name = labels.join('.').toLowerCase();
    if (silent.includes(name)) return;
    const question = asked.subarray(12, at + 5);
    const found = texts[name] ?? [];
    const header = Buffer.alloc(12);
    asked.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (name in texts ? 0 : NOT_THERE), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(found.length, 6);
    const answers = found.map((text) => {
      const pieces = (text.match(/.{1,255}/gs) ?? ['']).map((piece) => {
        return Buffer.concat([Buffer.from([piece.length]), Buffer.from(piece, 'latin1')]);
      });
      const data = Buffer.concat(pieces);
      const head = Buffer.alloc(12);
      head.writeUInt16BE(0xc00c, 0);
      head.writeUInt16BE(TXT, 2);
      head.writeUInt16BE(1, 4);
      head.writeUInt32BE(60, 6);
      head.writeUInt16BE(data.length, 10);
      return Buffer.concat([head, data]);
    });
    socket.send(Buffer.concat([header, question, ...answers]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    resolver(timeout = 5_000) {
      const resolver = new Resolver({ timeout, tries: 1 });
      resolver.setServers([`127.0.0.1:${socket.address().port}`]);
      return resolver;
    },
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}
