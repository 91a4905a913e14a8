/**
 * HTTP as bytes on a socket, for what no client library would send: broken headers, raw targets, bodies that lie about
 * themselves. One request on one connection; what came back is read as far as it came.
 */
import { connect } from 'node:net';

export interface WireRequest {
  method?: string;
  /** The request target as it stands in the request line. */
  target?: string;
  headers?: Record<string, string | string[]>;
  /** Sent with its true length, unless the headers say another or a transfer encoding. */
  body?: string | Buffer;
}

export interface WireAnswer {
  status: number;
  headers: Map<string, string[]>;
  body: string;
}

/** Latin-1 throughout: a character of a target or header is a byte. */
export function bytesOf({ method = 'GET', target = '/', headers = {}, body }: WireRequest): Buffer {
  const given = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const lines = [`${method} ${target} HTTP/1.1`];
  if (!given.has('host')) lines.push('Host: 127.0.0.1');
  for (const [name, values] of Object.entries(headers)) {
    for (const value of [values].flat()) lines.push(`${name}: ${value}`);
  }
  const content = Buffer.from(body ?? '');
  if (body !== undefined && !given.has('content-length') && !given.has('transfer-encoding')) {
    lines.push(`Content-Length: ${content.length}`);
  }
  lines.push('Connection: close', '', '');
  return Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), content]);
}

export interface Manner {
  /** Says at once that nothing more comes. */
  half?: boolean;
  /** How long to wait for a server that itself waits for more; longer than the default it is an error. */
  patience?: number;
}

/** Resolves when the answer is there; undefined when the server closed without one, or waits for more. */
export function exchangeBytes(
  port: number,
  bytes: Buffer,
  { half, patience }: Manner = {},
): Promise<WireAnswer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.setTimeout(patience ?? 10_000, () => {
      socket.destroy();
      if (!patience) reject(new Error(`no answer to ${bytes.subarray(0, 200).toString('latin1')}`));
    });
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    // A server that has answered need not read the rest of a megabyte: the reset is no fault.
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve(answerFrom(Buffer.concat(chunks))));
    socket.write(bytes);
    if (half) socket.end();
  });
}

export const exchange = (port: number, request: WireRequest): Promise<WireAnswer | undefined> =>
  exchangeBytes(port, bytesOf(request));

function answerFrom(bytes: Buffer): WireAnswer | undefined {
  const text = bytes.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, end < 0 ? undefined : end).split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1]);
  if (!status) return undefined;
  if (status === 100) return answerFrom(bytes.subarray(end + 4));
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const at = line.indexOf(':');
    const name = line.slice(0, at).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(at + 1).trim()]);
  }
  const raw = end < 0 ? Buffer.alloc(0) : bytes.subarray(end + 4);
  const body = headers.get('transfer-encoding')?.includes('chunked') ? unchunked(raw) : raw;
  return { status, headers, body: body.toString('utf8') };
}

function unchunked(raw: Buffer): Buffer {
  const parts: Buffer[] = [];
  let rest = raw;
  for (;;) {
    const line = rest.indexOf('\r\n');
    const size = line < 0 ? 0 : Number.parseInt(rest.subarray(0, line).toString('latin1'), 16);
    if (!size) return Buffer.concat(parts);
    parts.push(rest.subarray(line + 2, line + 2 + size));
    rest = rest.subarray(line + 2 + size + 2);
  }
}
