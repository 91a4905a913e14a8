import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startJobs, type JobParts } from '../../src/jobs.ts';
import { makeMails } from '../../src/mail/mails.ts';
import { sql } from '../../src/platform/database.ts';
import { loadTexts } from '../../src/platform/i18n.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { recentMails, sweepMails, type MailRow } from '../../src/records/mail-outcomes.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { startMailbox, type Mailbox } from '../support/mailbox.ts';

const LINK = 'https://id.example.fi/set-password/abcdefghijklmnopqrstuvwxyz0123456789';
const sealer = makeSealer(['s'.repeat(32)]);
const mails = makeMails({ sealer });
const SERVICE = { fi: 'Asiointipalvelu', sv: 'E-tjänsten', en: 'E-services' };
const data = { link: LINK, service: SERVICE, lifetime: 24 * 3_600_000 };

let db: TestDatabase;
let mailbox: Mailbox;
let lines: string;

beforeAll(async () => {
  db = await testDatabase();
  mailbox = await startMailbox();
});
afterAll(async () => {
  await mailbox.close();
  await db.drop();
});
beforeEach(async () => {
  lines = '';
  await db.database.query(sql`delete from graphile_worker._private_jobs`);
});

function parts(url: string | undefined): JobParts {
  const destination = new PassThrough();
  destination.on('data', (chunk: Buffer) => (lines += chunk.toString()));
  return {
    database: db.database,
    sealer,
    texts: loadTexts(),
    log: makeLog({ destination }),
    clock: () => new Date(),
    sweeps: [],
    backChannel: { deliver: () => Promise.resolve(), endSessions: () => Promise.resolve(0) },
    audit: { seal: () => Promise.resolve(), keepMonths: () => Promise.resolve() },
    retire: () => Promise.resolve({ warned: 0, erased: 0 }),
    putOff: { job: 'put_off', task: () => Promise.resolve() },
    config: {
      issuer: 'https://id.example.fi',
      languages: ['fi', 'sv', 'en'],
      brand: { name: { fi: 'Kaupunki', sv: 'Staden', en: 'The City' } },
      support: { email: 'tuki@example.fi', phone: '09 123' },
      mail: { url, from: 'no-reply@id.example.fi' },
    },
  };
}

async function withJobs<T>(url: string | undefined, work: () => Promise<T>): Promise<T> {
  const jobs = await startJobs(parts(url));
  return work().finally(() => jobs.stop());
}

/** Waits until the one job in the queue has been tried and failed. */
async function failedJob(): Promise<{ last_error: string; attempts: number }> {
  for (;;) {
    const [row] = await db.database.query<{ last_error: string; attempts: number }>(
      sql`select last_error, attempts from graphile_worker.jobs where last_error is not null`,
    );
    if (row) return row;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('the mail with the link', () => {
  test('goes out in text and HTML that say the same, in the resident’s language', async () => {
    const mail = await withJobs(mailbox.url, async () => {
      await mails.setPassword(db.database, { email: 'maija@example.fi', locale: 'sv-FI', ...data }, new Date());
      return mailbox.next({ to: 'maija@example.fi' });
    });
    expect(mail.subject).toBe('Välj ett nytt lösenord');
    expect(mail.language).toBe('sv');
    expect(mail.headers['content-type']).toMatch(/^multipart\/alternative/);
    expect(mail.headers['auto-submitted']).toBe('auto-generated');
    expect(mail.from).toBe('no-reply@id.example.fi');
    for (const part of [mail.text, mail.html]) {
      expect(part).toContain(LINK);
      expect(part).toContain('Länken gäller i 24 timmar.');
      expect(part).toContain('Din tidigare ärendehistorik finns kvar under ditt användarnamn.');
      expect(part).toContain('E-tjänsten');
      expect(part).toContain('tuki@example.fi');
    }
    expect(mail.text.split(/\r?\n/)).toContain(LINK);
    expect(mail.html).toContain('<html lang="sv">');
    expect(lines).not.toContain('abcdefghijklm');
    expect(lines).not.toContain('maija');
  });

  test('waits sealed: neither link nor address can be read in the queue', async () => {
    await mails.setPassword(db.database, { email: 'maija@example.fi', ...data }, new Date());
    const [row] = await db.database.query<{ payload: string }>(
      sql`select payload::text as payload from graphile_worker._private_jobs`,
    );
    expect(row!.payload).not.toMatch(/maija|set-password/);
  });

  test('is never sent where the transaction that caused it fails', async () => {
    const failing = db.database.transaction(async (tx) => {
      await mails.setPassword(tx, { email: 'maija@example.fi', ...data }, new Date());
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await db.database.query(sql`select 1 from graphile_worker.jobs`)).toEqual([]);
  });
});

test('the other mails say what happened, in Finnish where no language is known', async () => {
  const [changed, stranger] = await withJobs(mailbox.url, async () => {
    await mails.passwordChanged(db.database, { email: 'a@example.fi' }, new Date());
    await mails.unknownAddress(db.database, { email: 'b@example.fi', locale: 'xx' }, new Date());
    return [await mailbox.next({ to: 'a@example.fi' }), await mailbox.next({ to: 'b@example.fi' })];
  });
  expect(changed.subject).toBe('Salasanasi on vaihdettu');
  expect(changed.links).toEqual([]);
  expect(stranger.text).toContain(
    'Osoitteella b@example.fi yritettiin kirjautua, mutta sillä ei ole käyttäjätunnusta.',
  );
});

test('a mail that the server does not take now is tried again later, under the same id', async () => {
  mailbox.refuseWith(451);
  const failed = await withJobs(mailbox.url, async () => {
    await mails.passwordChanged(db.database, { email: 'later@example.fi' }, new Date());
    return failedJob();
  });
  expect(failed.last_error).not.toContain('later@');
  mailbox.refuseWith(undefined);
  await db.database.query(sql`update graphile_worker._private_jobs set run_at = now()`);
  const mail = await withJobs(mailbox.url, () => mailbox.next({ to: 'later@example.fi' }));
  expect(mail.headers['message-id']).toMatch(/^<\d+\.[0-9a-f]{16}@id\.example\.fi>$/);
});

test('an address that would add a header or a recipient gets no mail', async () => {
  await withJobs(mailbox.url, async () => {
    await mails.passwordChanged(db.database, { email: 'x@example.fi\r\nBcc: y@example.fi' }, new Date());
    await mails.passwordChanged(db.database, { email: 'x@example.fi, y@example.fi' }, new Date());
    await mails.passwordChanged(db.database, { email: 'last@example.fi' }, new Date());
    await mailbox.next({ to: 'last@example.fi' });
  });
  expect(mailbox.all.map(({ to }) => to)).not.toContain('y@example.fi');
});

test('without a mail server the log says so and the mail waits', async () => {
  await withJobs(undefined, async () => {
    await mails.passwordChanged(db.database, { email: 'a@example.fi' }, new Date());
    expect((await failedJob()).last_error).toContain('mail.url is not set');
  });
  expect(lines).toContain('mail.url is not set');
});

describe('what became of a mail', () => {
  const NOW = new Date('2026-11-24T12:00:00Z');
  let accountId: string;
  beforeEach(async () => {
    mailbox.refuseWith(undefined);
    ordered = 0;
    const [row] = await db.database.query<{ id: string }>(sql`
      insert into accounts (email, email_key, created_at, updated_at)
      values ('maija@example.fi', 'maija' || gen_random_uuid() || '@example.fi', ${NOW}, ${NOW}) returning id`);
    accountId = row!.id;
  });

  let ordered = 0;
  const order = (email = 'maija@example.fi') =>
    mails.passwordChanged(db.database, { accountId, email }, new Date(NOW.getTime() + ordered++));
  const newest = async (): Promise<MailRow> => (await recentMails(db.database, accountId, 1))[0]!;
  /** Runs the queue until the newest mail has come to something. */
  async function afterTry(outcome: string): Promise<MailRow> {
    return withJobs(mailbox.url, async () => {
      for (;;) {
        const row = await newest();
        if (row.outcome === outcome) return row;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
  }
  const due = (attempts: number) =>
    db.database.query(sql`update graphile_worker._private_jobs set run_at = now(), attempts = ${attempts}`);

  test('is kept from the moment that it waits, in the transaction that causes it', async () => {
    await order();
    expect(await newest()).toMatchObject({ kind: 'password_changed', queuedAt: NOW, outcome: 'queued', tries: 0 });
    const failing = db.database.transaction(async (tx) => {
      await mails.passwordChanged(tx, { accountId, email: 'maija@example.fi' }, NOW);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await recentMails(db.database, accountId, 10)).toHaveLength(1);
  });

  test('is told by the code and the status of the mail server, and never by its words', async () => {
    mailbox.refuseWith(451, '4.2.2 <maija@example.fi> mailbox full, see https://mail.example/maija');
    await order();
    expect(await afterTry('delayed')).toMatchObject({ tries: 1, reply: 451, status: '4.2.2' });
    mailbox.refuseWith(undefined);
    await due(1);
    expect(await afterTry('sent')).toMatchObject({ tries: 2, reply: 250 });

    mailbox.refuseWith(550, '5.1.1 <maija@example.fi> unknown');
    await order();
    expect(await afterTry('refused')).toMatchObject({ tries: 1, reply: 550, status: '5.1.1' });
    mailbox.refuseWith(550, '5.1.1maija@example.fi');
    await order();
    expect(await afterTry('refused')).toMatchObject({ reply: 550, status: undefined });
    const rows = await db.database.query<{ row: string }>(sql`select mails::text as row from mails`);
    expect(rows.map(({ row }) => row).join()).not.toMatch(/maija|example|mailbox|http/);
  });

  test('is given up after the last try', async () => {
    mailbox.refuseWith(451);
    await order();
    await due(11);
    expect(await afterTry('given_up')).toMatchObject({ tries: 1, reply: 451 });
  });

  test('and it never goes out once it was taken back, or its account is gone', async () => {
    await order('taken-back@example.fi');
    await mails.takeBack(db.database, accountId, NOW);
    expect(await newest()).toMatchObject({ outcome: 'given_up', tries: 0 });
    await order('gone@example.fi');
    await db.database.query(sql`delete from accounts where id = ${accountId}`);
    expect(await recentMails(db.database, accountId, 10)).toEqual([]);
    await withJobs(mailbox.url, async () => {
      await mails.passwordChanged(db.database, { email: 'after@example.fi' }, NOW);
      await mailbox.next({ to: 'after@example.fi' });
    });
    expect(mailbox.all.map(({ to }) => to)).not.toContain('taken-back@example.fi');
    expect(mailbox.all.map(({ to }) => to)).not.toContain('gone@example.fi');
  });

  test('is forgotten after 90 days', async () => {
    await order();
    const later = (days: number) => new Date(NOW.getTime() + days * 86_400_000);
    await sweepMails(db.database, later(90));
    expect(await recentMails(db.database, accountId, 10)).toHaveLength(1);
    expect(await sweepMails(db.database, later(91))).toBeGreaterThan(0);
    expect(await recentMails(db.database, accountId, 10)).toEqual([]);
  });
});

test('a mail whose process was killed goes out once that process counts as dead', async () => {
  await mails.passwordChanged(db.database, { email: 'orphan@example.fi' }, new Date());
  await db.database.query(
    sql`update graphile_worker._private_jobs set locked_by = 'gone', locked_at = now() - interval '1 minute'`,
  );
  await withJobs(mailbox.url, () => mailbox.next({ to: 'orphan@example.fi' }));
});

test('a mail server that takes the call and never speaks is given up within ten seconds', async () => {
  const sockets: Socket[] = [];
  const mute = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const began = Date.now();
  await withJobs(`smtp://127.0.0.1:${(mute.address() as AddressInfo).port}`, async () => {
    await mails.passwordChanged(db.database, { email: 'a@example.fi' }, new Date());
    await failedJob();
  });
  expect(Date.now() - began).toBeLessThan(10_000);
  for (const socket of sockets) socket.destroy();
  mute.close();
});
