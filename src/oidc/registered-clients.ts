/**
 * Owns which e-services are registered now: the set from the files, swapped whole on a reload. One taken out needs no
 * tombstone: what it was given is not found any more (adapter.ts).
 */
import { readClients, type ClientConfig, type Config, type Fault } from '../config.ts';
import type { Told } from '../records/logouts.ts';
import type { Payload } from './adapter.ts';
import { accountClient, browserOrigins, libraryMetadata, toldOf, validateClients } from './clients.ts';
import type Provider from 'oidc-provider';

export interface RegisteredClients {
  /** As the files have them. */
  all: () => readonly ClientConfig[];
  /** What pages and mails need to know of one. */
  client: (id: string | undefined) => ClientConfig | undefined;
  /** What they are called, in every language. */
  names: () => readonly string[];
  /** For the adapter. */
  metadata: (id: string) => Payload | undefined;
  /** Those that have a back channel. */
  told: () => readonly Told[];
  /** Where their scripts run. */
  browserOrigins: () => ReadonlySet<string>;
  /** What the library has against the present set. */
  faults(provider: Provider): Promise<Fault[]>;
  /** All of the new set, or, with any fault, none of it. */
  reload(provider: Provider): Promise<Fault[]>;
}

export function registeredClients(config: Config): RegisteredClients {
  const index = (clients: readonly ClientConfig[]): Map<string, ClientConfig> =>
    new Map([accountClient(config.issuer), ...clients].map((client) => [client.client_id, client]));
  let files = config.clients;
  let present = index(files);
  let told = toldOf(config.clients);
  let origins = browserOrigins(config.clients);
  /** One reload after another: an earlier reading that took longer must not end up on top of a later one. */
  let turn: Promise<unknown> = Promise.resolve();
  /** Asked for in every request. The library sorts and fills the lists that it is given: each time it gets a copy. */
  const translated = new WeakMap<ClientConfig, string>();
  const copyFor = (client: ClientConfig): Payload => {
    let json = translated.get(client);
    if (json === undefined) translated.set(client, (json = JSON.stringify(libraryMetadata(client, config))));
    return JSON.parse(json) as Payload;
  };

  async function readAnew(provider: Provider): Promise<Fault[]> {
    const { clients, faults } = readClients(config);
    if (!clients) return faults;
    const against = await validateClients(clients, config, provider);
    if (against.length) return against;
    files = clients;
    present = index(clients);
    told = toldOf(clients);
    origins = browserOrigins(clients);
    return [];
  }

  return {
    all: () => files,
    client: (id) => (id === undefined ? undefined : present.get(id)),
    names: () => [...present.values()].flatMap(({ client_name: name }) => Object.values(name)),
    metadata(id) {
      const client = present.get(id);
      return client && copyFor(client);
    },
    told: () => told,
    browserOrigins: () => origins,
    faults: (provider) => validateClients([...present.values()], config, provider),
    reload(provider) {
      const reading = turn.then(() => readAnew(provider));
      turn = reading.catch(() => undefined);
      return reading;
    },
  };
}
