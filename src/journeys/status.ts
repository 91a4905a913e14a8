/**
 * Owns telling how the service is at one look: its nodes, what waits, what failed lately, what is due, and, in plain words, what
 * an operator should look at. The same figures are the metrics' (house-metric.ts).
 */
import type { Config } from '../config.ts';
import { ask } from '../platform/ask.ts';
import { sql, type Database, type Queryable, type Sql } from '../platform/database.ts';
import { troubledLogouts, type LogoutTrouble } from '../records/logouts.ts';
import { mailsWaiting, type MailsWaiting } from '../records/mail-outcomes.ts';
import { nodes, type NodeRow } from '../records/nodes.ts';
import { countsBySource, type SourceCounts } from '../records/progress.ts';
import { keyState, publishedKeys } from '../records/signing-keys.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** By table: a scalar query for when its oldest row is to be swept. */
export type Due = Readonly<Record<string, Sql>>;

export interface KeyOutlook {
  alg: string;
  /** When the one that signs now is to be followed by the next. */
  retiresAt?: Date;
  /** When the one that is published already begins to sign. */
  nextAt?: Date;
}

/** What the database tells. */
export interface Stock {
  nodes: NodeRow[];
  mails: MailsWaiting;
  keys: KeyOutlook[];
  /** By table, in seconds: for how long the oldest row is overdue to be swept. */
  leftOver: Record<string, number>;
}

export async function takeStock(db: Queryable, due: Due, now: Date): Promise<Stock> {
  return {
    nodes: await nodes(db),
    mails: await mailsWaiting(db, new Date(now.getTime() - DAY)),
    keys: await keyOutlook(db, now),
    leftOver: await leftOvers(db, due, now),
  };
}

async function keyOutlook(db: Queryable, now: Date): Promise<KeyOutlook[]> {
  const standing = (await publishedKeys(db, now)).map((key) => ({ key, state: keyState(key, now) }));
  return [...new Set(standing.map(({ key }) => key.alg))].sort().map((alg) => {
    const of = (state: string) => standing.find((one) => one.key.alg === alg && one.state === state)?.key;
    return { alg, retiresAt: of('active')?.retiresAt, nextAt: of('next')?.activeAt };
  });
}

async function leftOvers(db: Queryable, due: Due, now: Date): Promise<Record<string, number>> {
  const tables = Object.keys(due);
  const all = Object.values(due).reduce((list, one) => sql`${list}, ${one}`);
  const [row] = await db.query<{ due: (Date | null)[] }>(sql`select array[${all}]::timestamptz[] as due`);
  return Object.fromEntries(
    tables.map((table, index) => {
      const at = row!.due[index]?.getTime() ?? now.getTime();
      return [table, Math.max(0, Math.round((now.getTime() - at) / SECOND))];
    }),
  );
}

/** Of what residents and e-services meet at the issuer's address, as seen from this machine. */
export type Certificate = { endsAt: Date } | { failed: string };

/** Undefined where the issuer has none: it is http. */
export async function issuerCertificate(
  issuer: string,
  options: { ca?: string } = {},
): Promise<Certificate | undefined> {
  if (!issuer.startsWith('https:')) return undefined;
  const answer = await ask(`${issuer}/health/live`, {}, options);
  if ('failed' in answer) return answer;
  return answer.certificateEnds ? { endsAt: answer.certificateEnds } : { failed: 'it showed no certificate' };
}

export interface Status extends Stock {
  at: Date;
  certificate?: Certificate;
  /** E-services that did not take sign-outs within a week. */
  logouts: LogoutTrouble[];
  /** How far the move is; `source` null: all lists together. */
  move: SourceCounts[];
  /** What to look at, in plain words. */
  warnings: string[];
}

/** A node writes every few seconds: one that was silent for so long has gone. */
export const SILENT = MINUTE;

export async function status(
  { database, config, due }: { database: Database; config: Pick<Config, 'issuer' | 'mail'>; due: Due },
  now: Date,
): Promise<Status> {
  const stock = await takeStock(database, due, now);
  const found = {
    ...stock,
    at: now,
    certificate: await issuerCertificate(config.issuer),
    logouts: await troubledLogouts(database, new Date(now.getTime() - 7 * DAY)),
    move: await database.session((session) => countsBySource(session)),
  };
  return { ...found, warnings: warningsOf(found, config) };
}

export const isThere = ({ seenAt, stopping }: NodeRow, now: Date): boolean =>
  !stopping && now.getTime() - seenAt.getTime() < SILENT;

const OLD_MAIL = 10 * MINUTE;
const LAST_DAYS_OF_A_CERTIFICATE = 14 * DAY;
/** In seconds. */
const LONG_OVERDUE = 3600;

/** The same limits as those of deploy/alerts.yml, where both can tell. */
function warningsOf(
  { at: now, nodes: all, mails, keys, leftOver, certificate, logouts }: Omit<Status, 'warnings'>,
  config: Pick<Config, 'mail'>,
): string[] {
  const since = (at: Date): number => now.getTime() - at.getTime();
  const there = all.filter((node) => isThere(node, now));
  const silent = all.filter((node) => since(node.seenAt) >= SILENT);
  const differing = (what: 'version' | 'configuration'): boolean => new Set(there.map((node) => node[what])).size > 1;
  return [
    ...(there.length ? [] : ['No node is running: nobody can sign in.']),
    ...silent.map(
      ({ name, seenAt }) =>
        `Node ${name} went silent at ${iso(seenAt)}: it was killed, or does not reach the database.`,
    ),
    ...(differing('version') ? ['Nodes run different versions: an upgrade is half done.'] : []),
    ...(differing('configuration')
      ? ['Nodes are configured differently: a changed file did not reach all of them, or one was not sent SIGHUP.']
      : []),
    ...(config.mail.url ? [] : ['mail.url is not set: no mail goes out.']),
    ...(mails.since && since(mails.since) > OLD_MAIL
      ? [`The oldest mail waits since ${iso(mails.since)}: does the mail server answer (tunnus check)?`]
      : []),
    ...(mails.givenUp > 0 ? [`Mails given up within a day, so that residents got none: ${mails.givenUp}.`] : []),
    ...keys.flatMap(({ alg, retiresAt, nextAt }) => {
      if (!retiresAt) return [`No ${alg} key is due to sign now: is a node running?`];
      const soon = retiresAt.getTime() - now.getTime() < DAY;
      return soon && !nextAt
        ? [`The ${alg} key is due to change at ${iso(retiresAt)} and no next one is published.`]
        : [];
    }),
    // That there is no way to it from inside the network is no fault; what residents' browsers would refuse is.
    ...(certificate && 'failed' in certificate && certificate.failed.includes('certificate')
      ? [`At the issuer's address: ${certificate.failed}.`]
      : []),
    ...(certificate && 'endsAt' in certificate && -since(certificate.endsAt) < LAST_DAYS_OF_A_CERTIFICATE
      ? [`The certificate at the issuer's address ends at ${iso(certificate.endsAt)}.`]
      : []),
    ...Object.entries(leftOver).flatMap(([table, seconds]) =>
      seconds > LONG_OVERDUE ? [`Sweeping is behind: in ${table} by ${Math.round(seconds / 60)} minutes.`] : [],
    ),
    ...logouts.map(
      ({ clientId, count, reason }) =>
        `E-service ${clientId} did not take sign-outs within a week: ${count}, the latest since ${reason}.`,
    ),
  ];
}

/** In UTC, to the second. */
export const iso = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`;
