/** A mail that comes back: who hears of it, and who cannot make it up. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { supportFor } from '../../src/desk.ts';
import { tellPicture } from '../../src/commands/account-picture.ts';
import { takeReport } from '../../src/journeys/bounces.ts';
import { sql } from '../../src/platform/database.ts';
import { report } from '../support/delivery-report.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { until } from '../support/until.ts';
import { startWorld, type World } from '../support/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

const now = (): Date => world.clock.now();

/** Who asked for a link; their mail has been handed over. */
async function mailed(email: string): Promise<{ browser: HttpBrowser; id: string; messageId: string }> {
  await world.account({ email });
  const browser = world.browser();
  await browser.get((await (await world.relyingParty()).begin()).url);
  await browser.submit({ username: email });
  return { browser, ...(await handedOver(email)) };
}

async function handedOver(email: string): Promise<{ id: string; messageId: string }> {
  const mail = await world.mailbox.next({ to: email });
  const messageId = mail.headers['message-id']!.replace(/[<>]/g, '');
  const id = messageId.split('@')[0]!;
  const sent = sql`select 1 from mails where id = ${id} and outcome = 'sent'`;
  await until('the mail is noted as sent', async () => (await world.database.query(sent)).length > 0);
  return { id, messageId };
}

const outcomeOf = async (id: string) =>
  (await world.database.query(sql`select outcome, status, step from mails where id = ${id}`))[0];
const take = (raw: Uint8Array) => takeReport(world.database, raw, now());

test('is told to the resident in their language, to support and to the figures of the move', async () => {
  const { browser, id, messageId } = await mailed('palautuu@example.com');
  expect(browser.page.text).not.toContain('tuli takaisin');
  expect(await take(report({ messageId }))).toBe('bounced');
  expect(await outcomeOf(id)).toEqual({ outcome: 'bounced', status: '5.1.1', step: 'recipient' });
  expect(await take(report({ messageId }))).toBe('not_ours');

  const page = browser.page.url.href;
  for (const [language, words] of [
    ['fi', 'Aiempi viestimme osoitteeseen palautuu@example.com tuli takaisin'],
    ['sv', 'Vårt tidigare meddelande till palautuu@example.com kom i retur'],
    ['en', 'Our earlier message to palautuu@example.com came back'],
  ] as const) {
    await browser.get(`${page}?lang=${language}`);
    expect(browser.page.text).toContain(words);
  }
  const { sealer } = world.tunnus;
  const parts = { database: world.database, sealer, config: world.config, close: () => Promise.resolve() };
  const shown = await supportFor(parts, 'support:tester').show({ email: 'palautuu@example.com' }, now());
  if ('refused' in shown) throw new Error(shown.refused);
  expect(tellPicture(shown).join('\n')).toMatch(/set password +bounced .*answer: 5\.1\.1, to this address/);
  const [row] = await world.database.query(sql`
    select mail_refused_at is not null as refused from progress where account_id = ${shown.account.id}`);
  expect(row).toEqual({ refused: true });

  // Sent again: it may come back as the first did, or, in time, it has not.
  await browser.get(page);
  await browser.submit();
  await handedOver('palautuu@example.com');
  await browser.get(page);
  expect(browser.page.text).toContain('came back');
  world.clock.advance(11 * 60_000);
  await browser.get(page);
  expect(browser.page.text).not.toContain('came back');
});

test('is known by its envelope id too, and by the headers of a mail that came back whole', async () => {
  const { id } = await mailed('kirje@example.com');
  expect(await take(report({ envelope: id, messageId: 'rewritten@relay.example', status: '5.2.2' }))).toBe('bounced');
  expect(await outcomeOf(id)).toMatchObject({ status: '5.2.2' });
  const whole = await mailed('kokonaan@example.com');
  expect(await take(report({ messageId: whole.messageId, headersOnly: false }))).toBe('bounced');
});

test('is not what was delayed or delivered, or what nobody could know from us', async () => {
  const { id, messageId } = await mailed('perilla@example.com');
  expect(await take(report({ messageId, action: 'delayed', status: '4.4.1' }))).toBe('no_report');
  expect(await take(report({ messageId, action: 'delivered', status: '2.0.0' }))).toBe('no_report');
  expect(await take(report({}))).toBe('no_report');
  expect(await take(report({ messageId: `11111111-1111-4111-8111-111111111111@127.0.0.1` }))).toBe('not_ours');
  expect(await take(report({ envelope: `${id}' or true --` }))).toBe('no_report');
  expect(await outcomeOf(id)).toMatchObject({ outcome: 'sent' });
  const status = '5.1.1 and more <script>'.padEnd(5_000, 'x');
  expect(await take(report({ messageId, status }))).toBe('bounced');
  expect(await outcomeOf(id)).toEqual({ outcome: 'bounced', status: '5.1.1', step: 'recipient' });
});

test('may be anything at all: no input does harm', async () => {
  const good = report({ messageId: '11111111-1111-4111-8111-111111111111@x' });
  const mangled = fc
    .tuple(fc.nat(good.length), fc.uint8Array({ maxLength: 60 }), fc.nat(200))
    .map(([at, bytes, cut]) => {
      return Buffer.concat([good.subarray(0, at), bytes, good.subarray(Math.min(good.length, at + cut))]);
    });
  await fc.assert(
    fc.asyncProperty(fc.oneof(mangled, fc.uint8Array({ maxLength: 500 })), async (raw) => {
      expect(['no_report', 'not_ours']).toContain(await take(raw));
    }),
    { numRuns: 200 },
  );
  const nested = Buffer.from('Content-Type: multipart/report; boundary=a\r\n\r\n--a\r\n'.repeat(2_000));
  expect(await take(nested)).toBe('no_report');
  expect(await take(Buffer.from(`X: ${'y'.repeat(900_000)}\r\n\r\n`))).toBe('no_report');
  expect(await take(readFileSync(process.execPath).subarray(0, 900_000))).toBe('no_report');
});

test('says nothing on the page of a sign-in that must not tell who has an account', async () => {
  const conceal = await startWorld({ settings: { signIn: { unknownAddress: 'conceal' } } });
  await conceal.account({ email: 'salassa@example.com' });
  const browser = conceal.browser();
  await browser.get((await (await conceal.relyingParty()).begin()).url);
  await browser.submit({ username: 'salassa@example.com' });
  await conceal.mailbox.next({ to: 'salassa@example.com' });
  await conceal.database.query(sql`update mails set outcome = 'bounced'`);
  await browser.get(browser.page.url.href);
  expect(browser.page.text).not.toMatch(/takaisin|perille/);
  await browser.get(`${browser.page.url.origin}${browser.page.url.pathname.replace(/\/[^/]*$/, '/link-sent')}`);
  expect(browser.page.text).not.toMatch(/takaisin|perille/);
  await conceal.close();
});
