/**
 * What residents with small browsers do in every story: sign in, press what they read, look into their mailbox; and what they
 * must find on a page.
 */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import type { Page } from './browser-page.ts';
import type { Browser } from './browser.ts';
import { texts } from './e-service-texts.ts';
import type { Mail } from './mailbox.ts';
import type { Demo } from './start.ts';

export interface Story {
  urls: Demo['urls'];
  /** Does the work and tells how it went. */
  step: <T>(promise: string, work: () => Promise<T>) => Promise<T>;
  signal: AbortSignal;
}

interface Credentials {
  email: string;
  /** For the second step, where it is asked for. */
  code?: string;
}

export const password = 'kolme punaista venettä laiturissa';
export const words = texts.fi;

export async function goToSignIn(browser: Browser, site: string): Promise<Page> {
  const front = await browser.open(`${site}/`);
  const button = front.links.find(({ href }) => href === `${site}/login`);
  assert.ok(button, `a sign-in button on ${front.url}`);
  return browser.open(button.href);
}

/** Answers what is asked, as often as Tunnus asks. */
export async function signIn(browser: Browser, first: Page, { email, code }: Credentials): Promise<Page> {
  const answers = { 'current-password': password, username: email, ...(code && { 'one-time-code': code }) };
  let page = first;
  for (let asked = 0; asked < 3; asked += 1) {
    const wanted = Object.entries(answers).find(([token]) => tokens(page).includes(token));
    if (!wanted) break;
    page = await browser.submit(page, Object.fromEntries([wanted]));
  }
  return page;
}

/** A link or a button: to the resident they are the same. */
export function press(browser: Browser, page: Page, text: string): Promise<Page> {
  const link = page.links.find((each) => each.text === text);
  return link ? browser.open(link.href) : browser.submit(page, {}, text);
}

export function tokens(page: Page): string[] {
  return (page.mainForm?.fields ?? []).map(({ autocomplete }) => autocomplete).filter((token) => token !== '');
}

export function at(page: Page, expected: { url: string; status?: number; words?: readonly string[] }): void {
  const where = `${page.url.split('?')[0]} (${page.status}, '${page.title}')`;
  assert.ok(page.url.startsWith(expected.url), `expected to be at ${expected.url}, but this is ${where}: ${page.text}`);
  if (expected.status) assert.equal(page.status, expected.status, `${where}: ${page.text}`);
  for (const each of expected.words ?? [])
    assert.ok(page.text.includes(each), `'${each}' does not stand on ${where}: ${page.text}`);
}

/** The newest mail to an address that has these words. */
export async function waitForMail(
  mailbox: string,
  { saying = '', ...wanted }: { to: string; saying?: string; signal: AbortSignal },
): Promise<Mail> {
  for (let tries = 0; tries < 150; tries += 1) {
    const newest = (await mailsTo(mailbox, wanted)).find(({ text }) => text.includes(saying));
    if (newest) return newest;
    await wait(100, undefined, { signal: wanted.signal });
  }
  throw new Error(`no mail ${saying ? `saying '${saying}' ` : ''}for ${wanted.to} within 15 s`);
}

/** The newest link of a kind that came to an address, after another one. */
export async function waitForLink(
  mailbox: string,
  { path, newerThan, ...wanted }: { to: string; path: string; newerThan?: string; signal: AbortSignal },
): Promise<string> {
  for (let tries = 0; tries < 150; tries += 1) {
    const links = (await mailsTo(mailbox, wanted)).flatMap((mail) => mail.links);
    const known = links.indexOf(newerThan ?? '');
    const found = links.slice(0, known < 0 ? undefined : known).find((link) => link.includes(path));
    if (found) return found;
    await wait(100, undefined, { signal: wanted.signal });
  }
  throw new Error(`no link of ${path} for ${wanted.to} within 15 s`);
}

export async function mailsTo(mailbox: string, { to, signal }: { to: string; signal: AbortSignal }): Promise<Mail[]> {
  const response = await fetch(`${mailbox}/mails.json`, { signal });
  const mails = (await response.json()) as Mail[];
  return mails.filter((mail) => mail.to.includes(to));
}
