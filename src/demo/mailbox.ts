/**
 * The demo's post office: a real SMTP server that accepts every mail, and pages that show them.
 *
 * It stands for the mailboxes of all residents at once. Mails are kept as .eml files in a folder, so that the next start finds
 * them. `/mails.json` is for programs.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';
import { html, sendPage, sendStyle } from './html.ts';
import type { Html } from './html.ts';
import { listen, stopListening } from './ports.ts';

export interface Mail {
  /** Counts up; the newest has the highest. */
  id: number;
  receivedAt: string;
  to: string[];
  from: string;
  subject: string;
  language: string;
  text: string;
  html: string;
  links: string[];
}

export interface Mailbox {
  url: string;
  /** For the sender's `mail.url`. */
  smtpUrl: string;
  close(): Promise<void>;
}

const linkPattern = /https?:\/\/[^\s<>"']+/g;

export async function startMailbox(options: { port: number; smtpPort: number; folder: string }): Promise<Mailbox> {
  const { port, smtpPort, folder } = options;
  await mkdir(folder, { recursive: true });
  const mails = await readMails(folder);

  const smtp = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onData: (stream, session, done) => {
      const receivedAt = new Date().toISOString();
      buffer(stream)
        .then(async (raw) => {
          const id = (mails[0]?.id ?? 0) + 1;
          const mail = await parseMail(raw, { id, receivedAt });
          mails.unshift({ ...mail, to: session.envelope.rcptTo.map((each) => each.address) });
          await writeFile(join(folder, `${id}.eml`), raw);
        })
        .then(() => done(), done);
    },
  });
  // A sender that hangs up in the middle is the sender's matter.
  smtp.on('error', () => undefined);
  const pages = createServer((request, response) => answer({ request, response, mails }));
  return {
    smtpUrl: `smtp://localhost:${await listen(smtp.server, smtpPort)}`,
    url: `http://localhost:${await listen(pages, port)}`,
    close: async () => {
      await Promise.all([stopListening(pages), new Promise<void>((resolve) => smtp.close(() => resolve()))]);
    },
  };
}

async function readMails(folder: string): Promise<Mail[]> {
  const files = (await readdir(folder)).filter((name) => /^\d+\.eml$/.test(name));
  const mails = await Promise.all(
    files.map(async (name) => {
      const raw = await readFile(join(folder, name));
      return parseMail(raw, { id: Number.parseInt(name, 10), receivedAt: '' });
    }),
  );
  return mails.sort((a, b) => b.id - a.id);
}

async function parseMail(raw: Buffer, { id, receivedAt }: { id: number; receivedAt: string }): Promise<Mail> {
  const mail = await PostalMime.parse(raw);
  const text = (mail.text ?? '').trimEnd();
  return {
    id,
    receivedAt: receivedAt || (mail.date ?? ''),
    to: (mail.to ?? []).flatMap((each) => each.address ?? []),
    from: mail.from?.address ?? '',
    subject: mail.subject ?? '',
    language: mail.headers.find(({ key }) => key === 'content-language')?.value.trim() ?? 'fi',
    text,
    html: mail.html ?? '',
    links: [...text.matchAll(linkPattern)].map(([link]) => link),
  };
}

function answer(visit: { request: IncomingMessage; response: ServerResponse; mails: Mail[] }): void {
  const { request, response, mails } = visit;
  const { pathname } = URL.parse(request.url ?? '/', 'http://localhost') ?? { pathname: '/' };
  if (pathname === '/style.css') return sendStyle(response);
  if (pathname === '/') return sendList(response, mails);
  if (pathname === '/mails.json') {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    response.end(JSON.stringify(mails));
    return;
  }
  const [, id, part] = /^\/mails\/(\d{1,9})(\/html)?$/.exec(pathname) ?? [];
  const mail = mails.find((each) => each.id === Number(id));
  if (!mail) return send(response, { title: 'No such mail', status: 404, main: html`<h1>No such mail</h1>` });
  if (part) sendHtmlPart(response, mail);
  else sendMail(response, mail);
}

function sendList(response: ServerResponse, mails: readonly Mail[]): void {
  // The header does without a script what the button does by hand.
  response.setHeader('Refresh', '5');
  const items = mails.map(
    (mail) =>
      html`<li>
        <a href="/mails/${mail.id}" lang="${mail.language}">${mail.subject}</a><br />
        <span class="dim">to ${mail.to.join(', ')}, ${when(mail)}</span>
      </li>`,
  );
  const list = html`<ul class="list">
    ${items}
  </ul>`;
  send(response, {
    title: 'Mailbox',
    main: html`<h1>Mailbox</h1>
      <p>Every mail that the demo sends lands here, whoever it is for. The newest comes first.</p>
      <p><a class="button" href="/">Look again</a></p>
      ${mails.length > 0 ? list : html`<p>No mail yet.</p>`}`,
  });
}

function sendMail(response: ServerResponse, mail: Mail): void {
  const htmlPart = html`<h2>The same as HTML</h2>
    <iframe
      src="/mails/${mail.id}/html"
      title="${mail.subject}"
      sandbox="allow-top-navigation-by-user-activation"
    ></iframe>`;
  send(response, {
    title: mail.subject,
    main: html`<h1 lang="${mail.language}">${mail.subject}</h1>
      <dl>
        <dt>To</dt>
        <dd>${mail.to.join(', ')}</dd>
        <dt>From</dt>
        <dd>${mail.from}</dd>
        <dt>Received</dt>
        <dd>${when(mail)}</dd>
      </dl>
      <h2>Text</h2>
      <div class="letter" lang="${mail.language}">${withLinks(mail.text)}</div>
      ${mail.html ? htmlPart : undefined}
      <p><a href="/">All mails</a></p>`,
  });
}

/** Foreign HTML: it may be looked at and its links followed, nothing else. */
function sendHtmlPart(response: ServerResponse, mail: Mail): void {
  response.writeHead(200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy':
      "sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
  });
  // The doctype must come first, or browsers lay the mail out in their quirks mode.
  response.end(`<!doctype html><base target="_top">${mail.html.replace(/^\s*<!doctype[^>]*>/i, '')}`);
}

function withLinks(text: string): Html[] {
  const links = [...text.matchAll(linkPattern)].map(([link]) => link);
  return text
    .split(linkPattern)
    .flatMap((between, i) => [html`${between}`, links[i] ? html`<a href="${links[i]}">${links[i]}</a>` : html``]);
}

/** By the city's clock, as on the pages of Tunnus. */
function when(mail: Mail): string {
  return new Date(mail.receivedAt).toLocaleString('sv', { timeZone: 'Europe/Helsinki' });
}

function send(response: ServerResponse, page: { title: string; main: Html; status?: number }): void {
  sendPage(response, { ...page, language: 'en', header: html`<a class="name" href="/">Mailbox of the demo</a>` });
}
