import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Config } from '../../src/config.ts';
import { startJobs, type JobParts } from '../../src/jobs.ts';
import { makeMails } from '../../src/mail/mails.ts';
import { openPost } from '../../src/mail/post.ts';
import { sql } from '../../src/platform/database.ts';
import { loadTexts } from '../../src/platform/i18n.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { recentMails, sweepMails, type MailOutcome, type MailRow } from '../../src/records/mail-outcomes.ts';
import { takeTurns } from '../../src/records/mail-pace.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { startMailbox, startTrouble, type Mailbox } from '../support/mailbox.ts';
import { until, untilMail } from '../support/until.ts';

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
  await db.database.query(sql`truncate mails, mail_pace`);
  lines = '';
  dkim = undefined;
  limits = { perMinute: 1200, perMinuteToDomain: 300, warmUp: 0 };
  await db.database.query(sql`delete from graphile_worker._private_jobs`);
});

let dkim: Config['mail']['dkim'];
let limits: Config['mail']['limits'];

function parts(url: string | undefined): JobParts {
  const config = {
    issuer: 'https://id.example.fi',
    languages: ['fi', 'sv', 'en'],
    brand: { name: { fi: 'Kaupunki', sv: 'Staden', en: 'The City' } },
    support: { email: 'tuki@example.fi', phone: '09 123' },
    mail: { url, from: 'no-reply@id.example.fi', dkim, limits },
  } satisfies JobParts['config'];
  const destination = new PassThrough();
  destination.on('data', (chunk: Buffer) => (lines += chunk.toString()));
  return {
    database: db.database,
    sealer,
    texts: loadTexts('Europe/Helsinki'),
    log: makeLog({ destination }),
    clock: () => new Date(),
    believed: () => Promise.resolve(true),
    sweeps: [],
    backChannel: { deliver: () => Promise.resolve(), endSessions: () => Promise.resolve(0) },
    audit: { seal: () => Promise.resolve(), keepMonths: () => Promise.resolve() },
    retire: () => Promise.resolve({ warned: 0, erased: 0 }),
    putOff: { job: 'put_off', task: () => Promise.resolve() },
    config,
    post: openPost(config),
  };
}

async function withJobs<T>(url: string | undefined, work: () => Promise<T>): Promise<T> {
  const all = parts(url);
  const jobs = await startJobs(all);
  return work().finally(async () => {
    await jobs.stop();
    all.post.close();
  });
}

interface FailedTry {
  outcome: string;
  reply: number | null;
  step: string;
  /** Until the next. */
  seconds: number;
}

/** Waits until the one mail that waits has been tried and not been taken. */
function failedTry(): Promise<FailedTry> {
  const failed = sql`
    select m.outcome, m.reply, m.step, coalesce(extract(epoch from j.run_at - now())::float8, 0) as seconds
    from mails m left join graphile_worker.jobs j on j.key = m.id::text and j.locked_at is null
    where m.tries > 0 and m.outcome in ('delayed', 'refused', 'given_up') order by m.outcome_at desc limit 1`;
  return until('a mail that was not taken', async () => (await db.database.query<FailedTry>(failed))[0]);
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
  const order = () => mails.passwordChanged(db.database, { email: 'later@example.fi' }, new Date());
  const failed = await withJobs(mailbox.url, async () => {
    await order();
    return failedTry();
  });
  expect(failed).toMatchObject({ outcome: 'delayed', step: 'message', reply: 451 });
  expect(failed.seconds).toBeGreaterThan(20);
  expect(lines).not.toContain('later@');
  const [row] = await db.database.query<{ id: string }>(sql`select id from mails where outcome = 'delayed'`);
  mailbox.refuseWith(undefined);
  await db.database.query(sql`update graphile_worker._private_jobs set run_at = now()`);
  const mail = await withJobs(mailbox.url, () => mailbox.next({ to: 'later@example.fi' }));
  expect(mail.headers['message-id']).toBe(`<${row!.id}@id.example.fi>`);
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
    expect(await failedTry()).toMatchObject({ outcome: 'delayed', step: 'connection' });
  });
  expect(lines).toContain('mail.url is not set');
});

describe('what became of a mail', () => {
  const NOW = new Date();
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
  const afterTry = (outcome: MailOutcome): Promise<MailRow> =>
    withJobs(mailbox.url, () => untilMail(db.database, accountId, outcome));
  const due = () => db.database.query(sql`update graphile_worker._private_jobs set run_at = now()`);

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
    await due();
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

  test('is given up a day after it was ordered, or when its link is of no more use', async () => {
    mailbox.refuseWith(451);
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
    await mails.passwordChanged(db.database, { accountId, email: 'maija@example.fi' }, daysAgo(0.9));
    expect(await afterTry('delayed')).toMatchObject({ tries: 1 });
    await mails.passwordChanged(db.database, { accountId, email: 'maija@example.fi' }, daysAgo(1));
    await db.database.query(sql`update mails set queued_at = ${daysAgo(1)}`);
    await due();
    expect(await afterTry('given_up')).toMatchObject({ reply: 451, step: 'message' });
    const short = { ...data, lifetime: 600_000 };
    await mails.setPassword(db.database, { accountId, email: 'maija@example.fi', ...short }, daysAgo(0.01));
    expect(await afterTry('given_up')).toMatchObject({ kind: 'set_password', tries: 1 });
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

describe('a mail server that makes trouble', () => {
  const order = (email: string) => mails.passwordChanged(db.database, { email }, new Date());

  test.each([
    ['refuses the call', { greeting: '554 5.3.2 no' }, { step: 'connection', outcome: 'delayed' }],
    ['has no time', { greeting: '421 4.3.2 busy' }, { step: 'connection', outcome: 'delayed' }],
    ['refuses the sender', { mail: '550 5.1.8 who are you' }, { step: 'sender', outcome: 'delayed', reply: 550 }],
    ['does not relay', { rcpt: '554 5.7.1 relay denied' }, { step: 'recipient', outcome: 'delayed', reply: 554 }],
    ['greylists', { rcpt: '450 4.2.0 later' }, { step: 'recipient', outcome: 'delayed', reply: 450 }],
    ['knows no such mailbox', { rcpt: '550 5.1.1 unknown' }, { step: 'recipient', outcome: 'refused', reply: 550 }],
    ['takes it for spam', { dot: '554 5.6.0 spam' }, { step: 'message', outcome: 'refused', reply: 554 }],
    ['drops the call half-way', { data: 'drop' }, { outcome: 'delayed' }],
    ['drops the call at the end', { dot: 'drop' }, { outcome: 'delayed' }],
  ] as const)('and %s: the mail is tried again unless its recipient is refused for good', async (_, says, expected) => {
    const server = await startTrouble(says);
    await withJobs(server.url, async () => {
      await order('maija@example.fi');
      expect(await failedTry()).toMatchObject(expected);
    });
    expect(server.bodies).toBeLessThanOrEqual(1);
    expect(lines).not.toContain('maija');
    if (expected.outcome === 'delayed' && 'reply' in expected && expected.reply >= 500)
      expect(lines).toContain('the mail server refuses us');
    await server.close();
  });

  test('and refuses the login: that is ours to mend, and no mail is thrown away for it', async () => {
    const server = await startTrouble({ auth: '535 5.7.8 no' });
    await withJobs(server.url.replace('//', '//user:secret-of-the-server@'), async () => {
      await order('maija@example.fi');
      expect(await failedTry()).toMatchObject({ step: 'login', outcome: 'delayed', reply: 535 });
    });
    expect(lines).toContain('the mail server refuses us');
    expect(lines).not.toContain('secret-of-the-server');
    await server.close();
  });

  test('by hanging for some recipients, holds up no other mail', async () => {
    const some = await startTrouble({ rcpt: (line) => (line.includes('stuck') ? 'hang' : undefined) });
    await withJobs(some.url, async () => {
      for (let nth = 0; nth < 4; nth++) await order(`stuck${nth}@example.fi`);
      for (let nth = 0; nth < 10; nth++) await order(`other${nth}@example.fi`);
      await some.taken(10);
      // Nobody has given them up yet.
      expect(await db.database.query(sql`select 1 from mails where outcome not in ('queued', 'sent')`)).toEqual([]);
      // Who hangs up frees the workers.
      await some.close();
    });
  });
});

describe('the pace', () => {
  const order = (email: string, kind: 'link' | 'notice' = 'notice') =>
    kind === 'link'
      ? mails.setPassword(db.database, { email, ...data }, new Date())
      : mails.passwordChanged(db.database, { email }, new Date());
  const waiting = () =>
    db.database.query<{ kind: string; seconds: number }>(sql`
      select kind, extract(epoch from turn_at - now())::float8 as seconds from mails
      where outcome = 'queued' and turn_at is not null order by turn_at`);
  /** Until each mail has gone out, or knows its turn. */
  const allHaveTurns = () => {
    const without = sql`select 1 from mails where outcome = 'queued' and turn_at is null`;
    return until('a turn for each mail', async () => (await db.database.query(without)).length === 0);
  };

  test('to one domain is kept, while other domains and mails that somebody waits for go out at once', async () => {
    // A third is for notices: one in nine seconds, and what fits into ten seconds at once.
    limits = { perMinute: 1200, perMinuteToDomain: 20, warmUp: 0 };
    await withJobs(mailbox.url, async () => {
      for (let nth = 0; nth < 6; nth++) await order(`n${nth}@Big.example`);
      await allHaveTurns();
      await order('link@big.example', 'link');
      await order('else@small.example');
      await mailbox.next({ to: 'link@big.example' });
      await mailbox.next({ to: 'else@small.example' });
      const left = await waiting();
      expect(left).toHaveLength(4);
      // Turns are handed out once, one after the other, and to wait is no try.
      left.slice(1).forEach(({ seconds }, index) => expect(seconds - left[index]!.seconds).toBeCloseTo(9, 1));
    });
    const [row] = await db.database.query(sql`
      select count(*) filter (where tries > 0) as tried from mails where outcome = 'queued'`);
    expect(row).toEqual({ tried: 0 });
    expect(JSON.stringify(await db.database.query(sql`select * from mail_pace`))).not.toMatch(/big|small|example/i);
  });

  test('in all is kept too', async () => {
    limits = { perMinute: 20, perMinuteToDomain: 30_000, warmUp: 0 };
    await withJobs(mailbox.url, async () => {
      for (let nth = 0; nth < 6; nth++) await order(`n${nth}@domain${nth}.example`);
      await allHaveTurns();
      expect(await waiting()).toHaveLength(4);
    });
  });

  test('grows from a tenth to the whole while a domain warms up', async () => {
    const domain = { key: 'a', pace: 60, warmUp: 10 * 86_400_000 };
    const gapAfter = async (days: number): Promise<number> => {
      await db.database.query(sql`truncate mail_pace`);
      const take = () => db.database.query<{ turn_at: Date }>(takeTurns([domain], sql`true`));
      await take();
      await db.database.query(sql`
        update mail_pace set began_at = now() - make_interval(days => ${days}), turn_at = now() + interval '1 hour'`);
      const [one] = await take();
      const [other] = await take();
      return (other!.turn_at.getTime() - one!.turn_at.getTime()) / 1000;
    };
    expect(await gapAfter(0)).toBeCloseTo(10, 1);
    expect(await gapAfter(5)).toBeCloseTo(1 / 0.55, 1);
    expect(await gapAfter(10)).toBeCloseTo(1, 1);
    expect(await gapAfter(100)).toBeCloseTo(1, 1);
  });
});
