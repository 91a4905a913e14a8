/**
 * Owns what residents who no longer have their address ask of support: a mail to support, in its language, within what one
 * address and one place may send. Nobody learns whether the address has an account; what was written is kept nowhere else.
 */
import type { Config, TextByLanguage } from '../config.ts';
import type { Mails } from '../mail/mails.ts';
import type { Database } from '../platform/database.ts';
import { oneLine } from '../platform/one-line.ts';
import type { Refusal } from '../platform/refusal.ts';
import { accountByKey } from '../records/accounts.ts';
import { canonicalAddress, displayAddress } from '../records/addresses.ts';
import { auditRow } from '../records/audit.ts';
import { take } from '../records/throttle.ts';
import type { Allowances, Visitor } from './allowances.ts';

export interface SupportRequestParts {
  database: Database;
  config: Pick<Config, 'support' | 'languages'>;
  mails: Mails;
  allowances: Allowances;
}

type Answer<T, No extends string> = T | (Refusal & { refused: No });

/** Where support can answer: not the address that was lost. */
export function newEmailFrom(typed: string, lost: string): Answer<{ newEmail: string }, 'no_address' | 'same_address'> {
  const key = canonicalAddress(typed);
  if (!key) return { refused: 'no_address' };
  return key === canonicalAddress(lost) ? { refused: 'same_address' } : { newEmail: displayAddress(typed) };
}

export function nameFrom(typed: string): Answer<{ name: string }, 'no_name'> {
  const name = oneLine(typed);
  return name ? { name } : { refused: 'no_name' };
}

/** What the resident remembers of e-services; may be empty. */
export function servicesFrom(typed: string): Answer<{ services: string }, 'too_long'> {
  const lines = typed.split(/\r\n|[\n\r\u2028\u2029]/).map(oneLine);
  const services = lines.filter(Boolean).join('\n');
  return services.length <= LONGEST_TEXT ? { services } : { refused: 'too_long' };
}

export const LONGEST_TEXT = 1000;

export interface Asked {
  /** The address of the sign-in, as it was typed. */
  email: string;
  newEmail: string;
  name: string;
  services: string;
  visitor: Visitor;
  clientId: string;
  service: TextByLanguage;
}

export function supportRequests({ database, config, mails, allowances }: SupportRequestParts) {
  return {
    async ask(
      { email, newEmail, name, services, visitor, clientId, service }: Asked,
      now: Date,
    ): Promise<{ sent: true } | (Refusal & { refused: 'too_many_tries' | 'nobody_to_ask' })> {
      const to = config.support.email;
      const emailKey = canonicalAddress(email);
      if (!to || !emailKey) return { refused: 'nobody_to_ask' };
      return database.transaction(async (tx) => {
        const wait = await take(tx, allowances.supportRequest(emailKey, visitor), now);
        if (wait > 0) return { refused: 'too_many_tries', retryAfter: wait };
        const account = await accountByKey(tx, emailKey);
        const request = { oldEmail: email, newEmail, name, services, service };
        await mails.supportRequest(tx, { email: to, locale: config.languages[0], ...request }, now);
        const { place } = visitor;
        await tx.query(auditRow({ kind: 'support_requested', accountId: account?.id, clientId, place }, now));
        return { sent: true };
      });
    },
  };
}

export type SupportRequests = ReturnType<typeof supportRequests>;
