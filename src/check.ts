/**
 * Owns `tunnus check`: asks the library about the e-services, opens what the configuration names (database, mail server), says
 * what does not work and warns of what is weak or suspicious. Changes nothing; the configuration's own faults are told before,
 * by config.ts.
 */
import { createTransport } from 'nodemailer';
import { clientSources, weaknesses, type Config, type Fault } from './config.ts';
import { clientFaults } from './oidc/client-check.ts';
import { DatabaseUnavailable, openDatabase, type Database } from './platform/database.ts';
import { findEmbedded } from './platform/embedded-postgres.ts';
import { makeSealer } from './platform/secrets.ts';
import { countPeppers, countSealedHashes } from './records/accounts.ts';
import { engine } from './records/hashing.ts';
import { knownSources } from './records/legacy-ids.ts';
import { troubledLogouts } from './records/logouts.ts';
import { hashingOf } from './records/passwords.ts';
import { seals } from './records/seals.ts';

export interface CheckUp {
  lines: string[];
  failed: boolean;
}

const PATIENCE = 10_000;
const WEEK = 7 * 86_400_000;

/** What the database tells of: e-services that do not take sign-outs, and what still needs an old secret. */
async function troubles(database: Database, config: Config): Promise<string[]> {
  const lines = (await troubledLogouts(database, new Date(Date.now() - WEEK))).map(
    ({ clientId, count, reason }) =>
      `warning: e-service ${clientId} did not take ${count} sign-outs within a week, the latest: ${reason}`,
  );
  if (config.secret.length) {
    const old = (await seals(database, makeSealer(config.secret))).filter(({ secret }) => secret !== 0);
    if (old.length)
      lines.push(
        `warning: ${old.length} values in the database are not sealed by the first secret: run tunnus keys reseal`,
      );
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

/** `wrong`: with these e-services serve would not start. */
export async function checkHouse(config: Config): Promise<{ wrong: Fault[] } | CheckUp> {
  const wrong = await clientFaults(config);
  if (wrong.length) return { wrong };
  const good: string[] = ['ok: the configuration is complete', `ok: passwords are hashed by ${engine}`];
  const bad: string[] = [];
  const weak = weaknesses(config).map(({ file, message }) => `warning: ${file}: ${message}`);

  const url = config.database.url ?? (await findEmbedded(config.database.folder))?.url;
  if (!url) good.push(`ok: the embedded PostgreSQL in ${config.database.folder} is not running; serve starts it`);
  else {
    const database = openDatabase({ url, max: 1 });
    try {
      await database.ping();
      good.push('ok: the database answers');
      const imported = await knownSources(database).catch(() => undefined);
      if (!imported) weak.push('warning: the database has no schema yet: run tunnus migrate, or serve');
      else {
        for (const { source, file } of clientSources(config))
          if (!imported.includes(source)) weak.push(`warning: ${file}: legacy_source ${source} has no import yet`);
        const older = ['warning: the database has an older schema: run tunnus migrate, or serve'];
        weak.push(...(await troubles(database, config).catch(() => older)));
      }
    } catch (error) {
      const unavailable = error instanceof DatabaseUnavailable;
      bad.push(`fault: ${unavailable ? '' : 'the database does not let in: '}${(error as Error).message}`);
    } finally {
      await database.close();
    }
  }

  if (config.mail.url) {
    const transport = createTransport({
      url: config.mail.url,
      connectionTimeout: PATIENCE,
      greetingTimeout: PATIENCE,
      socketTimeout: PATIENCE,
    } as never);
    try {
      await transport.verify();
      good.push('ok: the mail server answers');
    } catch (error) {
      bad.push(`fault: the mail server does not answer: ${(error as Error).message}`);
    } finally {
      transport.close();
    }
  }
  return { lines: [...good, ...weak, ...bad], failed: bad.length > 0 };
}
