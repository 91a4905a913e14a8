import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DatabaseUnavailable, openDatabase, sql, type Database } from '../../src/platform/database.ts';
import { startEmbedded } from '../../src/platform/embedded-postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

let house: TestDatabase;
let database: Database;

beforeAll(async () => {
  house = await testDatabase();
  database = house.database;
  await database.query(sql`create table words (id bigint generated always as identity, word text unique)`);
});
afterAll(() => house.drop());

const words = async (): Promise<string[]> =>
  (await database.query<{ word: string }>(sql`select word from words order by word`)).map(({ word }) => word);

describe('the sql tag', () => {
  test('makes every value a parameter', () => {
    const statement = sql`select ${1}, ${"'; drop table words"}`;
    expect(statement.text).toBe('select $1, $2');
    expect(statement.values).toEqual([1, "'; drop table words"]);
  });

  test('splices fragments in and numbers their parameters anew', () => {
    const inner = sql`b = ${2} or c = ${3}`;
    const statement = sql`a = ${1} and (${inner}) and d = ${4} and (${inner})`;
    expect(statement.text).toBe('a = $1 and (b = $2 or c = $3) and d = $4 and (b = $5 or c = $6)');
    expect(statement.values).toEqual([1, 2, 3, 4, 2, 3]);
  });

  test('does not take an object that looks like a statement for one', () => {
    expect(sql`select ${{ text: 'x', values: [] }}`.text).toBe('select $1');
  });
});

describe('statements', () => {
  test('bring whole numbers as numbers, times as dates, and lists go in as arrays', async () => {
    const [row] = await database.query(sql`
      select count(*) as n, timestamptz '2026-01-02T03:04:05.678Z' as at from unnest(${['a', 'b']}::text[])`);
    expect(row).toEqual({ n: 2, at: new Date('2026-01-02T03:04:05.678Z') });
  });

  test('are counted, and so are commits', async () => {
    const before = { ...database.counts };
    await database.query(sql`select 1`);
    await database.query(sql`insert into words (word) values ('counted')`);
    await database.transaction(async (tx) => {
      await tx.query(sql`delete from words where word = 'counted'`);
      await tx.query(sql`select 1`);
    });
    expect(database.counts).toEqual({ statements: before.statements + 4, commits: before.commits + 2 });
  });
});

describe('a transaction', () => {
  test('keeps all of it or nothing', async () => {
    const failing = database.transaction(async (tx) => {
      await tx.query(sql`insert into words (word) values ('lost')`);
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    await database.transaction((tx) => tx.query(sql`insert into words (word) values ('kept')`));
    expect(await words()).toEqual(['kept']);
  });

  test('cannot be committed after one of its statements failed', async () => {
    const swallowing = database.transaction(async (tx) => {
      await tx.query(sql`insert into words (word) values ('gone')`);
      await tx.query(sql`insert into words (word) values ('kept')`).catch(() => {});
    });
    await expect(swallowing).rejects.toThrow('a failed transaction was asked to commit');
    expect(await words()).toEqual(['kept']);
  });

  test('takes no statement after its end', async () => {
    const escaped = await database.transaction(async (tx) => tx);
    await expect(escaped.query(sql`select 1`)).rejects.toThrow('after the end of its transaction');
  });

  test('passes on whatever its own work met elsewhere', async () => {
    const elsewhere = Object.assign(new Error('no mail server'), { code: 'ECONNREFUSED' });
    await expect(database.transaction(() => Promise.reject(elsewhere))).rejects.toBe(elsewhere);
    expect(database.pool.idleCount).toBe(database.pool.totalCount);
  });

  test('passes errors of the statement itself as they are', async () => {
    const twice = database.query(sql`insert into words (word) values ('kept')`);
    await expect(twice).rejects.toMatchObject({ code: '23505', constraint: 'words_word_key' });
  });
});

test('many rows come in by copy, or none of them', async () => {
  await database.copyFrom('copy words (word) from stdin', ['x1\n', 'x2\n', 'x3\n']);
  await expect(database.copyFrom('copy words (word) from stdin', ['x4\n', 'x1\n'])).rejects.toMatchObject({
    code: '23505',
  });
  async function* broken() {
    yield 'x5\n';
    throw new Error('the file ended');
  }
  await expect(database.copyFrom('copy words (word) from stdin', broken())).rejects.toThrow('the file ended');
  expect(await words()).toEqual(['kept', 'x1', 'x2', 'x3']);
});

test('what is notified reaches the listener, and after a lost connection it is told to look for itself', async () => {
  const heard: string[] = [];
  let wake = (): void => {};
  const next = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  const stop = await database.listen('news', (payload) => {
    heard.push(payload);
    wake();
  });
  const first = next();
  await database.query(sql`select pg_notify('news', 'one')`);
  await first;
  const second = next();
  await database.query(sql`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query like 'listen %'`);
  await second;
  const third = next();
  await database.query(sql`select pg_notify('news', 'two')`);
  await third;
  await stop();
  expect(heard).toEqual(['one', '', 'two']);
});

test('a lasting connection begins anew by itself, and a lock that it holds is there again', async () => {
  const lock = sql`select pg_try_advisory_lock(4711) as free`;
  let began = (): void => {};
  const held = await database.lasting(async (session) => {
    await session.query(sql`select pg_advisory_lock(4711)`);
    began();
  });
  const isFree = async (): Promise<boolean> =>
    database.session(async (session) => (await session.query<{ free: boolean }>(lock))[0]!.free);
  expect(await isFree()).toBe(false);
  const [{ pid }] = (await held.query<{ pid: number }>(sql`select pg_backend_pid() as pid`)) as [{ pid: number }];
  const again = new Promise<void>((resolve) => (began = resolve));
  await database.query(sql`select pg_terminate_backend(${pid})`);
  await again;
  expect(await isFree()).toBe(false);
  await held.stop();
  // The server notes the end of a connection by itself.
  await until('the lock is free', isFree);
  await expect(held.query(sql`select 1`)).rejects.toBeInstanceOf(DatabaseUnavailable);
});

describe('the database is called unavailable', () => {
  test('when it is asked whether it is there and takes no writing, on whatever connection was open before', async () => {
    const standby = openDatabase({ url: house.url, max: 1 });
    await standby.query(sql`select set_config('default_transaction_read_only', 'on', false)`);
    await expect(standby.ping()).rejects.toThrow('it takes no writing');
    // That connection is gone: the next one is to whoever takes writing now.
    await standby.ping();
    await standby.close();
  });

  test('when nobody is let in', async () => {
    const stranger = openDatabase({ url: house.url.replace(/\/[^/]*$/, '/not_there') });
    await expect(stranger.query(sql`select 1`)).rejects.toBeInstanceOf(DatabaseUnavailable);
    await stranger.close();
  });

  test('when a statement takes too long', async () => {
    const hasty = openDatabase({ url: house.url, statementTimeout: 50 });
    await expect(hasty.query(sql`select pg_sleep(5)`)).rejects.toBeInstanceOf(DatabaseUnavailable);
    await hasty.ping();
    await hasty.close();
  });

  test('but not in a transaction that is not timed, however long a statement takes', async () => {
    const hasty = openDatabase({ url: house.url, statementTimeout: 50 });
    const long = sql`select pg_sleep(1.3)`;
    await expect(hasty.transaction((tx) => tx.query(long))).rejects.toBeInstanceOf(DatabaseUnavailable);
    expect(await hasty.transaction((tx) => tx.query(long), { timed: false })).toHaveLength(1);
    await hasty.close();
  });

  test('when no connection comes free', async () => {
    const narrow = openDatabase({ url: house.url, max: 1 });
    await narrow.transaction(async () => {
      await expect(narrow.ping()).rejects.toBeInstanceOf(DatabaseUnavailable);
    });
    await narrow.close();
  });

  test('when it takes no writing', async () => {
    const writing = database.transaction(async (tx) => {
      await tx.query(sql`set transaction read only`);
      await tx.query(sql`insert into words (word) values ('no')`);
    });
    await expect(writing).rejects.toBeInstanceOf(DatabaseUnavailable);
  });

  test('when its connections are cut in the middle, and it is there again afterwards', async () => {
    const cut = database.transaction(async (tx) => {
      await tx.query(sql`select pg_terminate_backend(pg_backend_pid())`);
    });
    await expect(cut).rejects.toBeInstanceOf(DatabaseUnavailable);
    await database.ping();
  });

  test('when the server is stopped', async () => {
    const folder = join(tmpdir(), `tunnus-stopped-${process.pid}`);
    const server = await startEmbedded({ folder, durable: false });
    const away = openDatabase({ url: server.url });
    await away.ping();
    await server.stop();
    await expect(away.ping()).rejects.toBeInstanceOf(DatabaseUnavailable);
    await expect(away.transaction((tx) => tx.query(sql`select 1`))).rejects.toBeInstanceOf(DatabaseUnavailable);
    await expect(away.listen('news', () => {})).rejects.toBeInstanceOf(DatabaseUnavailable);
    await away.close();
    rmSync(folder, { recursive: true });
  });

  test('with the reason of each address, where its host has several', () => {
    const failures = ['::1', '127.0.0.1'].map((address) => new Error(`connect ECONNREFUSED ${address}`));
    expect(new DatabaseUnavailable(new AggregateError(failures)).message).toBe(
      'the database does not answer: connect ECONNREFUSED ::1, connect ECONNREFUSED 127.0.0.1',
    );
  });
});

test('the queue keeps no connection to a server that takes no writing, and has one as soon as it does', async () => {
  const name = new URL(house.url).pathname.slice(1);
  const inOrder = (...statements: string[]) =>
    database.session(async (session) => {
      for (const statement of statements) await session.script(statement);
    });
  const opened = openDatabase({ url: house.url });
  await inOrder(`alter database ${name} set default_transaction_read_only = on`);
  try {
    await expect(opened.queuePool.query('select 1')).rejects.toMatchObject({ code: '25006' });
  } finally {
    await inOrder(
      'set default_transaction_read_only = off',
      `alter database ${name} reset default_transaction_read_only`,
    );
  }
  const { rows } = await opened.queuePool.query('show transaction_read_only');
  expect(rows).toEqual([{ transaction_read_only: 'off' }]);
  await opened.close();
});

test('a server that goes while a new connection is asked whether it takes writing ends no process', async () => {
  const { hostname, port } = new URL(house.url);
  const way = createServer((near) => {
    const far = connect({ host: hostname, port: Number(port) });
    far.pipe(near);
    near.on('data', (asked: Buffer) => {
      if (asked.includes('show transaction_read_only')) near.destroy();
      else far.write(asked);
    });
    near.on('close', () => far.destroy());
  }).listen(0, '127.0.0.1');
  await once(way, 'listening');
  const through = Object.assign(new URL(house.url), { port: String((way.address() as AddressInfo).port) });
  const opened = openDatabase({ url: through.href });
  await expect(opened.queuePool.query('select 1')).rejects.toThrow('terminated');
  await opened.close();
  way.close();
});

test('connections that are cut while the pool closes are no news', async () => {
  const told: Error[] = [];
  const leaving = openDatabase({ url: house.url, onError: (error) => told.push(error) });
  await leaving.ping();
  await leaving.close();
  leaving.pool.emit('error', new Error('terminating connection'), undefined);
  expect(told).toEqual([]);
});
