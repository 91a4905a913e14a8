/**
 * What is done later: carries the mails of the queue to the mail server, has e-services told of sign-outs, retires dormant
 * accounts, and sweeps what has expired. Durable and on PostgreSQL (graphile-worker), so a job outlives this process and any
 * node may take it. What a mail says is mail/writing.ts', what an e-service is told is oidc/back-channel.ts', who is dormant
 * journeys/dormant.ts'; what expires when is known by each record.
 */
import { EventEmitter } from 'node:events';
import { Logger, run } from 'graphile-worker';
import type { Runner, RunnerOptions, Task, TaskList, WorkerEvents } from 'graphile-worker';
import { mailDelivery, type DeliveryParts } from './mail/delivery.ts';
import { MAIL_JOB } from './mail/mails.ts';
import { DIALOGUES } from './mail/post.ts';
import type { Queryable, Sql } from './platform/database.ts';
import { sql } from './platform/database.ts';

/** Deletes a batch of what has expired; says how much it was. */
export type Sweep = (db: Queryable, now: Date) => Promise<number>;

export interface JobParts extends DeliveryParts {
  /** Whether the clock is right enough to remove something for its age. */
  believed: () => Promise<boolean>;
  sweeps: readonly Sweep[];
  backChannel: {
    /** One attempt to tell an e-service; throws where another may help. */
    deliver(logout: { clientId: string; sid: string }, attempt: { attempt: number; last: boolean }): Promise<void>;
    /** Ends the sessions of an account that have outlived its epoch. */
    endSessions(accountId: string): Promise<number>;
  };
  /** Does what the sign-in put off until after its answer. */
  putOff: { job: string; task(payload: unknown, now: Date): Promise<void> };
  audit: {
    /** Seals the minutes that are closed. */
    seal(): Promise<void>;
    /** Makes months ahead, and drops those whose time is over. */
    keepMonths(now: Date): Promise<void>;
  };
  /** Warns of and erases some accounts that are dormant, or whose residents have asked for it. */
  retire: (now: Date) => Promise<{ warned: number; erased: number }>;
}

/** E-services have workers of their own, one at most for each that stalls: no mail ever waits for them. */
const LOGOUT_WORKERS = 8;
/** A process that stands holds a lock for its workers. One whose lock was seen away for so long is dead: it has no connection. */
const GONE_AFTER = 4_000;
const LOOK_EVERY = 2_000;
/** Every job of ours ends well before this; one held longer is held by a process that stands still. */
const STILL_AFTER_SECONDS = 60;
/** Little and often: what a minute brings is gone in the next. */
const SWEEP_EVERY = '* * * * * sweep ?max=1';
/** Milliseconds for all sweeps together; what is left waits a minute. */
const SWEEP_LIMIT = 30_000;
const AUDIT_EVERY = '* * * * * seal_audit ?max=1\n7 * * * * keep_audit_months ?max=1';
const RETIRE_EVERY = '5,15,25,35,45,55 * * * * retire ?max=1';

/** After the queue lost the database for too long it ends; it is started anew until it stands again. */
const RESTART_AFTER = 2_000;

export async function startJobs(parts: JobParts): Promise<{ stop(): Promise<void> }> {
  const { config, log } = parts;
  if (!config.mail.url) log.warn({}, 'mail.url is not set: mails wait in the queue and nobody gets a link');
  const signs = await signsOfLife(parts);
  const runners = await Promise.all([
    keptRunning(parts, signs, {
      // One for each dialogue: none waits for another that stalls.
      concurrency: DIALOGUES,
      crontab: [SWEEP_EVERY, RETIRE_EVERY, AUDIT_EVERY].join('\n'),
      taskList: {
        [MAIL_JOB]: mailTask(parts),
        [parts.putOff.job]: (payload) => parts.putOff.task(payload, parts.clock()),
        sweep: sweepTask(parts),
        retire: retireTask(parts),
        ...auditTasks(parts),
      },
    }),
    keptRunning(parts, signs, { concurrency: LOGOUT_WORKERS, taskList: logoutTasks(parts) }),
  ]);
  return {
    async stop() {
      await Promise.all(runners.map((runner) => runner.stop()));
      await signs.stop();
    },
  };
}

interface SignsOfLife {
  /** From now on these workers are known to stand, as long as this process does. */
  begin(workers: string): void;
  /** They have ended; what they may have left in their hands is free. */
  end(workers: string): void;
  stop(): Promise<void>;
}

/**
 * Frees the jobs of processes that died; by itself the queue would wait four hours. A lock ends with its connection, so a
 * process that was killed is found out at once, and no clock is compared. After a fail-over every lock is away for a moment:
 * hence the patience.
 */
async function signsOfLife({ database, log }: JobParts): Promise<SignsOfLife> {
  const own = new Set<string>();
  const keyOf = (workers: string): Sql => sql`hashtextextended(${`queue ${workers}`}::text, 0)`;
  const lock = (db: Queryable, workers: string) => db.query(sql`select pg_advisory_lock(${keyOf(workers)})`);
  const held = await database.lasting(async (session) => {
    for (const workers of own) await lock(session, workers);
  });
  const missed = new Map<string, number>();

  async function look(): Promise<void> {
    const found = await held.query<{ workers: string; stands: boolean; still: boolean }>(sql`
      select locked_by as workers, max(held.key) is not null as stands,
        min(locked_at) < now() - make_interval(secs => ${STILL_AFTER_SECONDS}::float8) as still
      from graphile_worker.jobs
      left join lateral (
        select 1 as key from pg_locks
        where locktype = 'advisory' and objsubid = 1 and database = (select oid from pg_database where datname = current_database())
          and (classid::bigint << 32) | objid::bigint = hashtextextended('queue ' || locked_by, 0)
      ) as held on true
      where locked_by is not null group by locked_by`);
    const away = found.filter(({ stands, workers }) => !stands && !own.has(workers)).map(({ workers }) => workers);
    for (const workers of missed.keys()) if (!away.includes(workers)) missed.delete(workers);
    for (const workers of away) missed.set(workers, missed.get(workers) ?? performance.now());
    const gone = (workers: string): boolean => performance.now() - missed.get(workers)! >= GONE_AFTER;
    const dead = [...away.filter(gone), ...found.filter(({ still }) => still).map(({ workers }) => workers)];
    if (dead.length === 0) return;
    log.warn({ workers: dead.length }, 'a process died with jobs in its hands: they are taken over');
    await database.query(sql`select graphile_worker.force_unlock_workers(${dead}::text[])`);
  }

  const outOfReach = (error: unknown): void => log.debug({ err: error }, 'the job queue is out of reach');
  await look();
  const watch = setInterval(() => void look().catch(outOfReach), LOOK_EVERY);
  watch.unref();
  return {
    begin(workers) {
      own.add(workers);
      // Without a connection it is locked as soon as there is one.
      void lock(held, workers).catch(outOfReach);
    },
    end(workers) {
      own.delete(workers);
      void held.query(sql`select pg_advisory_unlock(${keyOf(workers)})`).catch(outOfReach);
    },
    async stop() {
      clearInterval(watch);
      await held.stop();
    },
  };
}

type Work = Pick<RunnerOptions, 'concurrency' | 'crontab' | 'taskList'>;

async function keptRunning(parts: JobParts, signs: SignsOfLife, work: Work): Promise<{ stop(): Promise<void> }> {
  const { log } = parts;
  let stopping = false;
  let restart: NodeJS.Timeout | undefined;
  let starting: Promise<void> | undefined;
  let runner = await startRunner(parts, signs, work);
  const startLater = (): void => {
    if (!stopping) restart = setTimeout(() => void (starting = again()), RESTART_AFTER).unref();
  };
  const keepRunning = (): void => {
    const ended = (error?: unknown): void => {
      if (!stopping) log.error({ err: error }, 'the job queue stopped and is started anew');
      startLater();
    };
    // Without a listener a queue that can't reach the database would end the process.
    runner.promise.then(() => ended(), ended);
  };
  const again = async (): Promise<void> => {
    try {
      runner = await startRunner(parts, signs, work);
      keepRunning();
    } catch (error) {
      log.debug({ err: error }, 'the job queue is out of reach');
      startLater();
    }
  };
  keepRunning();
  return {
    async stop() {
      stopping = true;
      clearTimeout(restart);
      // One that is just being started anew would outlive the stop.
      await starting;
      // One that has ended by itself is stopped already.
      await runner.stop().catch((error: unknown) => log.debug({ err: error }, 'the job queue had stopped'));
    },
  };
}

function startRunner({ database, log }: JobParts, signs: SignsOfLife, work: Work): Promise<Runner> {
  const events: WorkerEvents = new EventEmitter();
  events.on('pool:create', ({ workerPool }) => signs.begin(workerPool.id));
  events.on('pool:release', ({ workerPool }) => signs.end(workerPool.id));
  return run({
    events,
    ...work,
    pgPool: database.queuePool,
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

function sweepTask({ database, log, clock, believed, sweeps }: JobParts): Task {
  return async () => {
    if (!(await believed())) return;
    const until = performance.now() + SWEEP_LIMIT;
    for (const sweep of sweeps) {
      let swept = 0;
      for (let batch = 1; batch > 0 && performance.now() < until; swept += batch)
        batch = await sweep(database, clock());
      if (swept > 0) log.debug({ sweep: sweep.name, swept }, 'swept what had expired');
    }
  };
}

function retireTask({ log, clock, believed, retire }: JobParts): Task {
  return async () => {
    if (!(await believed())) return;
    const done = await retire(clock());
    if (done.warned + done.erased > 0) log.info(done, 'accounts were retired');
  };
}

function auditTasks({ clock, believed, audit }: JobParts): TaskList {
  return {
    seal_audit: () => audit.seal(),
    keep_audit_months: async () => {
      if (await believed()) await audit.keepMonths(clock());
    },
  };
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

/** The job is called by the id of the mail's row. */
function mailTask(parts: JobParts): Task {
  const deliver = mailDelivery(parts);
  return (payload, { job, abortSignal }) => deliver({ id: job.key!, payload }, abortSignal);
}

const DEAD_JOBS_KEPT_DAYS = 7;
const deadJobs = sql`graphile_worker.jobs where attempts >= max_attempts and locked_at is null`;

/** A scalar for composing: when the oldest job that will not be tried again is to go. */
export const dueDeadJob: Sql = sql`(select min(updated_at) + make_interval(hours => ${24 * DEAD_JOBS_KEPT_DAYS}::int) from ${deadJobs})`;

/** The queue itself would keep them for good, each with a sealed address; what became of a mail stands in its own row. */
export async function sweepDeadJobs(db: Queryable, now: Date): Promise<number> {
  const before = new Date(now.getTime() - DEAD_JOBS_KEPT_DAYS * 86_400_000);
  const rows = await db.query(sql`
    select 1 from graphile_worker.complete_jobs(
      array(select id from ${deadJobs} and updated_at < ${before} limit 1000))`);
  return rows.length;
}
