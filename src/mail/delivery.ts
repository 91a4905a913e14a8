/**
 * Owns how a mail gets from the queue to the mail server: at what pace, how often it is tried, when it is given up, and that what
 * became of it is kept. What it says is writing.ts's, the dialogue post.ts's.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { DatabaseUnavailable, type Database, type Queryable } from '../platform/database.ts';
import type { Texts } from '../platform/i18n.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';
import { metrics } from '../platform/telemetry.ts';
import { traced } from '../platform/tracing.ts';
import { beginTry, keepOutcome, type MailOutcome } from '../records/mail-outcomes.ts';
import type { Lane } from '../records/mail-pace.ts';
import { isAwaited, putBack } from './mails.ts';
import type { Handed, Post } from './post.ts';
import { mailWriter, type RenderedMail } from './writing.ts';

export interface DeliveryParts {
  database: Database;
  sealer: Sealer;
  texts: Texts;
  config: Pick<Config, 'brand' | 'support' | 'languages' | 'issuer' | 'mail'>;
  post: Post;
  log: Log;
  clock: () => Date;
}

/** A mail in the queue: its row's id, and what the queue holds of it. */
export interface QueuedMail {
  id: string;
  payload: unknown;
}

const DAY = 86_400_000;
/** Milliseconds after the first try; twice that after each other. */
const FIRST_PAUSE = 30_000;
const LONGEST_PAUSE = 2 * 3_600_000;
/** How long a node goes on telling a database that is away what it has handed over, so that nobody sends it again. */
const INSIST = 20_000;
const INSIST_EVERY = 500;

/** Carries one mail; throws only where the database is away. `stopping` ends what may be left to another node. */
export function mailDelivery(parts: DeliveryParts): (mail: QueuedMail, stopping: AbortSignal) => Promise<void> {
  const { database, sealer, config, post, log, clock } = parts;
  const write = mailWriter(parts);
  const keyOf = (lane: string): string => sealer.digest(lane, 'mail pace').toString('base64url');

  function lanesOf({ mail, to }: RenderedMail): Lane[] {
    const { perMinute, perMinuteToDomain, warmUp } = config.mail.limits;
    const awaited = isAwaited(mail);
    // Neither of the two ever waits for the other: who signs in stands in front of a page.
    const lane = awaited ? 'awaited' : 'notice';
    const share = awaited ? 2 / 3 : 1 / 3;
    const domain = to.slice(to.lastIndexOf('@') + 1).toLowerCase();
    return [
      { key: keyOf(lane), pace: perMinute * share, warmUp: 0 },
      { key: keyOf(`${lane}:${domain}`), pace: perMinuteToDomain * share, warmUp },
    ];
  }

  async function insist(keep: () => Promise<void>, stopping: AbortSignal): Promise<void> {
    const until = performance.now() + INSIST;
    for (;;) {
      try {
        return await keep();
      } catch (error) {
        if (!(error instanceof DatabaseUnavailable) || performance.now() > until || stopping.aborted) throw error;
        await pause(INSIST_EVERY, undefined, { signal: stopping }).catch(() => {});
      }
    }
  }

  return async ({ id, payload }, stopping) => {
    const mail = await write(payload);
    const lanes = mail ? lanesOf(mail) : [];
    const begun = await beginTry(database, { id, lanes });
    if (!begun) return log.info({ mail: mail?.mail }, 'a mail was taken back before it went out');
    if (!mail) {
      await keepOutcome(database, { id, outcome: 'given_up' }, clock());
      return log.error({}, 'a mail was sealed with another secret and is left out');
    }
    const again = (db: Queryable, seconds: number) => putBack(db, { id, payload, mail: mail.mail, seconds });
    if ('wait' in begun) return again(database, begun.wait);

    const { tries, queuedAt } = begun;
    const handed = await traced('mail', { 'tunnus.mail': mail.mail }, () => post.send(mail, id));
    const left = queuedAt.getTime() + Math.min(mail.goodFor ?? DAY, DAY) - clock().getTime();
    const outcome = outcomeOf(handed, left);
    const wait = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1), Math.max(left, FIRST_PAUSE));
    metrics.mails.inc({ mail: mail.mail, outcome });
    tell({ mail: mail.mail, tries, outcome, handed });
    const became = { id, outcome, ...codes(handed) };
    await insist(() => {
      if (outcome !== 'delayed') return keepOutcome(database, became, clock());
      return database.transaction(async (tx) => {
        await keepOutcome(tx, became, clock());
        await again(tx, wait / 1000);
      });
    }, stopping);
  };

  function tell({ handed, ...fields }: { mail: string; tries: number; outcome: MailOutcome; handed: Handed }): void {
    if (!('reason' in handed)) return log.info(fields, 'a mail was handed over');
    const { reason, step, status } = handed;
    // Of a recipient there may be many; of these there is one, and nobody gets a link until it is mended.
    const ours = !handed.final && (handed.reply ?? 0) >= 500;
    const level = ours ? 'error' : 'warn';
    log[level]({ ...fields, reason, step, status }, ours ? 'the mail server refuses us' : 'a mail was not taken');
  }
}

const codes = ({ reply, status, step }: Handed): Pick<Handed, 'reply' | 'status' | 'step'> => ({ reply, status, step });

/** `left`: milliseconds until the mail is of no more use. */
function outcomeOf(handed: Handed, left: number): MailOutcome {
  if (!('reason' in handed)) return 'sent';
  if (handed.final) return 'refused';
  return left > 0 ? 'delayed' : 'given_up';
}
