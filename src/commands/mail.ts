/** `tunnus mail`: a mail to see whether mails arrive, and what becomes of those that come back. */
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { complain, configuration, FAILED, say, withHouse, Wrong } from './house.ts';

export function mailCommands(tunnus: Command): void {
  const mail = tunnus.command('mail').description('mails: a test, and those that come back');
  mail
    .command('test')
    .description('sends a mail to see whether it arrives and is believed; asks the mail server, not the queue')
    .argument('<address>')
    .action(test);
  mail
    .command('bounce')
    .description('reads a delivery report (RFC 3464) from standard input and notes which mail came back')
    .action(bounce);
}

async function test(address: string): Promise<void> {
  if (!/^[^\s@<>,;]+@[^\s@<>,;]+$/.test(address)) throw new Wrong('mail test: this is no e-mail address');
  const config = configuration();
  if (!config.mail.url) throw new Wrong('mail test: mail.url is not set');
  const { postFor } = await import('../desk.ts');
  const post = postFor(config);
  const text =
    'This mail was sent by `tunnus mail test`. Look at its source: Authentication-Results should say spf=pass, dkim=pass and dmarc=pass.';
  const letter = {
    to: address,
    language: 'en',
    brand: 'Tunnus',
    subject: 'A test of Tunnus',
    text,
    html: `<p>${text}</p>`,
  };
  const handed = await post.send(letter, randomUUID()).finally(() => post.close());
  const answer = [handed.reply, handed.status].filter((part) => part !== undefined).join(' ');
  if (!('reason' in handed)) {
    say(
      `The mail server took it${answer ? ` (${answer})` : ''}. Whether it arrives, and is believed, its mailbox shows.`,
    );
    return;
  }
  complain(
    `The mail server did not take it, at the step '${handed.step}'${answer ? ` (${answer})` : ''}: ${handed.reason}`,
  );
  process.exitCode = FAILED;
}

const WORDS = {
  bounced: 'Noted: this mail came back.',
  not_ours: 'Nothing to note: no mail of ours, or it was known already.',
  no_report: 'Nothing to note: this is no report of a mail that failed for good.',
} as const;

/** Whatever comes is an answer and no failure: a mail server would send one back for it. Only a database that is away is. */
async function bounce(): Promise<void> {
  const { LONGEST_REPORT, takeReport } = await import('../journeys/bounces.ts');
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    if ((length += chunk.length) <= LONGEST_REPORT) chunks.push(chunk);
  }
  if (length > LONGEST_REPORT) return say(WORDS.no_report);
  await withHouse(async ({ database }) => say(WORDS[await takeReport(database, Buffer.concat(chunks), new Date())]));
}
