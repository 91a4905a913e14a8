/**
 * A post office for tests: a real SMTP server that takes every mail, and hands it to whoever waits for it.
 *
 * Mails are handed out once and in order; waiting costs no polling. What a mail must contain is the tests' own matter.
 */
import { EventEmitter, once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';

export interface ReceivedMail {
  to: string;
  from: string;
  subject: string;
  language: string;
  text: string;
  html: string;
  headers: Record<string, string>;
  /** As it came over the wire. */
  raw: string;
  /** Every address in the text part. */
  links: string[];
}

export interface Mailbox {
  /** For `mail.url`. */
  readonly url: string;
  /** Each mail that ever came, handed out or not. */
  readonly all: readonly ReceivedMail[];
  /** The oldest mail (to this address) not handed out yet; waits for it, and fails when it doesn't come in time. */
  next(wanted?: { to?: string; within?: number }): Promise<ReceivedMail>;
  /** The link of the next mail to this address. */
  nextLink(to: string): Promise<string>;
  /** From now on mails are refused with this SMTP code and these words; undefined takes them again. */
  refuseWith(code: number | undefined, words?: string): void;
  close(): Promise<void>;
}

interface Waiting {
  to: string | undefined;
  take(mail: ReceivedMail): void;
}

export async function startMailbox(): Promise<Mailbox> {
  const all: ReceivedMail[] = [];
  const kept: ReceivedMail[] = [];
  const waiting: Waiting[] = [];
  let refusal: { responseCode: number; words: string } | undefined;

  const deliver = (mail: ReceivedMail) => {
    all.push(mail);
    const index = waiting.findIndex(({ to }) => to === undefined || to === mail.to);
    if (index === -1) kept.push(mail);
    else waiting.splice(index, 1)[0]!.take(mail);
  };
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onData: (stream, session, done) => {
      buffer(stream)
        .then(async (raw) => {
          if (refusal) throw Object.assign(new Error(refusal.words), refusal);
          for (const { address } of session.envelope.rcptTo) deliver(await parseMail(raw, address));
        })
        .then(() => done(), done);
    },
  });
  // A sender that hangs up in the middle is the sender's matter.
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;

  const next: Mailbox['next'] = ({ to, within = 20_000 } = {}) => {
    const index = kept.findIndex((mail) => to === undefined || mail.to === to);
    if (index !== -1) return Promise.resolve(kept.splice(index, 1)[0]!);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(entry), 1);
        reject(
          new Error(
            `no mail${to ? ` to ${to}` : ''} within ${within} ms; came: ${all.map((mail) => mail.to).join(', ') || 'none'}`,
          ),
        );
      }, within);
      const entry: Waiting = {
        to,
        take: (mail) => {
          clearTimeout(timer);
          resolve(mail);
        },
      };
      waiting.push(entry);
    });
  };

  return {
    url: `smtp://127.0.0.1:${port}`,
    all,
    next,
    nextLink: async (to) => {
      const { links } = await next({ to });
      if (links.length !== 1) throw new Error(`${links.length} links in the mail to ${to}`);
      return links[0]!;
    },
    refuseWith: (code, words = 'not now') => {
      refusal = code === undefined ? undefined : { responseCode: code, words };
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function parseMail(raw: Buffer, to: string): Promise<ReceivedMail> {
  const mail = await PostalMime.parse(raw);
  const headers = Object.fromEntries(mail.headers.map(({ key, value }) => [key, value.trim()]));
  const text = mail.text ?? '';
  return {
    to,
    from: mail.from?.address ?? '',
    subject: mail.subject ?? '',
    language: headers['content-language'] ?? '',
    text,
    html: mail.html ?? '',
    headers,
    raw: raw.toString('latin1'),
    links: text.match(/https?:\/\/[^\s<>"']+/g) ?? [],
  };
}

/** What a server says at a step instead of what it should. `hang`: nothing; `trickle`: a little, for ever; `drop`: hangs up. */
type Says = string;
type Step = 'greeting' | 'ehlo' | 'auth' | 'mail' | 'rcpt' | 'data' | 'dot';

export interface Trouble {
  readonly url: string;
  /** How many mails came to their end. */
  readonly bodies: number;
  /** Resolves when so many have. */
  taken(count: number): Promise<void>;
  close(): Promise<void>;
}

const GOOD: Record<Step, string> = {
  greeting: '220 trouble',
  ehlo: '250-trouble\r\n250-DSN\r\n250 AUTH PLAIN',
  auth: '235 2.7.0 in',
  mail: '250 2.1.0 ok',
  rcpt: '250 2.1.5 ok',
  data: '354 go on',
  dot: '250 2.0.0 taken',
};

/** An SMTP server (RFC 5321) that makes trouble at a step, always or for some lines. */
export async function startTrouble(
  says: Partial<Record<Step, Says | ((line: string) => Says | undefined)>>,
): Promise<Trouble> {
  const sockets = new Set<Socket>();
  const events = new EventEmitter<{ body: [] }>();
  let bodies = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    let trickling: NodeJS.Timeout | undefined;
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(trickling);
      sockets.delete(socket);
    });
    const answer = (step: Step, line = ''): void => {
      const own = says[step];
      const words = (typeof own === 'function' ? own(line) : own) ?? GOOD[step];
      if (words === 'hang') return;
      if (words === 'drop') socket.destroy();
      else if (words === 'trickle') trickling = setInterval(() => socket.write('220-wait\r\n'), 500);
      else socket.write(`${words}\r\n`);
    };
    let inBody = false;
    let unread = '';
    socket.on('data', (chunk: Buffer) => {
      unread += chunk.toString('latin1');
      for (let end = unread.indexOf('\r\n'); end >= 0; end = unread.indexOf('\r\n')) {
        const line = unread.slice(0, end);
        unread = unread.slice(end + 2);
        if (inBody) {
          if (line !== '.') continue;
          inBody = false;
          bodies += 1;
          events.emit('body');
          answer('dot');
        } else if (/^(EHLO|HELO)/i.test(line)) answer('ehlo');
        else if (/^AUTH/i.test(line)) answer('auth');
        else if (/^MAIL/i.test(line)) answer('mail', line);
        else if (/^RCPT/i.test(line)) answer('rcpt', line);
        else if (/^DATA/i.test(line)) {
          inBody = !says.data;
          answer('data');
        } else socket.write('250 2.0.0 ok\r\n');
      }
    });
    answer('greeting');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get bodies() {
      return bodies;
    },
    async taken(count) {
      while (bodies < count) await once(events, 'body');
    },
    close: async () => {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
