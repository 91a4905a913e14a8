/** What operators see: the metrics of what residents and e-services do, the nodes, and the one screen of `tunnus status`. */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { statusFor } from '../../src/desk.ts';
import { sweepDeadJobs } from '../../src/jobs.ts';
import { configurationHash, startHeartbeat } from '../../src/journeys/heartbeat.ts';
import { issuerCertificate, type Status } from '../../src/journeys/status.ts';
import { openDatabase, sql, type Database } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import { startTracing } from '../../src/platform/tracing.ts';
import { beat, nodes, sweepNodes } from '../../src/records/nodes.ts';
import { makeAuthority } from '../support/certificate.ts';
import { folderOf, runTunnus } from '../support/command.ts';
import { until } from '../support/until.ts';
import { SECRET, startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

let world: World;
let folder: string;

beforeAll(async () => {
  world = await startWorld();
  // The configuration with which an operator's command comes to the same database.
  const { issuer, mail, database } = world.config;
  folder = await folderOf({
    issuer,
    mail: { url: mail.url, from: mail.from },
    database: { url: database.url },
    secret: SECRET,
  });
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const atPort = async (port: number) => (await nodes(world.database)).filter(({ name }) => name.endsWith(`:${port}`));
const metrics = async (): Promise<string> =>
  (await fetch(`http://127.0.0.1:${world.tunnus.metricsPort}/metrics`)).text();
const valueOf = (lines: string, name: string, labels: Record<string, string> = {}): number | undefined => {
  const line = lines
    .split('\n')
    .find(
      (one) =>
        new RegExp(`^${name}(?:[{ ]|$)`).test(one) &&
        Object.entries(labels).every(([label, value]) => one.includes(`${label}="${value}"`)),
    );
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
};
const status = async (): Promise<Status> => JSON.parse((await runTunnus(folder, ['status', '--json'])).out) as Status;

test('each step of a sign-in and each grant is counted, by what came of it and for which e-service', async () => {
  await world.account({ email: 'aino@example.com', password: PASSWORD });
  await world.account({ email: 'linkki@example.com' });
  const browser = world.browser();
  const asiointi = await world.relyingParty();
  const errand = await asiointi.begin();
  await browser.get(errand.url);
  await browser.submit({ username: 'linkki@example.com' });
  const link = await world.mailbox.nextLink('linkki@example.com');
  await browser.get(errand.url);
  await browser.submit({ username: 'aino@example.com' });
  await browser.submit({ 'current-password': 'väärä salasana kuitenkin' });
  await browser.submit({ 'current-password': PASSWORD });
  await errand.finish(browser.page.leadsTo!);
  await expect(errand.finish(browser.page.leadsTo!)).rejects.toThrow();
  await browser.get(link);
  await browser.submit({ 'new-password': 'lyhyt' });
  await fetch(`${world.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'anything at all' }),
  });

  const told = await metrics();
  const signIns = (step: string, outcome: string) =>
    valueOf(told, 'tunnus_sign_ins_total', { step, outcome, client: 'asiointi' });
  expect(signIns('address', 'link_sent')).toBe(1);
  expect(signIns('address', 'password')).toBe(1);
  expect(signIns('password', 'wrong_password')).toBe(1);
  expect(signIns('password', 'signed_in')).toBe(1);
  expect(signIns('set_password', 'too_short')).toBe(1);
  const grants = (labels: Record<string, string>) => valueOf(told, 'tunnus_grants_total', labels);
  expect(grants({ grant_type: 'authorization_code', outcome: 'given', client: 'asiointi' })).toBe(1);
  expect(grants({ grant_type: 'authorization_code', outcome: 'invalid_grant', client: 'asiointi' })).toBe(1);
  // What strangers write becomes no label.
  expect(grants({ grant_type: 'other', client: 'unknown' })).toBe(1);
  expect(told).not.toMatch(/anything at all|example\.com/);
});

test('what an alert compares stands at 0 before it happens, for each e-service', async () => {
  const told = await metrics();
  for (const client of ['asiointi', 'kartta']) {
    for (const outcome of ['refused', 'given_up'])
      expect(valueOf(told, 'tunnus_logouts_total', { client, outcome })).toBe(0);
  }
  expect(valueOf(told, 'tunnus_sign_ins_total', { step: 'password', outcome: 'signed_in', client: 'kartta' })).toBe(0);
  expect(valueOf(told, 'tunnus_grants_total', { outcome: 'given', client: 'kartta' })).toBe(0);
  expect(valueOf(told, 'tunnus_mails_total', { mail: 'set_password', outcome: 'refused' })).toBe(0);
});

test('the queue has by its clock what is to be swept, retired, sealed and dropped', async () => {
  const known = sql`select identifier from graphile_worker._private_known_crontabs order by identifier`;
  const rows = await until('the queue knows its hours', async () => {
    const found = await world.database.query<{ identifier: string }>(known);
    return found.length > 0 && found;
  });
  expect(rows.map(({ identifier }) => identifier)).toEqual(['keep_audit_months', 'retire', 'seal_audit', 'sweep']);
});

test('what waits, what is due and what this process holds is told at a scrape', async () => {
  const ago = (hours: number) => new Date(world.clock.now().getTime() - hours * 3_600_000);
  await world.database.query(sql`
    insert into mails (kind, queued_at, outcome, outcome_at)
    values ('set_password', ${ago(2)}, 'delayed', ${ago(1)}), ('set_password', ${ago(1)}, 'queued', ${ago(1)}),
      ('set_password', ${ago(30)}, 'given_up', ${ago(3)}), ('set_password', ${ago(90)}, 'given_up', ${ago(80)})`);
  await world.database.query(sql`
    insert into throttle (key, points, updated_at, expires_at) values ('old', 1, ${ago(3)}, ${ago(2)})`);
  const found = await status();
  expect(found.mails).toMatchObject({ queued: 1, delayed: 1, givenUp: 1, refused: 0 });
  expect(found.leftOver['throttle']).toBeGreaterThanOrEqual(7200);
  expect(found.keys.map(({ alg }) => alg)).toEqual(['ES256', 'RS256']);
  expect(found.nodes).toHaveLength(1);
  expect(found.warnings.join('\n')).toMatch(
    /oldest mail waits since[^]*Mails given up within a day[^]*: 1[^]*Sweeping is behind: in throttle/,
  );

  // Figures of the database are a second old at most.
  const told = await until('figures of now', async () => {
    const lines = await metrics();
    return valueOf(lines, 'tunnus_mails_waiting', { state: 'delayed' }) === 1 && lines;
  });
  expect(valueOf(told, 'tunnus_mails_failed', { outcome: 'given_up' })).toBe(1);
  expect(valueOf(told, 'tunnus_mail_oldest_seconds')).toBeGreaterThanOrEqual(7200);
  expect(valueOf(told, 'tunnus_left_over_seconds', { table: 'throttle' })).toBeGreaterThanOrEqual(7200);
  expect(valueOf(told, 'tunnus_signing_key_retires_timestamp_seconds', { alg: 'RS256' })).toBeGreaterThan(
    Date.now() / 1000,
  );
  expect(valueOf(told, 'tunnus_database_up')).toBe(1);
  expect(valueOf(told, 'tunnus_database_connections', { state: 'waiting' })).toBe(0);
  expect(valueOf(told, 'tunnus_password_hashes', { state: 'limit' })).toBeGreaterThan(0);
  expect(valueOf(told, 'tunnus_build_info')).toBe(1);
  expect(valueOf(told, 'nodejs_eventloop_lag_p99_seconds')).toBeDefined();
  await world.database.query(sql`delete from mails where account_id is null`);
  await world.database.query(sql`delete from throttle where key = 'old'`);
});

test('a node that was left out of a reload, and one that went silent, are told in plain words', async () => {
  const now = world.clock.now();
  const [own] = await nodes(world.database);
  const other = { ...own!, id: '00000000-0000-7000-8000-000000000001', name: 'other:3000', configuration: 'another' };
  await beat(world.database, other, now);
  const killed = { ...own!, id: '00000000-0000-7000-8000-000000000002', name: 'killed:3000' };
  await beat(world.database, killed, new Date(now.getTime() - 3_600_000));
  const { code, out } = await runTunnus(folder, ['status']);
  expect(code).toBe(1);
  expect(out).toMatch(/^(?:nodes)? {8,}\S+ {2}ready {2}version \S+ {2}configuration [0-9a-f]{12}/m);
  expect(out).toMatch(/other:3000 {2}ready/);
  expect(out).toMatch(/killed:3000 {2}silent/);
  expect(out).toContain('! Nodes are configured differently');
  expect(out).toContain('! Node killed:3000 went silent');
  expect(out.split('\n').length).toBeLessThan(30);
  // Nothing by which anybody could be found or let in.
  expect(out).not.toMatch(/@|secret/i);

  expect(await sweepNodes(world.database, new Date(now.getTime() + 23.5 * 3_600_000))).toBe(1);
  expect((await nodes(world.database)).map(({ name }) => name).sort()).toEqual([own!.name, 'other:3000'].sort());
  await world.database.query(sql`delete from nodes where name = 'other:3000'`);
});

test('a node that was killed and started again is not missed', async () => {
  const [own] = await nodes(world.database);
  const restarted = () =>
    startHeartbeat({
      database: world.database,
      port: 3999,
      configuration: () => own!.configuration,
      stopping: () => false,
      clock: () => world.clock.now(),
      log: makeLog({ level: 'silent' }),
    });
  const killed = await restarted();
  const [first] = await atPort(3999);
  const heartbeat = await restarted();
  const after = await atPort(3999);
  expect(after).toHaveLength(1);
  expect(after[0]!.id).not.toBe(first!.id);
  expect(await nodes(world.database)).toContainEqual(own);
  await Promise.all([killed.stop(), heartbeat.stop()]);
});

test('two nodes have one hash where residents meet the same, wherever each of them stands', () => {
  const { config } = world;
  const hash = (other: object) => configurationHash(world.tunnus.sealer, { ...config, ...other });
  const elsewhere = {
    folder: '/elsewhere',
    listen: { ...config.listen, port: 1 },
    database: { url: 'postgres://pooler/tunnus', folder: '/' },
    clients: config.clients.map((client) => Object.fromEntries(Object.entries({ ...client, file: '/x' }).reverse())),
  };
  expect(hash(elsewhere)).toBe(hash({}));
  expect(hash({ links: { lifetime: 1 } })).not.toBe(hash({}));
  expect(hash({ clients: config.clients.slice(1) })).not.toBe(hash({}));
  const [first, ...rest] = config.clients;
  expect(hash({ clients: [{ ...first!, client_secret: ['another'] }, ...rest] })).not.toBe(hash({}));
});

test('the end of the certificate that residents are shown is seen, and why it cannot be', async () => {
  const authority = makeAuthority();
  const until = new Date('2031-05-06T07:08:09Z');
  const server = createServer(authority.issue({ until }), (_request, response) => response.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `https://127.0.0.1:${(server.address() as { port: number }).port}`;
  expect(await issuerCertificate(issuer, { ca: authority.ca })).toEqual({ endsAt: until });
  expect(await issuerCertificate(issuer)).toEqual({ failed: expect.stringContaining('certificate') });
  expect(await issuerCertificate('http://127.0.0.1')).toBeUndefined();
  server.closeAllConnections();
  server.close();
});

test('every table is swept, or has no more rows than there are residents, keys or months', async () => {
  const swept = Object.keys((await status()).leftOver);
  const byResident = [
    ...'accounts legacy_ids subjects progress services dormancy_warnings erasures devices'.split(' '),
    ...'passkeys authenticators recovery_codes factor_removals'.split(' '),
  ];
  const few = 'migrations digest_keys signing_keys import_rows'.split(' ');
  // Months go whole, and what seals them with them (audit-months.ts).
  const byMonth = /^audit/;
  const tables = await world.database.query<{ name: string }>(sql`
    select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`);
  const unswept = tables.map(({ name }) => name).filter((name) => ![...swept, ...byResident, ...few].includes(name));
  expect(unswept.filter((name) => !byMonth.test(name))).toEqual([]);
});

test('what is due is counted in whole days of 24 hours, also where the database keeps summer time', async () => {
  const now = new Date('2026-03-29T12:00:00Z');
  const ago = (days: number) => new Date(now.getTime() - days * 86_400_000);
  const found = await world.database.session(async (session) => {
    await session.script(`begin; set local timezone = 'Europe/Helsinki'`);
    await session.query(
      sql`insert into mails (kind, queued_at, outcome_at) values ('dormant', ${ago(90)}, ${ago(90)})`,
    );
    await session.query(sql`insert into mail_pace values ('lane', 1, 0, ${ago(30)}, ${ago(30)})`);
    await session.query(sql`insert into nodes values (gen_random_uuid(), 'n', '1', 'c', ${ago(2)}, ${ago(1)})`);
    await session.query(sql`
      insert into interactions (uid_hash, payload, created_at, expires_at) values ('\\x01', '', ${ago(1)}, ${ago(1)})`);
    await session.query(sql`
      insert into registrations (token_hash, email, email_key, locale, created_at, expires_at)
      values ('\\x01', 'a@b.fi', 'a@b.fi', 'fi', ${ago(2)}, ${ago(1)})`);
    await session.query(sql`
      with a as (insert into accounts (email, email_key, created_at, updated_at)
        values ('kesa@example.com', 'kesa@example.com', ${now}, ${now}) returning id)
      insert into links (token_hash, account_id, purpose, created_at, expires_at)
      select '\\x01', id, 'set_password', ${ago(91)}, ${ago(90)} from a`);
    const database: Database = {
      ...world.database,
      query: (statement) => session.query(statement),
      session: (work) => work(session),
    };
    return statusFor({ ...world.tunnus, database, config: world.config }, now);
  });
  expect(Object.entries(found.leftOver).filter(([, seconds]) => seconds > 0)).toEqual([]);
});

test('a job that was tried for the last time goes after a week, with the sealed address in it', async () => {
  await world.database.query(sql`
    select graphile_worker.add_job('nobody', job_key := 'dead', max_attempts := 1, run_at := now() + interval '1 day')`);
  await world.database.query(sql`update graphile_worker._private_jobs set attempts = 1 where key = 'dead'`);
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000);
  expect(await sweepDeadJobs(world.database, inDays(6))).toBe(0);
  expect(await sweepDeadJobs(world.database, inDays(8))).toBe(1);
  expect(await world.database.query(sql`select 1 from graphile_worker.jobs where key = 'dead'`)).toEqual([]);
});

interface Sent {
  resourceSpans: {
    scopeSpans: {
      spans: { traceId: string; spanId: string; parentSpanId?: string; name: string; attributes: object[] }[];
    }[];
  }[];
}

test('traces, where they are on, have a span for request, statement, hash and mail, and nothing of anybody', async () => {
  const bodies: string[] = [];
  const collector = createPlainServer((request, response) => {
    text(request).then(
      (body) => {
        bodies.push(body);
        response.end('{}');
      },
      () => {},
    );
  });
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const otlp = `http://127.0.0.1:${(collector.address() as { port: number }).port}`;
  const other = await startWorld({ settings: { telemetry: { otlp } } });
  await other.account({ email: 'aino@example.com', password: PASSWORD });
  await other.account({ email: 'linkki@example.com' });
  const asiointi = await other.relyingParty();
  const browser = other.browser();
  await browser.get((await asiointi.begin()).url);
  await browser.submit({ username: 'linkki@example.com' });
  const link = await other.mailbox.nextLink('linkki@example.com');
  await browser.get(link);
  const errand = await asiointi.begin();
  await browser.get(errand.url);
  const uid = browser.page.url.pathname.split('/')[2]!;
  await browser.submit({ username: 'aino@example.com' });
  await browser.submit({ 'current-password': PASSWORD });
  const code = browser.page.leadsTo!.searchParams.get('code')!;
  const tokens = await errand.finish(browser.page.leadsTo!);

  const database = openDatabase({ url: other.config.database.url!, max: 1 });
  expect(await nodes(database)).toHaveLength(1);
  await other.tunnus.close();
  // A node that stops takes its row along, and sends the spans that are left.
  expect(await nodes(database)).toEqual([]);
  await database.close();

  const spans = bodies.flatMap((body) =>
    (JSON.parse(body) as Sent).resourceSpans.flatMap((one) => one.scopeSpans.flatMap((scope) => scope.spans)),
  );
  expect(new Set(spans.map(({ name }) => name))).toEqual(new Set(['request', 'sql', 'hash', 'mail']));
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const requestsOf = (name: string) =>
    spans.filter((span) => span.name === name).map(({ parentSpanId }) => byId.get(parentSpanId ?? '')?.name);
  expect(requestsOf('hash')).toContain('request');
  expect(requestsOf('sql')).toContain('request');
  const all = bodies.join('\n');
  expect(all).toContain('"/sign-in/:uid/password"');
  const token = new URL(link).pathname.split('/').at(-1)!;
  for (const secret of ['example.com', 'kolme', uid, code, token, tokens.access_token, '127.0.0.1'])
    expect(all).not.toContain(secret);
  collector.closeAllConnections();
  collector.close();
  await other.close();
});

test('traces that are on without their packages are a fault of the installation, in one line', async () => {
  const missing = () => Promise.reject(new Error('Cannot find package'));
  await expect(startTracing('http://localhost:4318', missing)).rejects.toThrow(
    /^telemetry\.otlp is set, but its packages are not installed.*$/,
  );
});
