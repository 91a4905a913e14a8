/** Who no longer has the address asks support for help, page by page; and what a stranger can make of that. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import type { ReceivedMail } from '../support/mailbox.ts';
import { startWorld, type World } from '../support/world.ts';

const SUPPORT = 'tuki@kaupunki.example';
const LOST = 'Eikö sinulla ole enää tätä sähköpostiosoitetta?';
const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let count = 0;
beforeAll(async () => {
  world = await startWorld({ settings: { listen: { proxies: 1 } } });
});
afterAll(() => world.close());

/** An address that no test has used yet: requests count by address. */
let lost: string;
beforeEach(() => {
  lost = `vanha${++count}@example.com`;
});

/** A browser at an address of its own, so that one test's requests do not count against another's. */
const visitor = (place = `192.0.2.${++count}`, at = world): HttpBrowser =>
  at.browser({ headers: { 'X-Forwarded-For': place } });

async function arrive(email: string, browser = visitor(), at = world): Promise<HttpBrowser> {
  await browser.get((await (await at.relyingParty()).begin()).url);
  await browser.submit({ username: email });
  return browser;
}

interface Answers {
  newEmail?: string;
  name?: string;
  services?: string;
}

async function ask(
  browser: HttpBrowser,
  { newEmail = 'uusi@example.com', name = 'Aino Asukas', services = '' }: Answers,
) {
  await browser.follow(LOST);
  await browser.submit({ email: newEmail });
  await browser.submit({ name });
  return browser.submit({ services });
}

const nextRequest = (): Promise<ReceivedMail> => world.mailbox.next({ to: SUPPORT });
const requests = () => world.mailbox.all.filter(({ to }) => to === SUPPORT).length;
const audited = () =>
  world.database.query<{ account_id: string | null; client_id: string; detail: object }>(sql`
    select account_id, client_id, detail from audit where kind = 'support_requested' order by id desc`);

describe('a resident who no longer has the address', () => {
  test('tells support where to answer, who they are and what they remember', async () => {
    const id = await world.account({ email: lost });
    const browser = await arrive(lost);
    await browser.follow(LOST);
    expect(browser.page.text).toContain(lost);
    await browser.submit({ email: ' Uusi.Osoite@Example.com ' });
    expect(browser.page.h1).toBe('Mikä nimesi on?');
    await browser.submit({ name: 'Aino  Asukas' });
    expect(browser.page.h1).toBe('Missä palveluissa olet asioinut?');
    await browser.submit({ services: 'Asiointi: U1001\r\nKartta: en muista' });
    expect([browser.page.status, browser.page.h1]).toEqual([200, 'Pyyntösi on lähetetty']);
    expect(browser.page.text).toContain('Uusi.Osoite@Example.com');
    expect(browser.steps.filter(({ method }) => method === 'POST').map(({ status }) => status)).toEqual([
      303, 303, 303, 303,
    ]);

    const mail = await nextRequest();
    expect(mail.subject).toBe('Pyyntö tuelle: sähköpostiosoite on vaihtunut');
    expect(mail.headers['reply-to']).toBe('uusi.osoite@example.com');
    // A desk of support may drop what a machine made.
    expect(mail.headers['auto-submitted']).toBeUndefined();
    for (const part of [mail.text, mail.html])
      for (const words of [
        lost,
        'Uusi.Osoite@Example.com',
        'Aino Asukas',
        'Asiointi: U1001',
        'Kartta: en muista',
        'Varmista pyytäjän henkilöllisyys',
      ])
        expect(part).toContain(words);
    expect((await audited())[0]).toEqual({ account_id: id, client_id: 'asiointi', detail: {} });
  });

  test('finds the way from each page where they can be stuck', async () => {
    await world.account({ email: 'salasana@example.com', password: PASSWORD });
    await world.account({ email: lost });
    for (const email of ['salasana@example.com', lost, 'tuntematon@example.com'])
      expect((await (await arrive(email)).follow(LOST)).h1).toBe(LOST);
  });

  test('is asked again where an answer cannot be used, and keeps what was written', async () => {
    const browser = await arrive(lost);
    await browser.follow(LOST);
    for (const [typed, words] of [
      ['not an address', 'muodossa'],
      [` ${lost.toUpperCase()}`, `Osoitteen ${lost} kerroit jo`],
    ] as const) {
      await browser.submit({ email: typed });
      expect([browser.page.status, browser.page.title]).toEqual([422, expect.stringMatching(/^Virhe/)]);
      expect(browser.page.faultOf('email')).toContain(words);
      expect(browser.page.field('email')!.getAttribute('value')).toBe(typed);
    }
    await browser.submit({ email: 'uusi@example.com' });
    await browser.submit({ name: ' \u202e ' });
    expect(browser.page.faultOf('name')).toContain('Kirjoita nimesi');
    await browser.submit({ name: 'Aino' });
    await browser.submit({ services: 'ä'.repeat(1001) });
    expect(browser.page.status).toBe(422);
    expect(browser.page.faultOf('services')).toContain('1000');
    expect(browser.page.field('services')!.text).toBe('ä'.repeat(1001));
    await browser.submit({ services: '' });
    expect((await nextRequest()).text).toContain('(ei vastausta)');
  });

  test('cannot skip a question, and sends once however often the page is loaded', async () => {
    const browser = await arrive(lost);
    const base = browser.page.url.href.replace(/\/[^/]+$/, '');
    for (const page of ['your-name', 'your-services', 'request-sent'])
      expect((await browser.get(`${base}/${page}`)).h1).toBe(LOST);
    const before = requests();
    await browser.submit({ email: 'uusi@example.com' });
    await browser.submit({ name: 'Aino' });
    const last = browser.page;
    await browser.submit({ services: '' });
    await nextRequest();
    for (let times = 0; times < 3; times += 1) {
      await browser.post(last.url, last.fill({ services: '' }).values, { from: last.url });
      expect(browser.page.h1).toBe('Pyyntösi on lähetetty');
    }
    expect(requests()).toBe(before + 1);
  });

  test('leaves neither name nor text behind once the request is sent', async () => {
    await ask(await arrive(lost), { name: 'Salainen Nimi', services: 'salainen teksti' });
    await nextRequest();
    const rows = await world.database.query<{ row: string }>(sql`
      select i::text as row from interactions i union all select m::text from mails m union all select a::text from audit a`);
    expect(rows.map(({ row }) => row).join()).not.toMatch(/[Ss]alainen/);
  });

  test('in another language is helped in theirs, and support reads its own', async () => {
    const browser = world.browser({ language: 'sv', headers: { 'X-Forwarded-For': '192.0.2.200' } });
    await arrive(lost, browser);
    await browser.follow('Har du inte längre den här e-postadressen?');
    await browser.submit({ email: 'ny@example.com' });
    await browser.submit({ name: 'Åsa' });
    await browser.submit({ services: '' });
    expect(browser.page.h1).toBe('Din begäran är skickad');
    expect((await nextRequest()).language).toBe('fi');
  });
});

describe('a stranger', () => {
  test('learns nothing of whether the address has an account', async () => {
    await world.account({ email: lost });
    const pages = [];
    for (const email of [lost, lost.replace('vanha', 'outoa')]) {
      const browser = await arrive(email);
      const page = await ask(browser, {});
      await nextRequest();
      pages.push({
        status: page.status,
        text: page.text,
        length: page.html.length,
        headers: Object.keys(page.headers).sort(),
      });
    }
    expect(pages[0]).toEqual(pages[1]);
    expect((await audited())[0]).toEqual({ account_id: null, client_id: 'asiointi', detail: {} });
  });

  test('puts no header, no recipient and no markup into the mail, and no words into our mouth', async () => {
    const browser = await arrive(lost);
    await ask(browser, {
      newEmail: "o'hara+a=b@example.com",
      name: 'A\r\nBcc: victim@example.com <script>alert(1)</script>',
      services:
        '</p><img src=x onerror=alert(1)>\r\n\r\n.\r\nSubject: x\r\nHenkilöllisyys on tarkistettu.\u202e\u2028https://evil.example/',
    });
    const mail = await nextRequest();
    expect(mail.headers).not.toHaveProperty('bcc');
    expect(mail.headers['reply-to']).toBe("o'hara+a=b@example.com");
    expect(world.mailbox.all.map(({ to }) => to)).not.toContain('victim@example.com');
    expect(mail.html).not.toMatch(/<script|<img|\u202e/);
    expect(mail.html).not.toContain('href="https://evil.example');
    const lines = mail.text.split(/\r?\n/);
    for (const theirs of lines.filter(
      (line) => /tarkistettu\.|evil|Bcc|onerror|Subject:/.test(line) && !/ei ole/.test(line),
    ))
      expect(theirs).toMatch(/^> /);
  });

  test('sees what was typed as text on our own pages', async () => {
    const browser = await arrive(lost);
    await browser.follow(LOST);
    await browser.submit({ email: '"><script>alert(1)</script>' });
    expect(browser.page.html).not.toContain('<script>alert');
    await browser.submit({ email: 'uusi@example.com' });
    await browser.submit({ name: 'A' });
    await browser.submit({ services: `</textarea><script>alert(1)</script>${'x'.repeat(1000)}` });
    expect(browser.page.status).toBe(422);
    expect(browser.page.html).not.toContain('<script>alert');
  });

  test('who writes more than the form takes gets a page that says so', async () => {
    const browser = await arrive(lost);
    await browser.follow(LOST);
    await browser.submit({ email: `${'x'.repeat(2000)}@example.com` });
    expect(browser.page.status).toBe(400);
  });

  test('does not flood support: so many for one address, and so many from one place', async () => {
    const before = requests();
    const statuses = async (emails: string[], places: string[]) => {
      const seen: number[] = [];
      for (const [nth, email] of emails.entries())
        seen.push((await ask(await arrive(email, visitor(places[nth])), {})).status);
      return seen;
    };
    const one = Array.from({ length: 4 }, () => 'tulva@example.com');
    expect(
      await statuses(
        one,
        one.map((_, nth) => `198.51.100.${nth}`),
      ),
    ).toEqual([200, 200, 429, 429]);
    const many = Array.from({ length: 10 }, (_, nth) => `tulva${nth}@example.com`);
    expect(
      await statuses(
        many,
        many.map(() => '203.0.113.9'),
      ),
    ).toEqual([200, 200, 200, 200, 200, 200, 200, 200, 429, 429]);
    for (let mails = 0; mails < 10; mails += 1) await nextRequest();
    expect(requests()).toBe(before + 10);
    // Who has to wait finds on the page what they wrote.
    const waiting = await arrive('tulva@example.com', visitor('198.51.100.9'));
    expect((await ask(waiting, { services: 'Asiointi: U7' })).status).toBe(429);
    await waiting.follow('Yritä uudelleen');
    expect(waiting.page.field('services')?.text).toBe('Asiointi: U7');
  });
});

test('where support has no mailbox the page says how to reach it, and takes no request', async () => {
  const bare = await startWorld({ settings: { support: { phone: '+358 50 000 0000' } } });
  try {
    const browser = await arrive('kuka@example.com', visitor(undefined, bare), bare);
    await browser.follow(LOST);
    expect(browser.page.main.querySelectorAll('form')).toEqual([]);
    expect(browser.page.text).toContain('vanha sähköpostiosoitteesi (kuka@example.com)');
    expect(browser.page.html).toContain('+358 50 000 0000');
    await browser.get(browser.page.url.href.replace('address-lost', 'your-services'));
    expect(browser.page.h1).toBe(LOST);
  } finally {
    await bare.close();
  }
});
