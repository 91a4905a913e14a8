/**
 * Owns which e-services are registered now: the set from the files, swapped whole on a reload, and the tombstones of those
 * taken out since the start, which answer for their tokens until those are dead.
 */
import { readClients, type ClientConfig, type Config, type Fault } from '../config.ts';
import type { Payload } from './adapter.ts';
import { accountClient, libraryMetadata, validateClients } from './clients.ts';
import type Provider from 'oidc-provider';

export interface RegisteredClients {
  /** What pages and mails need to know of one. */
  client: (id: string | undefined) => ClientConfig | undefined;
  /** For the adapter. */
  metadata: (id: string) => Payload | undefined;
  /** What the library has against the present set. */
  faults(provider: Provider): Promise<Fault[]>;
  /** All of the new set, or, with any fault, none of it. */
  reload(provider: Provider): Promise<Fault[]>;
}

export function registeredClients(config: Config): RegisteredClients {
  const index = (clients: readonly ClientConfig[]): Map<string, ClientConfig> =>
    new Map([accountClient(config.issuer), ...clients].map((client) => [client.client_id, client]));
  let present = index(config.clients);
  const tombstones = new Map<string, ClientConfig>();
  /** Asked for in every request. The library sorts and fills the lists that it is given: each time it gets a copy. */
  const translated = new WeakMap<ClientConfig, string>();
  const copyFor = (client: ClientConfig): Payload => {
    let json = translated.get(client);
    if (json === undefined) translated.set(client, (json = JSON.stringify(libraryMetadata(client, config))));
    return JSON.parse(json) as Payload;
  };

  return {
    client: (id) => (id === undefined ? undefined : present.get(id)),
    metadata(id) {
      const live = present.get(id);
      if (live) return copyFor(live);
      const gone = tombstones.get(id);
      // Known, so that what it was given can be introspected and ended; it gets nothing new.
      return gone && libraryMetadata({ ...gone, grant_types: [], response_types: [], redirect_uris: [] }, config);
    },
    faults: (provider) => validateClients([...present.values()], config, provider),
    async reload(provider) {
      const { clients, faults } = readClients(config.folder);
      if (!clients) return faults;
      const against = await validateClients(clients, config, provider);
      if (against.length) return against;
      const before = present;
      present = index(clients);
      for (const [id, client] of before) if (!present.has(id)) tombstones.set(id, client);
      for (const id of present.keys()) tombstones.delete(id);
      return [];
    },
  };
}
