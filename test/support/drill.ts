/** What the drills of a restore have in common: what a resident has before it, and what must hold after. */
import { expect } from '@jest/globals';
import type { World } from './world.ts';

export const PASSWORD = 'kolme vihreää omenaa pöydällä';

export interface SignedIn {
  sub: string;
  refreshToken: string;
}

export async function signIn(world: World, email: string): Promise<SignedIn> {
  const asiointi = await world.relyingParty();
  const browser = world.browser();
  const errand = await asiointi.begin({ scope: 'openid email offline_access' });
  await browser.get(errand.url);
  await browser.submit({ username: email });
  await browser.submit({ 'current-password': PASSWORD });
  const tokens = await errand.finish(browser.page.leadsTo!);
  return { sub: tokens.claims()!.sub, refreshToken: tokens.refresh_token! };
}

export async function linkFor(world: World, email: string): Promise<string> {
  const browser = world.browser();
  await browser.get((await (await world.relyingParty()).begin()).url);
  await browser.submit({ username: email });
  return world.mailbox.nextLink(email);
}

/** Nothing from before the restore lets anybody in: neither refresh tokens nor a mailed link. */
export async function expectVoid(world: World, { tokens, link }: { tokens: readonly SignedIn[]; link: string }) {
  const metadata = (await world.relyingParty()).config.clientMetadata();
  const authorization = `Basic ${btoa(`${metadata.client_id}:${encodeURIComponent(metadata.client_secret as string)}`)}`;
  for (const { refreshToken } of tokens) {
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken });
    const answer = await fetch(`${world.issuer}/token`, { method: 'POST', body, headers: { authorization } });
    expect(await answer.json()).toMatchObject({ error: 'invalid_grant' });
  }
  const browser = world.browser();
  await browser.get(new URL(new URL(link).pathname, world.issuer));
  expect(browser.page.status).toBe(410);
}
