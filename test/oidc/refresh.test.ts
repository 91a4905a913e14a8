/** Refresh tokens: who gets one, when it is spent, and what a spent one that comes again does. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTunnus, type RunningTunnus } from '../../src/app.ts';
import { sql } from '../../src/platform/database.ts';
import { artifactId } from '../../src/records/artifacts.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import {
  authorizationUrl,
  basic,
  codeFrom,
  dpopProof,
  exchange,
  makeKey,
  PASSWORD,
  publicly,
  seconds,
  send,
  signedIn,
  type Answer,
} from '../support/protocol.ts';
import { startWorld, type World } from '../support/world.ts';

const grants = { grant_types: ['authorization_code', 'refresh_token'] };
const app = { client_secret: undefined, token_endpoint_auth_method: 'none', ...grants };

let world: World;
let other: RunningTunnus;
let browser: HttpBrowser;

beforeAll(async () => {
  world = await startWorld({
    clients: {
      app: { ...app, client_name: 'Sovellus', redirect_uris: ['https://app.example/callback'], scope: 'openid email' },
      service: {
        ...grants,
        client_name: 'Palvelu',
        redirect_uris: ['https://service.example/callback'],
        scope: 'openid email offline_access',
      },
    },
  });
  other = await startTunnus({
    config: { ...world.config, listen: { ...world.config.listen, port: 0 } },
    clock: () => world.clock.now(),
    log: makeLog({ level: 'silent' }),
  });
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  browser = await signedIn(world, 'service', 'maija@example.com');
});
afterAll(async () => {
  await other.close();
  await world.close();
});

interface Use {
  client?: string;
  node?: string;
  headers?: Record<string, string>;
}

function refresh(token: unknown, { client = 'app', node = world.issuer, headers = {} }: Use = {}): Promise<Answer> {
  const secret = client === 'service';
  return send(`${node}/token`, {
    headers: { ...(secret ? basic(client) : {}), ...headers },
    fields: {
      grant_type: 'refresh_token',
      refresh_token: String(token),
      client_id: secret ? undefined : client,
    },
  });
}

/** Makes the refresh tokens of a client as old as this; the library judges by their payload. */
async function age(client: string, times: { iat?: number; exp: number }): Promise<void> {
  const rows = await world.database.query<{ id: Buffer; payload: string }>(sql`
    select id, payload from artifacts where model = 'RefreshToken' and client_id = ${client}`);
  for (const { id, payload } of rows) {
    const aged = JSON.stringify({ ...(JSON.parse(payload) as object), ...times });
    await world.database.query(sql`update artifacts set payload = ${aged} where id = ${id}`);
  }
}

const code = (client: string, by = browser): Promise<string> => codeFrom(by, authorizationUrl(world, client));

const family = async (client = 'app'): Promise<Record<string, unknown>> => {
  const { body } = await exchange(world, await code(client), client === 'service' ? { client } : publicly(client));
  return body;
};
const userinfo = async (token: unknown): Promise<number> =>
  (await send(`${world.issuer}/me`, { method: 'GET', headers: { authorization: `Bearer ${String(token)}` } })).status;
const reuses = () =>
  world.database.query<{ detail: object }>(sql`select detail from audit where kind = 'token_reused'`);
const refused = { status: 400, body: { error: 'invalid_grant' } };

describe('who gets one', () => {
  test('an e-service registered for refresh_token, with every code, and nobody else', async () => {
    expect(await family('service')).toHaveProperty('refresh_token');
    const { body } = await exchange(world, await code('bare'), { client: 'bare' });
    expect(body).not.toHaveProperty('refresh_token');
  });

  test('without offline_access it ends with the session', async () => {
    const resident = await signedIn(world, 'service', 'maija@example.com');
    const { body } = await exchange(world, await code('service', resident), { client: 'service' });
    const granted = await refresh(body['refresh_token'], { client: 'service' });
    expect(granted.status).toBe(200);
    await resident.get(`${world.issuer}/session/end`);
    await resident.submit();
    expect(await refresh(body['refresh_token'], { client: 'service' })).toMatchObject(refused);
  });
});

describe('rotation (RFC 9700, 4.14.2)', () => {
  test('a public client gets a new one with each use', async () => {
    const first = await family();
    const second = await refresh(first['refresh_token']);
    expect(second.status).toBe(200);
    expect(second.body['refresh_token']).not.toBe(first['refresh_token']);
    expect((await refresh(second.body['refresh_token'])).status).toBe(200);
  });

  test('a confidential client keeps its own to the end of its life', async () => {
    const { refresh_token: token } = await family('service');
    // The library would rotate from 70 % of the life on: this one has lived for nearly all of it.
    await age('service', { iat: seconds() - 900, exp: seconds() + 100 });
    for (let use = 0; use < 3; use++) {
      expect((await refresh(token, { client: 'service' })).body['refresh_token']).toBe(token);
    }
  });

  test('no rotation makes a family live longer', async () => {
    const { refresh_token: first } = await family();
    await age('app', { exp: seconds() + 100 });
    const { body } = await refresh(first);
    const id = artifactId('RefreshToken', String(body['refresh_token']));
    const [row] = await world.database.query<{ end: Date }>(
      sql`select expires_at as end from artifacts where id = ${id}`,
    );
    expect(row!.end.getTime()).toBeLessThanOrEqual((seconds() + 100) * 1000);
  });
});

describe('a spent one that comes again', () => {
  test('within 30 seconds is a retry and gets another of the same family, whichever node it reaches', async () => {
    const before = (await reuses()).length;
    const { refresh_token: first } = await family();
    const lost = await refresh(first);
    // The clock goes on by itself too, while the two are under way.
    world.clock.advance(25_000);
    const retried = await refresh(first, { node: other.url });
    expect(retried.status).toBe(200);
    for (const { body } of [lost, retried]) {
      expect(await userinfo(body['access_token'])).toBe(200);
      expect((await refresh(body['refresh_token'])).status).toBe(200);
    }
    expect(await reuses()).toHaveLength(before);
  });

  test('later is theft: it ends the family, all that came of it, and is written down', async () => {
    const before = (await reuses()).length;
    const { refresh_token: first } = await family();
    const { body: second } = await refresh(first);
    const { body: retried } = await refresh(first);
    world.clock.advance(30_001);
    expect(await refresh(first)).toMatchObject(refused);
    for (const { refresh_token: token, access_token: access } of [second, retried]) {
      expect(await refresh(token, { node: other.url })).toMatchObject(refused);
      expect(await userinfo(access)).toBe(401);
    }
    expect(await refresh(first)).toMatchObject(refused);
    expect((await reuses()).slice(before)).toEqual([{ detail: { token: 'refresh token' } }]);
    expect(world.log.filter((line) => line.includes('used a second time'))).toHaveLength(1);
    expect(world.log.join()).not.toContain(String(first));
  });

  test('by another client is neither: it learns nothing and ends nothing', async () => {
    const { refresh_token: first } = await family();
    const { body: second } = await refresh(first);
    world.clock.advance(60_000);
    expect(await refresh(first, { client: 'service' })).toMatchObject(refused);
    expect((await refresh(second['refresh_token'])).status).toBe(200);
  });

  test('is no longer active for whoever looks it up', async () => {
    const { refresh_token: token } = await family();
    await refresh(token);
    const row = await world.database.query(
      sql`select 1 from artifacts where model = 'RefreshToken' and consumed_at is not null`,
    );
    expect(row.length).toBeGreaterThan(0);
    const looked = await send(`${world.issuer}/token/introspection`, {
      fields: { client_id: 'app', token: String(token) },
    });
    expect(looked.body).toEqual({ active: false });
  });

  test('twenty at once, on two nodes, all get one of the family and end nothing', async () => {
    const { refresh_token: token } = await family();
    const nodes = [world.issuer, other.url];
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => refresh(token, { node: nodes[index % 2]! })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array<number>(20).fill(200));
    const given = new Set(answers.map(({ body }) => body['refresh_token']));
    expect(given.size).toBe(20);
    expect((await refresh([...given].at(-1))).status).toBe(200);
  });

  test('gives no more than thirty: the next are refused, and the family lives', async () => {
    const { refresh_token: token } = await family();
    const answers = await Promise.all(Array.from({ length: 34 }, () => refresh(token)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(31);
    const good = answers.find(({ status }) => status === 200)!;
    expect((await refresh(good.body['refresh_token'])).status).toBe(200);
  });

  test('a theft found while the thief refreshes leaves the thief nothing', async () => {
    const { refresh_token: first } = await family();
    const { body: second } = await refresh(first);
    world.clock.advance(31_000);
    const [, thief] = await Promise.all([refresh(first), refresh(second['refresh_token'], { node: other.url })]);
    if (thief.status === 200) expect(await userinfo(thief.body['access_token'])).toBe(401);
    expect(await refresh(thief.body['refresh_token'] ?? second['refresh_token'])).toMatchObject(refused);
  });

  test('a process that dies before its answer is written leaves the token unspent', async () => {
    const { refresh_token: token } = await family();
    await world.database.query(
      sql`create function fail() returns trigger language plpgsql as 'begin raise ''died''; end'`,
    );
    await world.database.query(sql`create trigger fail before insert on artifacts execute function fail()`);
    const broken = await refresh(token);
    await world.database.query(sql`drop function fail cascade`);
    expect(broken.status).toBe(500);
    const [row] = await world.database.query(sql`
      select consumed_at from artifacts where id = ${artifactId('RefreshToken', String(token))}`);
    expect(row).toEqual({ consumed_at: null });
    world.clock.advance(60_000);
    expect((await refresh(token)).status).toBe(200);
  });
});

describe('bound to a key (RFC 9449, 5)', () => {
  const htu = (): string => `${world.issuer}/token`;

  test("a public client's is not rotated, works with its own key only, and stays with it", async () => {
    const key = await makeKey();
    const proved = async (by = key) => ({ dpop: await dpopProof(by, { htu: htu() }) });
    const { body } = await exchange(world, await code('app'), { ...publicly('app'), headers: await proved() });
    expect(body).toMatchObject({ token_type: 'DPoP' });
    const token = body['refresh_token'];
    for (let use = 0; use < 2; use++) {
      const again = await refresh(token, { headers: await proved() });
      expect(again.body).toMatchObject({ refresh_token: token, token_type: 'DPoP' });
    }
    expect(await refresh(token)).toMatchObject(refused);
    expect(await refresh(token, { headers: await proved(await makeKey()) })).toMatchObject(refused);
  });
});
