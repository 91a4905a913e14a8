/** oidc-client-ts in Chromium, untouched: an application without a server, on an origin of its own. */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newVisitor, startChromium, type Browser, type Page } from '../support/browser.ts';
import { startWorld, type World } from '../support/world.ts';

const RESIDENT = { email: 'suvi@example.com', password: 'kolme punaista venettä laiturissa' };
// Its package lets only its modules be named; a page without a build takes the file itself.
const library = readFileSync(
  join(import.meta.dirname, '../../node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js'),
);

let app: Server;
let home: string;
let world: World;
let chromium: Browser;

const page = (
  issuer: string,
): string => `<!doctype html><title>App</title><p id="state">waiting</p><script src="/oidc.js"></script>
<script>
  const manager = new oidc.UserManager({
    authority: ${JSON.stringify(issuer)}, client_id: 'spa', redirect_uri: location.origin + '/callback',
    post_logout_redirect_uri: location.origin + '/', scope: 'openid email', loadUserInfo: true,
  });
  const say = (what) => (document.getElementById('state').textContent = what);
  (async () => {
    if (location.pathname === '/callback') {
      await manager.signinRedirectCallback();
      history.replaceState(null, '', '/');
    }
    const user = await manager.getUser();
    say(user ? 'in ' + user.profile.email : 'out');
  })().catch((error) => say('failed: ' + error.message));
</script>`;

beforeAll(async () => {
  app = createServer((request, response) => {
    const script = request.url === '/oidc.js';
    response
      .setHeader('content-type', script ? 'text/javascript' : 'text/html')
      .end(script ? library : page(world.issuer));
  });
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  app.unref();
  home = `http://localhost:${(app.address() as AddressInfo).port}`;
  world = await startWorld({
    clients: {
      spa: {
        client_name: 'Sovellus',
        client_secret: undefined,
        token_endpoint_auth_method: 'none',
        redirect_uris: [`${home}/callback`],
        post_logout_redirect_uris: [`${home}/`],
        grant_types: ['authorization_code', 'refresh_token'],
        scope: 'openid email',
      },
    },
  });
  await world.account(RESIDENT);
  chromium = await startChromium();
});
afterAll(async () => {
  await chromium.close();
  await world.close();
  app.closeAllConnections();
  await new Promise((resolve) => app.close(resolve));
});

const state = async (tab: Page, words: RegExp): Promise<string> => {
  const found = tab.locator('#state', { hasText: words });
  await found.waitFor();
  return found.innerText();
};

test('signs in with PKCE, reads userinfo across origins, refreshes with a rotated token, and signs out', async () => {
  const tab = await (await newVisitor(chromium)).newPage();
  await tab.goto(`${home}/`);
  expect(await state(tab, /out|failed/)).toBe('out');
  await tab.evaluate('void manager.signinRedirect()');
  await tab.locator('main [autocomplete~="username"]').fill(RESIDENT.email);
  await tab.locator('main [type=submit]').first().click();
  await tab.locator('main [autocomplete~="current-password"]').fill(RESIDENT.password);
  await tab.locator('main form').first().locator('[type=submit]').first().click();
  expect(await state(tab, /in |failed/)).toBe(`in ${RESIDENT.email}`);

  const [before, after] = await tab.evaluate<[string, string]>(`(async () => {
    const before = (await manager.getUser()).refresh_token;
    return [before, (await manager.signinSilent()).refresh_token];
  })()`);
  expect(after).toBeTruthy();
  expect(after).not.toBe(before);

  await tab.evaluate('void manager.signoutRedirect()');
  await tab.waitForURL(`${home}/`);
  expect(await state(tab, /out|failed/)).toBe('out');
  await tab.context().close();
});
