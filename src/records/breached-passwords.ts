/**
 * Owns looking a password up among those that are known from breaches: in a file of the operator's, and at a range service
 * (Have I Been Pwned's, or one that speaks like it). Both know passwords by their SHA-1 only, which is no secret there and goes
 * no further: the service is told its first five digits (k-anonymity), and pads its answer so that its length tells nothing.
 * Neither is ever a reason for a page to fail.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { ask } from '../platform/ask.ts';
import type { Log } from '../platform/telemetry.ts';

export interface BreachedParts {
  /** Lines `SHA-1` or `SHA-1:count`, in hexadecimal and in that order: what the downloader of Have I Been Pwned writes. */
  file?: string;
  /** Asked with the first five digits after it. */
  url?: string;
  log: Log;
}

/** Milliseconds that a resident waits for the service. */
const PATIENCE = 1_000;
const DIGITS = 40;
/** No line is longer. */
const LINE = 80;

/** Whether a password is known from a breach, as far as the lists that there are can be read. */
export function breachedPasswords({ file, url, log }: BreachedParts): (plain: string) => Promise<boolean> {
  return async (plain) => {
    const sha1 = createHash('sha1').update(plain.normalize('NFC')).digest('hex').toUpperCase();
    const listed =
      file !== undefined &&
      (await inFile(file, sha1).catch((error: unknown) => {
        log.warn({ err: error }, 'the file of breached passwords could not be read');
        return false;
      }));
    return listed || (url !== undefined && (await atService(url, { sha1, log })));
  };
}

/** By halves: of a file of any size a few dozen pieces are read. */
export async function inFile(file: string, sha1: string): Promise<boolean> {
  const handle = await open(file, 'r');
  try {
    const piece = Buffer.alloc(2 * LINE);
    /** The hash of the first line that begins at or after a place, and where the next one begins. */
    const lineFrom = async (place: number): Promise<{ hash: string; next: number } | undefined> => {
      const from = Math.max(0, place - 1);
      const { bytesRead } = await handle.read(piece, 0, piece.length, from);
      const text = piece.toString('latin1', 0, bytesRead);
      const start = place === 0 ? 0 : text.indexOf('\n') + 1;
      if ((place > 0 && start === 0) || start >= text.length) return undefined;
      const end = text.indexOf('\n', start);
      const next = from + (end < 0 ? text.length : end + 1);
      return { hash: text.slice(start, start + DIGITS).toUpperCase(), next };
    };
    let low = 0;
    let high = (await handle.stat()).size;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const line = await lineFrom(middle);
      if (line?.hash === sha1) return true;
      if (line && line.hash < sha1) low = line.next;
      else high = middle;
    }
    return false;
  } finally {
    await handle.close();
  }
}

async function atService(url: string, { sha1, log }: { sha1: string; log: Log }): Promise<boolean> {
  const [prefix, rest] = [sha1.slice(0, 5), sha1.slice(5)];
  const headers = { 'Add-Padding': 'true', 'User-Agent': 'tunnus' };
  const answer = await ask(`${url.replace(/\/*$/, '/')}${prefix}`, { headers }, { patience: PATIENCE });
  if ('failed' in answer || answer.status !== 200) {
    const reason = 'failed' in answer ? answer.failed : `it answered ${answer.status}`;
    log.warn({ reason }, 'the service of breached passwords did not answer');
    return false;
  }
  // Padding is lines that were counted no times.
  return answer.body.split('\n').some((line) => {
    const [suffix, count] = line.trim().split(':');
    return suffix?.toUpperCase() === rest && count !== undefined && /^0*[1-9]\d*$/.test(count);
  });
}
