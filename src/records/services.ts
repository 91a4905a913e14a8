/**
 * Owns the table `services`: which e-services a resident has signed in to, since when, and what each gets of them. For one
 * that is not the city's own the row is also the resident's agreement: it outlives sessions, grants and passwords, until it is
 * withdrawn.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';

/** What an e-service gets: by scope, by single claims, and of each API its scopes. */
export interface Given {
  scopes: readonly string[];
  claims: readonly string[];
  /** By the API's resource indicator. */
  resources: Readonly<Record<string, readonly string[]>>;
}

export interface UsedService {
  clientId: string;
  given: Given;
  /** Of those that asked. */
  agreedAt: Date | null;
  firstAt: Date;
  lastAt: Date;
}

interface Use {
  accountId: string;
  clientId: string;
  given: Given;
  /** Did the resident agree to it just now? */
  agreed?: boolean;
}

/** A sign-in there, with what it brought. */
export function usedService({ accountId, clientId, given, agreed = false }: Use, now: Date): Sql {
  return sql`insert into services (account_id, client_id, given, agreed_at, first_at, last_at)
    values (${accountId}, ${clientId}, ${JSON.stringify(given)}::jsonb, ${agreed ? now : null}::timestamptz, ${now}, ${now})
    on conflict (account_id, client_id) do update set given = excluded.given, last_at = excluded.last_at,
      agreed_at = coalesce(excluded.agreed_at, services.agreed_at)`;
}

/** A sign-in by an agreement of before: a row while it stands, none once it was withdrawn. */
export function usedAgreement({ accountId, clientId }: Omit<Use, 'given'>, now: Date): Sql {
  return sql`update services set last_at = ${now}
    where account_id = ${accountId} and client_id = ${clientId} and agreed_at is not null returning 1`;
}

/** What the resident agreed to, if they did. */
export async function agreedTo(
  db: Queryable,
  { accountId, clientId }: { accountId: string; clientId: string },
): Promise<Given | undefined> {
  const [row] = await db.query<{ given: Given }>(sql`
    select given from services where account_id = ${accountId} and client_id = ${clientId} and agreed_at is not null`);
  return row?.given;
}

export async function servicesOf(db: Queryable, accountId: string): Promise<UsedService[]> {
  return db.query<UsedService>(sql`
    select client_id as "clientId", given, agreed_at as "agreedAt", first_at as "firstAt", last_at as "lastAt"
    from services where account_id = ${accountId} order by client_id`);
}

/** @returns false where there is no agreement to withdraw */
export async function withdrawAgreement(
  tx: Queryable,
  { accountId, clientId }: { accountId: string; clientId: string },
): Promise<boolean> {
  const rows = await tx.query(sql`
    delete from services where account_id = ${accountId} and client_id = ${clientId} and agreed_at is not null
    returning 1`);
  return rows.length > 0;
}
