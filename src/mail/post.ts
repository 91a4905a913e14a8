/**
 * The way to the mail server: one dialogue for one mail, within a time limit, and what its answer means. Owns SMTP (RFC 5321)
 * and DKIM; whether and when a mail is tried again is delivery.ts's.
 */
import type { Config } from '../config.ts';
import type { MailStep, Reply } from '../records/mail-outcomes.ts';
import type { RenderedMail } from './writing.ts';

export interface Failure extends Reply {
  /** Holds neither address nor link: mail servers like to repeat both. */
  reason: string;
  /** Trying again would change nothing. */
  final: boolean;
  step: MailStep;
}

/** What came of a try: the mail server's answer, and why where it did not take the mail. */
export type Handed = Reply | Failure;

/** What is handed over. */
export type Letter = Omit<RenderedMail, 'mail' | 'goodFor' | 'language'> & { language: string };

export interface Post {
  /** `id` is the mail's, the same in each try: it becomes Message-ID and ENVID. Never throws. */
  send(mail: Letter, id: string): Promise<Handed>;
  /** Connects and logs in, no more; why it failed. */
  reach(): Promise<string | undefined>;
  close(): void;
}

/** Dialogues at a time, and so connections that are kept. */
export const DIALOGUES = 8;
/** Milliseconds for one dialogue from beginning to end, however busily the server trickles. */
const LIMIT = 9_000;
const MAILS_PER_CONNECTION = 100;

/** RFC 3834. Not on what a person wrote: a desk of support may drop it. */
const FROM_A_MACHINE = { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' };

/** By which a delivery report names the mail. */
export const messageId = (id: string, issuer: string): string => `<${id}@${new URL(issuer).hostname}>`;

/** The library comes with the first mail: a service that has none to send does without its memory. */
async function makeTransport(url: string, dkim: Config['mail']['dkim']) {
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({
    url,
    pool: true,
    maxConnections: DIALOGUES,
    maxMessages: MAILS_PER_CONNECTION,
    // One that was cut off may have been taken: whether to send it again is not the library's to decide.
    maxRequeues: 0,
    dnsTimeout: LIMIT,
    connectionTimeout: LIMIT,
    greetingTimeout: LIMIT,
    socketTimeout: LIMIT,
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(dkim && { dkim: { domainName: dkim.domain, keySelector: dkim.selector, privateKey: dkim.key } }),
  });
  // What breaks between two mails breaks the next one, which tells.
  transport.on('error', () => {});
  return transport;
}

export function openPost({ mail: settings, issuer }: Pick<Config, 'mail' | 'issuer'>): Post {
  const { url, from, dkim } = settings;
  if (!url) {
    const nowhere: Failure = { reason: 'mail.url is not set', final: false, step: 'connection' };
    return { send: () => Promise.resolve(nowhere), reach: () => Promise.resolve(nowhere.reason), close: () => {} };
  }
  let transport: ReturnType<typeof makeTransport> | undefined;
  const opened = () => (transport ??= makeTransport(url, dkim));
  return {
    async send(mail, id) {
      // An address is one address: nothing in it may become a header or a second recipient.
      if (/[\p{Cc}\s<>,;]/u.test(mail.to))
        return { reason: 'the address is no address', final: true, step: 'recipient' };
      const replyTo = mail.person?.replyTo;
      try {
        const transporter = await opened();
        const { response } = await transporter.sendMail({
          from: from.includes('<') ? from : { name: mail.brand, address: from },
          to: { name: '', address: mail.to },
          subject: mail.subject,
          text: mail.text,
          html: mail.html,
          messageId: messageId(id, issuer),
          // RFC 3461: what comes back names the mail, and does not carry its link about.
          dsn: { id, return: 'headers', notify: 'failure', recipient: undefined },
          ...(replyTo && { replyTo: { name: '', address: replyTo } }),
          headers: { 'Content-Language': mail.language, ...(mail.person ? {} : FROM_A_MACHINE) },
          signal: AbortSignal.timeout(LIMIT),
        });
        return codesOf(response);
      } catch (error) {
        return failureOf(error);
      }
    },
    reach: () =>
      opened()
        .then((transporter) => transporter.verify())
        .then(
          () => undefined,
          (error: unknown) => failureOf(error).reason,
        ),
    close: () => void transport?.then((transporter) => transporter.close()),
  };
}

function failureOf(error: unknown): Failure {
  const { name, code, responseCode, command, response } = error as Partial<Record<string, unknown>>;
  const late = name === 'AbortError' || name === 'TimeoutError';
  const parts = late
    ? ['too slow']
    : [code, responseCode, command].filter((part) => typeof part === 'string' || typeof part === 'number');
  const step = stepOf(code, command);
  const codes = codesOf(response);
  return { reason: parts.join(' ') || 'no answer', final: isFinal(step, codes), step, ...codes };
}

function stepOf(code: unknown, command: unknown): MailStep {
  if (code === 'EAUTH') return 'login';
  if (command === 'MAIL FROM') return 'sender';
  if (command === 'RCPT TO') return 'recipient';
  return command === 'DATA' ? 'message' : 'connection';
}

/**
 * A refusal for good (5xx) is final where it is about this mail. A login or a sender that is refused is ours to mend, and so is
 * one for reasons of policy (RFC 3463, X.7.X: relaying denied): nobody's mail is thrown away for it.
 */
function isFinal(step: MailStep, { reply = 0, status = '' }: Reply): boolean {
  if (reply < 500) return false;
  return step === 'message' || (step === 'recipient' && !status.startsWith('5.7.'));
}

/** Nothing but the codes: what follows them likes to repeat the address. */
function codesOf(response: unknown): Reply {
  const [, reply, status] =
    /^([2-5]\d\d)[ -](?:([245]\.\d{1,3}\.\d{1,3})(?!\S))?/.exec(typeof response === 'string' ? response : '') ?? [];
  return { reply: reply === undefined ? undefined : Number(reply), status };
}
