/**
 * The unit of work of one request: what it has read, what it will write, and the moment when that happens.
 *
 * `unitOfWork` runs outermost around the mounted provider and our own screens. The library, the sign-in gate and the
 * journeys' companions only gather; after them and before Koa responds, one statement writes all: below status 500 it
 * is written, from 500 on it is dropped. Only what was written is told (`onFlush`). Outside a request there is no unit
 * and the adapter writes at once. Which answer replaces a lost one is answers.ts's.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context, Middleware } from 'koa';
import { DatabaseUnavailable, type Database, type Sql } from '../platform/database.ts';
import type { Log } from '../platform/telemetry.ts';
import type { AccountRow, ReadSession } from '../records/artifacts.ts';
import { dropAnswer, lostAnswer, outageAnswer, type LostAnswer } from './answers.ts';
import { Change, Lost, type LostReason } from './change.ts';

const units = new AsyncLocalStorage<UnitOfWork>();

/** The unit of the request under way; none in commands and jobs. */
export function current(): UnitOfWork | undefined {
  return units.getStore();
}

export class UnitOfWork {
  readonly ctx: Context;
  readonly change = new Change();
  /** Where a lost answer of our own screens may begin again; the provider's routes know it from their parameters. */
  restart?: string;
  /** A sign-in's outcome that the provider takes up within this request; nothing of it is stored. */
  outcome?: { uid: string; payload: string };
  /** Set when a read failed for want of a database: the library swallows errors, this one must become 503. */
  outage?: DatabaseUnavailable;
  readonly #payloads = new Map<string, string | null>();
  /** Sessions found by their id, by uid: only these may be written back. */
  readonly sessions = new Map<string, ReadSession>();
  readonly #accounts = new Map<string, AccountRow>();
  readonly #proofs = new Map<string, number>();
  readonly #subjects = new Map<string, string>();
  readonly #flushed: (() => void)[] = [];

  constructor(ctx: Context) {
    this.ctx = ctx;
  }

  onFlush(tell: () => void): void {
    this.#flushed.push(tell);
  }

  /** Another record's write in the same statement; it is taken back with the rest when the answer is lost. */
  also(fragment: Sql, must?: LostReason): void {
    this.change.also(fragment, must);
  }

  /** An account read on the way, as JSON without its password hash. */
  account(id: string): AccountRow | undefined {
    return this.#accounts.get(id);
  }

  rememberAccount(account: AccountRow): void {
    this.#accounts.set(account.id, account);
  }

  /** The epoch under which this request acts for an account. */
  proof(accountId: string): number | undefined {
    return this.#proofs.get(accountId);
  }

  rememberProof(accountId: string, epoch: number): void {
    this.#proofs.set(accountId, epoch);
  }

  /** The `sub` that a sector knows an account by, where it was read on the way. */
  subject(accountId: string, sector: string): string | undefined {
    return this.#subjects.get(`${accountId} ${sector}`);
  }

  rememberSubjects(accountId: string, subjects: Record<string, string>): void {
    for (const [sector, sub] of Object.entries(subjects)) this.#subjects.set(`${accountId} ${sector}`, sub);
  }

  /** What a name stood for when last read or written here: undefined not asked yet, null known to be nothing. */
  recall(name: string): string | null | undefined {
    return this.#payloads.get(name);
  }

  remember(name: string, payload: string | null): void {
    this.#payloads.set(name, payload);
  }

  tellFlushed(log: Log): void {
    for (const tell of this.#flushed) {
      try {
        tell();
      } catch (error) {
        log.error({ err: error }, 'could not tell of what was written');
      }
    }
  }
}

export interface UnitOfWorkDeps {
  db: Database;
  clock: () => Date;
  log: Log;
  /** Answers a browser whose answer was lost; the default leads it to begin the same request again. */
  onLost?: (ctx: Context, lost: LostAnswer) => void | Promise<void>;
}

export function unitOfWork(deps: UnitOfWorkDeps): Middleware {
  return async (ctx, next) => {
    const unit = new UnitOfWork(ctx);
    const cookiesBefore = ctx.response.get('set-cookie') as string | string[] | undefined;
    try {
      const lost = await units.run(unit, () => answered(deps, unit, next));
      if (!lost) return;
      deps.log.info({ reason: lost.reason }, 'an answer was lost');
      dropAnswer(ctx, cookiesBefore);
      await lostAnswer(ctx, { reason: lost.reason, restart: unit.restart }, deps.onLost);
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error;
      dropAnswer(ctx, cookiesBefore);
      outageAnswer(ctx, error);
    }
  };
}

/** Lets the request be answered and writes what came of it; gives back why the answer may not go out. */
async function answered(
  deps: UnitOfWorkDeps,
  unit: UnitOfWork,
  next: () => Promise<unknown>,
): Promise<Lost | undefined> {
  await next();
  if (unit.outage) throw unit.outage;
  if (unit.ctx.status >= 500) return undefined;
  try {
    await unit.change.write(deps.db, deps.clock());
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    if (error.reason === 'code') await revokeCodes(deps, unit);
    return error;
  }
  unit.tellFlushed(deps.log);
  return undefined;
}

/** A code used twice is in wrong hands: what was issued under its grant ends, the winner's too (RFC 6749, 4.1.2). */
async function revokeCodes(deps: UnitOfWorkDeps, unit: UnitOfWork): Promise<void> {
  const revocation = new Change();
  for (const grant of unit.change.grantsOfCodes()) {
    revocation.revokeGrant(grant);
    revocation.remove(grant);
  }
  await revocation.write(deps.db, deps.clock());
}
