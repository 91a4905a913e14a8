/**
 * Owns the library's word on the e-services where no provider runs: `tunnus check` finds what `serve` would refuse to start
 * with. The Provider that is asked is thrown away; it is configured as the real one is and answers nobody.
 */
import type { JWK } from 'jose';
import type { Config, Fault } from '../config.ts';
import { validateClients } from './clients.ts';
import { generatePair } from './keys.ts';
import { currentProvider, type ProviderParts } from './provider.ts';

export async function clientFaults(config: Config): Promise<Fault[]> {
  // What may be signed with is read from the keys; these sign nothing.
  const keys = await Promise.all(
    config.keys.algorithms.map(async (alg) => {
      const { privateKey } = await generatePair(alg);
      return { ...(privateKey.export({ format: 'jwk' }) as JWK), alg, use: 'sig' };
    }),
  );
  const parts = { config, clock: () => new Date(), cookieKeys: ['unused'], adapter: class {} } as unknown;
  const throwAway = currentProvider(parts as ProviderParts, { keys });
  return validateClients(config.clients, config, throwAway.provider());
}
