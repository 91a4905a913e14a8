/**
 * Sets the demo up and takes it down: the mailbox, Tunnus on its embedded PostgreSQL with the three old user lists, and three
 * e-services, all on this machine.
 *
 * It says nothing on the terminal (demo.ts) and tries nothing out (check.ts). Everything that the demo keeps is in `folder`.
 */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { startTunnus } from '../app.ts';
import { readConfig } from '../config.ts';
import type { Config } from '../config.ts';
import { importAccounts } from '../journeys/import-accounts.ts';
import { makeLog } from '../platform/telemetry.ts';
import { startEService } from './e-service.ts';
import type { ServiceName } from './e-service-texts.ts';
import { asiointiHistory, karttaHistory, terveysHistory } from './history.ts';
import { startMailbox } from './mailbox.ts';
import type { Ports } from './ports.ts';

export interface Demo {
  urls: Record<'tunnus' | ServiceName | 'mailbox', string>;
  close(): Promise<void>;
}

/** In the demo's folder: what Tunnus has to say, so that the terminal stays free. */
export const logFile = 'tunnus.log';

const configFolder = join(import.meta.dirname, '../../config/demo');

const lists = [
  { file: 'asiointi.csv', source: 'asiointi' },
  { file: 'kartta.csv', source: 'kartta' },
  { file: 'varaukset.csv', source: 'varaukset', encoding: 'windows-1252' },
];

const eServices = [
  { name: 'asiointi', history: asiointiHistory },
  { name: 'kartta', history: karttaHistory },
  { name: 'terveys', history: terveysHistory },
] as const;

/** Whatever was started before a failure is stopped again. */
export async function startDemo({ folder, ports }: { folder: string; ports: Ports }): Promise<Demo> {
  await mkdir(folder, { recursive: true });
  const running: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(part: T): T => {
    running.push(part);
    return part;
  };
  // The last started stops first; one that fails to stop keeps no other from it.
  const close = async () => {
    const failures: unknown[] = [];
    for (const part of running.splice(0).reverse()) await part.close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };

  try {
    const log = makeLog({ destination: keep(await openLogFile(join(folder, logFile))).stream });
    const mailbox = keep(
      await startMailbox({ port: ports.mailbox, smtpPort: ports.smtp, folder: join(folder, 'mails') }),
    );
    const config = readDemoConfig({ folder, ports, smtpUrl: mailbox.smtpUrl });
    const tunnus = keep(await startTunnus({ config, log }));
    for (const { file, source, encoding } of lists) {
      const list = { file: join(configFolder, 'lists', file), source, encoding };
      // Taking the same list in again changes nothing, so a start that was broken off needs no memory of it.
      const outcome = await importAccounts({ database: tunnus.database, sealer: tunnus.sealer, log }, list, new Date());
      if ('refused' in outcome) throw new Error(outcome.refused);
    }

    const url = (service: ServiceName): string => `http://localhost:${ports[service]}`;
    for (const { name, history } of eServices) {
      const others = eServices.filter((each) => each.name !== name).map((each) => ({ ...each, url: url(each.name) }));
      keep(await startEService({ ...registrationOf(name, config), port: ports[name], history, others }));
    }
    const [asiointi, kartta, terveys] = [url('asiointi'), url('kartta'), url('terveys')];
    return {
      urls: { tunnus: config.issuer, asiointi, kartta, terveys, mailbox: mailbox.url },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function readDemoConfig(place: { folder: string; ports: Ports; smtpUrl: string }): Config {
  const { folder, ports, smtpUrl } = place;
  const { config, faults } = readConfig(configFolder, {
    TUNNUS_DEMO_FOLDER: folder,
    TUNNUS_DEMO_PORT: String(ports.tunnus),
    TUNNUS_DEMO_METRICS_PORT: String(ports.metrics),
    TUNNUS_DEMO_ASIOINTI_PORT: String(ports.asiointi),
    TUNNUS_DEMO_KARTTA_PORT: String(ports.kartta),
    TUNNUS_DEMO_TERVEYS_PORT: String(ports.terveys),
    TUNNUS_DEMO_SMTP_URL: smtpUrl,
  });
  if (config) return config;
  throw new Error(faults.map(({ file, line, message }) => `${file}:${line}: ${message}`).join('\n'));
}

/** The e-services read their secrets where the provider does, so that the two never differ. */
function registrationOf(name: ServiceName, config: Config) {
  const client = config.clients.find((each) => each.client_id === name);
  if (!client?.client_secret?.[0]) throw new Error(`config/demo/clients has no e-service '${name}' with a secret`);
  const { issuer } = config;
  return { name, issuer, clientId: name, clientSecret: client.client_secret[0], scope: client.scope };
}

async function openLogFile(path: string) {
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
  await once(stream, 'open');
  return { stream, close: () => new Promise<void>((resolve) => stream.end(resolve)) };
}
