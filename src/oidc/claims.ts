/**
 * Owns what leaves the house about a resident: the claims of each scope, and the `sub` that an e-service knows them by.
 */
import type { AccountClaims, Client, KoaContextWithOIDC } from 'oidc-provider';
import type { Queryable } from '../platform/database.ts';
import { accountById, accountFromRow, type Account } from '../records/accounts.ts';
import { legacyId } from '../records/legacy-ids.ts';
import { subjectFor } from '../records/subjects.ts';
import { sectorOfClient } from './clients.ts';
import { current } from './unit-of-work.ts';

/** Scope to claims (OpenID Connect Core 1.0, 5.4; RFC 8176 for amr). */
export const CLAIMS = {
  openid: ['sub', 'auth_time', 'acr', 'amr'],
  email: ['email', 'email_verified'],
  profile: ['name', 'given_name', 'family_name', 'preferred_username', 'locale', 'updated_at'],
  phone: ['phone_number'],
  legacy: ['legacy_id'],
};

/** What these scopes give. */
export function claimsOf(scopes: readonly string[]): Set<string> {
  const offered: Readonly<Record<string, readonly string[]>> = CLAIMS;
  return new Set(scopes.flatMap((scope) => offered[scope] ?? []));
}

/** How sure a sign-in by password alone is (OpenID Connect Core 1.0, 2: `acr`). */
export const PASSWORD_ACR = 'urn:tunnus:password';
/** How sure a sign-in here can be. */
export const ACR_VALUES: readonly string[] = [PASSWORD_ACR];

export const SCOPES = ['openid', 'offline_access'];

function profile(account: Account): Omit<AccountClaims, 'sub'> {
  const name = [account.givenName, account.familyName].filter(Boolean).join(' ');
  return {
    email: account.email,
    email_verified: account.emailVerified,
    name: name || undefined,
    given_name: account.givenName,
    family_name: account.familyName,
    preferred_username: account.email,
    locale: account.locale,
    updated_at: Math.floor(account.updatedAt.getTime() / 1000),
    phone_number: account.phoneNumber,
  };
}

const legacySource = (client: Client | undefined): string | undefined =>
  client && typeof client['legacy_source'] === 'string' ? client['legacy_source'] : undefined;

/** The list whose old ids are this e-service's `sub` (`subject_type: legacy`). */
const knowsByOldId = (client: Client): string | undefined =>
  client['subject_type_own'] === 'legacy' ? legacySource(client) : undefined;

export function residents({ database, clock }: { database: Queryable; clock: () => Date }) {
  const account = async (id: string): Promise<Account | undefined> => {
    const read = current()?.account(id);
    return read ? accountFromRow(read) : accountById(database, id);
  };

  /** The `sub` for `subject_type: pairwise` and `legacy`. The library asks for it outside a request too. */
  async function pairwiseIdentifier(_ctx: unknown, accountId: string, client: Client): Promise<string> {
    const sector = sectorOfClient(client);
    const given = current()?.subject(accountId, sector);
    if (given !== undefined) return given;
    const source = knowsByOldId(client);
    const tie = source ? await legacyId(database, accountId, source) : undefined;
    const wanted = tie && 'id' in tie ? tie.id : undefined;
    const sub = await subjectFor(database, { sector, accountId, wanted }, clock());
    if (sub === undefined) throw new Error('the old user id of this account was given out for another account');
    return sub;
  }

  return {
    findAccount: async (ctx: KoaContextWithOIDC | undefined, id: string, token?: { clientId?: string }) => {
      const resident = await account(id);
      if (!resident || resident.lockedAt) return undefined;
      return {
        accountId: id,
        async claims(_use: string, scope: string, picked: object): Promise<AccountClaims> {
          const client =
            ctx?.oidc?.client ?? (token?.clientId ? await ctx?.oidc.provider.Client.find(token.clientId) : undefined);
          const source = legacySource(client);
          const wantsOldId = source && (scope.split(' ').includes('legacy') || 'legacy_id' in picked);
          const tie = wantsOldId ? await legacyId(database, id, source) : undefined;
          return { sub: id, ...profile(resident), ...(tie && 'id' in tie ? { legacy_id: tie.id } : {}) };
        },
      };
    },

    pairwiseIdentifier,

    /** The `sub` by which this e-service knows the account. */
    subFor: (accountId: string, client: Client): Promise<string> | string =>
      client.subjectType === 'pairwise' ? pairwiseIdentifier(undefined, accountId, client) : accountId,

    /** True where the e-service would have to know the resident by an old id that may be somebody else's. */
    async tieInDoubt(ctx: KoaContextWithOIDC): Promise<boolean> {
      const { client, session } = ctx.oidc;
      const source = client && knowsByOldId(client);
      if (!source || !session?.accountId) return false;
      const tie = await legacyId(database, session.accountId, source);
      return tie !== undefined && 'doubt' in tie;
    },
  };
}
