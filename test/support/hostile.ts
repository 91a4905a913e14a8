/** What the tests of attacks by other sites and by hostile requests have in common. */
import type { HttpBrowser } from './http-browser.ts';
import type { World } from './world.ts';

export const EVIL = 'evil.example';
export const MARKUP = '"><img src=x onerror=alert(1)>\'';

/** A sign-in that the browser has begun. */
export async function begin(world: World, browser: HttpBrowser, parameters?: Record<string, string>) {
  const errand = await (await world.relyingParty()).begin(parameters);
  await browser.get(errand.url);
  return errand;
}
