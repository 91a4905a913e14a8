/**
 * Owns what a resident agrees to: the grant of an e-service that is not the city's own (`consent: ask`).
 * The grant is written with the answer that leads on.
 */
import type Provider from 'oidc-provider';
import type { SignInUnderWay } from './interaction.ts';

export interface Consent {
  /** @returns the grant's id, for the sign-in's outcome */
  agree(underWay: SignInUnderWay): Promise<string>;
}

export function consent(provider: () => Provider): Consent {
  return {
    async agree({ clientId, params, session }) {
      if (!session) throw new Error('consent is asked of somebody who is signed in');
      const grant = new (provider().Grant)({ accountId: session.accountId, clientId });
      grant.addOIDCScope(typeof params['scope'] === 'string' ? params['scope'] : 'openid');
      return grant.save();
    },
  };
}
