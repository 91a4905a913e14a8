/**
 * What every answer promises, whatever was asked: below 500; a page of ours in the reader's language, an OAuth error in
 * JSON, or a redirect to where one may lead; nothing of the inside; a line in the log, and nothing secret in it.
 */
import type { WireAnswer } from './wire.ts';

/** Of bounded length: a page may give back nine thousand letters. */
const INSIDE =
  /\bat .{1,300}:\d+:\d+|node_modules|\.(ts|js):\d+|postgres|\w{1,40}Error:|oidc-provider|SELECT |insert into/i;
/** Answered before there is a request: by Node itself, or in plain text with a number (web/unreadable.ts). */
const UNREAD = new Set([400, 408, 413, 417, 431]);

export interface Asked {
  /** What Accept-Language said. */
  language?: 'fi' | 'sv' | 'en';
  method?: string;
}

/** What is wrong with an answer; [] is what a test wants. */
export function faultsOf(answer: WireAnswer | undefined, { language, method = 'GET' }: Asked = {}): string[] {
  // An answer to what is no HTTP at all may be a closed connection.
  if (!answer) return [];
  const { status, headers, body } = answer;
  const faults: string[] = [];
  if (status >= 500) faults.push(`status ${status}: ${body.slice(0, 200)}`);
  const inside = INSIDE.exec(body)?.[0];
  if (inside) faults.push(`the inside shows: ${inside}`);
  const type = headers.get('content-type')?.[0] ?? '';
  if (status < 300 || status >= 400) {
    if (type.startsWith('text/html')) faults.push(...pageFaults(body, { language, method }));
    else if (type.startsWith('application/json')) faults.push(...errorFaults(answer, method));
    else if (!type && method === 'HEAD') return faults;
    else if (status >= 400 && !(UNREAD.has(status) && (!type || body.includes('Reference number: ')))) {
      faults.push(`neither page nor OAuth error: ${status} ${type} ${body.slice(0, 100)}`);
    }
  }
  return faults;
}

function pageFaults(body: string, { language, method }: Asked): string[] {
  if (method === 'HEAD') return [];
  const faults: string[] = [];
  if ((body.match(/<h1/g) ?? []).length !== 1) faults.push(`a page without its one h1: ${body.slice(0, 100)}`);
  const lang = /<html lang="(\w+)"/.exec(body)?.[1];
  if (language && lang !== language) faults.push(`a page in ${lang}, not ${language}`);
  return faults;
}

function errorFaults({ status, body }: WireAnswer, method: string): string[] {
  if (status < 400 || method === 'HEAD') return [];
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === 'string' ? [] : [`no OAuth error: ${body.slice(0, 100)}`];
  } catch {
    return [`no JSON: ${body.slice(0, 100)}`];
  }
}
