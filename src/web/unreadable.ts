/**
 * What Node's parser can't read never becomes a request and never reaches server.ts: it is answered as Node itself would, and
 * has its line in the log too.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '../platform/telemetry.ts';

const STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** For the server's `clientError`. */
export function unreadable(log: Log): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  return ({ code = '' }, socket) => {
    const answer = STATUS[code] ?? '400 Bad Request';
    if (code === 'ECONNRESET') log.debug({ reason: code }, 'the connection ended early');
    else log.info({ reason: code, status: Number(answer.slice(0, 3)) }, 'what came was no request');
    // Never into the middle of another answer.
    if (!socket.writable || (socket as Socket).bytesWritten > 0) socket.destroy();
    else socket.end(`HTTP/1.1 ${answer}\r\nConnection: close\r\n\r\n`);
  };
}
