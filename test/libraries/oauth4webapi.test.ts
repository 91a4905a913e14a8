/** oauth4webapi, a certified client library that checks every answer: the whole way of an e-service with a secret, and of one with a key. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as oauth from 'oauth4webapi';
import type { HttpBrowser } from '../support/http-browser.ts';
import { CLIENT_KEY, startStandards } from '../support/standards.ts';
import { CLIENT_SECRET, type World } from '../support/world.ts';

let world: World;
let browser: HttpBrowser;
let server: oauth.AuthorizationServer;
const insecure = { [oauth.allowInsecureRequests]: true };

beforeAll(async () => {
  ({ world, browser } = await startStandards());
  const issuer = new URL(world.issuer);
  server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
});
afterAll(() => world.close());

async function keyJwt(): Promise<oauth.ClientAuth> {
  const pkcs8 = CLIENT_KEY.privateKey.export({ format: 'der', type: 'pkcs8' });
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const key = await crypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), algorithm, false, ['sign']);
  return oauth.PrivateKeyJwt({ key, kid: 'one' });
}

interface Kind {
  id: string;
  authentication: () => Promise<oauth.ClientAuth>;
  pushed?: boolean;
}
const KINDS: [string, Kind][] = [
  ['client_secret_basic', { id: 'rp', authentication: async () => oauth.ClientSecretBasic(CLIENT_SECRET) }],
  ['client_secret_post', { id: 'post', authentication: async () => oauth.ClientSecretPost(CLIENT_SECRET) }],
  ['client_secret_jwt', { id: 'secret-jwt', authentication: async () => oauth.ClientSecretJwt(CLIENT_SECRET) }],
  ['private_key_jwt and a pushed request', { id: 'key-jwt', authentication: keyJwt, pushed: true }],
  ['no secret', { id: 'app', authentication: async () => oauth.None() }],
];

describe('oauth4webapi', () => {
  test.each(KINDS)('signs in, asks userinfo, refreshes, introspects and revokes: %s', async (_name, kind) => {
    const client: oauth.Client = { client_id: kind.id };
    const authentication = await kind.authentication();
    const redirectUri = `https://${kind.id}.example/callback`;
    const verifier = oauth.generateRandomCodeVerifier();
    const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
    const asked = new URLSearchParams({
      client_id: kind.id,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: 'openid email',
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      max_age: '3600',
    });
    const url = new URL(server.authorization_endpoint!);
    if (kind.pushed) {
      const answer = await oauth.pushedAuthorizationRequest(server, client, authentication, asked, insecure);
      const pushed = await oauth.processPushedAuthorizationResponse(server, client, answer);
      url.search = new URLSearchParams({ client_id: kind.id, request_uri: pushed.request_uri }).toString();
    } else url.search = asked.toString();

    const back = (await browser.get(url)).leadsTo!;
    const answer = oauth.validateAuthResponse(server, client, back, state);
    const tokens = await oauth.processAuthorizationCodeResponse(
      server,
      client,
      await oauth.authorizationCodeGrantRequest(
        server,
        client,
        authentication,
        answer,
        redirectUri,
        verifier,
        insecure,
      ),
      { expectedNonce: nonce, requireIdToken: true, maxAge: 3600 },
    );
    const { sub } = oauth.getValidatedIdTokenClaims(tokens)!;
    const info = await oauth.userInfoRequest(server, client, tokens.access_token, insecure);
    expect(await oauth.processUserInfoResponse(server, client, sub, info)).toMatchObject({ email: 'suvi@example.com' });

    const refreshed = await oauth.processRefreshTokenResponse(
      server,
      client,
      await oauth.refreshTokenGrantRequest(server, client, authentication, tokens.refresh_token!, insecure),
    );
    expect(oauth.getValidatedIdTokenClaims(refreshed)).toMatchObject({ sub });
    const token = refreshed.access_token;
    const introspect = async () =>
      oauth.processIntrospectionResponse(
        server,
        client,
        await oauth.introspectionRequest(server, client, authentication, token, insecure),
      );
    // Whoever does not authenticate learns nothing of tokens (RFC 7662, 4).
    if (kind.id !== 'app') expect(await introspect()).toMatchObject({ active: true, client_id: kind.id });
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(server, client, authentication, token, insecure),
    );
    if (kind.id !== 'app') expect(await introspect()).toEqual({ active: false });
    expect((await oauth.userInfoRequest(server, client, token, insecure)).status).toBe(401);
  });

  test('sees an error for what it is', async () => {
    const url = new URL(server.authorization_endpoint!);
    url.search = new URLSearchParams({
      client_id: 'rp',
      redirect_uri: 'https://rp.example/callback',
      response_type: 'code',
      scope: 'openid',
      state: 'a',
      prompt: 'none',
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
    }).toString();
    const back = (await world.browser().get(url)).leadsTo!;
    const read = (): unknown => oauth.validateAuthResponse(server, { client_id: 'rp' }, back, 'a');
    expect(read).toThrow(oauth.AuthorizationResponseError);
    expect(back.searchParams.get('error')).toBe('login_required');
  });
});
