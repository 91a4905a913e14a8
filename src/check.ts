/**
 * Owns `tunnus check`: asks the library about the e-services, opens what the configuration names (database, mail server), says
 * what does not work and warns of what is weak or suspicious. Changes nothing; the configuration's own faults are told before,
 * by config.ts.
 */
import { clientSources, weaknesses, type Config, type Fault } from './config.ts';
import { openPost } from './mail/post.ts';
import { lookAtSender, type Resolver } from './mail/sender.ts';
import { clientFaults } from './oidc/client-check.ts';
import { MOST_APART, secondsAhead } from './platform/clock.ts';
import { openDatabase, type Database } from './platform/database.ts';
import { findEmbedded } from './platform/embedded-postgres.ts';
import { makeSealer } from './platform/secrets.ts';
import { countPeppers } from './records/accounts.ts';
import { engine } from './records/hashing.ts';
import { knownSources } from './records/legacy-ids.ts';
import { troubledLogouts } from './records/logouts.ts';
import { countSealedHashes } from './records/old-hashes.ts';
import { hashingOf } from './records/passwords.ts';
import { seals } from './records/seals.ts';

export interface CheckUp {
  lines: string[];
  failed: boolean;
}

/** Seconds. */
const CLOCK_WARNING = 2;
const WEEK = 7 * 86_400_000;

/** What the database tells of: e-services that do not take sign-outs, and what still needs an old secret. */
async function troubles(database: Database, config: Config): Promise<string[]> {
  const lines = (await troubledLogouts(database, new Date(Date.now() - WEEK))).map(
    ({ clientId, count, reason }) =>
      `warning: e-service ${clientId} did not take ${count} sign-outs within a week, the latest: ${reason}`,
  );
  if (config.secret.length) {
    const all = await seals(database, makeSealer(config.secret));
    const old = all.filter(({ secret }) => secret !== 0).reduce((sum, { count }) => sum + count, 0);
    if (old)
      lines.push(`warning: ${old} values in the database are not sealed by the first secret: run tunnus keys reseal`);
  }
  const known = hashingOf(config.password).peppers.map(({ id }) => id);
  for (const { pepper, count } of await countPeppers(database)) {
    if (!known.includes(pepper))
      lines.push(`warning: ${count} passwords need a pepper that password.pepper lacks: without it they open nothing`);
    else if (pepper !== known[0])
      lines.push(`warning: ${count} passwords rest on pepper ${known.indexOf(pepper) + 1} of password.pepper: keep it`);
  }
  const unwrapped = await countSealedHashes(database);
  if (unwrapped)
    lines.push(
      `warning: ${unwrapped} fast hashes of old lists are not wrapped yet; serve goes on with them: keep every secret until then`,
    );
  return lines;
}

/** `resolver`: who is asked about the sender's domain, by default the system's. `wrong`: with these e-services serve would not start. */
export async function checkHouse(
  config: Config,
  { resolver }: { resolver?: Resolver } = {},
): Promise<{ wrong: Fault[] } | CheckUp> {
  const wrong = await clientFaults(config);
  if (wrong.length) return { wrong };
  const good: string[] = ['ok: the configuration is complete', `ok: passwords are hashed by ${engine}`];
  const bad: string[] = [];
  const weak = weaknesses(config).map(({ file, message }) => `warning: ${file}: ${message}`);

  const url = config.database.url ?? (await findEmbedded(config.database.folder))?.url;
  if (!url) good.push(`ok: the embedded PostgreSQL in ${config.database.folder} is not running; serve starts it`);
  else {
    const database = openDatabase({ url, direct: config.database.direct, max: 1 });
    try {
      await database.ping();
      good.push('ok: the database answers');
      const ahead = await secondsAhead(database, new Date());
      const apart = Math.abs(ahead);
      const clocks = `the clock of this machine is ${apart} s ${ahead > 0 ? 'ahead of' : 'behind'} the database's: keep both by NTP`;
      if (apart > MOST_APART) bad.push(`fault: ${clocks}`);
      else if (apart > CLOCK_WARNING) weak.push(`warning: ${clocks}`);
      const imported = await knownSources(database).catch(() => undefined);
      if (!imported) weak.push('warning: the database has no schema yet: run tunnus migrate, or serve');
      else {
        for (const { source, file } of clientSources(config))
          if (!imported.includes(source)) weak.push(`warning: ${file}: legacy_source ${source} has no import yet`);
        const older = ['warning: the database has an older schema: run tunnus migrate, or serve'];
        weak.push(...(await troubles(database, config).catch(() => older)));
      }
    } catch (error) {
      bad.push(`fault: ${(error as Error).message}`);
    } finally {
      await database.close();
    }
  }

  if (config.mail.url) {
    const post = openPost(config);
    const fault = await post.reach().finally(() => post.close());
    if (fault) bad.push(`fault: the mail server does not answer as it should: ${fault}`);
    else good.push('ok: the mail server answers');
    const sender = await lookAtSender(config.mail, resolver);
    good.push(...sender.good.map((line) => `ok: ${line}`));
    weak.push(...sender.weak.map((line) => `warning: ${line}`));
  }
  return { lines: [...good, ...weak, ...bad], failed: bad.length > 0 };
}
