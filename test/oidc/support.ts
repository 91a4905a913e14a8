/**
 * A real Provider on a real database, with the store and the gate under test, and a browser to go through it.
 * The sign-in page here is the smallest that works: whoever posts an account's id is signed in as that account.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import mount from 'koa-mount';
import Provider, { interactionPolicy, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import { sql, type Database } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { makeAdapter, type Payload } from '../../src/oidc/adapter.ts';
import { makeSignInGate, type Opened, type SignInGate, type SignInUnderWay } from '../../src/oidc/interaction.ts';
import { makeKeys, type Keys } from '../../src/oidc/keys.ts';
import { takeUp } from '../../src/oidc/take-up.ts';
import { unitOfWork } from '../../src/oidc/unit-of-work.ts';
import { testDatabase } from '../support/database.ts';

export const redirectUri = 'https://service.example/callback';

export interface World {
  db: Database;
  provider: Provider;
  gate: SignInGate;
  keys: Keys;
  origin: string;
  /** What the sign-in page last found. */
  opened: Opened | undefined;
  now: Date;
  account(email: string): Promise<string>;
  /** Runs within every request's unit of work, after the provider and before the write. */
  during?: (ctx: Koa.Context) => Promise<void>;
  /** Swaps the provider for one with these keys. */
  rebuild(jwks: object): void;
  /** Statements sent since the last call. */
  statements(): number;
  close(): Promise<void>;
}

export async function openWorld(overrides: Partial<Configuration> = {}): Promise<World> {
  const database = await testDatabase();
  const db = database.database;
  const sealer = makeSealer(['a secret of at least thirty-two characters']);
  const now = new Date();
  const keys = makeKeys({
    db,
    sealer,
    algorithms: ['RS256', 'ES256'],
    rotation: 90 * 86_400_000,
    keepFor: 60 * 86_400_000,
  });
  await keys.rotate(now);

  const app = new Koa();
  app.silent = true;
  app.keys = sealer.cookieKeys;
  const server: Server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const clients = new Map<string, Payload>(
    ['service', 'other-service', 'third-service'].map((client_id) => [
      client_id,
      {
        client_id,
        client_secret: 'a-secret-of-the-service',
        grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
        redirect_uris: [redirectUri],
        post_logout_redirect_uris: ['https://service.example/bye'],
        response_types: ['code'],
      },
    ]),
  );
  const world = { db, keys, origin, now, opened: undefined } as unknown as World;
  const clock = () => world.now;
  const deps = { db, clock, sealer, issuer: origin, client: (id: string) => clients.get(id), told: () => [] };
  world.gate = makeSignInGate({ ...deps, sessionCookie: { name: '_session', signed: true } });

  const policy = interactionPolicy.base();
  policy.remove('consent');
  world.rebuild = (jwks) => {
    world.provider = new Provider(origin, {
      adapter: makeAdapter(deps) as never,
      jwks: jwks as never,
      interactions: { policy, url: (_ctx, interaction) => `/sign-in/${interaction.uid}` },
      cookies: { keys: sealer.cookieKeys, long: { signed: true }, short: { signed: true } },
      findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
      loadExistingGrant,
      rotateRefreshToken: true,
      issueRefreshToken: async () => true,
      pkce: { required: () => false },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        pushedAuthorizationRequests: { enabled: true },
        revocation: { enabled: true },
        introspection: { enabled: true },
        dPoP: { enabled: true },
      },
      ttl: {
        Interaction: 3600,
        Session: 3600,
        Grant: 3600,
        AccessToken: 600,
        AuthorizationCode: 60,
        RefreshToken: 3600,
        ClientCredentials: 600,
        IdToken: 600,
        PushedAuthorizationRequest: 60,
      },
      ...overrides,
    });
  };
  world.rebuild(await keys.jwks(now));
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      const problem = error as { status?: number; code?: string };
      ctx.status = problem.status ?? 500;
      ctx.body = { problem: problem.code ?? String(error) };
    }
  });
  app.use(unitOfWork({ db, clock, log: makeLog({ level: 'silent' }) }));
  app.use(async (ctx, next) => {
    await next();
    await world.during?.(ctx);
  });
  const provider: Koa.Middleware = async (ctx, next) => {
    await mount(world.provider as unknown as Koa)(ctx, next);
  };
  app.use(takeUp(provider, { resumeCookie: '_interaction_resume' }));
  app.use(signInPage(world));
  app.use(provider);

  const handle = app.callback();

  let counted = db.counts.statements;
  world.statements = () => {
    const since = db.counts.statements - counted;
    counted = db.counts.statements;
    return since;
  };
  world.account = async (email) => {
    const [row] = await db.query<{ id: string }>(sql`
      insert into accounts (email, email_key, created_at, updated_at)
      values (${email}, ${email}, ${now}::timestamptz, ${now}::timestamptz) returning id`);
    return row!.id;
  };
  world.close = async () => {
    await new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await database.drop();
  };
  return world;
}

async function loadExistingGrant(ctx: KoaContextWithOIDC) {
  const { provider, client, session, account, params } = ctx.oidc;
  const known = session!.grantIdFor(client!.clientId);
  const grant = known ? await provider.Grant.find(known) : undefined;
  if (grant) return grant;
  const given = new provider.Grant({ clientId: client!.clientId, accountId: account!.accountId });
  given.addOIDCScope(String(params!.scope));
  await given.save();
  return given;
}

function signInPage(world: World): Koa.Middleware {
  return async (ctx, next) => {
    const uid = /^\/sign-in\/([^/]+)$/.exec(ctx.path)?.[1];
    if (!uid) {
      await next();
      return;
    }
    const opened = await world.gate.open(ctx, uid);
    world.opened = opened;
    ctx.status = 200;
    ctx.body = opened ?? { unknown: true };
    if (ctx.method !== 'POST' || !opened || 'stale' in opened || 'finished' in opened) return;
    await posted(world, ctx, opened);
  };
}

async function posted(world: World, ctx: Koa.Context, signIn: SignInUnderWay): Promise<void> {
  const { account, consent, fact, error, replace, here } = ctx.query as Record<string, string | undefined>;
  if (fact) return world.gate.keep(ctx, signIn, { [fact]: true });
  if (consent) return world.gate.finish(ctx, signIn, { consent: {} });
  if (error) return world.gate.finish(ctx, signIn, { error });
  const [row] = await world.db.query<{ epoch: number }>(sql`select epoch from accounts where id = ${account}`);
  await world.gate.finish(ctx, signIn, {
    login: { accountId: account!, epoch: row!.epoch, ts: Math.floor(world.now.getTime() / 1000) },
    replaceSession: replace !== undefined,
    here: here !== undefined,
  });
}

/** Follows nothing by itself and keeps cookies as browsers do: by name and path. */
export class Browser {
  readonly origin: string;
  cookies = new Map<string, { name: string; path: string; value: string }>();

  constructor(world: World) {
    this.origin = world.origin;
  }

  async get(path: string): Promise<Response> {
    return this.#send('GET', path);
  }

  async post(path: string): Promise<Response> {
    return this.#send('POST', path);
  }

  async #send(method: string, path: string): Promise<Response> {
    const url = new URL(path, this.origin);
    const cookie = [...this.cookies.values()]
      .filter((c) => url.pathname === c.path || url.pathname.startsWith(c.path.replace(/\/?$/, '/')))
      .map((c) => `${c.name}=${c.value}`)
      .join('; ');
    const response = await fetch(url, { method, headers: { cookie }, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    return response;
  }

  #keep(line: string): void {
    const [pair, ...attributes] = line.split('; ');
    const [name, value] = [pair!.slice(0, pair!.indexOf('=')), pair!.slice(pair!.indexOf('=') + 1)];
    const path = attributes.find((a) => a.startsWith('path='))?.slice(5) ?? '/';
    const key = `${name} ${path}`;
    if (attributes.some((a) => a.startsWith('expires=Thu, 01 Jan 1970'))) this.cookies.delete(key);
    else this.cookies.set(key, { name, path, value });
  }
}

export function authorizationPath(more: Record<string, string> = {}): string {
  const query = new URLSearchParams({
    client_id: 'service',
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid',
    ...more,
  });
  return `/auth?${query.toString()}`;
}

export function locationOf(response: Response): string {
  return response.headers.get('location') ?? `no location, status ${response.status}`;
}

/** From the authorization request to the page: `/sign-in/<uid>`. */
export async function beginSignIn(browser: Browser, more: Record<string, string> = {}): Promise<string> {
  return locationOf(await browser.get(authorizationPath(more)));
}

/** The whole way to a code. */
export async function signIn(browser: Browser, account: string, more: Record<string, string> = {}): Promise<string> {
  const page = await beginSignIn(browser, more);
  const resume = locationOf(await browser.post(`${page}?account=${account}`));
  return codeIn(await browser.get(resume));
}

export function codeIn(response: Response): string {
  const code = URL.parse(locationOf(response))?.searchParams.get('code');
  if (!code) throw new Error(`no code in: ${locationOf(response)}`);
  return code;
}

export async function ask(
  world: World,
  path: string,
  { dpop, as = 'service', ...form }: Record<string, string>,
): Promise<{ status: number; body: Record<string, string> }> {
  const authorization = `Basic ${Buffer.from(`${as}:a-secret-of-the-service`).toString('base64')}`;
  const response = await fetch(new URL(path, world.origin), {
    method: 'POST',
    headers: { authorization, accept: 'application/json', ...(dpop ? { dpop } : {}) },
    body: new URLSearchParams(form),
  });
  const text = await response.text();
  return { status: response.status, body: text ? (JSON.parse(text) as Record<string, string>) : {} };
}

export function redeem(world: World, code: string, as = 'service'): ReturnType<typeof ask> {
  return ask(world, '/token', { grant_type: 'authorization_code', code, redirect_uri: redirectUri, as });
}

export function refresh(world: World, token: string): ReturnType<typeof ask> {
  return ask(world, '/token', { grant_type: 'refresh_token', refresh_token: token });
}

export async function userinfo(world: World, token: string): Promise<number> {
  const response = await fetch(new URL('/me', world.origin), { headers: { authorization: `Bearer ${token}` } });
  await response.arrayBuffer();
  return response.status;
}

export async function rows(db: Database, model: string): Promise<number> {
  const [row] = await db.query<{ count: number }>(sql`
    select count(*)::integer as count from artifacts where model = ${model}`);
  return row!.count;
}
