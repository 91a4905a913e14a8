/**
 * Owns the table of states: what happens when. For each moment of a sign-in and each state of account, link and setting it
 * says which page comes, what is written and which mail goes out. Journeys look it up; the tests and docs/states.md are made
 * from it. Nobody has to read handlers to find out.
 */
export type Setting = 'tell' | 'conceal';
/** `passkey_only`: no password, but a passkey. */
export type AccountState = 'unknown' | 'no_password' | 'passkey_only' | 'has_password' | 'locked';
export type LinkState = 'unknown' | 'live' | 'used' | 'expired' | 'ended';

/** A page's name is its view, its text section and the end of its URL. `e-service` leads back to the relying party. */
export type Page =
  | 'sign-in'
  | 'password'
  | 'link-sent'
  | 'unknown-address'
  | 'locked'
  | 'second-step'
  | 'passkey'
  | 'e-service'
  | 'registration-sent'
  | 'set-password'
  | 'password-set'
  | 'link-used'
  | 'link-expired'
  | 'link-unknown';

export type Write = 'failure' | 'link' | 'registration' | 'password' | 'session';
export type Mail = 'set_password' | 'unknown_address' | 'password_changed' | 'register' | 'account_exists';

export interface Row {
  /**
   * The moment: the address was given, a password, a code or passkey after it, a passkey by itself; a new account was asked for; a
   * link was asked for, opened, or its form posted.
   */
  at: 'address' | 'password' | 'second_step' | 'passkey' | 'register' | 'ask_link' | 'link_opened' | 'link_posted';
  account: AccountState;
  setting?: Setting;
  /** Whether a second step comes after the password. */
  second?: 'none' | 'asked';
  proof?: 'right' | 'wrong';
  link?: LinkState;
  page: Page;
  writes: readonly Write[];
  mail?: Mail;
}

const LINK_PAGES: Readonly<Record<Exclude<LinkState, 'live'>, Page>> = {
  unknown: 'link-unknown',
  used: 'link-used',
  expired: 'link-expired',
  ended: 'link-expired',
};

export const STATES: readonly Row[] = [
  { at: 'address', setting: 'tell', account: 'unknown', page: 'unknown-address', writes: ['failure'] },
  { at: 'address', setting: 'tell', account: 'no_password', page: 'link-sent', writes: ['link'], mail: 'set_password' },
  { at: 'address', setting: 'tell', account: 'passkey_only', page: 'password', writes: [] },
  { at: 'address', setting: 'tell', account: 'has_password', page: 'password', writes: [] },
  // Like any other: only who knows the password, or asks for a link, learns that the account is locked.
  { at: 'address', setting: 'tell', account: 'locked', page: 'password', writes: [] },
  {
    at: 'address',
    setting: 'conceal',
    account: 'unknown',
    page: 'password',
    writes: ['failure'],
    mail: 'unknown_address',
  },
  {
    at: 'address',
    setting: 'conceal',
    account: 'no_password',
    page: 'password',
    writes: ['link'],
    mail: 'set_password',
  },
  { at: 'address', setting: 'conceal', account: 'passkey_only', page: 'password', writes: [] },
  { at: 'address', setting: 'conceal', account: 'has_password', page: 'password', writes: [] },
  { at: 'address', setting: 'conceal', account: 'locked', page: 'password', writes: [] },

  { at: 'password', proof: 'right', second: 'none', account: 'has_password', page: 'e-service', writes: ['session'] },
  { at: 'password', proof: 'right', second: 'asked', account: 'has_password', page: 'second-step', writes: [] },
  { at: 'password', proof: 'right', account: 'locked', page: 'locked', writes: ['failure'] },
  { at: 'password', proof: 'wrong', account: 'has_password', page: 'password', writes: ['failure'] },
  { at: 'password', proof: 'wrong', account: 'locked', page: 'password', writes: ['failure'] },
  { at: 'password', proof: 'wrong', account: 'passkey_only', page: 'password', writes: ['failure'] },
  { at: 'password', proof: 'wrong', account: 'no_password', page: 'password', writes: ['failure'] },
  { at: 'password', proof: 'wrong', account: 'unknown', page: 'password', writes: ['failure'] },

  ...(['has_password', 'passkey_only'] as const).flatMap((account): Row[] => [
    { at: 'second_step', proof: 'right', account, page: 'e-service', writes: ['session'] },
    { at: 'second_step', proof: 'wrong', account, page: 'second-step', writes: ['failure'] },
    { at: 'passkey', proof: 'right', account, page: 'e-service', writes: ['session'] },
    { at: 'passkey', proof: 'wrong', account, page: 'passkey', writes: [] },
  ]),
  { at: 'passkey', proof: 'right', account: 'locked', page: 'locked', writes: [] },
  { at: 'passkey', proof: 'wrong', account: 'locked', page: 'passkey', writes: [] },
  { at: 'passkey', proof: 'wrong', account: 'unknown', page: 'passkey', writes: [] },

  ...(['tell', 'conceal'] as const).map((setting): Row => ({
    at: 'register',
    setting,
    account: 'unknown',
    page: 'registration-sent',
    writes: ['registration'],
    mail: 'register',
  })),
  {
    at: 'register',
    setting: 'tell',
    account: 'no_password',
    page: 'link-sent',
    writes: ['link'],
    mail: 'set_password',
  },
  ...(['passkey_only', 'has_password', 'locked'] as const).map((account): Row => ({
    at: 'register',
    setting: 'tell',
    account,
    page: 'password',
    writes: [],
  })),
  {
    at: 'register',
    setting: 'conceal',
    account: 'no_password',
    page: 'registration-sent',
    writes: ['link'],
    mail: 'set_password',
  },
  ...(['passkey_only', 'has_password'] as const).map((account): Row => ({
    at: 'register',
    setting: 'conceal',
    account,
    page: 'registration-sent',
    writes: [],
    mail: 'account_exists',
  })),
  { at: 'register', setting: 'conceal', account: 'locked', page: 'registration-sent', writes: [] },

  { at: 'ask_link', setting: 'tell', account: 'unknown', page: 'unknown-address', writes: ['failure'] },
  {
    at: 'ask_link',
    setting: 'tell',
    account: 'no_password',
    page: 'link-sent',
    writes: ['link'],
    mail: 'set_password',
  },
  {
    at: 'ask_link',
    setting: 'tell',
    account: 'passkey_only',
    page: 'link-sent',
    writes: ['link'],
    mail: 'set_password',
  },
  {
    at: 'ask_link',
    setting: 'tell',
    account: 'has_password',
    page: 'link-sent',
    writes: ['link'],
    mail: 'set_password',
  },
  { at: 'ask_link', setting: 'tell', account: 'locked', page: 'locked', writes: [] },
  {
    at: 'ask_link',
    setting: 'conceal',
    account: 'unknown',
    page: 'link-sent',
    writes: ['failure'],
    mail: 'unknown_address',
  },
  {
    at: 'ask_link',
    setting: 'conceal',
    account: 'no_password',
    page: 'link-sent',
    writes: ['link'],
    mail: 'set_password',
  },
  {
    at: 'ask_link',
    setting: 'conceal',
    account: 'passkey_only',
    page: 'link-sent',
    writes: ['link'],
    mail: 'set_password',
  },
  {
    at: 'ask_link',
    setting: 'conceal',
    account: 'has_password',
    page: 'link-sent',
    writes: ['link'],
    mail: 'set_password',
  },
  { at: 'ask_link', setting: 'conceal', account: 'locked', page: 'link-sent', writes: [] },

  // A link of an account since erased is unknown: it went with the account.
  { at: 'link_opened', link: 'unknown', account: 'unknown', page: 'link-unknown', writes: [] },
  ...(['no_password', 'passkey_only', 'has_password'] as const).flatMap((account): Row[] => [
    { at: 'link_opened', link: 'live', account, page: 'set-password', writes: [] },
    { at: 'link_posted', link: 'live', account, page: 'password-set', writes: ['password'], mail: 'password_changed' },
  ]),
  { at: 'link_opened', link: 'live', account: 'locked', page: 'locked', writes: [] },
  { at: 'link_posted', link: 'live', account: 'locked', page: 'locked', writes: [] },
  { at: 'link_posted', link: 'unknown', account: 'unknown', page: 'link-unknown', writes: [] },
  ...(['used', 'expired', 'ended'] as const).flatMap((link) =>
    (['no_password', 'passkey_only', 'has_password', 'locked'] as const).flatMap((account): Row[] => {
      const page = account === 'locked' ? 'locked' : LINK_PAGES[link];
      return [
        { at: 'link_opened', link, account, page, writes: [] },
        { at: 'link_posted', link, account, page, writes: [] },
      ];
    }),
  ),
];

export type Situation = Pick<Row, 'at' | 'account' | 'setting' | 'second' | 'proof' | 'link'>;

/** The row for a situation. There is one for each that can come about; a missing one is a bug. */
export function whatHappens(situation: Situation): Row {
  const row = STATES.find(
    (candidate) =>
      candidate.at === situation.at &&
      candidate.account === situation.account &&
      (candidate.setting === undefined || candidate.setting === situation.setting) &&
      (candidate.second === undefined || candidate.second === situation.second) &&
      candidate.proof === situation.proof &&
      candidate.link === situation.link,
  );
  if (!row) throw new Error(`no state for ${JSON.stringify(situation)}`);
  return row;
}
