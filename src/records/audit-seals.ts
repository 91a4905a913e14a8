/**
 * Owns the table `audit_seals`: one seal for each minute that has events, made by a job once the minute is closed, never by
 * whoever writes an event, or all nodes would wait in one queue.
 *
 * A seal is a keyed digest over the hashes of the events and over the seal before it; it covers all since that one, so a row
 * that is changed, missing or added later breaks it, and whoever has the database alone cannot make another. The hash of an
 * event has its personal part as a salted hash, which stays when that part is erased. When a month is dropped its last seal
 * stays as the anchor of the chain, marked by key. A chain cut short at its end looks whole from here: against that each
 * seal goes to the log, and `hasSeal` tells whether one from there is still in the chain.
 */
import { sql, type Queryable, type Sql } from '../platform/database.ts';
import { sameSecret, type Sealer } from '../platform/secrets.ts';

export interface Seal {
  nth: number;
  /** When the sealed minute began. */
  minute: Date;
  events: number;
  digest: Buffer;
  /** What came before was dropped; the mark that says so by key. */
  anchor?: Buffer | null;
}

export interface SealedEvent {
  id: number;
  at: Date;
  kind: string;
  account_id: string | null;
  client_id: string | null;
  actor: string;
  place: string | null;
  device: object | null;
  detail: object;
}

const MINUTE = 60_000;
const PURPOSE = 'audit-seal';
const LOCK = 7_112_027;
/** What was begun to be written in a minute is in the table by then, but for transactions that are still open. */
const SETTLED = sql`interval '10 seconds'`;
const AT_ONCE = sql`interval '10 minutes'`;

const end = ({ minute }: Seal): Date => new Date(minute.getTime() + MINUTE);
const content = sql`sha256(coalesce(string_agg(audit_hash(a), ''::bytea order by a.written_at, a.id), ''))`;

function digestOf(sealer: Sealer, seal: Omit<Seal, 'digest'>, made: { content: Buffer; previous?: Buffer }): Buffer {
  const { nth, minute, events } = seal;
  const parts = [nth, minute.toISOString(), events, made.content.toString('hex'), made.previous?.toString('hex') ?? ''];
  return sealer.digest(parts.join('\n'), PURPOSE);
}

const anchorOf = (sealer: Sealer, { nth, digest }: Seal): Buffer =>
  sealer.digest(`anchor\n${nth}\n${digest.toString('hex')}`, PURPOSE);

const same = (one: Buffer, other: Buffer): boolean => sameSecret(one.toString('hex'), other.toString('hex'));

const COLUMNS = sql`nth, minute, events, digest, anchor`;

async function lastSeal(db: Queryable): Promise<Seal | undefined> {
  const [last] = await db.query<Seal>(sql`select ${COLUMNS} from audit_seals order by nth desc limit 1`);
  return last;
}

/**
 * Seals the closed minutes of the next few that have events, in the caller's transaction; nothing where another node is at it.
 * A minute is closed when no transaction is open that may have written in it.
 */
export async function sealSome(tx: Queryable, sealer: Sealer): Promise<{ seals: Seal[]; events: SealedEvent[] }> {
  const nothing = { seals: [], events: [] };
  const [held] = await tx.query<{ held: boolean }>(sql`select pg_try_advisory_xact_lock(${LOCK}::bigint) as held`);
  if (!held?.held) return nothing;
  let last = await lastSeal(tx);
  const from = last ? sql`a.written_at >= ${end(last)}::timestamptz` : sql`true`;
  const [span] = await tx.query<{ first: Date | null; until: Date }>(sql`
    with closed as (
      select date_trunc('minute', least(clock_timestamp() - ${SETTLED}, (
        select min(xact_start) from pg_stat_activity
        where datname = current_database() and backend_xid is not null and pid <> pg_backend_pid()))) as until
    )
    select first.at as first, least(closed.until, date_trunc('minute', first.at) + ${AT_ONCE}) as until
    from closed, lateral (
      select min(a.written_at) as at from audit a where ${from} and a.written_at < closed.until) first`);
  if (!span?.first) return nothing;

  const within = sql`${from} and a.written_at < ${span.until}::timestamptz`;
  const minutes = await tx.query<{ minute: Date; events: number; content: Buffer }>(sql`
    select date_trunc('minute', a.written_at) as minute, count(*)::int as events, ${content} as content
    from audit a where ${within} group by 1 order by 1`);
  const seals: Seal[] = [];
  for (const { minute, events, content } of minutes) {
    const seal = { nth: (last?.nth ?? 0) + 1, minute, events };
    last = { ...seal, digest: digestOf(sealer, seal, { content, previous: last?.digest }) };
    seals.push(last);
  }
  await tx.query(sql`
    insert into audit_seals (nth, minute, events, digest)
    select * from unnest(${seals.map(({ nth }) => nth)}::bigint[], ${seals.map(({ minute }) => minute)}::timestamptz[],
      ${seals.map(({ events }) => events)}::int[], ${seals.map(({ digest }) => digest)}::bytea[])`);
  const events = await tx.query<SealedEvent>(sql`
    select a.id, a.at, a.kind, a.account_id, a.client_id, a.actor, a.place, a.device, a.detail
    from audit a where ${within} order by a.written_at, a.id`);
  return { seals, events };
}

/**
 * Before the events written before `until` are dropped: their last seal stays as the anchor of those after it. False: some of them
 * are not sealed yet, and nothing may be dropped.
 */
export async function anchorSeals(tx: Queryable, sealer: Sealer, until: Date): Promise<boolean> {
  const [anchor] = await tx.query<Seal>(sql`
    select ${COLUMNS} from audit_seals where minute < ${until} order by nth desc limit 1`);
  const unsealed = anchor ? sql`written_at >= ${end(anchor)}::timestamptz` : sql`true`;
  const left = await tx.query(sql`select 1 from audit where written_at < ${until} and ${unsealed} limit 1`);
  if (left.length > 0) return false;
  if (!anchor) return true;
  await tx.query(sql`update audit_seals set anchor = ${anchorOf(sealer, anchor)} where nth = ${anchor.nth}`);
  await tx.query(sql`delete from audit_seals where nth < ${anchor.nth}`);
  return true;
}

export interface Broken {
  /** The minute in which something is not as it was sealed. */
  minute: Date;
  /** `missing`, `added`, `changed`: events. `seal`: the seal itself, or what came before it, is gone or another. */
  what: 'missing' | 'added' | 'changed' | 'seal';
  events: number;
}

export interface Verified {
  seals: number;
  events: number;
  /** Not sealed yet: of the last minutes. */
  waiting: number;
  waitingSince?: Date;
  last?: Seal;
  broken: Broken[];
}

/** Seals looked at in one statement. */
const PAGE = 200;

/** Checks every event that is there against its seal. Reads all of it: `db` has no time limit. */
export async function verifySeals(db: Queryable, sealer: Sealer): Promise<Verified> {
  const found: Verified = { seals: 0, events: 0, waiting: 0, broken: [] };
  let before: Seal | undefined;
  for (;;) {
    const page: Seal[] = await db.query<Seal>(sql`
      select ${COLUMNS} from audit_seals where nth > ${before?.nth ?? -1}::bigint order by nth limit ${PAGE}`);
    if (page.length === 0) break;
    const covered = await coveredBy(db, page, before && end(before));
    for (const [index, seal] of page.entries()) {
      found.broken.push(...(await faultsOf(db, { seal, before, covered: covered[index]! }, sealer)));
      found.seals += 1;
      found.events += seal.anchor ? 0 : seal.events;
      before = seal;
    }
  }
  const after = before ? sql`written_at >= ${end(before)}::timestamptz` : sql`true`;
  const [left] = await db.query<{ waiting: number; since: Date | null }>(sql`
    select count(*)::int as waiting, min(written_at) as since from audit where ${after}`);
  return { ...found, waiting: left!.waiting, waitingSince: left!.since ?? undefined, last: before };
}

interface Covered {
  events: number;
  content: Buffer;
  /** Events whose personal part is another than it was, or was taken out although the account was not erased. */
  altered: number;
}

async function coveredBy(db: Queryable, page: readonly Seal[], from?: Date): Promise<Covered[]> {
  const begins = page.map((_, index) => (index === 0 ? (from ?? new Date(0)) : end(page[index - 1]!)));
  return db.query<Covered & Record<string, unknown>>(sql`
    select covered.* from unnest(${begins}::timestamptz[], ${page.map(end)}::timestamptz[]) with ordinality as span (first, after, nth)
    cross join lateral (
      select count(*)::int as events, ${content} as content, count(*) filter (where ${altered})::int as altered
      from audit a where a.written_at >= span.first and a.written_at < span.after) covered
    order by span.nth`);
}

const erased: Sql = sql`a.salt is null and a.place is null and a.device is null and a.detail = '{}'
  and exists (select 1 from audit e where e.account_id = a.account_id and e.kind = 'account_erased')`;
const altered: Sql = sql`not coalesce(audit_personal_hash(a.salt, a.place, a.device, a.detail) = a.personal_hash, ${erased})`;

async function faultsOf(
  db: Queryable,
  { seal, before, covered }: { seal: Seal; before?: Seal; covered: Covered },
  sealer: Sealer,
): Promise<Broken[]> {
  const { minute } = seal;
  if (seal.anchor) {
    const faults: Broken[] = [];
    if (before || !same(seal.anchor, anchorOf(sealer, seal))) faults.push({ minute, what: 'seal', events: 0 });
    if (covered.events > 0) faults.push({ minute, what: 'added', events: covered.events });
    return faults;
  }
  const chained = seal.nth === (before?.nth ?? 0) + 1;
  const whole = same(seal.digest, digestOf(sealer, seal, { content: covered.content, previous: before?.digest }));
  if (chained && whole) return covered.altered > 0 ? [{ minute, what: 'changed', events: covered.altered }] : [];
  // The seal before is another, or gone: whether these events are as they were cannot be told by this seal.
  if (!chained) return [{ minute, what: 'seal', events: 0 }];
  const [late] = await db.query<{ minute: Date | null; events: number }>(sql`
    select date_trunc('minute', min(written_at)) as minute, count(*)::int as events from audit
    where written_at >= ${before ? end(before) : new Date(0)} and written_at < ${minute}`);
  if (late?.minute) return [{ minute: late.minute, what: 'added', events: late.events }];
  const more = covered.events - seal.events;
  const what = more > 0 ? 'added' : more < 0 ? 'missing' : 'changed';
  return [{ minute, what, events: Math.abs(more) || covered.events }];
}

/** Whether a seal that the log told of is still in the chain: its digest in hexadecimal. */
export async function hasSeal(db: Queryable, digest: string): Promise<boolean> {
  const rows = await db.query(sql`select 1 from audit_seals where digest = decode(${digest}, 'hex')`);
  return rows.length > 0;
}
