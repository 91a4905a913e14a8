/**
 * Owns the copy of everything that is known of a resident, for themselves (GDPR, articles 15 and 20). No secret is in it: no
 * hash, no link, no id of a session; nothing that would let whoever finds the file in.
 */
import type { ClientConfig, Config } from '../config.ts';
import type { Database } from '../platform/database.ts';
import type { DeviceKind } from '../platform/user-agent.ts';
import type { Account } from '../records/accounts.ts';
import { allEvents, auditRow, type AuditKind } from '../records/audit.ts';
import { factorsOf, type Factors } from '../records/factors.ts';
import { addressesOfLinks } from '../records/links.ts';
import { recentMails } from '../records/mail-outcomes.ts';
import { registrationsOf } from '../records/registrations.ts';
import { servicesOf, type Given } from '../records/services.ts';
import { wholeAccount, type WholeAccount } from '../records/whole-accounts.ts';
import type { Whence } from './allowances.ts';
import type { ResidentSessions } from './sessions.ts';

export interface OwnDataParts {
  database: Database;
  config: Pick<Config, 'issuer'>;
  sessions: ResidentSessions;
  /** The e-services as they are now. */
  clients: () => readonly ClientConfig[];
  /** Which e-services share a `sub`. */
  sectorOf: (client: ClientConfig) => string;
}

/** Times are ISO 8601. E-services go by their `client_id`. */
export interface OwnData {
  issuer: string;
  made_at: string;
  account: Omit<WholeAccount, 'password' | 'ids' | 'subjects' | 'email_key' | 'progress'> & {
    password: WholeAccount['password']['state'];
  };
  /** What there is besides the password. */
  factors: {
    two_steps: boolean;
    passkeys: { name: string; backed_up: boolean; created_at: string; used_at: string | null }[];
    authenticator: { created_at: string; used_at: string | null } | null;
    recovery_codes_left: number;
    /** When support removes one of them, as it was asked to. */
    removal_due_at: string | null;
  };
  /** Addresses that the account was to have, and that it had, as far as links about them are still known. */
  other_addresses: { address: string; was: 'wanted' | 'replaced'; at: string }[];
  /** Links to make an account that were asked for with this address. */
  registrations: { asked_at: string; expires_at: string }[];
  /** When each step of the move was done first. */
  move: WholeAccount['progress'];
  /** Ids on old lists; none where it is in doubt whose the id is. */
  old_ids: { list: string; id: string | null; in_doubt: string | null }[];
  /** What groups of e-services know the resident by. */
  known_as: { e_services: string[]; id: string; since: string; until: string | null }[];
  e_services: { e_service: string; given: Given; first_at: string; last_at: string; agreed_at: string | null }[];
  sessions: {
    since: string;
    seen: string;
    device: DeviceKind | null;
    place: string | null;
    e_services: string[];
  }[];
  mails: { mail: string; queued_at: string; outcome: string; outcome_at: string }[];
  events: {
    at: string;
    event: AuditKind;
    e_service: string | null;
    place: string | null;
    device: DeviceKind | null;
    by: string;
    detail: Record<string, unknown>;
  }[];
}

const factorsCopy = (
  { twoSteps }: Account,
  { passkeys, authenticator, codes, removal }: Factors,
): OwnData['factors'] => ({
  two_steps: twoSteps || authenticator !== undefined,
  passkeys: passkeys.map(({ name, backedUp, createdAt, usedAt }) => ({
    name,
    backed_up: backedUp,
    created_at: createdAt.toISOString(),
    used_at: usedAt?.toISOString() ?? null,
  })),
  authenticator: authenticator
    ? { created_at: authenticator.createdAt.toISOString(), used_at: authenticator.usedAt?.toISOString() ?? null }
    : null,
  recovery_codes_left: codes,
  removal_due_at: removal?.dueAt.toISOString() ?? null,
});

const MOST_MAILS = 1000;

export function ownData({ database, config, sessions, clients, sectorOf }: OwnDataParts) {
  return {
    /** @returns undefined where the account is gone */
    async copy(
      { account, sessionUid, from }: { account: Account; sessionUid: string; from: Whence },
      now: Date,
    ): Promise<OwnData | undefined> {
      const live = await sessions.list({ account, sessionUid }, now);
      return database.transaction(async (tx) => {
        const whole = await wholeAccount(tx, account.id);
        if (!whole) return undefined;
        await tx.query(auditRow({ kind: 'data_downloaded', accountId: account.id, ...from }, now));
        const { password, ids, subjects, email_key: _key, progress, ...rest } = whole;
        return {
          issuer: config.issuer,
          made_at: now.toISOString(),
          account: { ...rest, password: password.state },
          factors: factorsCopy(account, await factorsOf(tx, account.id)),
          other_addresses: (await addressesOfLinks(tx, account.id)).map(({ email, purpose, createdAt }) => ({
            address: email,
            was: purpose === 'undo_email' ? 'replaced' : 'wanted',
            at: createdAt.toISOString(),
          })),
          registrations: (await registrationsOf(tx, account.emailKey)).map(({ askedAt, expiresAt }) => ({
            asked_at: askedAt.toISOString(),
            expires_at: expiresAt.toISOString(),
          })),
          move: progress,
          old_ids: ids.map(({ source, id, doubt }) => ({ list: source, id: doubt ? null : id, in_doubt: doubt })),
          known_as: subjects.map(({ sector, sub, created_at: since, retired_at: until }) => ({
            e_services: clients()
              .filter((client) => sectorOf(client) === sector)
              .map((client) => client.client_id),
            id: sub,
            since,
            until,
          })),
          e_services: (await servicesOf(tx, account.id)).map(({ clientId, given, firstAt, lastAt, agreedAt }) => ({
            e_service: clientId,
            given,
            first_at: firstAt.toISOString(),
            last_at: lastAt.toISOString(),
            agreed_at: agreedAt?.toISOString() ?? null,
          })),
          sessions: live.map(({ since, seen, device, place, clientIds }) => ({
            since: since.toISOString(),
            seen: seen.toISOString(),
            device: device ?? null,
            place: place ?? null,
            e_services: clientIds,
          })),
          mails: (await recentMails(tx, account.id, MOST_MAILS)).map(({ kind, queuedAt, outcome, outcomeAt }) => ({
            mail: kind,
            queued_at: queuedAt.toISOString(),
            outcome,
            outcome_at: outcomeAt.toISOString(),
          })),
          events: (await allEvents(tx, account.id)).map(
            ({ at, kind, client_id: client, place, device, actor, detail }) => ({
              at: at.toISOString(),
              event: kind,
              e_service: client,
              place,
              device,
              // Who of support it was is support's.
              by: actor.split(':')[0]!,
              detail,
            }),
          ),
        };
      });
    },
  };
}

export type OwnDataJourney = ReturnType<typeof ownData>;
