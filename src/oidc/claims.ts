/**
 * Owns what leaves the house about a resident: the claims of each scope, and the `sub` that an e-service knows them by.
 */
import { errors, type AccountClaims, type Client, type KoaContextWithOIDC } from 'oidc-provider';
import { ACR, type Acr } from '../config.ts';
import type { Queryable } from '../platform/database.ts';
import { accountById, accountFromRow, type Account } from '../records/accounts.ts';
import { legacyId } from '../records/legacy-ids.ts';
import { firstSubject, givenSubject, namingOf, subjectFor } from '../records/subjects.ts';
import { legacySource, relationOf } from './clients.ts';
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

/** How sure a sign-in here can be (OpenID Connect Core 1.0, 2: `acr`). */
export const ACR_VALUES: readonly Acr[] = Object.values(ACR);

/** How sure one is that was proved so (RFC 8176). */
export const acrOf = (amr: readonly string[]): Acr => (amr.includes('mfa') ? ACR.mfa : ACR.password);

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

/** Where the library only compares: nobody is given a `sub` by somebody's `id_token_hint`. */
const COMPARING = new Set(['authorization', 'resume']);
const NOBODY = '';

export function residents({ database, clock }: { database: Queryable; clock: () => Date }) {
  const account = async (id: string): Promise<Account | undefined> => {
    const read = current()?.account(id);
    return read ? accountFromRow(read) : accountById(database, id);
  };

  /**
   * The `sub` for `subject_type: pairwise` and `legacy`. The library asks for it outside a request too, and for accounts that
   * were erased. It was written with the grant, but where the e-service's subject_type was changed since.
   */
  async function pairwiseIdentifier(
    ctx: KoaContextWithOIDC | undefined,
    accountId: string,
    client: Client,
  ): Promise<string> {
    const relation = relationOf(client);
    const { sector } = relation;
    const given = current()?.subject(accountId, sector);
    if (given !== undefined) return given;
    if (COMPARING.has(ctx?.oidc?.route ?? '')) return (await givenSubject(database, { sector, accountId })) ?? NOBODY;
    const sub = await subjectFor(database, relation, { accountId, now: clock() });
    if (sub === undefined) throw new errors.InvalidGrant('the tie to the old user list is in doubt');
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
          const source = client && legacySource(client);
          const wantsOldId = source && (scope.split(' ').includes('legacy') || 'legacy_id' in picked);
          const tie = wantsOldId ? await legacyId(database, id, source) : undefined;
          return { sub: id, ...profile(resident), ...(tie && 'id' in tie ? { legacy_id: tie.id } : {}) };
        },
      };
    },

    pairwiseIdentifier,

    /** The `sub` by which this e-service knows the account; undefined where it was never given one. */
    subFor: (accountId: string, client: Client): Promise<string | undefined> | string =>
      client.subjectType === 'pairwise'
        ? givenSubject(database, { sector: relationOf(client).sector, accountId })
        : accountId,

    /** Writes the `sub` with the grant that first gives it out, in its unit of work. */
    giveSubject: (accountId: string, client: Client): void => {
      if (client.subjectType === 'pairwise') current()!.also(firstSubject(relationOf(client), accountId, clock()));
    },

    /** True where the e-service would have to know the resident by an old id that may be, or is, somebody else's. */
    async tieInDoubt(ctx: KoaContextWithOIDC): Promise<boolean> {
      const { client, session } = ctx.oidc;
      if (!client || !session?.accountId) return false;
      const relation = relationOf(client);
      if (relation.subjectType !== 'legacy') return false;
      const naming = await namingOf(database, relation, session.accountId);
      return naming === 'in_doubt' || naming === 'taken';
    },
  };
}
