/**
 * Somebody registered at one e-service with a resident's address and a password of their own; another e-service's list has
 * the resident. Whatever they hold of the first must not open the second, in whichever order the lists come.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { importAccounts } from '../../src/journeys/import-accounts.ts';
import { wrapAllHashes } from '../../src/journeys/wrap-hashes.ts';
import { sql } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { supportFor } from '../../src/desk.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { OLD_HASHES, OLD_PASSWORD, WEAK_HASHES } from '../support/old-hashes.ts';
import { askedOn, PASSKEY_FORM, SoftPasskey } from '../support/passkey.ts';
import { startWorld, type World } from '../support/world.ts';

const NEXT = 'neljä keltaista päärynää ikkunalla';
const KNOWN = WEAK_HASHES[0]!;

let world: World;
let folder: string;
let lists = 0;
let residents = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lists-'));
  world = await startWorld();
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const parts = () => ({ database: world.database, sealer: world.tunnus.sealer, log: makeLog({ level: 'silent' }) });
const newAddress = (): string => `uhri${(residents += 1)}@example.com`;

/** A list of one row: `A-…` is the id at asiointi, `K-…` at kartta. */
async function list(source: 'asiointi' | 'kartta', email: string, hash = ''): Promise<void> {
  const id = `${source[0]!.toUpperCase()}-${email}`;
  const file = join(folder, `${(lists += 1)}.csv`);
  await writeFile(file, `legacy_id,email,password_hash\n${id},${email},${hash}\n`);
  expect(await importAccounts(parts(), { file, source }, world.clock.now())).toMatchObject({ rows: 1, byProblem: {} });
}

type Credentials = { email: string; password: string };

async function signIn(browser: HttpBrowser, { email, password }: Credentials, service = 'asiointi') {
  const errand = await (await world.relyingParty(service)).begin({ scope: 'openid legacy' });
  await browser.get(errand.url);
  await browser.submit({ username: email });
  if (browser.page.field('current-password')) await browser.submit({ 'current-password': password });
  return errand;
}

const codeOf = (browser: HttpBrowser): string => browser.page.leadsTo?.searchParams.get('code') ?? '';

async function reaches(browser: HttpBrowser, service: string): Promise<boolean> {
  await browser.get((await (await world.relyingParty(service)).begin({ scope: 'openid legacy' })).url);
  return codeOf(browser) !== '';
}

test('a live session, a refresh token and a parked sign-in of theirs end when the second list joins', async () => {
  const email = newAddress();
  await list('asiointi', email, KNOWN);
  const signedIn = world.browser();
  const errand = await signIn(signedIn, { email, password: OLD_PASSWORD });
  const tokens = await errand.finish(signedIn.page.leadsTo!);
  expect(await reaches(signedIn, 'kartta')).toBe(true);

  const withCode = world.browser();
  const unfinished = await signIn(withCode, { email, password: OLD_PASSWORD }, 'kartta');
  const callback = withCode.page.leadsTo!;

  // A proof can be parked where the browser is asked about somebody else who is signed in on it.
  const other = newAddress();
  await world.account({ email: other, password: NEXT });
  const parked = world.browser();
  await signIn(parked, { email: other, password: NEXT });
  await parked.get((await (await world.relyingParty('kartta')).begin({ prompt: 'login' })).url);
  await parked.submit({ username: email });
  await parked.submit({ 'current-password': OLD_PASSWORD });
  expect(parked.page.url.pathname).toMatch(/other-person$/);

  await list('kartta', email);

  expect(await reaches(signedIn, 'kartta')).toBe(false);
  expect(await reaches(signedIn, 'asiointi')).toBe(false);
  await parked.submit();
  expect(codeOf(parked)).toBe('');
  await expect(unfinished.finish(callback)).rejects.toMatchObject({ error: 'invalid_grant' });
  const { config } = await world.relyingParty();
  await expect(client.fetchUserInfo(config, tokens.access_token, tokens.claims()!.sub)).rejects.toThrow();
  await expect(client.refreshTokenGrant(config, tokens.refresh_token!)).rejects.toThrow();
  const again = world.browser();
  await signIn(again, { email, password: OLD_PASSWORD }, 'kartta');
  expect(codeOf(again)).toBe('');
});

test('a password that they changed theirs to does not outlive the joining', async () => {
  const email = newAddress();
  await list('asiointi', email, KNOWN);
  const browser = world.browser();
  await signIn(browser, { email, password: OLD_PASSWORD });
  await browser.get(`${world.issuer}/account`);
  await browser.get(`${world.issuer}/account/password`);
  await browser.submit({ 'current-password': OLD_PASSWORD, 'new-password': NEXT });
  const before = world.browser();
  await signIn(before, { email, password: NEXT });
  expect(codeOf(before)).not.toBe('');

  await list('kartta', email);
  expect(await reaches(before, 'kartta')).toBe(false);
  const after = world.browser();
  await signIn(after, { email, password: NEXT }, 'kartta');
  expect(codeOf(after)).toBe('');
});

/** Somebody who has the old password of the one list makes a passkey for the account. */
async function planted(): Promise<{ email: string; opens: (service: string) => Promise<boolean> }> {
  const email = newAddress();
  await list('asiointi', email, KNOWN);
  const theirs = world.browser();
  await signIn(theirs, { email, password: OLD_PASSWORD });
  const passkey = new SoftPasskey(world.issuer);
  await theirs.get(`${world.issuer}/account`);
  await theirs.get(`${world.issuer}/account/passkey`);
  await theirs.submit({ passkey: passkey.create(askedOn(theirs.page)), name: 'Vieras' }, PASSKEY_FORM);
  expect(theirs.page.text).toContain('Vieras');
  return {
    email,
    async opens(service) {
      const browser = world.browser();
      await browser.get((await (await world.relyingParty(service)).begin()).url);
      await browser.submit({ passkey: passkey.answer(askedOn(browser.page)) }, PASSKEY_FORM);
      return codeOf(browser) !== '';
    },
  };
}

test('a passkey that they made opens nothing more when the second list joins', async () => {
  const { email, opens } = await planted();
  expect(await opens('asiointi')).toBe(true);
  await list('kartta', email);
  expect(await opens('kartta')).toBe(false);
  const [account] = await world.database.query(sql`select factors, two_steps from accounts where email = ${email}`);
  expect(account).toEqual({ factors: null, two_steps: false });
});

test('nor when support ties an id of a second list', async () => {
  const { email, opens } = await planted();
  const acts = supportFor({ ...parts(), config: world.config, close: () => Promise.resolve() }, 'support:test');
  expect(await acts.link({ email, source: 'kartta', id: `K-${email}`, yes: true }, world.clock.now())).toEqual({
    changed: true,
  });
  expect(await opens('kartta')).toBe(false);
});

test('nor when the resident proves the address by a mailed link; what is made after that stays', async () => {
  const { email, opens } = await planted();
  const own = world.browser();
  const renew = async (password: string): Promise<void> => {
    const browser = world.browser();
    await browser.get((await (await world.relyingParty()).begin()).url);
    await browser.submit({ username: email });
    await browser.submit({}, { form: 'form[action$=link-sent]' });
    let link: string | undefined;
    while (!link) [link] = (await world.mailbox.next({ to: email })).links;
    await own.get(link);
    await own.submit({ 'new-password': password });
  };
  await renew(NEXT);
  expect(await opens('asiointi')).toBe(false);
  await own.get(`${world.issuer}/account/passkey`);
  await own.submit({ username: email });
  await own.submit({ 'current-password': NEXT });
  await own.submit({ passkey: new SoftPasskey(world.issuer).create(askedOn(own.page)), name: 'Oma' }, PASSKEY_FORM);
  await renew('viisi sinistä luumua hyllyllä');
  await list('kartta', email);
  const [account] = await world.database.query(sql`select factors from accounts where email = ${email}`);
  expect(account).toEqual({ factors: ['passkey'] });
});

const support = () => supportFor({ ...parts(), config: world.config, close: () => Promise.resolve() }, 'support:test');

test('nor when support gives the resident another address, and the next list joins there', async () => {
  const { email, opens } = await planted();
  const to = newAddress();
  expect(await support().setEmail({ from: email, to, reason: 'at the desk' }, world.clock.now())).toEqual({
    changed: true,
  });
  await list('kartta', to);
  expect([await opens('asiointi'), await opens('kartta')]).toEqual([false, false]);
});

test('but whoever talks support into another address is not past what a resident has who proved the old one', async () => {
  const { email } = await planted();
  await world.database.query(sql`update accounts set email_verified = true where email = ${email}`);
  const acts = support();
  const to = newAddress();
  await acts.setEmail({ from: email, to, reason: 'by telephone' }, world.clock.now());
  const browser = world.browser();
  await browser.get((await (await world.relyingParty()).begin()).url);
  await browser.submit({ username: to });
  await browser.submit({}, { form: 'form[action$=link-sent]' });
  let link: string | undefined;
  while (!link) [link] = (await world.mailbox.next({ to })).links;
  await list('kartta', to);
  await browser.get(link);
  await browser.submit({ 'new-password': NEXT });
  const [account] = await world.database.query(sql`
    select factors, password_state as state from accounts where email = ${to}`);
  expect(account).toEqual({ factors: ['passkey'], state: 'own' });
});

test.each([
  ['theirs first', ['asiointi', 'kartta'] as const],
  ["the resident's first", ['kartta', 'asiointi'] as const],
])('in no order of the lists does their password open anything: %s', async (_order, order) => {
  const email = newAddress();
  for (const source of order) await list(source, email, source === 'asiointi' ? KNOWN : '');
  for (const service of ['asiointi', 'kartta']) {
    const browser = world.browser();
    await signIn(browser, { email, password: OLD_PASSWORD }, service);
    expect(codeOf(browser)).toBe('');
  }
});

test('the resident comes in by the mailed link, with the history of both', async () => {
  const email = newAddress();
  await list('asiointi', email, KNOWN);
  await list('kartta', email);
  const browser = world.browser();
  await signIn(browser, { email, password: '' });
  await browser.get(await world.mailbox.nextLink(email));
  await browser.submit({ 'new-password': NEXT });
  for (const [service, id] of [
    ['asiointi', `A-${email}`],
    ['kartta', `K-${email}`],
  ] as const) {
    // prettier-ignore
    const own = world.browser();
    const errand = await signIn(own, { email, password: NEXT }, service);
    const tokens = await errand.finish(own.page.leadsTo!);
    const { config } = await world.relyingParty(service);
    expect(await client.fetchUserInfo(config, tokens.access_token, tokens.claims()!.sub)).toMatchObject({
      legacy_id: id,
    });
  }
});

test.each([...OLD_HASHES, ...WEAK_HASHES])('an old hash signs in once and is then one of ours: %.40s', async (hash) => {
  const email = newAddress();
  const file = join(folder, `${(lists += 1)}.jsonl`);
  await writeFile(file, `${JSON.stringify({ legacy_id: `H-${email}`, email, password_hash: hash })}\n`);
  await importAccounts(parts(), { file, source: 'asiointi' }, world.clock.now());
  const stored = async (): Promise<string> => {
    const [row] = await world.database.query<{ hash: string }>(sql`
      select password_hash as hash from accounts where email_key = ${email}`);
    return row!.hash;
  };
  if (residents % 2) await wrapAllHashes({ ...parts(), clock: () => world.clock.now() });
  expect(await stored()).not.toContain(WEAK_HASHES.includes(hash) ? hash.split('$').at(-1) : 'nothing');
  const wrong = world.browser();
  await signIn(wrong, { email, password: 'Hyvää päivää 2' });
  expect(codeOf(wrong)).toBe('');
  const browser = world.browser();
  await signIn(browser, { email, password: OLD_PASSWORD });
  expect(codeOf(browser)).not.toBe('');
  expect(await stored()).toMatch(/^\$argon2id\$v=19\$m=19456,/);
});
