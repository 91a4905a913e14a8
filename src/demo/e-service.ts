/**
 * A demo e-service of the city: what an existing program becomes when it leaves signing in to Tunnus.
 *
 * Its addresses: `/` the page itself, `/login` begins a sign-in (also when Tunnus sends a resident here, OpenID Connect Core 4),
 * `/callback` receives it, `/logout`, `/signed-out`, `/backchannel-logout`. It knows residents only by what Tunnus tells, and
 * their past only by its own old user ids (history.ts).
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { chooseLanguage } from '../platform/i18n.ts';
import { BrowserSessions, readCookie } from './browser-sessions.ts';
import { oldId, sendFront, sendNotice, sendOwnPage } from './e-service-pages.ts';
import type { Frame, OtherService } from './e-service-pages.ts';
import { languages } from './e-service-texts.ts';
import type { Language, ServiceName } from './e-service-texts.ts';
import type { History } from './history.ts';
import { readForm, redirect, sendStyle } from './html.ts';
import { listen, stopListening } from './ports.ts';
import { RelyingParty } from './relying-party.ts';

export interface EServiceOptions {
  name: ServiceName;
  /** 0 takes any free port. */
  port: number;
  issuer: string;
  clientId: string;
  clientSecret: string;
  history: History;
  /** As it is registered. */
  scope: string;
  /** The e-services to which this one's pages point. */
  others?: readonly OtherService[];
}

export interface EService {
  url: string;
  close(): Promise<void>;
}

interface Visit {
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  frame: Frame;
}

export async function startEService(options: EServiceOptions): Promise<EService> {
  const server = createServer();
  const site = `http://localhost:${await listen(server, options.port)}`;
  const handle = makeHandler(options, site);
  server.on('request', (request, response) => void handle(request, response));
  return { url: site, close: () => stopListening(server) };
}

function makeHandler(options: EServiceOptions, site: string) {
  const { name, issuer, history, others = [] } = options;
  const sessions = new BrowserSessions(name);
  const tunnus = new RelyingParty({
    ...options,
    redirectUri: `${site}/callback`,
    postLogoutRedirectUri: `${site}/signed-out`,
  });

  async function front({ request, response, frame }: Visit): Promise<void> {
    const resident = sessions.find(request)?.resident;
    if (!resident) return sendFront(response, frame);
    const accountUrl = await tunnus.accountUrl();
    sendOwnPage(response, frame, { resident, accountUrl, deeds: history(oldId(resident)) });
  }

  async function login({ request, response, url, frame }: Visit): Promise<void> {
    const { searchParams } = url;
    // Another issuer's call is no reason to begin (OpenID Connect Core 4; RFC 9700 4.4).
    if ((searchParams.get('iss') ?? issuer) !== issuer) return sendNotice(response, frame, 'interrupted');
    const { url: next, errand } = await tunnus.begin({
      language: frame.language,
      target: ownPath(searchParams.get('target_link_uri')),
      loginHint: searchParams.get('login_hint') ?? undefined,
    });
    sessions.remember(sessions.find(request) ?? sessions.start(response), errand);
    redirect(response, next);
  }

  async function callback({ request, response, url, frame }: Visit): Promise<void> {
    const session = sessions.find(request);
    const state = url.searchParams.get('state') ?? '';
    const errand = session?.errands.get(state);
    // The back button, or the second half of a double click: whoever is in already stays in.
    if (!errand) return session?.resident ? redirect(response, '/') : sendNotice(response, frame, 'interrupted');
    session!.errands.delete(state);
    try {
      const resident = await tunnus.finish(url, errand);
      sessions.start(response, session).resident = resident;
    } catch {
      return sendNotice(response, frame, 'interrupted');
    }
    redirect(response, errand.target);
  }

  async function logout({ request, response }: Visit): Promise<void> {
    const session = sessions.find(request);
    if (!session?.resident) return redirect(response, '/signed-out');
    const next = await tunnus.signOutUrl(session.resident);
    sessions.end(session);
    redirect(response, next);
  }

  async function backchannelLogout({ request, response }: Visit): Promise<void> {
    const whose = await tunnus.readLogoutToken((await readForm(request)).get('logout_token') ?? '');
    if (whose) sessions.endAllOf(whose);
    response.writeHead(whose ? 200 : 400, { 'Cache-Control': 'no-store' }).end();
  }

  function ownPath(target: string | null): string {
    const url = URL.parse(target ?? '/', site);
    return url?.origin === site ? url.pathname + url.search : '/';
  }

  const routes: Readonly<Record<string, (visit: Visit) => Promise<void> | void>> = {
    'GET /': front,
    'GET /login': login,
    'GET /callback': callback,
    'POST /logout': (visit) => (isFromElsewhere(visit.request, site) ? redirect(visit.response, '/') : logout(visit)),
    'GET /signed-out': ({ response, frame }) => sendNotice(response, frame, 'signedOut'),
    'POST /backchannel-logout': backchannelLogout,
    'GET /style.css': ({ response }) => sendStyle(response),
  };

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = URL.parse(request.url ?? '/', site) ?? new URL(site);
    const frame = { service: name, language: languageOf(request, response, url), issuer, others };
    const route = routes[`${request.method === 'HEAD' ? 'GET' : request.method} ${url.pathname}`];
    try {
      if (route) await route({ request, response, url, frame });
      else sendNotice(response, frame, 'notFound');
    } catch {
      // What can fail here is the way to Tunnus: it is starting, or stopped.
      if (!response.headersSent) sendNotice(response, frame, 'unavailable');
      else response.destroy();
    }
  };
}

function isFromElsewhere(request: IncomingMessage, site: string): boolean {
  const { origin, 'sec-fetch-site': fetchSite } = request.headers;
  return fetchSite ? fetchSite !== 'same-origin' && fetchSite !== 'none' : origin !== undefined && origin !== site;
}

/** The choice in the address is kept in a cookie that both e-services read; before any, the browser's own counts. */
function languageOf(request: IncomingMessage, response: ServerResponse, url: URL): Language {
  const asked = languages.find((each) => each === url.searchParams.get('lang'));
  if (asked) response.appendHeader('Set-Cookie', `demo_language=${asked}; Path=/; SameSite=Lax; Max-Age=31536000`);
  const cookie = readCookie(request, 'demo_language');
  return asked ?? chooseLanguage(languages, { cookie, acceptLanguage: request.headers['accept-language'] });
}
