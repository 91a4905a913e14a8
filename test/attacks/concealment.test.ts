/** Under `conceal` nobody who does not read the mailbox learns whether an address has an account, over the whole journey. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import type { HttpPage } from '../support/http-page.ts';
import { until } from '../support/until.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const ADDRESSES = {
  unknown: 'aaaaaaa@example.com',
  no_password: 'bbbbbbb@example.com',
  has_password: 'ccccccc@example.com',
  locked: 'ddddddd@example.com',
};

let world: World;
let asiointi: RelyingParty;

beforeAll(async () => {
  world = await startWorld({
    settings: { signIn: { unknownAddress: 'conceal' }, listen: { proxies: 1 }, limits: { passwordPerPlace: 3 } },
  });
  asiointi = await world.relyingParty();
  await world.account({ email: ADDRESSES.no_password });
  await world.account({ email: ADDRESSES.has_password, password: PASSWORD });
  await world.account({ email: ADDRESSES.locked, password: PASSWORD, locked: true });
});
afterAll(() => world.close());

/** What another address would change in an answer is only what is random in it, or the address itself. */
function seen(page: HttpPage, email: string, uid: string): string {
  const alike = (text: string): string =>
    text
      .replaceAll(email, 'ADDRESS')
      .replaceAll(encodeURIComponent(email), 'ADDRESS')
      .replaceAll(uid, 'UID')
      .replace(/(name="csrf"[^>]*value=")[^"]*/g, '$1CSRF')
      .replace(/(value=")[^"]*("[^>]*name="csrf")/g, '$1CSRF$2')
      // The challenge for passkeys is made of the sign-in's id alone.
      .replace(/(&quot;challenge&quot;:&quot;)[\w-]{43}/g, '$1CHALLENGE');
  const headers = Object.entries(page.headers)
    .filter(([name]) => !['date', 'retry-after'].includes(name))
    .map(([name, value]) => `${name}: ${alike(name === 'set-cookie' ? cookies(value as string[]) : String(value))}`);
  return [page.status, ...headers.sort(), alike(page.html)].join('\n');
}

/** Names, attributes and lengths: what a cookie holds is sealed. */
const cookies = (lines: string[]): string =>
  lines
    .map((line) => line.replace(/^([^=]+)=([^;]*)/, (_, name: string, value: string) => `${name}=${value.length}`))
    .map((line) => line.replace(/expires=[^;]*/, 'expires=LATER'))
    .join();

async function walk(email: string, place: string): Promise<{ answers: string[]; wait: number }> {
  const browser: HttpBrowser = world.browser({ headers: { 'X-Forwarded-For': place } });
  await browser.get((await asiointi.begin()).url);
  const uid = /^\/sign-in\/([\w-]+)/.exec(browser.page.url.pathname)![1]!;
  const answers: string[] = [];
  const note = (page: HttpPage): HttpPage => {
    answers.push(seen(page, email, uid));
    return page;
  };
  const submit = async (...what: Parameters<HttpBrowser['submit']>): Promise<void> => {
    const led = note(await browser.submit(what[0], { ...what[1], follow: false })).leadsTo;
    if (led) note(await browser.get(led));
  };
  await submit({ username: email });
  await submit({ 'current-password': 'not the right one' });
  await submit({}, { form: 'form[action$="/link-sent"]' });
  await submit({}, { button: 'Lähetä linkki uudelleen' });
  note(await browser.get(`${world.issuer}/sign-in/${uid}`));
  for (const page of ['locked', 'unknown-address', 'other-person', 'in-doubt', 'request-sent', 'address-lost']) {
    note(await browser.get(`${world.issuer}/sign-in/${uid}/${page}`, { follow: false }));
  }
  await submit({ email: 'uusi@example.net' });
  await submit({ name: 'Uusi Asukas' });
  await submit({ services: '' });
  await browser.get(`${world.issuer}/sign-in/${uid}/password`);
  const guess = () => browser.submit({ 'current-password': 'still not the right one' });
  while ((await guess()).status !== 429);
  note(browser.page);
  return { answers, wait: Number(browser.page.headers['retry-after']) };
}

test('each answer is the same for each address: page, status, headers, cookies, size, also when it is throttled', async () => {
  const walks = await Promise.all(Object.values(ADDRESSES).map((email, index) => walk(email, `10.0.0.${index + 1}`)));
  const [first, ...others] = walks;
  expect(first!.answers.length).toBeGreaterThan(18);
  for (const [index, other] of others.entries()) {
    for (const [step, answer] of other.answers.entries()) {
      expect([index, step, answer]).toEqual([index, step, first!.answers[step]]);
    }
    // It counts from the last try, which came at another second.
    expect(Math.abs(other.wait - first!.wait)).toBeLessThan(30);
  }
});

test('the mailbox alone learns the truth, and what waits to be done for an address lists no address', async () => {
  await world.mailbox.next({ to: ADDRESSES.unknown });
  await world.mailbox.next({ to: ADDRESSES.no_password });
  // Who has a password asked for a link above.
  await world.mailbox.next({ to: ADDRESSES.has_password });
  expect(world.mailbox.all.filter(({ to }) => to === ADDRESSES.locked)).toEqual([]);
  expect(world.mailbox.all.find(({ to }) => to === ADDRESSES.unknown)!.text).not.toMatch(/set-password/);
});

test('an errand put off stands sealed in the queue, of one length for each address', async () => {
  const left = sql`select 1 from graphile_worker.jobs`;
  await until('what was put off before is done', async () => (await world.database.query(left)).length === 0);
  await world.database.query(sql`create table seen (payload text)`);
  await world.database.query(sql`
    create function see() returns trigger language plpgsql as $$ begin insert into public.seen values (new.payload::text); return new; end $$`);
  await world.database.query(sql`
    create trigger see after insert on graphile_worker._private_jobs for each row
      when (new.payload::text like '%sealed%') execute function see()`);
  for (const email of ['y@example.com', `${'pitka.'.repeat(8)}osoite@example.com`]) {
    const browser = world.browser({ headers: { 'X-Forwarded-For': '10.0.9.9' } });
    await browser.get((await asiointi.begin()).url);
    await browser.submit({ username: email });
    await world.mailbox.next({ to: email });
  }
  const rows = await world.database.query<{ payload: string }>(sql`select payload from seen`);
  expect(rows.filter(({ payload }) => payload.includes('example'))).toEqual([]);
  // Two errands, and the mails that came of them.
  const lengths = rows.map(({ payload }) => payload.length).sort((a, b) => b - a);
  expect(rows).toHaveLength(4);
  expect(lengths[0]).toBe(lengths[1]);
});
