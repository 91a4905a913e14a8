/**
 * The only door to PostgreSQL: statements, transactions, COPY, notifications. It owns the pool and its time limits and
 * tells 'the database is not there' (DatabaseUnavailable) from every other error. It knows no table.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isNativeError } from 'node:util/types';
import pg from 'pg';
import { from as copyStream } from 'pg-copy-streams';
import { hostsBehind } from './database-hosts.ts';
import { sql, type Sql } from './sql.ts';
import { traced } from './tracing.ts';

export { NIL_UUID, sql, type Sql } from './sql.ts';

export type Row = Record<string, unknown>;

export interface Queryable {
  query<R extends object = Row>(statement: Sql): Promise<R[]>;
}

export interface Transaction extends Queryable {
  /** `copy … from stdin`; rows are lines in COPY's text or CSV format. Lifts the time limit for the whole transaction. */
  copyFrom(statement: string, rows: AsyncIterable<string> | Iterable<string>): Promise<void>;
}

/** One connection outside the pool's rules: no time limits, several statements in one text. Thrown away after its use. */
export interface Session extends Queryable {
  script(text: string): Promise<void>;
}

export interface Database extends Transaction {
  /** `timed` false: no statement in it has a time limit, for work that no page waits for. */
  transaction<T>(work: (tx: Transaction) => Promise<T>, options?: { timed?: boolean }): Promise<T>;
  session<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /**
   * Reconnects by itself. What was notified while the connection was away is lost, so after every reconnection
   * `onNotify('')` tells the listener to look for itself.
   */
  listen(channel: string, onNotify: (payload: string) => void): Promise<() => Promise<void>>;
  /** A connection of its own that is made anew whenever it breaks; `begin` is the first on each. Session locks live as long. */
  lasting(begin: (session: Session) => Promise<void>): Promise<Lasting>;
  /** That it answers within two seconds, and takes writing. */
  ping(): Promise<void>;
  /** All statements but the queue's. */
  readonly pool: pg.Pool;
  /** For graphile-worker, which wants a pool of pg's own kind. */
  readonly queuePool: pg.Pool;
  /** A lone statement counts as a commit when its text has insert, update or delete in it and it waits for the disk. */
  readonly counts: { statements: number; commits: number };
  close(): Promise<void>;
}

/** Statements fail while the connection is away. */
export interface Lasting extends Queryable {
  stop(): Promise<void>;
}

export class DatabaseUnavailable extends Error {
  constructor(cause: unknown) {
    super(`the database does not answer: ${reasonOf(cause)}`, { cause });
    this.name = 'DatabaseUnavailable';
  }
}

/** What a unique index keeps apart is there already. */
export function isTaken(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}

function reasonOf(cause: unknown): string {
  if (!isNativeError(cause)) return String(cause);
  // a host of several addresses (localhost is one) fails once for each and as a whole says nothing
  const { errors = [] } = cause as Partial<AggregateError>;
  return cause.message || (errors as Error[]).map(({ message }) => message).join(', ');
}

/** What a session reads from now on is one moment's, however long reading takes. */
export function beginSnapshot(session: Session): Promise<void> {
  return session.script('begin isolation level repeatable read read only');
}

const CONNECT_TIMEOUT = 3_000;
const PING_TIMEOUT = 2_000;
/** Seconds of silence after which either end asks whether the other is still there; ten more until it is taken for gone. */
const SILENCE = 10;
const QUEUE_CONNECTIONS = 4;
const QUEUE_TIMEOUT = 10_000;
const LOCK_TIMEOUT = 3_000;
const IDLE_IN_TRANSACTION_TIMEOUT = 30_000;
const RECONNECT_DELAY = 1_000;

const int8 = 20;
const parserOf = (oid: number, format?: 'text'): unknown =>
  oid === int8 ? Number : pg.types.getTypeParser(oid, format);
const types = { getTypeParser: parserOf as typeof pg.types.getTypeParser };

/** connection, resources, cancelled or shut down, lock wait, read-only, disk and damage */
const UNAVAILABLE_STATE = /^(08|53|57|55P03|25006|58|XX00[12])/;
const UNAVAILABLE_SYSTEM = new Set(
  'ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH ENOTFOUND EAI_AGAIN ENOENT'.split(' '),
);
const UNAVAILABLE_TEXT =
  /^(timeout expired|timeout exceeded|query read timeout|connection terminated|client has encountered a connection error|client was closed|cannot use a pool after)/i;

/** After these a connection is of no more use: gone, another server's, or with prepared statements that no longer fit. */
const SPENT_STATE = /^(08|57P|25006|25P03|0A000|26000)/;

function translated(error: unknown): unknown {
  // not `instanceof Error`: errors of Node's own come from another realm where tests run in contexts
  if (!isNativeError(error)) return error;
  const { code = '', syscall } = error as NodeJS.ErrnoException; // 'open': of a file whose rows were to be copied
  const unavailable =
    error instanceof pg.DatabaseError
      ? UNAVAILABLE_STATE.test(code)
      : (UNAVAILABLE_SYSTEM.has(code) && syscall !== 'open') || UNAVAILABLE_TEXT.test(error.message);
  return unavailable ? new DatabaseUnavailable(error) : error;
}

async function translating<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw translated(error);
  }
}

const spent = (error: unknown): boolean => !(error instanceof pg.DatabaseError) || SPENT_STATE.test(error.code ?? '');

const names = new Map<string, string>();
/** Texts are fixed (values are parameters), so the number of names is that of the statements in the code. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (!name) names.set(text, (name = createHash('sha256').update(text).digest('base64url').slice(0, 16)));
  return name;
}

/**
 * A fragment for the select list of a lone statement that writes: its transaction does not wait until it is on disk. Only for
 * what a later write follows before anybody is answered: that one waits for all before it.
 */
export const notWaitingForDisk = sql`set_config('synchronous_commit', 'off', true)`;

const waitsForDisk = (text: string): boolean =>
  /\b(insert|update|delete)\b/i.test(text) && !text.includes(notWaitingForDisk.text);

interface OpenOptions {
  /** With several hosts, the one that takes writing is found by itself, also after a fail-over (database-hosts.ts). */
  url: string;
  /**
   * PostgreSQL itself, where `url` leads to a pooler that gives each transaction whatever connection is free: for all that is
   * bound to a session. Statements are then not prepared, and their time limits are the role's.
   */
  direct?: string;
  max?: number;
  /** Milliseconds; 0 for none. */
  statementTimeout?: number;
  /** Told of what breaks while no statement waits for it. */
  onError?: (error: Error) => void;
}

export function openDatabase({
  url,
  direct,
  max = 10,
  statementTimeout = 5_000,
  onError = () => {},
}: OpenOptions): Database {
  const common: pg.PoolConfig = {
    application_name: 'tunnus',
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    keepAlive: true,
    keepAliveInitialDelayMillis: SILENCE * 1000,
    types,
  };
  const limits: pg.PoolConfig = {
    lock_timeout: LOCK_TIMEOUT,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT,
    ...(statementTimeout > 0 && { statement_timeout: statementTimeout }),
  };
  const planning = '-c jit=off -c plan_cache_mode=force_generic_plan';
  // a role's own limits, set for a pooler, are not meant for what is here without limits
  const unlimited = direct ? ' -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0' : '';
  const silence = `-c tcp_keepalives_idle=${SILENCE} -c tcp_keepalives_interval=1 -c tcp_keepalives_count=10`;
  const settings: pg.PoolConfig = {
    ...common,
    connectionString: direct ?? url,
    options: `${planning} ${silence}${unlimited}`,
  };
  const hosts = hostsBehind(url);
  const directHosts = direct ? hostsBehind(direct) : hosts;
  const pool = new pg.Pool({
    ...common,
    Client: hosts.Client,
    connectionString: url,
    max,
    ...(!direct && { options: planning, ...limits }),
  });
  const queuePool = new pg.Pool({
    ...settings,
    ...limits,
    // The queue keeps a connection that refuses every statement: one to a server that takes no writing would hold all mails.
    Client: directHosts.WritingClient,
    max: QUEUE_CONNECTIONS,
    query_timeout: QUEUE_TIMEOUT,
  });
  let closing: Promise<void> | undefined;
  // the pool's end does not wait for its connections' ends: what breaks from then on is no news
  const tell = (error: Error): void => (closing ? undefined : onError(error));
  for (const each of [pool, queuePool]) {
    each.on('error', tell);
    // a connection that breaks while it is checked out but idle would otherwise end the process
    each.on('connect', (client) => client.on('error', tell));
  }

  const counts = { statements: 0, commits: 0 };
  const stops = new Set<() => Promise<void>>();
  // the server's own limit comes first; this one is for a server that no longer answers at all
  const patience = statementTimeout > 0 ? { query_timeout: statementTimeout + 1_000 } : {};

  /** Whatever keeps a connection from being made, it is the database that is away: also a new password, or a name that is gone. */
  async function connection(): Promise<pg.PoolClient> {
    try {
      return await hosts.inTurn(() => pool.connect());
    } catch (error) {
      throw new DatabaseUnavailable(error);
    }
  }

  async function run<R extends object>(client: pg.PoolClient, { text, values }: Sql, limit = patience): Promise<R[]> {
    counts.statements += 1;
    const config = { ...(!direct && { name: nameOf(text) }), text, values: values as unknown[], ...limit };
    const sending = () => client.query<R & pg.QueryResultRow>(config);
    // The text alone: values are parameters, and no span has them.
    return (await traced('sql', { 'db.system.name': 'postgresql', 'db.query.text': text }, sending)).rows;
  }

  async function copy(client: pg.PoolClient, statement: string, rows: AsyncIterable<string> | Iterable<string>) {
    counts.statements += 1;
    await client.query('set local statement_timeout = 0');
    await pipeline(Readable.from(rows), client.query(copyStream(statement)));
  }

  /** Lends a connection for `work`; one that is of no more use afterwards is closed instead of given back. */
  async function lend<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let client: pg.PoolClient | undefined;
    try {
      client = await connection();
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      client?.release(spent(error));
      throw translated(error);
    }
  }

  const query = <R extends object>(statement: Sql): Promise<R[]> =>
    lend(async (client) => {
      const rows = await run<R>(client, statement);
      if (waitsForDisk(statement.text)) counts.commits += 1;
      return rows;
    });

  async function transaction<T>(work: (tx: Transaction) => Promise<T>, { timed = true } = {}): Promise<T> {
    const client = await connection();
    let over = false;
    const inside = <R>(step: () => Promise<R>): Promise<R> => {
      if (over) throw new Error('a statement came after the end of its transaction');
      return translating(step);
    };
    const control = (text: string) => translating(() => client.query({ text, ...patience }));
    try {
      await control(timed ? 'begin' : 'begin; set local statement_timeout = 0');
      const result = await work({
        query: async (statement) => inside(() => run(client, statement, timed ? patience : {})),
        copyFrom: async (statement, rows) => inside(() => copy(client, statement, rows)),
      });
      over = true;
      // PostgreSQL answers the commit of a failed transaction with a rollback, and no error
      if ((await control('commit')).command !== 'COMMIT') throw new Error('a failed transaction was asked to commit');
      counts.commits += 1;
      client.release();
      return result;
    } catch (error) {
      over = true;
      const cause = error instanceof DatabaseUnavailable ? error.cause : error;
      const lost = error instanceof DatabaseUnavailable || cause instanceof pg.DatabaseError ? spent(cause) : false;
      const rolledBack = !lost && (await control('rollback').then(Boolean, () => false));
      client.release(!rolledBack);
      throw error;
    }
  }

  const sessionOf = (client: pg.Client): Session => ({
    query: async <R extends object>({ text, values }: Sql) =>
      (await client.query<R & pg.QueryResultRow>(text, values.length > 0 ? (values as unknown[]) : undefined)).rows,
    script: async (text) => void (await client.query(text)),
  });

  async function session<T>(work: (session: Session) => Promise<T>): Promise<T> {
    let client: pg.Client | undefined;
    try {
      client = await directHosts.apart(settings, { onError });
      return await work(sessionOf(client));
    } catch (error) {
      throw translated(error);
    } finally {
      await client?.end().catch(onError);
    }
  }

  async function last(
    begin: (session: Session) => Promise<void>,
    { onNotify = () => {}, onBack = () => {} }: { onNotify?: (payload: string) => void; onBack?: () => void } = {},
  ): Promise<Lasting> {
    let current: pg.Client | undefined;
    let timer: NodeJS.Timeout | undefined;
    let stopped = false;

    async function connect(): Promise<void> {
      const client = await directHosts.apart(settings, {
        onError: tell,
        begin: (fresh) => {
          fresh.on('notification', ({ payload }) => onNotify(payload ?? ''));
          return begin(sessionOf(fresh));
        },
      });
      current = client;
      client.once('end', again);
      if (stopped) await client.end();
    }

    function again(): void {
      current = undefined;
      if (stopped) return;
      timer = setTimeout(() => void connect().then(onBack, again), RECONNECT_DELAY);
      timer.unref();
    }

    const stop = async (): Promise<void> => {
      stopped = true;
      stops.delete(stop);
      clearTimeout(timer);
      await current?.end().catch(tell);
    };
    await translating(connect);
    stops.add(stop);
    return {
      stop,
      query: (statement) => {
        if (!current) return Promise.reject(new DatabaseUnavailable('its connection is being made anew'));
        const own = sessionOf(current);
        return translating(() => own.query(statement));
      },
    };
  }

  async function ping(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new DatabaseUnavailable('it is too slow')), PING_TIMEOUT);
    });
    const asked = lend(async (client) => {
      const [row] = await run<{ mode: string }>(client, sql`select current_setting('transaction_read_only') as mode`);
      // thrown in here, the connection goes too: it may be to a server that others have left
      if (row?.mode === 'on') throw new DatabaseUnavailable('it takes no writing');
    });
    // whoever loses the race may still fail, later and unseen
    asked.catch(() => {});
    try {
      await Promise.race([asked, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    query,
    transaction,
    session,
    copyFrom: (statement, rows) => transaction((tx) => tx.copyFrom(statement, rows)),
    listen: async (channel, onNotify) => {
      const begin = (own: Session): Promise<void> => own.script(`listen ${pg.escapeIdentifier(channel)}`);
      const kept = await last(begin, { onNotify, onBack: () => onNotify('') });
      return () => kept.stop();
    },
    lasting: (begin) => last(begin),
    ping,
    pool,
    queuePool,
    counts,
    close: () =>
      (closing ??= Promise.all([...stops].map((stop) => stop())).then(async () => {
        await Promise.all([pool.end(), queuePool.end()]);
      })),
  };
}
