import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import {
  STATES,
  whatHappens,
  type AccountState,
  type LinkState,
  type Row,
  type Situation,
} from '../../src/journeys/states.ts';
import { STATES_FILE, statesPage } from '../support/write-states.ts';

const SETTINGS = ['tell', 'conceal'] as const;
const REAL: readonly AccountState[] = ['no_password', 'passkey_only', 'has_password', 'locked'];
const ACCOUNTS: readonly AccountState[] = ['unknown', ...REAL];
const FOUND: readonly LinkState[] = ['live', 'used', 'expired', 'ended'];

/** All that can come about: who has no account or no password gives no right one, and a known link has an account. */
const situations: readonly Situation[] = [
  ...(['address', 'ask_link', 'register'] as const).flatMap((at) =>
    SETTINGS.flatMap((setting) => ACCOUNTS.map((account) => ({ at, setting, account }))),
  ),
  ...ACCOUNTS.map((account) => ({ at: 'password' as const, proof: 'wrong' as const, account })),
  ...(['none', 'asked'] as const).map((second) => ({
    at: 'password' as const,
    proof: 'right' as const,
    second,
    account: 'has_password' as const,
  })),
  { at: 'password', proof: 'right', account: 'locked' },
  ...(['right', 'wrong'] as const).flatMap((proof) =>
    (['has_password', 'passkey_only'] as const).map((account) => ({ at: 'second_step' as const, proof, account })),
  ),
  ...(['right', 'wrong'] as const).flatMap((proof) =>
    (['has_password', 'passkey_only', 'locked'] as const).map((account) => ({
      at: 'passkey' as const,
      proof,
      account,
    })),
  ),
  { at: 'passkey', proof: 'wrong', account: 'unknown' },
  ...(['link_opened', 'link_posted'] as const).flatMap((at): Situation[] => [
    { at, link: 'unknown', account: 'unknown' },
    ...FOUND.flatMap((link) => REAL.map((account) => ({ at, link, account }))),
  ]),
];

const named = ({ at, setting, account, second, proof, link }: Situation): string =>
  [at, setting, account, second, proof, link].filter(Boolean).join(' ');

describe('the table of states', () => {
  test.each(situations.map((situation) => [named(situation), situation] as const))(
    'has one row for %s',
    (name, situation) => {
      expect(STATES.filter((row) => named(row) === name)).toEqual([whatHappens(situation)]);
    },
  );

  test('has no row for what cannot come about', () => {
    const possible = new Set(situations.map(named));
    expect(STATES.map(named).filter((name) => !possible.has(name))).toEqual([]);
  });

  test('a situation without a row is a fault, not a guess', () => {
    expect(() => whatHappens({ at: 'password', account: 'unknown', proof: 'right' })).toThrow('no state');
  });

  test('opening a link writes nothing and mails nothing', () => {
    const opened = STATES.filter(({ at }) => at === 'link_opened');
    expect(opened.filter(({ writes, mail }) => writes.length > 0 || mail)).toEqual([]);
  });

  test('only a live link of an account that is not locked sets a password', () => {
    const setting = STATES.filter(({ writes }) => writes.includes('password'));
    expect(setting.map(({ at, link, account }) => `${at} ${link} ${account}`)).toEqual([
      'link_posted live no_password',
      'link_posted live passkey_only',
      'link_posted live has_password',
    ]);
  });

  test('only a right proof of an account that is not locked signs in, after the second step where one is asked for', () => {
    const signingIn = STATES.filter(({ writes, page }) => writes.includes('session') || page === 'e-service');
    expect(signingIn.map(named)).toEqual([
      'password has_password none right',
      'second_step has_password right',
      'passkey has_password right',
      'second_step passkey_only right',
      'passkey passkey_only right',
    ]);
  });

  test('no mail goes to an unknown address, but for the one under conceal, and for a new account', () => {
    const mailed = STATES.filter(({ at, account, mail }) => at !== 'register' && account === 'unknown' && mail);
    expect(mailed.map(({ setting, mail }) => [setting, mail])).toEqual([
      ['conceal', 'unknown_address'],
      ['conceal', 'unknown_address'],
    ]);
  });

  test.each(['address', 'ask_link', 'register'] as const)(
    'under conceal every address gets the same page: %s',
    (at) => {
      const pages = STATES.filter((row) => row.at === at && row.setting === 'conceal').map(({ page }) => page);
      expect(new Set(pages).size).toBe(1);
    },
  );

  test('a wrong password gets the same page whatever the account', () => {
    const answers = STATES.filter(({ at, proof }) => at === 'password' && proof === 'wrong').map(
      ({ page, writes }) => ({ page, writes }),
    );
    expect(answers).toEqual(answers.map(() => answers[0]));
  });
});

describe('docs/states.md', () => {
  test('says what the table says (npm run states)', () => {
    expect(readFileSync(STATES_FILE, 'utf8')).toBe(statesPage());
  });

  test('has a line for each row', () => {
    const one: Row = STATES[0]!;
    expect(
      statesPage([one])
        .split('\n')
        .filter((line) => line.startsWith('| ')),
    ).toContain('| tell | unknown | unknown-address | failure | – |');
    expect(
      statesPage()
        .split('\n')
        .filter((line) => /^\| (?!Setting|Account|Password|Link|---)/.test(line)),
    ).toHaveLength(STATES.length);
  });
});
