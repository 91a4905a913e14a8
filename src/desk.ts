/**
 * The composition of what commands are handed, on what connection.ts opens. Apart from app.ts, since a command that needs no
 * provider is not to wait until all of it is loaded: nothing here leads to the library.
 */
import type { Config } from './config.ts';
import type { Connection } from './connection.ts';
import { allowances } from './journeys/allowances.ts';
import { dormantJourney, type DormantJourney } from './journeys/dormant.ts';
import { factorSupport, type FactorSupport } from './journeys/factor-removals.ts';
import { identityChanges, type IdentityChanges } from './journeys/identity-changes.ts';
import type { EService } from './journeys/rehearse.ts';
import { status, type Status } from './journeys/status.ts';
import { support, type Support } from './journeys/support.ts';
import { makeMails } from './mail/mails.ts';
import { openPost, type Post } from './mail/post.ts';
import { relationOfFile, sectorOf, toldOf } from './oidc/clients.ts';
import { makeKeys, type Keys } from './oidc/keys.ts';
import { reseal, seals } from './records/seals.ts';

const DAY = 86_400_000;

export function signingKeys({ database, sealer, config }: Omit<Connection, 'close'> & { config: Config }): Keys {
  const { algorithms, rotation } = config.keys;
  // E-services keep ID tokens as hints as long as their own sessions live.
  return makeKeys({ db: database, sealer, algorithms, rotation, keepFor: config.session.absolute + 30 * DAY });
}

/** What stands sealed in the database, for the commands. */
export const sealing = ({ database, sealer }: Omit<Connection, 'close'>) => ({
  list: () => seals(database, sealer),
  reseal: () => reseal(database, sealer),
});

/** Support's journeys, for the commands. */
export function supportFor(
  { database, sealer, config }: Connection & { config: Config },
  actor: string,
): Support & IdentityChanges & FactorSupport {
  const parts = {
    database,
    sealer,
    config,
    actor,
    sectorOf,
    told: toldOf(config.clients),
    mails: makeMails({ sealer }),
    allowances: allowances({ sealer, limits: config.limits }),
  };
  return { ...support(parts), ...identityChanges(parts), ...factorSupport(parts) };
}

/** The way to the mail server, for the commands. */
export const postFor = (config: Config): Post => openPost(config);

/** By what each e-service knows residents, for the rehearsal. */
export function eServices({ clients }: Pick<Config, 'clients'>): EService[] {
  return clients
    .filter((client) => client.grant_types.includes('authorization_code'))
    .map((client) => ({
      clientId: client.client_id,
      relation: relationOfFile(client),
      legacyClaim: client.legacy_source !== undefined && client.scope.split(' ').includes('legacy'),
    }));
}

/** What becomes of dormant accounts, for the commands. */
export function dormantFor({ database, sealer, config }: Connection & { config: Config }): DormantJourney {
  return dormantJourney({ database, sealer, config, mails: makeMails({ sealer }), told: toldOf(config.clients) });
}

/** How the service is, for the command. */
export async function statusFor({ database, config }: Connection & { config: Config }, now: Date): Promise<Status> {
  // The jobs come with it.
  const { DUE } = await import('./sweeps.ts');
  return status({ database, config, due: DUE }, now);
}
