/**
 * Owns what an e-service proves itself with, where the library's own ways do not do: two secrets while one is being changed,
 * and the public keys behind `jwks_uri`, fetched when they are needed and never believed for long.
 *
 * The library fetches again only when no key fits, so a key that was withdrawn would stay good for ever; and it keeps what
 * it has for as long as the e-service's Cache-Control says, so a new key would not be found for a day.
 */
import type { Client, Provider } from 'oidc-provider';
import type { ClientConfig } from '../config.ts';
import { sameSecret } from '../platform/secrets.ts';
import type { Log } from '../platform/telemetry.ts';

/** Keys are fetched anew after this, in milliseconds… */
const KEPT = 5 * 60_000;
/** …and before it where none fits, but not more often than this: whoever invents a `kid` makes us fetch. */
const RETRY_AFTER = 10_000;
/** Where they cannot be fetched the old ones are good for this long, so that a restart over there stops no sign-in here. */
const GOOD_FOR = 60 * 60_000;

/** Is it one of the client's secrets? Takes the same time for each. */
export function acceptsSecret(
  { client_secret: secrets = [] }: Pick<ClientConfig, 'client_secret'>,
  presented: string,
): boolean {
  return secrets.map((secret) => sameSecret(secret, presented)).includes(true);
}

/** The library's store of a client's keys, as far as it is met here. */
interface KeyStore {
  fresh(): boolean;
  refresh(): Promise<void>;
  selectForVerify(wanted: object): unknown[];
  add(key: object): void;
}

interface Parts {
  clock: () => Date;
  log: Log;
}

/** To be called for each new Provider. */
export function proveClients(provider: Provider, parts: Parts): void {
  const { Client: model } = provider;
  model.prototype.compareClientSecret = function compare(this: Client, presented: string) {
    return acceptsSecret({ client_secret: this['client_secrets'] as string[] | undefined }, presented);
  };
  const seen = new WeakSet<Client>();
  const find = model.find.bind(model);
  model.find = async (id) => {
    const client = await find(id);
    if (client && !seen.has(client)) {
      seen.add(client);
      acceptEverySecret(client);
      if (client.jwksUri) watchKeys(client, parts);
    }
    return client;
  };
}

/** For client_secret_jwt, where a secret is a key. */
function acceptEverySecret(client: Client): void {
  if (client.tokenEndpointAuthMethod !== 'client_secret_jwt') return;
  const store = client['symmetricKeyStore'] as KeyStore;
  const [, ...older] = (client['client_secrets'] ?? []) as string[];
  for (const secret of older)
    store.add({ alg: 'HS256', use: 'sig', kty: 'oct', k: Buffer.from(secret).toString('base64url') });
}

function watchKeys(client: Client, { clock, log }: Parts): void {
  const store = client['asymmetricKeyStore'] as KeyStore;
  const [refresh, select] = [store.refresh.bind(store), store.selectForVerify.bind(store)];
  let fetchedAt = -Infinity;
  let triedAt = -Infinity;
  const since = (time: number): number => clock().getTime() - time;

  // Asked after a check that failed: may another fetch mend it?
  store.fresh = () => since(triedAt) < RETRY_AFTER;
  store.selectForVerify = (wanted) => {
    const due = since(fetchedAt) >= KEPT && !store.fresh();
    return due || since(fetchedAt) >= GOOD_FOR ? [] : select(wanted);
  };
  store.refresh = async () => {
    try {
      await refresh();
      fetchedAt = clock().getTime();
    } catch (error) {
      const reason = String(((error as Error).cause as Error | undefined)?.message ?? error);
      log.warn(
        { clientId: client.clientId, jwksUri: client.jwksUri, reason },
        'the keys of an e-service were not fetched',
      );
      if (since(fetchedAt) >= GOOD_FOR) throw error;
    } finally {
      triedAt = clock().getTime();
    }
  };
}
