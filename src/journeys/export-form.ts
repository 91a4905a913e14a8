/**
 * Owns the form in which a city takes everything with it (docs/export.md): JSON Lines, a header with the version of the form,
 * then accounts, subs of erased accounts and erasures, and an end that counts them. Reads it line by line, strictly: it was
 * written by a program, so what does not fit is damage.
 */
import { constants, createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { canonicalAddress } from '../records/addresses.ts';
import type { Erasure, Tombstone, WholeAccount } from '../records/whole-accounts.ts';

export const EXPORT = 'tunnus-export';
export const VERSION = 1;

export interface ExportCounts {
  accounts: number;
  /** Given out to accounts that are gone. */
  subjects: number;
  erasures: number;
}

export type ExportLine =
  | { type: typeof EXPORT; version: number; issuer: string; exported_at: string; digests: string }
  | ({ type: 'account' } & WholeAccount)
  | ({ type: 'subject' } & Tombstone)
  | ({ type: 'erasure' } & Erasure)
  | ({ type: 'end' } & ExportCounts);

/** The file is no whole export; its message is the one clear line. */
export class NoExport extends Error {}

export type ReadLine = { line: number } & ExportLine;

const LONGEST_LINE = 1_000_000;

/** Does the file begin as an export does? Without waiting, since a pipe may have no writer. */
export async function isExport(file: string): Promise<boolean> {
  try {
    const opened = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const { buffer, bytesRead } = await opened.read(Buffer.alloc(4096), 0, 4096, 0).finally(() => opened.close());
    const [first = ''] = buffer.toString('utf8', 0, bytesRead).split('\n');
    return (JSON.parse(first) as { type?: unknown } | null)?.type === EXPORT;
  } catch {
    return false;
  }
}

export async function* readExport(file: string): AsyncGenerator<ReadLine> {
  let line = 0;
  for await (const text of linesOf(file)) {
    line += 1;
    const row = lineOf(text);
    if (line === 1 && row?.type === EXPORT && row.version !== VERSION)
      throw new NoExport(`${file}:1: an export of version ${row.version}; this Tunnus reads version ${VERSION}`);
    if (!row || (row.type === EXPORT) !== (line === 1))
      throw new NoExport(`${file}:${line}: this is no line of an export`);
    yield { line, ...row };
    if (row.type === 'end') return;
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 1 << 18 })) {
    const lines = (rest + (chunk as string)).split('\n');
    rest = lines.pop()!;
    if (rest.length > LONGEST_LINE) throw new NoExport(`${file}: a line is longer than any of an export`);
    yield* lines;
  }
  if (rest) yield rest;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const isText = (given: unknown): given is string =>
  typeof given === 'string' && given.length <= 4_000 && !given.includes('\0');
const isTextOrNone = (given: unknown): boolean => given === null || isText(given);
const isTime = (given: unknown): boolean =>
  isText(given) && /^\d{4}-\d\d-\d\dT/.test(given) && !isNaN(Date.parse(given));
const isTimeOrNone = (given: unknown): boolean => given === null || isTime(given);
const isUuid = (given: unknown): boolean => typeof given === 'string' && UUID.test(given);
const isListOf = (given: unknown, shape: Shape): boolean =>
  Array.isArray(given) && given.every((each) => fits(each, shape));
const isCount = (given: unknown): boolean => Number.isSafeInteger(given);

type Shape = Readonly<Record<string, (given: unknown) => boolean>>;

/** Has all that the shape asks for; what else there is, a later version may have added. */
function fits(given: unknown, shape: Shape): boolean {
  if (typeof given !== 'object' || given === null) return false;
  return Object.entries(shape).every(([name, test]) => test((given as Record<string, unknown>)[name]));
}

const DOUBTS: readonly unknown[] = [null, 'shared_email', 'unusable_legacy_id', 'mixed_script', 'unlinked'];
const STATES: readonly unknown[] = ['none', 'list', 'own'];
const TIE: Shape = { source: isText, id: isText, doubt: (given) => DOUBTS.includes(given), created_at: isTime };
const SUBJECT: Shape = { sector: isText, sub: isText, created_at: isTime, retired_at: isTimeOrNone };

const SHAPES: Readonly<Record<string, Shape>> = {
  [EXPORT]: { version: isCount, digests: isText },
  account: {
    id: isUuid,
    email: isText,
    email_verified: (given) => typeof given === 'boolean',
    given_name: isTextOrNone,
    family_name: isTextOrNone,
    phone_number: isTextOrNone,
    locale: isTextOrNone,
    password: (given) =>
      fits(given, { state: (state) => STATES.includes(state), hash: isTextOrNone, list: isTextOrNone }) &&
      isSoundPassword(given as WholeAccount['password']),
    locked_at: isTimeOrNone,
    created_at: isTime,
    updated_at: isTime,
    signed_in_at: isTimeOrNone,
    // Exports of before residents could ask for it have none.
    leaves_at: (given) => given === undefined || isTimeOrNone(given),
    ids: (given) => isListOf(given, TIE),
    subjects: (given) => isListOf(given, SUBJECT),
    progress: (given) => given === null || (fits(given, {}) && Object.values(given as object).every(isTimeOrNone)),
  },
  subject: { ...SUBJECT, account_id: isUuid },
  erasure: {
    kind: (given) => given === 'account' || given === 'email' || given === 'legacy_id',
    digest: (given) => typeof given === 'string' && /^[\w-]{43}$/.test(given),
    erased_at: isTime,
  },
  end: { accounts: isCount, subjects: isCount, erasures: isCount },
};

const isSoundPassword = ({ state, hash, list }: WholeAccount['password']): boolean =>
  (hash === null) === (state === 'none') && (list !== null) === (state === 'list');

/** Undefined: no line of an export. The canonical form of an address is our own rule's, whatever the file says. */
function lineOf(text: string): ExportLine | undefined {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { type } = (row ?? {}) as { type?: unknown };
  const shape = typeof type === 'string' && Object.hasOwn(SHAPES, type) ? SHAPES[type] : undefined;
  if (!shape || !fits(row, shape)) return undefined;
  if (type !== 'account') return row as ExportLine;
  const account = row as Extract<ExportLine, { type: 'account' }>;
  const email_key = canonicalAddress(account.email);
  return email_key === undefined ? undefined : { ...account, email_key };
}
