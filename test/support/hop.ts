/** The whole story of a resident over several nodes, each request at the next one: what must hold whatever differs between them. */
import { expect } from '@jest/globals';
import * as client from 'openid-client';
import { HttpBrowser } from './http-browser.ts';
import type { Mailbox } from './mailbox.ts';
import { CLIENT_SECRET } from './world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

export interface Hop {
  issuer: string;
  /** Their addresses; all are reached under the issuer's. */
  nodes: readonly string[];
  /** Which of them the first request reaches. */
  first: number;
  /** Of an account without a password. */
  email: string;
  mailbox: Mailbox;
  /** Of the client `asiointi`. */
  redirectUri: string;
  signedOutUri: string;
}

/** Gives the `sub`. */
export async function hop({ issuer, nodes, first, email, mailbox, redirectUri, signedOutUri }: Hop): Promise<string> {
  let turn = first;
  const next = (url: URL): URL =>
    url.origin === issuer ? new URL(url.pathname + url.search, nodes[turn++ % nodes.length]) : url;
  const asiointi = await client.discovery(
    new URL(issuer),
    'asiointi',
    CLIENT_SECRET,
    client.ClientSecretBasic(CLIENT_SECRET),
    {
      execute: [client.allowInsecureRequests],
      [client.customFetch]: (url, options) => fetch(next(new URL(url)), options),
    },
  );
  const browser = new HttpBrowser({ reach: next });
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const begin = async (parameters = {}): Promise<void> => {
    const url = client.buildAuthorizationUrl(asiointi, {
      redirect_uri: redirectUri,
      scope: 'openid email offline_access',
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      ...parameters,
    });
    await browser.get(url);
  };
  const finish = () => client.authorizationCodeGrant(asiointi, browser.page.leadsTo!, { pkceCodeVerifier });

  await begin();
  await browser.submit({ username: email });
  await browser.get((await mailbox.next({ to: email, within: 20_000 })).links[0]!);
  await browser.submit({ 'new-password': PASSWORD });
  await browser.follow('Siirry kirjautumaan');
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await finish();
  const { sub } = tokens.claims()!;
  expect(await client.fetchUserInfo(asiointi, tokens.access_token, sub)).toMatchObject({ email });
  const refreshed = await client.refreshTokenGrant(asiointi, tokens.refresh_token!);
  expect(refreshed.claims()!.sub).toBe(sub);

  // Signed in a moment ago: fresh enough for max_age, and asked again for prompt=login.
  await begin({ max_age: '60' });
  expect((await finish()).claims()!.sub).toBe(sub);
  await begin({ prompt: 'login' });
  expect([browser.page.status, browser.page.leadsTo]).toEqual([200, undefined]);

  const ways = { id_token_hint: refreshed.id_token!, post_logout_redirect_uri: signedOutUri };
  await browser.get(client.buildEndSessionUrl(asiointi, ways));
  if (!browser.page.leadsTo) await browser.submit();
  expect(browser.page.leadsTo?.href).toBe(signedOutUri);
  await begin({ prompt: 'none' });
  expect(browser.page.leadsTo?.searchParams.get('error')).toBe('login_required');
  return sub;
}
