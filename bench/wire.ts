/**
 * A wire to PostgreSQL that counts the statements going over it and can be made longer: what is measured so is what the
 * server really sends, whoever sends it.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Counts {
  /** Begin and commit are statements, too. */
  statements: number;
  /** Transactions that wrote, and waited until that was on disk. */
  commits: number;
}

export interface Wire {
  url: string;
  /** All that went over it so far. */
  counts(): Counts;
  /** Adds so many milliseconds to each round trip. */
  delay(milliseconds: number): void;
  close(): Promise<void>;
}

export async function openWire(to: string): Promise<Wire> {
  const target = new URL(to);
  const counts: Counts = { statements: 0, commits: 0 };
  let delay = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const count = counter(counts);
    for (const socket of [client, upstream]) {
      sockets.add(socket.setNoDelay(true));
      socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    }
    const pass = (from: Socket, into: Socket, look?: (chunk: Buffer) => void) => {
      from.on('data', (chunk: Buffer) => {
        look?.(chunk);
        if (delay === 0) into.write(chunk);
        else setTimeout(() => into.write(chunk), delay / 2);
      });
      from.on('end', () => into.end());
    };
    pass(client, upstream, count);
    pass(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(to);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    counts: () => ({ ...counts }),
    delay: (milliseconds) => void (delay = milliseconds),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const WRITES = /\b(insert|update|delete|add_job)\b/i;
const LETS_GO = /synchronous_commit', 'off'/;

/** Follows the frontend's messages (PostgreSQL's protocol, 53.7): Execute and simple Query are a statement each. */
function counter(counts: Counts): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let started = false;
  let inTransaction = false;
  let wrote = false;
  let bound = '';
  const texts = new Map<string, string>();

  function ran(text: string): void {
    // The queue looks for work all the time, whoever signs in; what puts work into it is a statement of somebody's.
    if (text.includes('graphile_worker') && !text.includes('add_job')) return;
    counts.statements += 1;
    if (/^\s*begin/i.test(text)) [inTransaction, wrote] = [true, false];
    else if (/^\s*(commit|rollback)/i.test(text)) {
      if (wrote && /commit/i.test(text)) counts.commits += 1;
      inTransaction = false;
    } else if (WRITES.test(text) && !LETS_GO.test(text)) {
      if (inTransaction) wrote = true;
      else counts.commits += 1;
    }
  }

  return (chunk) => {
    rest = rest.length ? Buffer.concat([rest, chunk]) : chunk;
    for (;;) {
      // The first message has no type.
      const head = started ? 1 : 0;
      if (rest.length < head + 4) return;
      const end = head + rest.readUInt32BE(head);
      if (rest.length < end) return;
      const [first = '', second = ''] = rest
        .subarray(head + 4, end)
        .toString('latin1')
        .split('\0', 2);
      if (started) {
        const type = String.fromCharCode(rest[0]!);
        if (type === 'P') texts.set(first, second);
        if (type === 'B') bound = second;
        if (type === 'E') ran(texts.get(bound) ?? '');
        if (type === 'Q') ran(first);
      }
      started = true;
      rest = rest.subarray(end);
    }
  };
}
