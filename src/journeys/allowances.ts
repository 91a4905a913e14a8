/**
 * Owns what is counted against whom: the throttle's keys and limits for addresses, passwords and links.
 * Keys hold keyed digests, so that the table tells nobody's address or place.
 */
import type { Config } from '../config.ts';
import type { Sealer } from '../platform/secrets.ts';
import type { DeviceKind } from '../platform/user-agent.ts';
import type { Allowance } from '../records/throttle.ts';

export interface Visitor {
  /** The network address, for the audit. */
  place: string;
  /** What counts as one place: an IPv4 address, or an IPv6 /64. */
  network: string;
  /** A device on which this very address signed in before; it has an allowance of its own. */
  device?: string;
  /** What it says it is, for the audit and the resident's own eyes; it proves nothing. */
  kind: DeviceKind;
}

/** For the audit. */
export const whereFrom = ({ place, kind }: Visitor) => ({ place, device: kind });
export type Whence = ReturnType<typeof whereFrom>;

/** Into how many buckets everybody's failures are spread, by address. */
const SHARES = 16;

export type Allowances = ReturnType<typeof allowances>;

export function allowances({ sealer, limits }: { sealer: Sealer; limits: Config['limits'] }) {
  const digest = (value: string): string => sealer.digest(value, 'throttle').toString('base64url');
  const own = (key: string): Allowance => ({ key, limit: limits.passwordPerPlace, growing: true });
  const passwordOfAddress = (emailKey: string): Allowance => ({
    key: `password:address:${digest(emailKey)}`,
    limit: limits.passwordPerAddress,
  });
  /** Everybody's failures, in a few buckets: in a single one all sign-ins of the city would wait for each other's commits. */
  const passwordOfAll = (emailKey: string): Allowance => ({
    key: `password:all:${digest(emailKey).charCodeAt(0) % SHARES}`,
    limit: Math.ceil(limits.passwordsForAll / SHARES),
  });
  const linkOfAddress = (emailKey: string): Allowance => ({
    key: `link:${digest(emailKey)}`,
    limit: limits.linksPerAddress,
  });
  return {
    probe: (visitor: Visitor): Allowance[] => [
      { key: `probe:${digest(visitor.network)}`, limit: limits.addressesPerPlace },
    ],
    /** Where it is noted that a probe counts until the address turns out to be the resident's own. */
    owed: (emailKey: string, visitor: Visitor): string => `owed:${digest(`${visitor.network} ${emailKey}`)}`,
    password: (emailKey: string, visitor: Visitor): Allowance[] =>
      visitor.device
        ? [own(`password:device:${digest(`${visitor.device} ${emailKey}`)}`)]
        : [
            passwordOfAll(emailKey),
            passwordOfAddress(emailKey),
            own(`password:place:${digest(`${visitor.network} ${emailKey}`)}`),
          ],
    /** Codes of a second step: of a million three are right, and who gets here has the password. */
    code: (accountId: string): Allowance[] => [{ key: `code:${digest(accountId)}`, limit: 10 }],
    link: (emailKey: string): Allowance[] => [linkOfAddress(emailKey)],
    /** Link mails that one place may cause: who knows the addresses of a whole list shall not mail them all. */
    linksFrom: (visitor: Visitor): Allowance[] => [
      { key: `links:${digest(visitor.network)}`, limit: limits.linksPerPlace },
    ],
    /** Links that never were, opened from one place. */
    linkGuess: (visitor: Visitor): Allowance[] => [
      { key: `guess:${digest(visitor.network)}`, limit: limits.linkGuessesPerPlace },
    ],
    /** What is counted against an address wherever it is tried, for support to see. */
    ofAddress: (emailKey: string): { passwords: Allowance; links: Allowance } => ({
      passwords: passwordOfAddress(emailKey),
      links: linkOfAddress(emailKey),
    }),
    /** What residents who lost their address ask of support: everything reaches a mailbox that people read. */
    supportRequest: (emailKey: string, visitor: Visitor): Allowance[] => [
      { key: `request:address:${digest(emailKey)}`, limit: limits.requestsPerAddress },
      { key: `request:place:${digest(visitor.network)}`, limit: limits.requestsPerPlace },
    ],
    /** Mails to an address that a resident wants for their account: it may be anybody's. */
    newEmail: ({ accountId, emailKey }: { accountId: string; emailKey: string }): Allowance[] => [
      { key: `new-email:account:${digest(accountId)}`, limit: limits.linksPerAddress },
      { key: `new-email:address:${digest(emailKey)}`, limit: 3, hours: 24 },
    ],
    /** Under `conceal`: the mails to an unknown address, few a day. */
    stranger: (emailKey: string): Allowance[] => [{ key: `stranger:${digest(emailKey)}`, limit: 3, hours: 24 }],
  };
}
