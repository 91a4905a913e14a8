/** How `accounts show` and `accounts factors` tell a person what is known of an account. */
import type { FactorsPicture } from '../journeys/factor-removals.ts';
import type { AccountPicture } from '../journeys/support.ts';

const DOUBTS: Readonly<Record<string, string>> = {
  shared_email: 'in doubt: the address has several ids on this list',
  unusable_legacy_id: 'in doubt: the id can be no user id of ours',
  mixed_script: 'in doubt: the address imitates another one',
  unlinked: 'not theirs, says support',
};

/** At which step a mail was not taken. */
const WHY = {
  connection: 'ours to mend: our mail server did not answer or ended the call',
  login: 'ours to mend: our mail server refuses the login',
  sender: 'ours to mend: our mail server refuses mail.from',
  recipient: 'to this address',
  message: 'to this message',
} as const;

const PASSWORDS = {
  none: 'none yet: set by a mailed link',
  list: "the old list's: good until another list joins",
  own: 'their own',
} as const;

const time = (at: Date | undefined): string => at?.toISOString().slice(0, 19).replace('T', ' ') ?? 'never';
const words = (code: string): string => code.replaceAll('_', ' ');
const line = (name: string, value: string): string => `${name.padEnd(16)}${value}`;

/** Times are in UTC. */
export function tellPicture(picture: AccountPicture): string[] {
  const { account, links, mails, counted, ties, subjects, sessions, events } = picture;
  const name = [account.givenName, account.familyName].filter(Boolean).join(' ');
  return [
    `${account.email}${account.emailVerified ? '' : '  (not verified: no mailed link was used yet)'}`,
    ...(name ? [line('name', name)] : []),
    line('account', account.id),
    line('state', account.lockedAt ? `locked since ${time(account.lockedAt)}` : 'open'),
    ...(account.leavesAt
      ? [line('leaves', `${time(account.leavesAt)}: the resident has asked for it, and stays by signing in before`)]
      : []),
    line('password', PASSWORDS[account.passwordState]),
    line('factors', account.factors.join(', ') || 'none'),
    line('language', account.locale ?? 'not chosen'),
    line('created', time(account.createdAt)),
    line('last sign-in', time(account.signedInAt)),
    line('sessions', [`${sessions.sessions}`, ...sessions.clients].join(', ')),
    line(
      'links',
      links.length ? `${links.length} that work, the last until ${time(links[0]!.expiresAt)}` : 'none that works',
    ),
    line('wrong passwords', tellLevel(counted.passwords)),
    line('link mails', tellLevel(counted.links)),
    ...ties.map(({ source, id, doubt }) => line(`on ${source}`, `${id}${doubt ? `  (${DOUBTS[doubt]})` : ''}`)),
    ...subjects.map(({ eServices, sub }) =>
      line('known as', `${sub}  at ${eServices.join(', ') || 'no e-service of now'}`),
    ),
    '',
    'last mails (UTC)',
    ...mails.map(({ kind, queuedAt, outcome, outcomeAt, tries, reply, status, step }) => {
      const answer = [reply, status].filter((part) => part !== undefined).join(' ');
      const why = [answer && `answer: ${answer}`, step && WHY[step]]
        .filter(Boolean)
        .map((part) => `, ${part}`)
        .join('');
      return `  ${time(queuedAt)}  ${words(kind).padEnd(18)}${words(outcome)} ${time(outcomeAt)}, tries: ${tries}${why}`;
    }),
    ...(mails.length ? [] : ['  none']),
    '',
    'last events (UTC)',
    ...events.map(({ at, kind, actor, client_id: client, detail }) => {
      const more = Object.entries(detail).map(([key, value]) => `${words(key)}: ${String(value)}`);
      return `  ${time(at)}  ${words(kind).padEnd(20)}${[actor, client, ...more].filter(Boolean).join(', ')}`;
    }),
    ...(events.length ? [] : ['  none']),
  ];
}

/** Times are in UTC. */
export function tellFactors({ passkeys, authenticator, codes, secondStep, removal }: FactorsPicture): string[] {
  const times = ({ createdAt, usedAt }: { createdAt: Date; usedAt?: Date }): string =>
    `since ${time(createdAt)}, last used: ${time(usedAt)}`;
  return [
    ...passkeys.map((each) => line('passkey', `${each.id}  ${each.name ? `'${each.name}', ` : ''}${times(each)}`)),
    ...(authenticator ? [line('authenticator', times(authenticator))] : []),
    ...(passkeys.length || authenticator ? [] : ['no way to sign in besides the password']),
    line('recovery codes', `${codes} left`),
    line('second step', secondStep ? 'asked for after the password' : 'not asked for'),
    ...(removal
      ? [line('to be removed', `${removal.factor}, on ${time(removal.dueAt)}, asked for by ${removal.actor}`)]
      : []),
  ];
}

function tellLevel(level: AccountPicture['counted']['passwords']): string {
  if (!level) return 'none counted now';
  const { tries, limit, fitsAt, emptyAt } = level;
  const next = fitsAt ? `, no more before ${time(fitsAt)}` : '';
  return `${tries} counted of ${limit} an hour${next}, none left after ${time(emptyAt)}`;
}
