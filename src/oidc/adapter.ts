/**
 * The provider's store, as oidc-provider asks for it: one adapter for all its models.
 *
 * Within a request it answers from what the unit of work knows and only gathers writes; outside it writes at once.
 * What makes a row usable (its id, a token's value, a session's cookie) never reaches the database: ids are hashed, and
 * `find` puts back the one it was asked by. A Grant's id and a Session's uid stay in payloads: no endpoint takes them.
 * Clients come from memory. The device flow is off, so nothing is looked up by user code.
 */
import { DatabaseUnavailable, type Database } from '../platform/database.ts';
import type { Sealer } from '../platform/secrets.ts';
import { deviceOf } from '../platform/user-agent.ts';
import * as artifacts from '../records/artifacts.ts';
import { findInteraction, interactionHash } from '../records/interactions.ts';
import type { Told } from '../records/logouts.ts';
import { Change, type Consumable, type Shown } from './change.ts';
import { isRetry, retriesFrom } from './refresh.ts';
import { openInteraction } from './sign-in-cookies.ts';
import { current, type UnitOfWork } from './unit-of-work.ts';

/** The library's payloads: JSON with these names among others. */
export interface Payload {
  jti?: string;
  uid?: string;
  accountId?: string;
  clientId?: string;
  grantId?: string;
  sessionUid?: string;
  exp?: number;
  consumed?: unknown;
  [name: string]: unknown;
}

export interface AdapterDeps {
  db: Database;
  clock: () => Date;
  sealer: Sealer;
  issuer: string;
  /** The registered e-services, by client_id. */
  client: (id: string) => Payload | undefined;
  /** Those that are told when a session ends. */
  told: () => readonly Told[];
}

export interface Adapter {
  find(id: string): Promise<Payload | undefined>;
  findByUid(uid: string): Promise<Payload | undefined>;
  findByUserCode(userCode: string): Promise<Payload | undefined>;
  upsert(id: string, payload: Payload, expiresIn?: number): Promise<void>;
  consume(id: string): Promise<void>;
  destroy(id: string): Promise<void>;
  revokeByGrantId(grantId: string): Promise<void>;
}

const tokens = new Set([
  'AuthorizationCode',
  'RefreshToken',
  'AccessToken',
  'ClientCredentials',
  'BackchannelAuthenticationRequest',
]);
const consumables: Readonly<Record<string, Consumable>> = {
  AuthorizationCode: 'code',
  PushedAuthorizationRequest: 'request',
  RefreshToken: 'refresh',
};
const never = new Date('9999-12-31T00:00:00Z');

export function makeAdapter(deps: AdapterDeps): (model: string) => Adapter {
  return (model) => {
    if (model === 'Client') return clientAdapter(deps);
    if (model === 'Interaction') return interactionAdapter(deps);
    return artifactAdapter(deps, model);
  };
}

/** Gathers within a request, writes at once outside of one. */
async function write(deps: AdapterDeps, gather: (change: Change, unit?: UnitOfWork) => void): Promise<void> {
  const unit = current();
  const change = unit?.change ?? new Change();
  gather(change, unit);
  if (!unit) await change.write(deps.db, deps.clock());
}

/** The library answers 500 to any error of a read; the unit remembers that it was the database's absence. */
async function read<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const unit = current();
    if (unit && error instanceof DatabaseUnavailable) unit.outage = error;
    throw error;
  }
}

function nothing(): never {
  throw new Error('the provider asked its store for something that no model here needs');
}

function clientAdapter(deps: AdapterDeps): Adapter {
  const find = async (id: string) => deps.client(id);
  return {
    find,
    findByUid: nothing,
    findByUserCode: nothing,
    upsert: nothing,
    consume: nothing,
    destroy: nothing,
    revokeByGrantId: nothing,
  };
}

function artifactAdapter(deps: AdapterDeps, model: string): Adapter {
  const name = (id: string) => `${model}:${id}`;
  const lookUp = tokens.has(model)
    ? findToken
    : model === 'Session'
      ? (db: Database, id: Buffer) => artifacts.findSession(db, { id })
      : artifacts.findArtifact;

  return {
    async find(id) {
      // Whether an id is new is decided by the write alone: asking before would only cost a statement.
      if (model === 'ReplayDetection') return undefined;
      const known = current()?.recall(name(id));
      if (known !== undefined) return known === null ? undefined : ofThePresent(deps, restored(known, id));
      const found = await read(lookUp(deps.db, artifacts.artifactId(model, id)));
      const payload = found && withConsumption(found, isRetryOf(model, found, deps.clock()));
      current()?.remember(name(id), payload ?? null);
      if (!found || !payload) return undefined;
      if (current()) rememberFound(current()!, found);
      if (model === 'Session') rememberSession(id, payload);
      return ofThePresent(deps, restored(payload, id));
    },

    async findByUid(uid) {
      const known = current()?.recall(`Session.uid:${uid}`);
      if (known !== undefined) return known === null ? undefined : (JSON.parse(known) as Payload);
      const found = await read(artifacts.findSession(deps.db, { uidHash: artifacts.sessionUidHash(uid) }));
      current()?.remember(`Session.uid:${uid}`, found?.payload ?? null);
      if (!found) return undefined;
      if (current()) rememberFound(current()!, found);
      return JSON.parse(found.payload) as Payload;
    },

    findByUserCode: nothing,

    async upsert(id, payload, expiresIn) {
      // A stranger's session is worth no row, also when a cookie of a former one came along.
      if (model === 'Session' && !payload.accountId) return current()?.remember(name(id), JSON.stringify(payload));
      await write(deps, (change, unit) => {
        const visitor =
          model === 'Session' && unit ? { visitor: visitorOf(unit, payload.uid!, deps.clock()) } : undefined;
        const artifact = toArtifact({ model, id, payload: { ...payload, ...visitor }, expiresIn }, unit, deps.clock());
        unit?.remember(name(id), artifact.payload);
        if (model === 'ReplayDetection') return change.saveOnce(keptLonger(artifact), shownIn(change));
        if (model !== 'Session' || !unit) return change.save(artifact);
        saveSession(unit, artifact, payload.uid!);
      });
    },

    async consume(id) {
      await write(deps, (change, unit) => {
        const known = unit?.recall(name(id));
        const payload = known ? (JSON.parse(known) as Payload) : undefined;
        change.consume({
          id: artifacts.artifactId(model, id),
          what: consumables[model]!,
          grantHash: payload?.grantId ? artifacts.artifactId('Grant', payload.grantId) : undefined,
          again: model === 'RefreshToken' ? retriesFrom(deps.clock()) : undefined,
        });
        if (payload) unit!.remember(name(id), JSON.stringify({ ...payload, consumed: seconds(deps.clock()) }));
      });
    },

    async destroy(id) {
      await write(deps, (change, unit) => {
        const known = unit?.recall(name(id));
        const uid = known && model === 'Session' ? (JSON.parse(known) as Payload).uid : undefined;
        const ids = { id: artifacts.artifactId(model, id), uidHash: artifacts.sessionUidHash(uid ?? '') };
        if (uid) change.endSession({ ...ids, told: deps.told() });
        else change.remove(artifacts.artifactId(model, id));
        unit?.remember(name(id), null);
      });
    },

    async revokeByGrantId(grantId) {
      await write(deps, (change) => change.revokeGrant(artifacts.artifactId('Grant', grantId)));
    },
  };
}

type Turn = { ids: Buffer[]; found: ReturnType<typeof artifacts.findTokens> };
const turns = new WeakMap<UnitOfWork, Turn>();

/** Introspection asks at once for one value as several kinds of token: what is asked in one turn goes out as one statement. */
async function findToken(db: Database, id: Buffer): Promise<artifacts.FoundArtifact | undefined> {
  const unit = current();
  if (!unit) return (await artifacts.findTokens(db, [id]))[0];
  let turn = turns.get(unit);
  if (!turn) {
    const ids: Buffer[] = [];
    const found = Promise.resolve().then(() => {
      turns.delete(unit);
      return artifacts.findTokens(db, ids);
    });
    turns.set(unit, (turn = { ids, found }));
  }
  turn.ids.push(id);
  return (await turn.found).find((row) => row.id.equals(id));
}

function rememberSession(id: string, payload: string): void {
  const { uid, authorizations, visitor } = JSON.parse(payload) as Payload;
  current()?.sessions.set(uid!, {
    id: artifacts.artifactId('Session', id),
    authorizations: authorizations ? JSON.stringify(authorizations) : null,
    since: (visitor as { since?: number } | undefined)?.since,
  });
}

/** What residents are shown of their sessions (journeys/sessions.ts). The library drops it, so each write notes it anew. */
function visitorOf({ ctx, sessions }: UnitOfWork, uid: string, now: Date): object {
  const seen = seconds(now);
  return { since: sessions.get(uid)?.since ?? seen, seen, device: deviceOf(ctx.get('User-Agent')), place: ctx.ip };
}

function saveSession(unit: UnitOfWork, artifact: artifacts.Artifact, uid: string): void {
  const read = unit.sessions.get(uid);
  if (read) return unit.change.continueSession(artifact, read);
  // Found by its uid alone, the cookie's id is not known and the library has made one up.
  if (unit.recall(`Session.uid:${uid}`)) throw new Error('a session found by its uid must not be saved');
  unit.change.save(artifact);
}

function rememberFound(unit: UnitOfWork, found: artifacts.FoundArtifact): void {
  if (found.account) unit.rememberAccount(found.account);
  if (found.accountId && found.epoch !== null) unit.rememberProof(found.accountId, found.epoch);
  if (found.accountId && found.subjects) unit.rememberSubjects(found.accountId, found.subjects);
  const payload = JSON.parse(found.payload) as Payload;
  if (found.grants !== undefined) {
    // Looked up in the same statement: what did not come is not there.
    const authorizations = Object.values((payload.authorizations ?? {}) as Record<string, { grantId?: string }>);
    for (const { grantId } of [payload, ...authorizations]) if (grantId) unit.remember(`Grant:${grantId}`, null);
    for (const grant of found.grants ?? []) unit.remember(`Grant:${grant.id}`, grant.payload);
  }
  if (payload.sessionUid && payload.expiresWithSession) {
    unit.remember(`Session.uid:${payload.sessionUid}`, found.session ?? null);
  }
}

/** A spent refresh token that is presented again in time is shown as unspent where it is used, and only there. */
function isRetryOf(model: string, { consumedAt }: artifacts.FoundArtifact, now: Date): boolean {
  if (model !== 'RefreshToken' || !consumedAt || !isRetry(consumedAt, now)) return false;
  return (current()?.ctx.oidc as { route?: string } | undefined)?.route === 'token';
}

function withConsumption(found: artifacts.FoundArtifact, retry: boolean): string {
  if (!found.consumedAt || retry) return found.payload;
  return JSON.stringify({ ...(JSON.parse(found.payload) as Payload), consumed: seconds(found.consumedAt) });
}

function restored(payload: string, id: string): Payload {
  return { ...(JSON.parse(payload) as Payload), jti: id };
}

/**
 * What an e-service was given is void while it stands in no file, on this node and after a restart as well, and good again
 * should the file come back. The library looks up a token's client without asking whether there is one.
 */
function ofThePresent({ client }: AdapterDeps, payload: Payload): Payload | undefined {
  return payload.clientId === undefined || client(payload.clientId) ? payload : undefined;
}

function toArtifact(
  given: { model: string; id: string; payload: Payload; expiresIn?: number },
  unit: UnitOfWork | undefined,
  now: Date,
): artifacts.Artifact {
  const { model, payload } = given;
  const { jti: _id, consumed: _consumed, ...rest } = payload;
  const expiresAt = payload.exp
    ? new Date(payload.exp * 1000)
    : given.expiresIn
      ? new Date(now.getTime() + given.expiresIn * 1000)
      : never;
  return {
    id: artifacts.artifactId(model, given.id),
    model,
    payload: JSON.stringify(rest),
    accountId: payload.accountId,
    epoch: payload.accountId && unit ? epochOf(unit, payload.accountId) : undefined,
    clientId: payload.clientId,
    grantHash: payload.grantId ? artifacts.artifactId('Grant', payload.grantId) : undefined,
    uidHash: model === 'Session' && payload.uid ? artifacts.sessionUidHash(payload.uid) : undefined,
    expiresAt,
  };
}

/** A DPoP proof from a minute ahead (fapi.ts) is good for longer than the library keeps its id (RFC 9449, 11.1). */
const AHEAD = 60_000;
function keptLonger(artifact: artifacts.Artifact): artifacts.Artifact {
  return { ...artifact, expiresAt: new Date(artifact.expiresAt.getTime() + AHEAD) };
}

/** Of a request that shows both, the assertion comes first: the client is known before anything else is looked at. */
function shownIn(change: Change): Shown {
  const { body } = (current()?.ctx.oidc ?? {}) as { body?: { client_assertion?: string } };
  return body?.client_assertion && !change.shows('assertion') ? 'assertion' : 'dpop';
}

/** What is written rests on a proof of this request, and is written only while that proof stands. */
function epochOf(unit: UnitOfWork, accountId: string): number {
  const epoch = unit.proof(accountId);
  if (epoch === undefined) throw new Error('nothing in this request proves who the account is');
  unit.change.stand(accountId, epoch);
  return epoch;
}

function seconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}

/** Sign-ins under way; all else about them is interaction.ts's. */
function interactionAdapter(deps: AdapterDeps): Adapter {
  return {
    async find(uid) {
      const outcome = current()?.outcome;
      if (outcome?.uid === uid) return restored(outcome.payload, uid);
      const found = await read(findInteraction(deps.db, interactionHash(uid)));
      if (!found?.proofStands) return undefined;
      const unit = current();
      if (found.account) unit?.rememberAccount(found.account);
      if (found.accountId && found.epoch !== null) unit?.rememberProof(found.accountId, found.epoch);
      unit?.remember(`Interaction:${uid}`, found.payload);
      return restored(found.payload, uid);
    },
    async upsert(uid, payload) {
      // The way back has the uid in it, and `cookie` is a key to the session; the library reads neither again.
      const { jti: _uid, returnTo: _returnTo, ...rest } = payload;
      const session = rest.session ? { ...rest.session, cookie: undefined } : undefined;
      const unit = current();
      if (!unit) throw new Error('a sign-in under way belongs to a browser');
      const written = { ...rest, session };
      if (!unit.recall(`Interaction:${uid}`)) return openInteraction(deps, unit, { uid, payload: written });
      const accountId = (rest.result as { login?: { accountId: string } } | undefined)?.login?.accountId;
      unit.change.continueInteraction({
        uidHash: interactionHash(uid),
        payload: JSON.stringify(written),
        accountId,
        epoch: accountId ? epochOf(unit, accountId) : undefined,
        expiresAt: new Date(payload.exp! * 1000),
      });
    },
    async destroy(uid) {
      await write(deps, (change, unit) =>
        unit?.outcome?.uid === uid
          ? change.endInteraction(interactionHash(uid))
          : change.resumeInteraction(interactionHash(uid)),
      );
    },
    findByUid: nothing,
    findByUserCode: nothing,
    consume: nothing,
    revokeByGrantId: nothing,
  };
}
