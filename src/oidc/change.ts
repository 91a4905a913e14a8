/**
 * One request's writes, gathered and written as one statement: all of it or nothing.
 *
 * Gathering widens every check-then-write race, so each premise is checked again in the statement itself, by how many
 * rows its part gave: a code spent once, a replay id seen once, a sign-in resumed once, a session not ended, a proof
 * not outlived. When one fails, `refuse()` takes back the whole and `write` says which by throwing Lost.
 * What a lost answer becomes is answers.ts's; the parts' SQL is the records'.
 */
import { sql, type Database, type Sql } from '../platform/database.ts';
import {
  consumedArtifact,
  continuedSession,
  endedSessions,
  firstArtifact,
  removedArtifacts,
  savedArtifacts,
  standingProofs,
  type Artifact,
  type ReadSession,
} from '../records/artifacts.ts';
import {
  continuedInteraction,
  removedInteraction,
  savedInteraction,
  type StoredInteraction,
} from '../records/interactions.ts';
import { logoutsOf, type Told } from '../records/logouts.ts';

/** What can be used once: a code, a pushed authorization request, a refresh token. */
export type Consumable = 'code' | 'request' | 'refresh';

/** What serves once, by an id of its own: a client's assertion, a DPoP proof. */
export type Shown = 'assertion' | 'dpop';

/** Why an answer was lost. */
export type LostReason = Consumable | Shown | 'interaction' | 'session' | 'proof';

export class Lost extends Error {
  readonly reason: LostReason;

  constructor(reason: LostReason) {
    super(`the answer was lost: ${reason}`);
    this.name = 'Lost';
    this.reason = reason;
  }
}

interface Consumption {
  id: Buffer;
  what: Consumable;
  grantHash?: Buffer;
  /** What was consumed after this time may come again, so many times. */
  again?: { since: Date; most: number };
}

interface Part {
  sql: Sql;
  /** For a later part that reads what this one returns. */
  name?: string;
  /** How many rows the part must give, and what was lost otherwise. */
  must?: { rows: number; or: LostReason };
}

export class Change {
  readonly #saved = new Map<string, Artifact>();
  readonly #once = new Map<string, { artifact: Artifact; what: Shown }>();
  readonly #continued = new Map<string, { session: Artifact; read: ReadSession }>();
  readonly #consumed = new Map<string, Consumption>();
  readonly #removed = new Map<string, Buffer>();
  readonly #ended = new Map<string, { id: Buffer; told: readonly Told[] }>();
  readonly #grants = new Map<string, Buffer>();
  readonly #interactions = new Map<string, { interaction: StoredInteraction; known: boolean }>();
  readonly #resumed = new Map<string, Buffer>();
  readonly #also: Part[] = [];
  readonly #proofs = new Map<string, number>();

  save(artifact: Artifact): void {
    this.#removed.delete(key(artifact.id));
    this.#saved.set(key(artifact.id), artifact);
  }

  saveOnce(artifact: Artifact, what: Shown): void {
    this.#once.set(key(artifact.id), { artifact, what });
  }

  shows(what: Shown): boolean {
    return [...this.#once.values()].some((shown) => shown.what === what);
  }

  /** The session stays one row through changes of its id: two requests at once leave one session, not two. */
  continueSession(session: Artifact, read: ReadSession): void {
    this.#ended.delete(key(read.id));
    this.#continued.set(key(session.uidHash!), { session, read });
  }

  consume(consumption: Consumption): void {
    this.#consumed.set(key(consumption.id), consumption);
  }

  remove(id: Buffer): void {
    this.#saved.delete(key(id));
    this.#removed.set(key(id), id);
  }

  /** Its e-services are told. */
  endSession(session: { id: Buffer; uidHash: Buffer; told: readonly Told[] }): void {
    this.#continued.delete(key(session.uidHash));
    this.#saved.delete(key(session.id));
    this.#ended.set(key(session.id), session);
  }

  revokeGrant(grantHash: Buffer): void {
    for (const [name, artifact] of this.#saved) if (artifact.grantHash?.equals(grantHash)) this.#saved.delete(name);
    this.#grants.set(key(grantHash), grantHash);
  }

  saveInteraction(interaction: StoredInteraction): void {
    this.#interactions.set(key(interaction.uidHash), { interaction, known: false });
  }

  /** As saveInteraction, but lost when the other half of a double click has resumed it and so removed its row. */
  continueInteraction(interaction: StoredInteraction): void {
    this.#interactions.set(key(interaction.uidHash), { interaction, known: true });
  }

  /** Its row is of no more use: the outcome is taken up by the request that brought it, which proved it by itself. */
  endInteraction(uidHash: Buffer): void {
    this.#also.push({ sql: removedInteraction(uidHash) });
  }

  resumeInteraction(uidHash: Buffer): void {
    this.#resumed.set(key(uidHash), uidHash);
  }

  /** Another record's write in the same statement (an audit row, a first `sub`); with `must` it gives one row, or all is lost. */
  also(fragment: Sql, must?: LostReason): void {
    this.#also.push({ sql: fragment, ...(must && { must: { rows: 1, or: must } }) });
  }

  /** The answer is given only if the account still stands behind this proof. */
  stand(accountId: string, epoch: number): void {
    const known = this.#proofs.get(accountId);
    this.#proofs.set(accountId, known === undefined ? epoch : Math.min(known, epoch));
  }

  /** What to revoke when a code of this change turned out to be spent. */
  grantsOfCodes(): Buffer[] {
    return [...this.#consumed.values()].flatMap(({ what, grantHash }) => (what === 'code' && grantHash) || []);
  }

  async write(db: Database, now: Date): Promise<void> {
    const parts = this.#parts(now);
    if (parts.length === 0) return;
    const statement = compose(parts);
    try {
      await db.query(statement).catch((error: unknown) => {
        // Two that end the same grants may wait for each other; the one chosen to give way just tries again.
        if (codeOf(error) !== '40P01') throw error;
        return db.query(statement);
      });
    } catch (error) {
      if (codeOf(error) === 'TU001') throw new Lost((error as Error).message as LostReason);
      throw error;
    }
  }

  #parts(now: Date): Part[] {
    const parts: Part[] = [];
    for (const { id, what, again } of this.#consumed.values()) {
      parts.push({ sql: consumedArtifact(id, now, again), must: { rows: 1, or: what } });
    }
    for (const { artifact, what } of this.#once.values()) {
      parts.push({ sql: firstArtifact(artifact, now), must: { rows: 1, or: what } });
    }
    for (const uidHash of this.#resumed.values()) {
      parts.push({ sql: removedInteraction(uidHash), must: { rows: 1, or: 'interaction' } });
    }
    for (const { session, read } of this.#continued.values()) {
      parts.push({ sql: continuedSession(session, read), must: { rows: 1, or: 'session' } });
    }
    for (const { interaction, known } of this.#interactions.values()) {
      if (known) parts.push({ sql: continuedInteraction(interaction), must: { rows: 1, or: 'interaction' } });
      else parts.push({ sql: savedInteraction(interaction, now) });
    }
    if (this.#saved.size > 0) parts.push({ sql: savedArtifacts([...this.#saved.values()]) });
    const ended = [...this.#ended.values()];
    if (ended.length > 0) {
      parts.push({ name: 'ended', sql: endedSessions(ended.map(({ id }) => id)) });
      parts.push({ sql: logoutsOf(verbatim('ended'), ended[0]!.told, now) });
    }
    if (this.#removed.size > 0 || this.#grants.size > 0) {
      parts.push({ sql: removedArtifacts([...this.#removed.values()], [...this.#grants.values()]) });
    }
    parts.push(...this.#also);
    if (parts.length > 0 && this.#proofs.size > 0) {
      parts.push({ sql: standingProofs(this.#proofs), must: { rows: this.#proofs.size, or: 'proof' } });
    }
    return parts;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

function key(id: Buffer): string {
  return id.toString('base64');
}

function compose(parts: readonly Part[]): Sql {
  let ctes: Sql | undefined;
  let verdict = sql`true`;
  parts.forEach((part, index) => {
    const name = verbatim(part.name ?? `part_${index}`);
    ctes = ctes ? sql`${ctes}, ${name} as (${part.sql})` : sql`${name} as (${part.sql})`;
    if (part.must) {
      const { rows, or } = part.must;
      verdict = sql`${verdict} and case when (select count(*) from ${name}) = ${rows}::integer then true
        else refuse(${or}::text) is null end`;
    }
  });
  return sql`with ${ctes} select ${verdict} as written`;
}

/** SQL text as it is: only for names made here. */
function verbatim(text: string): Sql {
  return sql(Object.assign([text], { raw: [text] }));
}
