/**
 * What Node's parser can't read never becomes a request and never reaches server.ts: it is answered as Node itself would, and
 * has its line in the log too.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Config } from '../config.ts';
import type { Texts } from '../platform/i18n.ts';
import { randomToken } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';
import { everyAnswer } from './security-headers.ts';

const STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** For the server's `clientError`. Nothing is known of the reader's language: the answer has all. */
export function unreadable({
  log,
  texts,
  config,
}: {
  log: Log;
  texts: Texts;
  config: Pick<Config, 'issuer' | 'languages'>;
}): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  const guards = Object.entries(everyAnswer(config.issuer)).map(([name, value]) => `${name}: ${value}\r\n`);
  return ({ code = '' }, socket) => {
    const answer = STATUS[code] ?? '400 Bad Request';
    const reference = randomToken(9);
    if (code === 'ECONNRESET') log.debug({ reason: code }, 'the connection ended early');
    else
      log.info({ requestId: reference, reason: code, status: Number(answer.slice(0, 3)) }, 'what came was no request');
    // Never into the middle of another answer.
    if (!socket.writable || (socket as Socket).bytesWritten > 0) return void socket.destroy();
    const words = config.languages
      .map((language) => texts.for(language))
      .map((t) => `${t('problem.unreadable')}\n${t('problem.reference', { reference })}`);
    const body = Buffer.from(`${words.join('\n\n')}\n`);
    const headers = `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n`;
    socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 ${answer}\r\n${guards.join('')}${headers}\r\n`), body]));
  };
}
