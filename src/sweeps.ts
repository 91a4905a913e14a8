/** Owns what is swept of each table, and when the oldest row of each is due: the jobs sweep by the one, metrics and `status` tell by the other. */
import { dueDeadJob, sweepDeadJobs } from './jobs.ts';
import type { Due } from './journeys/status.ts';
import { sql, type Queryable } from './platform/database.ts';
import { oldestArtifact, oldestSession, sweepArtifacts } from './records/artifacts.ts';
import { sweepDevices } from './records/devices.ts';
import { oldestInteraction, sweepInteractions } from './records/interactions.ts';
import { dueLink, sweepLinks } from './records/links.ts';
import { dueLogoutRow, sweepLogouts } from './records/logouts.ts';
import { dueMail, sweepMails } from './records/mail-outcomes.ts';
import { dueMailPace, sweepMailPace } from './records/mail-pace.ts';
import { dueNode, sweepNodes } from './records/nodes.ts';
import { dueRegistration, sweepRegistrations } from './records/registrations.ts';
import { dueBucket, sweepThrottle } from './records/throttle.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ago = (now: Date, milliseconds: number): Date => new Date(now.getTime() - milliseconds);

/** What has expired is kept as long as something may still ask for it: the longest interaction, the cookie of a late page. */
const sweepOldArtifacts = (db: Queryable, now: Date) => sweepArtifacts(db, ago(now, 2 * HOUR));
const sweepOldInteractions = (db: Queryable, now: Date) => sweepInteractions(db, ago(now, DAY));
export const SWEEPS = [
  sweepOldArtifacts,
  sweepOldInteractions,
  sweepThrottle,
  sweepLinks,
  sweepMails,
  sweepMailPace,
  sweepLogouts,
  sweepNodes,
  sweepDeadJobs,
  sweepDevices,
  sweepRegistrations,
];

/**
 * When the oldest row of each is to go, in hours: a day may have 23 where the database keeps summer time. Sessions go by
 * back-channel logout's own sweep, a minute after they ran out.
 */
export const DUE: Due = {
  artifacts: sql`${oldestArtifact} + interval '2 hours'`,
  sessions: sql`${oldestSession} + interval '1 minute'`,
  interactions: sql`${oldestInteraction} + interval '24 hours'`,
  throttle: dueBucket,
  links: dueLink,
  mails: dueMail,
  mail_pace: dueMailPace,
  logouts: dueLogoutRow,
  nodes: dueNode,
  jobs: dueDeadJob,
  registrations: dueRegistration,
};
