/**
 * Owns the mailing of a link that sets a password: the link, its mail and its audit row in one transaction, within the
 * allowance of the address. The mail goes to the stored address, never to a typed one. A spent allowance ends no earlier link.
 */
import type { Config, TextByLanguage } from '../config.ts';
import type { Mails } from '../mail/mails.ts';
import type { Database } from '../platform/database.ts';
import type { Account } from '../records/accounts.ts';
import { auditRow } from '../records/audit.ts';
import { makeLink } from '../records/links.ts';
import { take } from '../records/throttle.ts';
import type { Allowances } from './allowances.ts';

export interface LinkMailParts {
  database: Database;
  config: Pick<Config, 'links' | 'issuer'>;
  mails: Mails;
  allowances: Allowances;
}

/** Where a link comes from: the e-service and the sign-in that it leads back to. */
export interface LinkOrigin {
  clientId?: string;
  clientNames?: TextByLanguage;
  interactionUid?: string;
  /** The language of the page, for an account that never chose one. */
  language: string;
  /** The same, where the e-service asked for one: then the pages behind the link speak it too. */
  uiLocales?: string;
  place?: string;
  actor?: string;
}

/** @returns whether a mail goes out (false: the allowance is spent) */
export async function mailLink(
  { database, config, mails, allowances }: LinkMailParts,
  { account, origin }: { account: Account; origin: LinkOrigin },
  now: Date,
): Promise<boolean> {
  return database.transaction(async (tx) => {
    if ((await take(tx, allowances.link(account.emailKey), now)) > 0) return false;
    const { clientId, interactionUid, uiLocales, place, actor } = origin;
    const lifetime = config.links.lifetime;
    const token = await makeLink(
      tx,
      { accountId: account.id, purpose: 'set_password', clientId, interactionUid, uiLocales, lifetime },
      now,
    );
    await mails.setPassword(
      tx,
      {
        accountId: account.id,
        email: account.email,
        locale: account.locale ?? origin.language,
        link: `${config.issuer}/set-password/${token}`,
        service: origin.clientNames,
        lifetime,
      },
      now,
    );
    await tx.query(auditRow({ kind: 'link_requested', accountId: account.id, clientId, place, actor }, now));
    return true;
  });
}
