/**
 * Owns all that is known of residents as a whole, for leaving Tunnus and for coming back: `accounts` with their rows in
 * `legacy_ids`, `subjects` and `progress`, the subs of accounts that are gone, and `erasures`. Sessions, grants, links, keys
 * and the audit are no part of it: nothing here signs anybody in but the password that they know.
 */
import { NIL_UUID, sql, type Queryable } from '../platform/database.ts';

export interface WholeAccount {
  id: string;
  email: string;
  email_key: string;
  email_verified: boolean;
  given_name: string | null;
  family_name: string | null;
  phone_number: string | null;
  locale: string | null;
  password: { state: 'none' | 'list' | 'own'; hash: string | null; list: string | null };
  locked_at: string | null;
  created_at: string;
  updated_at: string;
  signed_in_at: string | null;
  /** When it is erased, as its resident has asked. */
  leaves_at?: string | null;
  ids: { source: string; id: string; doubt: string | null; created_at: string }[];
  /** `retired_at`: an admin gave the account another one. */
  subjects: { sector: string; sub: string; created_at: string; retired_at: string | null }[];
  /** When each step of the move was done first; none where nothing was. */
  progress: Record<string, string | null> | null;
}

export interface Tombstone {
  account_id: string;
  sector: string;
  sub: string;
  created_at: string;
  retired_at: string | null;
}

export interface Erasure {
  kind: 'account' | 'email' | 'legacy_id';
  /** base64url */
  digest: string;
  erased_at: string;
}

const whole = sql`jsonb_build_object('id', a.id, 'email', a.email, 'email_key', a.email_key, 'email_verified', a.email_verified,
      'given_name', a.given_name, 'family_name', a.family_name, 'phone_number', a.phone_number, 'locale', a.locale,
      'password', jsonb_build_object('state', a.password_state, 'hash', a.password_hash, 'list', a.password_list),
      'locked_at', a.locked_at, 'created_at', a.created_at, 'updated_at', a.updated_at, 'signed_in_at', a.signed_in_at,
      'leaves_at', a.leaves_at,
      'ids', coalesce((select jsonb_agg(jsonb_build_object('source', l.source, 'id', l.legacy_id, 'doubt', l.doubt,
          'created_at', l.created_at) order by l.source, l.legacy_id)
        from legacy_ids l where l.account_id = a.id), '[]'),
      'subjects', coalesce((select jsonb_agg(jsonb_build_object('sector', s.sector, 'sub', s.sub,
          'created_at', s.created_at, 'retired_at', s.retired_at) order by s.sector, s.sub)
        from subjects s where s.account_id = a.id), '[]'),
      'progress', (select to_jsonb(p) - 'account_id' from progress p where p.account_id = a.id)) as account`;

export async function accountsPage(db: Queryable, after = NIL_UUID, limit = 1000): Promise<WholeAccount[]> {
  const rows = await db.query<{ account: WholeAccount }>(sql`
    select ${whole} from accounts a where a.id > ${after} order by a.id limit ${limit}`);
  return rows.map(({ account }) => account);
}

export async function wholeAccount(db: Queryable, id: string): Promise<WholeAccount | undefined> {
  const [row] = await db.query<{ account: WholeAccount }>(sql`select ${whole} from accounts a where a.id = ${id}`);
  return row?.account;
}

/** The subs that were given to accounts which are gone: they are never given to another. */
export function tombstonesPage(db: Queryable, after: Tombstone | undefined, limit = 5000): Promise<Tombstone[]> {
  const { sector, sub } = after ?? { sector: '', sub: '' };
  return db.query(sql`
    select s.account_id, s.sector, s.sub, s.created_at, s.retired_at from subjects s
    where (s.sector, s.sub) > (${sector}, ${sub})
      and not exists (select 1 from accounts a where a.id = s.account_id)
    order by s.sector, s.sub limit ${limit}`);
}

/** Ids alone, in order. */
export async function accountIdsPage(db: Queryable, after = NIL_UUID, limit = 10_000): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    sql`select id from accounts where id > ${after} order by id limit ${limit}`,
  );
  return rows.map(({ id }) => id);
}

export async function erasuresPage(db: Queryable, after: Erasure | undefined, limit = 5000): Promise<Erasure[]> {
  const digest = Buffer.from(after?.digest ?? '', 'base64url');
  const rows = await db.query<Omit<Erasure, 'digest'> & { digest: Buffer }>(sql`
    select kind, digest, erased_at from erasures where (kind, digest) > (${after?.kind ?? ''}, ${digest}::bytea)
    order by kind, digest limit ${limit}`);
  return rows.map((row) => ({ ...row, digest: row.digest.toString('base64url') }));
}

export interface Met {
  /** Accounts that are here already under the same id and address. */
  same: Set<string>;
  /** Addresses and ids of accounts that are here. */
  accounts: Set<string>;
  /** Ids of accounts that were here: erased, whatever address the file has for them. */
  gone: Set<string>;
  /** `source\nid` of ties that are somebody's here. */
  ids: Set<string>;
  /** `sector\nsub` that were given out here to others. */
  subs: Set<string>;
}

/** What of some accounts is here already. */
export async function metHere(db: Queryable, accounts: readonly WholeAccount[]): Promise<Met> {
  const people = await db.query<{ id: string; email_key: string }>(sql`
    select id, email_key from accounts
    where id = any(${accounts.map(({ id }) => id)}::uuid[]) or email_key = any(${accounts.map((a) => a.email_key)}::text[])`);
  const ties = accounts.flatMap(({ ids }) => ids.filter(({ doubt }) => doubt === null));
  const ids = await db.query<{ source: string; legacy_id: string }>(sql`
    select l.source, l.legacy_id from unnest(${ties.map((t) => t.source)}::text[], ${ties.map((t) => t.id)}::text[])
      as wanted (source, legacy_id)
    join legacy_ids l on l.source = wanted.source and l.legacy_id = wanted.legacy_id where l.doubt is null`);
  const given = accounts.flatMap(({ id, subjects }) => subjects.map((subject) => ({ ...subject, id })));
  const subs = await db.query<{ sector: string; sub: string }>(sql`
    select s.sector, s.sub from unnest(${given.map((g) => g.sector)}::text[], ${given.map((g) => g.sub)}::text[],
      ${given.map((g) => g.id)}::uuid[]) as wanted (sector, sub, account_id)
    join subjects s on s.sector = wanted.sector and s.sub = wanted.sub and s.account_id <> wanted.account_id`);
  const gone = await db.query<{ account_id: string }>(sql`
    select distinct s.account_id from subjects s where s.account_id = any(${accounts.map(({ id }) => id)}::uuid[])
      and not exists (select 1 from accounts a where a.id = s.account_id)`);
  const keys = new Map(accounts.map(({ id, email_key }) => [id, email_key]));
  return {
    same: new Set(people.filter(({ id, email_key }) => keys.get(id) === email_key).map(({ id }) => id)),
    accounts: new Set(people.flatMap(({ id, email_key }) => [id, email_key])),
    gone: new Set(gone.map(({ account_id }) => account_id)),
    ids: new Set(ids.map(({ source, legacy_id }) => `${source}\n${legacy_id}`)),
    subs: new Set(subs.map(({ sector, sub }) => `${sector}\n${sub}`)),
  };
}

/** Which of some digests of addresses and old ids were erased here. */
export async function erasedHere(
  db: Queryable,
  digests: readonly { kind: Erasure['kind']; digest: Buffer }[],
): Promise<Set<string>> {
  const rows = await db.query<{ kind: string; digest: Buffer }>(sql`
    select e.kind, e.digest from unnest(${digests.map((d) => d.kind)}::text[], ${digests.map((d) => d.digest)}::bytea[])
      as wanted (kind, digest) join erasures e on e.kind = wanted.kind and e.digest = wanted.digest`);
  return new Set(rows.map(({ kind, digest }) => `${kind}\n${digest.toString('base64url')}`));
}

/** Makes accounts of which nothing is here yet, with all that is theirs; whoever leaves does so no sooner than `leaving`. */
export async function makeWhole(tx: Queryable, accounts: readonly WholeAccount[], leaving: Date): Promise<void> {
  const rows = JSON.stringify(accounts);
  await tx.query(sql`
    insert into accounts (id, email, email_key, email_verified, given_name, family_name, phone_number, locale,
      password_state, password_hash, password_list, locked_at, created_at, updated_at, signed_in_at, leaves_at)
    select a.id, a.email, a.email_key, a.email_verified, a.given_name, a.family_name, a.phone_number, a.locale,
      a.password ->> 'state', a.password ->> 'hash', a.password ->> 'list', a.locked_at, a.created_at, a.updated_at,
      a.signed_in_at, case when a.leaves_at is not null then greatest(a.leaves_at, ${leaving}) end
    from jsonb_to_recordset(${rows}::jsonb) as a (id uuid, email text, email_key text, email_verified boolean,
      given_name text, family_name text, phone_number text, locale text, password jsonb, locked_at timestamptz,
      created_at timestamptz, updated_at timestamptz, signed_in_at timestamptz, leaves_at timestamptz)`);
  await tx.query(sql`
    insert into legacy_ids (source, legacy_id, account_id, doubt, created_at)
    select l.source, l.id, a.id, l.doubt, l.created_at from jsonb_to_recordset(${rows}::jsonb) as a (id uuid, ids jsonb)
    cross join lateral jsonb_to_recordset(a.ids) as l (source text, id text, doubt text, created_at timestamptz)`);
  await tx.query(sql`
    insert into subjects (sector, account_id, sub, created_at, retired_at)
    select s.sector, a.id, s.sub, s.created_at, s.retired_at
    from jsonb_to_recordset(${rows}::jsonb) as a (id uuid, subjects jsonb)
    cross join lateral jsonb_to_recordset(a.subjects)
      as s (sector text, sub text, created_at timestamptz, retired_at timestamptz)
    on conflict do nothing`);
  await tx.query(sql`
    insert into progress
    select p.* from jsonb_to_recordset(${rows}::jsonb) as a (id uuid, progress jsonb)
    cross join lateral jsonb_populate_record(null::progress, a.progress || jsonb_build_object('account_id', a.id)) as p
    where jsonb_typeof(a.progress) = 'object'`);
}

export async function keepTombstones(tx: Queryable, tombstones: readonly Tombstone[]): Promise<void> {
  await tx.query(sql`
    insert into subjects (sector, account_id, sub, created_at, retired_at)
    select sector, account_id, sub, created_at, retired_at from jsonb_to_recordset(${JSON.stringify(tombstones)}::jsonb)
      as t (sector text, account_id uuid, sub text, created_at timestamptz, retired_at timestamptz)
    on conflict do nothing`);
}

/** Those whose sub is somebody else's here. */
export async function takenTombstones<T extends Tombstone>(db: Queryable, tombstones: readonly T[]): Promise<T[]> {
  const met = await db.query<{ at: number }>(sql`
    select t.nth::int as at from unnest(${tombstones.map((t) => t.sector)}::text[], ${tombstones.map((t) => t.account_id)}::uuid[],
      ${tombstones.map((t) => t.sub)}::text[]) with ordinality as t (sector, account_id, sub, nth)
    join subjects s on s.sector = t.sector and s.sub = t.sub and s.account_id <> t.account_id order by t.nth`);
  return met.map(({ at }) => tombstones[at - 1]!);
}

export async function keepErasures(tx: Queryable, erasures: readonly Erasure[]): Promise<void> {
  await tx.query(sql`
    insert into erasures (kind, digest, erased_at)
    select kind, digest, erased_at from unnest(${erasures.map((e) => e.kind)}::text[],
      ${erasures.map((e) => Buffer.from(e.digest, 'base64url'))}::bytea[],
      ${erasures.map((e) => new Date(e.erased_at))}::timestamptz[]) as e (kind, digest, erased_at)
    on conflict do nothing`);
}
