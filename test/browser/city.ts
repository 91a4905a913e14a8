/**
 * What the browser tests live in: Tunnus as it is, two e-services that speak to it as in the demo, and Chromium.
 * What residents do there is the tests' own matter.
 */
import type { Page } from 'playwright-core';
import { startEService } from '../../src/demo/e-service.ts';
import { asiointiHistory, karttaHistory } from '../../src/demo/history.ts';
import { findFreePorts } from '../../src/demo/ports.ts';
import { newVisitor, startChromium, type Visitor } from '../support/browser.ts';
import { CLIENT_SECRET, startWorld, type World } from '../support/world.ts';

export interface City {
  world: World;
  asiointi: string;
  kartta: string;
  /** A browser of its own, with no past. */
  visit(visitor?: Visitor): Promise<Page>;
  close(): Promise<void>;
}

export async function startCity(): Promise<City> {
  const ports = await findFreePorts();
  const site = { asiointi: `http://localhost:${ports.asiointi}`, kartta: `http://localhost:${ports.kartta}` };
  const registration = (url: string, name: string) => ({
    client_name: name,
    redirect_uris: [`${url}/callback`],
    post_logout_redirect_uris: [`${url}/signed-out`],
    initiate_login_uri: `${url}/login`,
    client_uri: `${url}/`,
    backchannel_logout_uri: `${url}/backchannel-logout`,
    backchannel_logout_session_required: true,
    scope: 'openid email profile legacy',
  });
  const world = await startWorld({
    clients: {
      asiointi: {
        ...registration(site.asiointi, 'Sähköinen asiointi'),
        subject_type: 'legacy',
        legacy_source: 'asiointi',
      },
      kartta: { ...registration(site.kartta, 'Karttapalvelu'), subject_type: 'pairwise', legacy_source: 'kartta' },
    },
  });
  const shared = { issuer: world.issuer, clientSecret: CLIENT_SECRET, scope: 'openid email profile legacy' };
  const services = await Promise.all([
    startEService({
      ...shared,
      name: 'asiointi',
      clientId: 'asiointi',
      port: ports.asiointi,
      history: asiointiHistory,
      others: [{ name: 'kartta', url: site.kartta }],
    }),
    startEService({
      ...shared,
      name: 'kartta',
      clientId: 'kartta',
      port: ports.kartta,
      history: karttaHistory,
      others: [{ name: 'asiointi', url: site.asiointi }],
    }),
  ]);
  const chromium = await startChromium();
  return {
    world,
    ...site,
    async visit(visitor) {
      const context = await newVisitor(chromium, visitor);
      return context.newPage();
    },
    async close() {
      await chromium.close();
      await Promise.all(services.map((service) => service.close()));
      await world.close();
    },
  };
}
