import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createTransport } from 'nodemailer';
import { Browser } from '../../src/demo/browser.ts';
import { startMailbox } from '../../src/demo/mailbox.ts';
import type { Mail, Mailbox } from '../../src/demo/mailbox.ts';

const link = 'http://localhost:3000/set-password/a_b-c?x=1&y=2';
let folder: string;
let mailbox: Mailbox;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunnus mailbox-'));
  mailbox = await startMailbox({ port: 0, smtpPort: 0, folder });
  await send({ subject: 'Aseta uusi salasana', text: `Hei Väinö\n\n${link}\n\n<script>` });
  await send({ subject: 'Toinen' });
});

afterAll(async () => {
  await mailbox?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('the mailbox of the demo', () => {
  test('lists what came through SMTP, the newest first', async () => {
    const page = await new Browser().open(mailbox.url);
    const subjects = page.links.map(({ text }) => text).filter((text) => /salasana|Toinen/.test(text));
    expect(subjects).toEqual(['Toinen', 'Aseta uusi salasana']);
    expect(page.text).toContain('vaino@example.com');
  });

  test('shows a mail with its link to click, and takes nothing in it for HTML', async () => {
    const page = await new Browser().open(`${mailbox.url}/mails/1`);
    expect(page.heading).toBe('Aseta uusi salasana');
    expect(page.links).toContainEqual({ href: link, text: link });
    expect(page.text).toContain('Hei Väinö');
    expect(page.text).toContain('<script>');
  });

  test('shows the HTML part in a sandbox', async () => {
    const { headers, body } = await new Browser().fetch('GET', `${mailbox.url}/mails/1/html`);
    expect(headers['content-security-policy']).toMatch(/^sandbox [^;]*; default-src 'none'/);
    expect(body).toContain('<p>Hei</p>');
  });

  test('serves programs, and keeps the mails for the next start', async () => {
    const before = await readMails(mailbox.url);
    expect(before[1]).toMatchObject({ to: ['vaino@example.com'], language: 'fi', links: [link] });
    await mailbox.close();
    mailbox = await startMailbox({ port: 0, smtpPort: 0, folder });
    const after = await readMails(mailbox.url);
    expect(after.map(({ id, subject, links }) => ({ id, subject, links }))).toEqual(
      before.map(({ id, subject, links }) => ({ id, subject, links })),
    );
    await send({ subject: 'Kolmas' });
    expect((await readMails(mailbox.url)).map(({ id }) => id)).toEqual([3, 2, 1]);
  });

  test('has a page for a mail that is not there', async () => {
    expect((await new Browser().open(`${mailbox.url}/mails/99`)).status).toBe(404);
  });
});

async function send(mail: { subject: string; text?: string }): Promise<void> {
  const transport = createTransport(mailbox.smtpUrl);
  await transport.sendMail({
    from: 'no-reply@example.org',
    to: 'vaino@example.com',
    text: 'Hei',
    html: '<p>Hei</p>',
    headers: { 'Content-Language': 'fi' },
    ...mail,
  });
  transport.close();
}

async function readMails(url: string): Promise<Mail[]> {
  return (await (await fetch(`${url}/mails.json`)).json()) as Mail[];
}
