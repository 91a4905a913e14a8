/**
 * Owns which e-services are registered now: the set from the files, swapped whole on a reload, and the tombstones of those
 * taken out since the start, which answer for their tokens until those are dead.
 */
import { readClients, type ClientConfig, type Config, type Fault } from '../config.ts';
import type { Told } from '../records/logouts.ts';
import type { Payload } from './adapter.ts';
import { accountClient, browserOrigins, libraryMetadata, toldOf, validateClients } from './clients.ts';
import type Provider from 'oidc-provider';

export interface RegisteredClients {
  /** What pages and mails need to know of one. */
  client: (id: string | undefined) => ClientConfig | undefined;
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
  let present = index(config.clients);
  let told = toldOf(config.clients);
  let origins = browserOrigins(config.clients);
  const tombstones = new Map<string, ClientConfig>();

  return {
    client: (id) => (id === undefined ? undefined : present.get(id)),
    metadata(id) {
      const live = present.get(id);
      if (live) return libraryMetadata(live, config);
      const gone = tombstones.get(id);
      // Known, so that what it was given can be introspected and ended; it gets nothing new.
      return gone && libraryMetadata({ ...gone, grant_types: [], response_types: [], redirect_uris: [] }, config);
    },
    told: () => told,
    browserOrigins: () => origins,
    faults: (provider) => validateClients([...present.values()], config, provider),
    async reload(provider) {
      const { clients, faults } = readClients(config.folder);
      if (!clients) return faults;
      const against = await validateClients(clients, config, provider);
      if (against.length) return against;
      const before = present;
      present = index(clients);
      told = toldOf(clients);
      origins = browserOrigins(clients);
      for (const [id, client] of before) if (!present.has(id)) tombstones.set(id, client);
      for (const id of present.keys()) tombstones.delete(id);
      return [];
    },
  };
}
