/**
 * The composition root: configuration -> database -> records -> journeys -> provider -> Koa, on what connection.ts opens.
 * `startTunnus` gives the whole provider, listening. What commands are handed is desk.ts's.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Koa from 'koa';
import { ConfigurationWrong, describeFaults, type Config, type Fault } from './config.ts';
import { connect } from './connection.ts';
import { signingKeys } from './desk.ts';
import { startJobs, type JobParts } from './jobs.ts';
import { accountChanges } from './journeys/account-changes.ts';
import { agreements } from './journeys/agreements.ts';
import { allowances } from './journeys/allowances.ts';
import { auditKeeping } from './journeys/audit-keeping.ts';
import { evenChecks } from './journeys/even-checks.ts';
import { factorChanges } from './journeys/factor-changes.ts';
import { factorProofs } from './journeys/factor-proofs.ts';
import { factorRemovals } from './journeys/factor-removals.ts';
import { dormantJourney } from './journeys/dormant.ts';
import { configurationHash, startHeartbeat } from './journeys/heartbeat.ts';
import { houseMetric } from './journeys/house-metric.ts';
import { emailChanges } from './journeys/email-change.ts';
import { leaving } from './journeys/leave.ts';
import { ownData } from './journeys/own-data.ts';
import { newPasswords } from './journeys/new-password.ts';
import { passwordLink } from './journeys/password-link.ts';
import { registration } from './journeys/registration.ts';
import { progressMetric } from './journeys/progress.ts';
import { PUT_OFF_JOB } from './journeys/put-off.ts';
import { residentSessions } from './journeys/sessions.ts';
import { signInHistory } from './journeys/sign-in-history.ts';
import { signIn } from './journeys/sign-in.ts';
import { supportRequests } from './journeys/support-request.ts';
import { wrapSomeHashes } from './journeys/wrap-hashes.ts';
import { makeMails } from './mail/mails.ts';
import { openPost } from './mail/post.ts';
import { makeAdapter } from './oidc/adapter.ts';
import { backChannel } from './oidc/back-channel.ts';
import { sectorOf, toldOf } from './oidc/clients.ts';
import { consent } from './oidc/consent.ts';
import { makeSignInGate } from './oidc/interaction.ts';
import { scheduleKeys } from './oidc/key-schedule.ts';
import { ownSession } from './oidc/own-session.ts';
import { cookieNames, currentProvider } from './oidc/provider.ts';
import { registeredClients } from './oidc/registered-clients.ts';
import { takeUp } from './oidc/take-up.ts';
import { unitOfWork } from './oidc/unit-of-work.ts';
import { clockKeeper, CLOCKS_DIFFER } from './platform/clock.ts';
import type { Database, Queryable } from './platform/database.ts';
import { loadTexts } from './platform/i18n.ts';
import type { Sealer } from './platform/secrets.ts';
import { makeLog, type Log } from './platform/telemetry.ts';
import { startTracing } from './platform/tracing.ts';
import { breachedPasswords } from './records/breached-passwords.ts';
import { hashingOf } from './records/passwords.ts';
import { loadAssets } from './web/assets.ts';
import { health, operationsApp } from './web/operations.ts';
import { pages } from './web/page.ts';
import { providerPages } from './web/provider-pages.ts';
import type { ScreenParts } from './web/screen.ts';
import { DUE, SWEEPS } from './sweeps.ts';
import { webApp } from './web/server.ts';
import { unreadable } from './web/unreadable.ts';
import { keptForms } from './web/kept-forms.ts';
import { visitors } from './web/visitor.ts';

export interface RunningTunnus {
  /** Where it listens; the issuer may be another, behind a proxy. */
  url: string;
  port: number;
  metricsPort: number;
  database: Database;
  sealer: Sealer;
  /** Reads the e-services anew: all of the new set, or none of it. */
  reload(): Promise<Fault[]>;
  /** Finishes what is under way, takes nothing new. */
  close(): Promise<void>;
}

export interface StartOptions {
  config: Config;
  clock?: () => Date;
  log?: Log;
}

/** How long a stopping process waits for answers under way. */
const STOP_LIMIT = 10_000;

export async function startTunnus({
  config,
  clock = () => new Date(),
  log = makeLog(),
}: StartOptions): Promise<RunningTunnus> {
  const tracing = config.telemetry.otlp ? await startTracing(config.telemetry.otlp) : undefined;
  const connection = await connect(config, { serve: true, log });
  const { database, sealer } = connection;
  const closers: (() => Promise<void>)[] = [async () => tracing?.stop(), () => connection.close()];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const registered = registeredClients(config);
    const texts = loadTexts(config.timeZone);
    const mails = makeMails({ sealer });
    const keys = signingKeys({ database, sealer, config });
    const believed = clockKeeper({ database, log });
    if (!(await believed())) throw new Error(`${CLOCKS_DIFFER}: set both by NTP`);
    await keys.rotate(clock());
    const { metadata: client, told } = registered;
    const store = { db: database, clock, sealer, issuer: config.issuer, client, told };
    const { session, resume } = cookieNames(config.issuer);
    let screens: ScreenParts | undefined = undefined;
    const provider = currentProvider(
      {
        config,
        database,
        sealer,
        clock,
        log,
        cookieKeys: sealer.cookieKeys,
        dpopSecret: sealer.digest('nonce', 'dpop'),
        adapter: makeAdapter(store),
        told,
        browserOrigins: registered.browserOrigins,
        pages: providerPages(() => screens!),
      },
      await keys.jwks(clock()),
    );
    const faults = await registered.faults(provider.provider());
    if (faults.length) throw new ConfigurationWrong(faults);
    const schedule = await scheduleKeys({ keys, clock, believed, log, changed: (jwks) => provider.rebuild(jwks) });
    closers.push(() => schedule.stop());
    const channel = backChannel({ database, provider: () => provider.provider(), clients: registered, clock, log });
    // What an import that was stopped left to do.
    const wrapLeftHashes = (db: Queryable, now: Date) => wrapSomeHashes({ database: db, sealer }, now);
    const removals = factorRemovals({ database, sealer, mails, config });
    const sweeps = [channel.sweepSessions, ...SWEEPS, wrapLeftHashes, removals.removeDue];
    const dormant = dormantJourney({ database, sealer, mails, config, told: toldOf(config.clients) });
    const leave = leaving({ database, sealer, mails, config, told });
    const retire: JobParts['retire'] = async (now) => {
      const [unused, asked] = [await dormant.retire(now), await leave.carryOut(now)];
      return { warned: unused.warned + asked.reminded, erased: unused.erased + asked.erased };
    };
    const audit = auditKeeping({ database, sealer, log, retention: config.retention.audit });
    const parts = {
      database,
      sealer,
      config,
      mails,
      allowances: allowances({ sealer, limits: config.limits }),
      hashing: hashingOf(config.password),
      newPasswords: newPasswords({
        config,
        names: () => [...Object.values(config.brand.name), ...registered.names()],
        breached: breachedPasswords({ ...config.password.breached, log }),
      }),
    };
    const conceals = config.signIn.unknownAddress === 'conceal';
    const signingIn = signIn({ ...parts, evenChecks: conceals ? await evenChecks({ ...parts, log }) : undefined });
    const proofs = factorProofs(parts);
    const { userHandle } = proofs;
    const registering = registration({ ...parts, userHandle });
    const carryOutLater = async (payload: unknown, now: Date): Promise<void> => {
      await signingIn.carryOutLater(payload, now);
      await registering.carryOutLater(payload, now);
    };
    const putOff = { job: PUT_OFF_JOB, task: carryOutLater };
    const post = openPost(config);
    closers.push(() => Promise.resolve(post.close()));
    const work = { believed, sweeps, backChannel: channel, retire, audit, putOff };
    const jobs = await startJobs({ database, sealer, config, texts, post, log, clock, ...work });
    closers.push(() => jobs.stop());
    let stopping = false;
    const readiness = { database, stopping: () => stopping };
    const assets = loadAssets(config.brand);
    const sessions = residentSessions({ database, sealer, told });
    screens = {
      config,
      clock,
      gate: makeSignInGate({ ...store, sessionCookie: { name: session, signed: true } }),
      session: ownSession({ ...store, cookieName: session }),
      consent: consent({ provider: () => provider.provider(), database, clock }),
      visitors: visitors({ sealer, issuer: config.issuer }),
      keptForms: keptForms({ sealer, issuer: config.issuer }),
      signIn: signingIn,
      factorProofs: proofs,
      factorChanges: factorChanges({ ...parts, userHandle }),
      factorRemovals: removals,
      registration: registering,
      passwordLink: passwordLink(parts),
      accountChanges: accountChanges(parts),
      agreements: agreements({ database, told }),
      emailChanges: emailChanges(parts),
      sessions,
      signInHistory: signInHistory({ database }),
      ownData: ownData({ database, config, sessions, clients: registered.all, sectorOf }),
      leaving: leave,
      supportRequests: supportRequests(parts),
      client: registered.client,
    } satisfies ScreenParts;
    const web = webApp({
      ...screens,
      log,
      cookieKeys: sealer.cookieKeys,
      health: health(readiness),
      assets: (ctx, next) => assets.middleware(ctx, next) as Promise<unknown>,
      pages: pages({ texts, config, sealer, assets }),
      unitOfWork: unitOfWork({ db: database, clock, log }),
      provider: provider.middleware,
      takeUp: takeUp(provider.middleware, { resumeCookie: resume }),
    });
    const server = await listen(handlerOf(web), config.listen);
    server.on('clientError', unreadable({ log, texts, config }));
    closers.push(() => stopServer(server));
    const { host, metricsPort } = config.listen;
    const clientIds = (): string[] => registered.all().map(({ client_id: id }) => id);
    const countMove = progressMetric({ database, log });
    const countHouse = houseMetric({ database, config, clients: clientIds, due: DUE, clock, log });
    const count = async (): Promise<void> => void (await Promise.all([countMove(), countHouse()]));
    const operations = await listen(handlerOf(operationsApp(readiness, count)), { host, port: metricsPort });
    closers.push(() => stopServer(operations));
    const heartbeat = await startHeartbeat({
      database,
      port: portOf(server),
      configuration: () => configurationHash(sealer, { ...config, clients: registered.all() }),
      stopping: readiness.stopping,
      clock,
      log,
    });

    return {
      url: `http://${host}:${portOf(server)}`,
      port: portOf(server),
      metricsPort: portOf(operations),
      database,
      sealer,
      async reload() {
        const wrong = await registered.reload(provider.provider());
        if (wrong.length) log.error({ faults: describeFaults(wrong) }, 'the e-services stay as they were');
        else log.info({}, 'the e-services were read anew');
        await heartbeat.beat();
        return wrong;
      },
      async close() {
        stopping = true;
        await heartbeat.beat();
        closers.splice(2, 0, () => heartbeat.stop());
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function listen(handler: RequestListener, { host, port }: { host: string; port: number }): Promise<Server> {
  // A request line and headers beyond this are answered 431 by Node itself.
  const server = createServer({ maxHeaderSize: 32_768, requestTimeout: 30_000, headersTimeout: 20_000 }, handler);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

/** Koa answers every fault itself: its promise never fails. */
const handlerOf = (app: Koa): RequestListener => {
  const handle = app.callback();
  return (request, response) => void handle(request, response);
};

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

async function stopServer(server: Server): Promise<void> {
  const limit = setTimeout(() => server.closeAllConnections(), STOP_LIMIT);
  // A connection kept alive after the last answer would hold the process for seconds.
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  clearInterval(idle);
  clearTimeout(limit);
}
