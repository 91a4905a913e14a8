/**
 * What is done later: carries the mails of the queue to the mail server, has e-services told of sign-outs, retires dormant
 * accounts, and sweeps what has expired. Durable and on PostgreSQL (graphile-worker), so a job outlives this process and any
 * node may take it. What a mail says is mail/mails.ts', what an e-service is told is oidc/back-channel.ts', who is dormant
 * journeys/dormant.ts'; what expires when is known by each record.
 */
import { createHash } from 'node:crypto';
import { Logger, run } from 'graphile-worker';
import type { JobHelpers, Runner, RunnerOptions, Task, TaskList } from 'graphile-worker';
import { createTransport } from 'nodemailer';
import type { Config } from './config.ts';
import type { RenderedMail } from './mail/mails.ts';
import { MAIL_JOB, mailWriter } from './mail/mails.ts';
import type { Database, Queryable } from './platform/database.ts';
import { sql } from './platform/database.ts';
import type { Texts } from './platform/i18n.ts';
import type { Sealer } from './platform/secrets.ts';
import type { Log } from './platform/telemetry.ts';
import { metrics } from './platform/telemetry.ts';
import { beginTry, keepOutcome, type MailOutcome, type Reply } from './records/mail-outcomes.ts';

/** Deletes a batch of what has expired; says how much it was. */
export type Sweep = (db: Queryable, now: Date) => Promise<number>;

export interface JobParts {
  database: Database;
  sealer: Sealer;
  texts: Texts;
  config: Pick<Config, 'brand' | 'support' | 'languages' | 'issuer' | 'mail'>;
  log: Log;
  clock: () => Date;
  sweeps: readonly Sweep[];
  backChannel: {
    /** One attempt to tell an e-service; throws where another may help. */
    deliver(logout: { clientId: string; sid: string }, attempt: { attempt: number; last: boolean }): Promise<void>;
    /** Ends the sessions of an account that have outlived its epoch. */
    endSessions(accountId: string): Promise<number>;
  };
  audit: {
    /** Seals the minutes that are closed. */
    seal(): Promise<void>;
    /** Makes months ahead, and drops those whose time is over. */
    keepMonths(now: Date): Promise<void>;
  };
  /** Does what the sign-in put off until after its answer. */
  putOff: { job: string; task(payload: unknown, now: Date): Promise<void> };
  /** Warns of and erases some dormant accounts. */
  retire: (now: Date) => Promise<{ warned: number; erased: number }>;
}

/** One stalled mail server dialogue must not hold the others. */
const WORKERS = 4;
/** E-services have workers of their own, one at most for each that stalls: no mail ever waits for them. */
const LOGOUT_WORKERS = 8;
const MAIL_LIMIT = 10_000;
/** Every job of ours ends well before this; one held longer was held by a process that died. */
const DEAD_AFTER_SECONDS = 45;
const LOOK_FOR_DEAD_EVERY = 15_000;
/** Little and often: what a minute brings is gone in the next. */
const SWEEP_EVERY = '* * * * * sweep ?max=1';
/** Milliseconds for all sweeps together; what is left waits a minute. */
const SWEEP_LIMIT = 30_000;
const AUDIT_EVERY = '* * * * * seal_audit ?max=1\n7 * * * * keep_audit_months ?max=1';
const RETIRE_EVERY = '5,15,25,35,45,55 * * * * retire ?max=1';

/** After the queue lost the database for too long it ends; it is started anew until it stands again. */
const RESTART_AFTER = 2_000;

export async function startJobs(parts: JobParts): Promise<{ stop(): Promise<void> }> {
  const { database, config, log } = parts;
  if (!config.mail.url) log.warn({}, 'mail.url is not set: mails wait in the queue and nobody gets a link');
  await freeJobsOfTheDead(database);
  const runners = await Promise.all([
    keptRunning(parts, {
      concurrency: WORKERS,
      crontab: [SWEEP_EVERY, RETIRE_EVERY, AUDIT_EVERY].join('\n'),
      taskList: {
        [MAIL_JOB]: mailTask(parts),
        [parts.putOff.job]: (payload) => parts.putOff.task(payload, parts.clock()),
        sweep: sweepTask(parts),
        retire: retireTask(parts),
        ...auditTasks(parts),
      },
    }),
    keptRunning(parts, { concurrency: LOGOUT_WORKERS, taskList: logoutTasks(parts) }),
  ]);
  const watch = setInterval(() => {
    freeJobsOfTheDead(database).catch((error: unknown) => log.debug({ err: error }, 'the job queue is out of reach'));
  }, LOOK_FOR_DEAD_EVERY);
  watch.unref();

  return {
    async stop() {
      clearInterval(watch);
      await Promise.all(runners.map((runner) => runner.stop()));
    },
  };
}

type Work = Pick<RunnerOptions, 'concurrency' | 'crontab' | 'taskList'>;

async function keptRunning(parts: JobParts, work: Work): Promise<{ stop(): Promise<void> }> {
  const { log } = parts;
  let stopping = false;
  let restart: NodeJS.Timeout | undefined;
  let runner = await startRunner(parts, work);
  const keepRunning = (): void => {
    const ended = (error?: unknown): void => {
      if (stopping) return;
      log.error({ err: error }, 'the job queue stopped and is started anew');
      restart = setTimeout(() => void again(), RESTART_AFTER).unref();
    };
    // Without a listener a queue that can't reach the database would end the process.
    runner.promise.then(() => ended(), ended);
  };
  const again = async (): Promise<void> => {
    try {
      runner = await startRunner(parts, work);
      keepRunning();
    } catch (error) {
      log.debug({ err: error }, 'the job queue is out of reach');
      if (!stopping) restart = setTimeout(() => void again(), RESTART_AFTER).unref();
    }
  };
  keepRunning();
  return {
    async stop() {
      stopping = true;
      clearTimeout(restart);
      // One that has ended by itself is stopped already.
      await runner.stop().catch((error: unknown) => log.debug({ err: error }, 'the job queue had stopped'));
    },
  };
}

function startRunner({ database, log }: JobParts, work: Work): Promise<Runner> {
  return run({
    ...work,
    pgPool: database.pool,
    pollInterval: 2_000,
    noHandleSignals: true,
    // Unbatched, the queue leaves the promise of noting a job's end unwatched: a database that goes away just then would end
    // the process. Batched (without waiting for more) such a failure ends the queue, which is started anew.
    preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    logger: new Logger(() => (level, message) => {
      // Failures are told by the tasks themselves, in words that hold no address.
      if (level === 'error' || level === 'warning') log.debug({ queue: message }, 'the job queue');
    }),
  });
}

/** The queue itself would wait four hours before it takes over a job whose process was killed. */
async function freeJobsOfTheDead(database: Database): Promise<void> {
  await database.query(sql`
    select graphile_worker.force_unlock_workers(array_agg(locked_by))
      from graphile_worker.jobs
     where locked_at < now() - make_interval(secs => ${DEAD_AFTER_SECONDS}::double precision)
    having count(*) > 0`);
}

function sweepTask({ database, log, clock, sweeps }: JobParts): Task {
  return async () => {
    const until = performance.now() + SWEEP_LIMIT;
    for (const sweep of sweeps) {
      let swept = 0;
      for (let batch = 1; batch > 0 && performance.now() < until; swept += batch)
        batch = await sweep(database, clock());
      if (swept > 0) log.debug({ sweep: sweep.name, swept }, 'swept what had expired');
    }
  };
}

function retireTask({ log, clock, retire }: JobParts): Task {
  return async () => {
    const done = await retire(clock());
    if (done.warned + done.erased > 0) log.info(done, 'dormant accounts were retired');
  };
}

function auditTasks({ clock, audit }: JobParts): TaskList {
  return { seal_audit: () => audit.seal(), keep_audit_months: () => audit.keepMonths(clock()) };
}

/** Their names and payloads are those that the triggers of sql/0006_logouts_and_seals.sql write. */
function logoutTasks({ backChannel }: JobParts): TaskList {
  return {
    logout: (payload, { job }) =>
      backChannel.deliver(payload as { clientId: string; sid: string }, {
        attempt: job.attempts,
        last: job.attempts >= job.max_attempts,
      }),
    end_sessions: async (payload) => void (await backChannel.endSessions((payload as { accountId: string }).accountId)),
  };
}

function mailTask(parts: JobParts): Task {
  const { database, config, log, clock } = parts;
  const write = mailWriter(parts);
  const send = mailSender(config);
  return async (payload, { job }) => {
    // The job is called by the id of the mail's row.
    const id = job.key!;
    const mail = write(payload);
    const fields = { jobId: String(job.id), mail: mail?.mail, attempt: job.attempts };
    if (!(await beginTry(database, id))) return log.info(fields, 'a mail was taken back before it went out');
    if (!mail) {
      await keepOutcome(database, { id, outcome: 'given_up' }, clock());
      return log.error(fields, 'a mail was sealed with another secret and is left out');
    }
    const handed = await send(mail, messageId(job, config.issuer));
    const outcome = outcomeOf(handed, job);
    metrics.mails.inc({ mail: mail.mail, outcome });
    await keepOutcome(database, { id, outcome, reply: handed.reply, status: handed.status }, clock());
    if (!('reason' in handed)) return log.info(fields, 'a mail was handed over');
    log.warn({ ...fields, reason: handed.reason }, handed.final ? 'a mail was refused for good' : 'a mail must wait');
    // Thrown, the queue tries again later, with growing pauses.
    if (!handed.final) throw new Error(handed.reason);
  };
}

function outcomeOf(handed: Handed, { attempts, max_attempts: most }: JobHelpers['job']): MailOutcome {
  if (!('reason' in handed)) return 'sent';
  if (handed.final) return 'refused';
  return attempts < most ? 'delayed' : 'given_up';
}

/** The same in each try, so that a mail handed over twice is shown once. */
function messageId(job: JobHelpers['job'], issuer: string): string {
  const mark = createHash('sha256').update(JSON.stringify(job.payload)).digest('hex').slice(0, 16);
  return `<${String(job.id)}.${mark}@${new URL(issuer).hostname}>`;
}

interface Failure extends Reply {
  /** Holds neither address nor link: mail servers like to repeat both. */
  reason: string;
  /** Trying again would change nothing. */
  final: boolean;
}

/** What came of a try: the mail server's answer, and why where it did not take the mail. */
type Handed = Reply | Failure;

/** RFC 3834. Not on what a person wrote: a desk of support may drop it. */
const FROM_A_MACHINE = { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' };

function mailSender({ mail: settings }: JobParts['config']): (mail: RenderedMail, id: string) => Promise<Handed> {
  const { url, from } = settings;
  if (!url) return () => Promise.resolve({ reason: 'mail.url is not set', final: false });
  const transport = createTransport({
    url,
    dnsTimeout: MAIL_LIMIT / 2,
    connectionTimeout: MAIL_LIMIT / 2,
    greetingTimeout: MAIL_LIMIT / 2,
    socketTimeout: MAIL_LIMIT,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return async (mail, id) => {
    // An address is one address: nothing in it may become a header or a second recipient.
    if (/[\p{Cc}\s<>,;]/u.test(mail.to)) return { reason: 'the address is no address', final: true };
    const replyTo = mail.person?.replyTo;
    const sending = transport.sendMail({
      from: from.includes('<') ? from : { name: mail.brand, address: from },
      to: { name: '', address: mail.to },
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      messageId: id,
      ...(replyTo && { replyTo: { name: '', address: replyTo } }),
      headers: { 'Content-Language': mail.language, ...(mail.person ? {} : FROM_A_MACHINE) },
    });
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(Object.assign(new Error('too slow'), { code: 'ETIMEDOUT' })), MAIL_LIMIT);
    });
    // Whoever loses the race may still fail, later and unseen.
    sending.catch(() => {});
    try {
      const { response } = await Promise.race([sending, limit]);
      return replyOf(response);
    } catch (error) {
      return failureOf(error);
    } finally {
      clearTimeout(timer);
    }
  };
}

function failureOf(error: unknown): Failure {
  const { code, responseCode, command, response } = error as Partial<Record<string, unknown>>;
  const parts = [code, responseCode, command].filter((part) => typeof part === 'string' || typeof part === 'number');
  const aboutThisMail = command === 'RCPT TO' || command === 'DATA';
  const final = aboutThisMail && typeof responseCode === 'number' && responseCode >= 500;
  return { reason: `the mail server: ${parts.join(' ') || 'no answer'}`, final, ...replyOf(response) };
}

/** Nothing but the codes: what follows them likes to repeat the address. */
function replyOf(response: unknown): Reply {
  const [, reply, status] =
    /^([2-5]\d\d)[ -](?:([245]\.\d{1,3}\.\d{1,3})(?!\S))?/.exec(typeof response === 'string' ? response : '') ?? [];
  return { reply: reply === undefined ? undefined : Number(reply), status };
}
