/**
 * docs/states.md, the table of states as a page for people. `npm run states` writes it anew; a test says when it is no
 * longer true. What happens when is src/journeys/states.ts's; here are only the words around it.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STATES, type Row } from '../../src/journeys/states.ts';

export const STATES_FILE = join(import.meta.dirname, '..', '..', 'docs', 'states.md');

const HEAD = `# What happens when

Made from \`src/journeys/states.ts\` by \`npm run states\`. Do not edit this page: change the table, then run that.
The journeys look up the same table, so what stands here is what residents meet.

## The words

- **Account**: \`unknown\`: no account has the address. \`no_password\`: the account came from a list and has no password yet.
  \`passkey_only\`: a passkey and no password. \`has_password\`: its own, or one that a single list vouches for. \`locked\`: support
  has locked it.
- **Setting**: \`signIn.unknownAddress\` in \`tunnus.yaml\`.
- **Second step**: \`asked\` where the resident has an authenticator app, or has a passkey and has chosen so, or the e-service or
  the city asks for two steps. Where it is asked for and the resident has none, they are signed in with the password and then led
  to set one up (\`add-second-step\`), and on to the e-service.
- **Link**: \`live\`: works. \`used\`: a password was set with it. \`ended\`: a password was set in another way. \`expired\`: too late.
  \`unknown\`: never given out, or gone with its account.
- **Page**: the name of the view and of its texts. \`e-service\`: back to where the resident came from.
- **Writes**: \`failure\`: the try stays counted. \`link\`: a link is made, within the allowance of the address; past it no mail
  goes out and the page is the same (from a place that asked for too many links, it is \`too-many\`). \`registration\`: the same
  for a link that makes an account. \`password\`: the link is spent and the password set, all other links and all sessions end.
  \`session\`: the resident is signed in.

## Not in the tables

- Too many tries: the page \`too-many\` (429) instead of any row of the first three tables. Nothing locks for good.
- A new password that is too short, too long or too common: the same page again (422). The link still works.
- 'Ask for a new link' on the page \`link-expired\`: a link to the account's own address, within its allowance.
- After a right password another page may still come: \`other-person\` (somebody else is signed in on this browser),
  \`in-doubt\` (the tie to the e-service's old list is in doubt), \`consent\` (an e-service that is not the city's own).
- \`passkey-offer\`: after a right password alone, on a device that can make a passkey, for who has neither passkey nor app and
  has not declined: 'not now' holds for 90 days, 'never' for good.
- A link that makes an account: \`new-account\`, then \`account-made\`; one that is used, too late or unknown: \`new-account-past\`.
- 'No longer have this email address?' leads from \`link-sent\`, \`password\` and \`unknown-address\` to \`address-lost\`,
  \`your-name\`, \`your-services\` and \`request-sent\`: the same for every address and setting, known or not. Support gets the
  mail \`support_request\`, within the allowances of the address and the place.
- A sign-in page that was open too long, was finished already, or belongs to another browser: the way on is in
  \`src/web/sign-in-pages.ts\`, \`offerWayOn\`.
- An account whose resident has asked for it to be erased is like any other until then: nobody is signed in, and signing in
  takes it back (mail \`leaving_undone\`).
- Links about an address, of \`src/journeys/email-change.ts\`: \`confirm-email\` (to the new one; no longer good once anything
  ended the account's sessions) and \`undo-email\` (to the old one, seven days; a password set anew ends it, and its page then
  mails another with the time of the first). Live: the page asks, its form does it. Used: the page says what it did, or
  \`email-link-over\` (410) where the address has changed again. Expired or ended: \`email-link-over\` (410); unknown: 404; the
  address is somebody else's by now: 409, and nothing is changed; the account is locked: 403.
- Pages of \`/account\` that change who holds the account lead to a sign-in where the last one is older than ten minutes, also
  from their forms, and come back with what was typed but passwords and codes.
- Under \`conceal\` the try of an address stays counted, known or not, until a right password gives it back.
  Link and mail are made after the answer, by a job, and answers leave on a beat: their time tells nothing. The mail to an
  unknown address goes out once an hour at most.`;

const MOMENTS: Readonly<Record<Row['at'], string>> = {
  address: 'The resident gives an address',
  password: 'The resident gives a password',
  second_step: 'The resident shows a second step, after the password',
  passkey: 'The resident shows a passkey alone',
  register: 'The resident asks for a new account (`signIn.registration: open`)',
  ask_link: 'The resident asks for a link',
  link_opened: 'A mailed link is opened',
  link_posted: 'The form behind a mailed link is posted',
};

type Column = 'setting' | 'account' | 'proof' | 'second' | 'link' | 'page' | 'writes' | 'mail';
const TITLES: Readonly<Record<Column, string>> = {
  setting: 'Setting',
  account: 'Account',
  proof: 'Proof',
  second: 'Second step',
  link: 'Link',
  page: 'Page',
  writes: 'Writes',
  mail: 'Mail',
};
const ALWAYS: readonly Column[] = ['account', 'page', 'writes', 'mail'];

export function statesPage(rows: readonly Row[] = STATES): string {
  const tables = Object.entries(MOMENTS).map(
    ([at, title]) => `## ${title}\n\n${table(rows.filter((row) => row.at === at))}`,
  );
  return `${[HEAD, ...tables].join('\n\n')}\n`;
}

function table(rows: readonly Row[]): string {
  const columns = (Object.keys(TITLES) as Column[]).filter(
    (column) => ALWAYS.includes(column) || rows.some((row) => row[column] !== undefined),
  );
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(columns.map((column) => TITLES[column])),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((column) => [row[column] ?? []].flat().join(', ') || '–'))),
  ].join('\n');
}

if (import.meta.main) writeFileSync(STATES_FILE, statesPage());
