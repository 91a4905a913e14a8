/** `tunnus serve` as a process of its own: SIGTERM finishes what is under way, takes nothing new, and ends with 0; SIGHUP ends nothing. */
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import { folderOf } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { serve, type Serving } from '../support/serving.ts';
import { isListenedOn, until, untilBlocked } from '../support/until.ts';
import { SECRET } from '../support/world.ts';

let place: TestDatabase;
let folder: string;
let serving: Serving;

beforeEach(async () => {
  place = await testDatabase();
  folder = await folderOf({
    issuer: 'https://tunnistus.example',
    secret: SECRET,
    database: { url: place.url },
    listen: { port: 0, metricsPort: 0 },
  });
  serving = await serve(folder);
});
afterEach(async () => {
  serving.process.kill('SIGKILL');
  await serving.ended;
  await place.drop();
  await rm(folder, { recursive: true });
});

async function openConnection(): Promise<Socket> {
  const socket = connect(serving.port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

test.each(['SIGTERM', 'SIGINT'] as const)('%s ends it with 0, idle connections or not', async (signal) => {
  const idle = await openConnection();
  idle.write('GET /signed-out HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(idle, 'data');
  serving.process.kill(signal);
  expect(await serving.ended).toBe(0);
  expect(serving.log.some((line) => line.includes('"msg":"stopping"'))).toBe(true);
  expect(serving.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  idle.destroy();
});

test('a request under way is answered whole, while nobody new is let in', async () => {
  const underWay = await openConnection();
  const answer = text(underWay);
  underWay.write(
    'POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 19\r\n\r\ngrant',
  );
  // An answer on another connection proves that the first half has been read.
  expect((await fetch(`http://127.0.0.1:${serving.port}/health/ready`)).status).toBe(200);
  serving.process.kill('SIGTERM');
  await until('nobody new is let in', async () => !(await isListenedOn(serving.port)));
  underWay.write('_type=password');
  expect(await answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*"error":"invalid_/);
  expect(await serving.ended).toBe(0);
});

test('SIGTERM ends it with 0 also while the job queue is being started anew', async () => {
  const { database } = place;
  // A job whose end can't be noted ends the queue.
  await database.query(sql`
    create function unnoted() returns trigger language plpgsql as $$ begin raise 'not noted'; end $$`);
  await database.query(sql`
    create trigger unnoted before delete on graphile_worker._private_jobs for each row execute function unnoted()`);
  await database.query(sql`select graphile_worker.add_job('sweep')`);
  await until('the queue has ended', () => serving.log.some((line) => line.includes('is started anew')));
  const queuesThatStand = sql`
    select 1 from pg_locks join pg_database on pg_database.oid = database
    where datname = current_database() and locktype = 'advisory' and objsubid = 1`;
  await until('one queue stands', async () => (await database.query(queuesThatStand)).length === 1);
  await database.transaction(async (tx) => {
    await tx.query(sql`lock table graphile_worker.migrations`);
    await untilBlocked(database);
    serving.process.kill('SIGTERM');
    await until('the other queue has stopped', async () => (await database.query(queuesThatStand)).length === 0);
  });
  expect(await serving.ended).toBe(0);
});

test('SIGHUP takes the new e-services in, or tells what is wrong, and ends nothing', async () => {
  const file = join(folder, 'clients', 'uusi.yaml');
  const query = new URLSearchParams({ client_id: 'uusi', redirect_uri: 'https://uusi.example/in' });
  const known = async () => {
    const answer = await fetch(`http://127.0.0.1:${serving.port}/auth?${query.toString()}`, { redirect: 'manual' });
    // An unknown client gets a page, a known one its error at its own address.
    return answer.status === 303;
  };
  const logged = async (words: string) => {
    await until(words, async () => {
      expect(await known()).toBe(false);
      return serving.log.some((line) => line.includes(words));
    });
  };
  await writeFile(file, 'client_id: uusi\nclient_name: Uusi\nredirect_uris: [uusi]\n');
  serving.process.kill('SIGHUP');
  await logged('uusi.yaml:3: redirect_uris[0] is');
  await writeFile(file, 'client_id: uusi\nclient_name: Uusi\nredirect_uris: ["https://uusi.example/in"]\n');
  serving.process.kill('SIGHUP');
  await until('the e-service is known', known);
  // A line may come a moment after what it tells of.
  await until('the line of the log', () => serving.log.some((line) => line.includes('read anew')));
});

test('signals that come during the start are kept: SIGHUP ends nothing, SIGTERM stops it with 0', async () => {
  const another = await serve(folder, {
    meanwhile: (starting) => {
      starting.kill('SIGHUP');
      starting.kill('SIGTERM');
    },
  });
  expect(await another.ended).toBe(0);
  const said = another.log.map((line) => (JSON.parse(line) as { msg: string }).msg);
  expect(said).toEqual(expect.arrayContaining(['the e-services were read anew', 'ready', 'stopping']));
});
