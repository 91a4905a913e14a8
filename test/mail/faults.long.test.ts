/** Faults that take their time to show: a mail server that stalls at each step, a process that was killed with mails in its hands. */
import { randomUUID } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTunnus } from '../../src/app.ts';
import { makeMails } from '../../src/mail/mails.ts';
import { openPost } from '../../src/mail/post.ts';
import { sql } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { startTrouble } from '../support/mailbox.ts';
import { until } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

test('a mail server that stalls at any step, by silence or by trickling, is given up within ten seconds', async () => {
  const steps = ['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'dot'] as const;
  const hanging = await Promise.all([
    ...steps.map((step) => startTrouble({ [step]: 'hang' })),
    startTrouble({ greeting: 'trickle' }),
    startTrouble({ dot: 'trickle' }),
  ]);
  const letter = { to: 'maija@example.fi', language: 'fi', brand: 'K', subject: 's', text: 't', html: '<p>t</p>' };
  const began = performance.now();
  const limits = { perMinute: 60, perMinuteToDomain: 60, warmUp: 0 };
  await Promise.all(
    hanging.map(async ({ url }) => {
      const post = openPost({ issuer: 'https://id.example.fi', mail: { url, from: 'no-reply@id.example.fi', limits } });
      expect(await post.send(letter, randomUUID())).toMatchObject({ final: false, step: 'connection' });
      post.close();
    }),
  );
  expect(performance.now() - began).toBeLessThan(10_000);
  await Promise.all(hanging.map((server) => server.close()));
});

test('the jobs of a process that was killed are taken over within seconds; those of one that stands are left to it', async () => {
  const { database, sealer } = world.tunnus;
  const mails = makeMails({ sealer });
  // Held before any worker can see it: the mail is ordered and claimed in one transaction.
  const held = async (by: string, email: string): Promise<void> => {
    await database.transaction(async (tx) => {
      await mails.passwordChanged(tx, { email }, new Date());
      await tx.query(sql`
        update graphile_worker._private_jobs set locked_by = ${by}, locked_at = now() where locked_by is null and key is not null`);
    });
  };
  const stands = await database.lasting(async (session) => {
    await session.query(sql`select pg_advisory_lock(hashtextextended('queue stands', 0))`);
  });
  await held('stands', 'held@example.fi');
  await held('killed', 'orphan@example.fi');
  const began = performance.now();
  await world.mailbox.next({ to: 'orphan@example.fi' });
  const took = performance.now() - began;
  process.stdout.write(`the jobs of a killed process were taken over after ${(took / 1000).toFixed(1)} s\n`);
  expect(took).toBeLessThan(9_000);
  expect(await database.query(sql`select 1 from graphile_worker.jobs where locked_by = 'stands'`)).toHaveLength(1);
  await stands.stop();
  await world.mailbox.next({ to: 'held@example.fi' });
});

test('two nodes send each mail once, also while one of them comes and goes', async () => {
  const { database, sealer } = world.tunnus;
  const mails = makeMails({ sealer });
  const destination = new PassThrough().resume();
  const listen = { ...world.config.listen, port: 0 };
  const another = () => startTunnus({ config: { ...world.config, listen }, log: makeLog({ destination }) });
  let second = await another();
  for (let nth = 0; nth < 200; nth += 1) {
    await mails.passwordChanged(database, { email: `once${nth}@domain${nth}.example` }, new Date());
    if (nth % 100 === 50) {
      await second.close();
      second = await another();
    }
  }
  const left = () => database.query(sql`select 1 from mails where outcome <> 'sent'`);
  await until('each mail is sent', async () => (await left()).length === 0);
  await second.close();
  const sent = world.mailbox.all.map(({ to }) => to).filter((to) => to.startsWith('once'));
  expect(sent).toHaveLength(200);
  expect(new Set(sent).size).toBe(200);
});
