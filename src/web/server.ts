/**
 * Owns the order in which a request passes through the house, the list of screens, and the one place where what was thrown
 * becomes a page or an OAuth error. Constructs nothing: app.ts hands it its parts.
 */
import Router from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import type { Config } from '../config.ts';
import { countGrants } from '../oidc/grant-count.ts';
import { DatabaseUnavailable } from '../platform/database.ts';
import { Problem } from '../platform/refusal.ts';
import { randomToken } from '../platform/secrets.ts';
import { LINK_PAGES, metrics, type Log } from '../platform/telemetry.ts';
import { traced } from '../platform/tracing.ts';
import { changePasswordReturn, frontDoor, signedInReturn } from './account-pages.ts';
import { evenAnswers } from './even-answers.ts';
import type { FormGuard } from './form.ts';
import { pageOf } from './page.ts';
import { postedRequests } from './posted-requests.ts';
import type { ScreenParts } from './screen.ts';
import { accountDataScreen } from './screens/account-data.ts';
import { accountDetailsScreen } from './screens/account-details.ts';
import { accountEmailScreen } from './screens/account-email.ts';
import { accountLeaveScreen } from './screens/account-leave.ts';
import { accountAuthenticatorScreen } from './screens/account-authenticator.ts';
import { accountFactorsScreen } from './screens/account-factors.ts';
import { accountMadeScreen } from './screens/account-made.ts';
import { accountPasskeyScreen } from './screens/account-passkey.ts';
import { accountPasswordScreen } from './screens/account-password.ts';
import { accountRecoveryCodesScreen } from './screens/account-recovery-codes.ts';
import { accountServicesScreen } from './screens/account-services.ts';
import { accountSessionsScreen } from './screens/account-sessions.ts';
import { accountSignInsScreen } from './screens/account-sign-ins.ts';
import { accountScreen } from './screens/account.ts';
import { addressLostScreen } from './screens/address-lost.ts';
import { confirmEmailScreen } from './screens/confirm-email.ts';
import { consentScreen } from './screens/consent.ts';
import { inDoubtScreen } from './screens/in-doubt.ts';
import { keepFactorsScreen } from './screens/keep-factors.ts';
import { linkExpiredScreen } from './screens/link-expired.ts';
import { linkSentScreen } from './screens/link-sent.ts';
import { lockedScreen } from './screens/locked.ts';
import { newAccountScreen } from './screens/new-account.ts';
import { otherPersonScreen } from './screens/other-person.ts';
import { passkeyOfferScreen } from './screens/passkey-offer.ts';
import { passkeyScreen } from './screens/passkey.ts';
import { passwordSetScreen } from './screens/password-set.ts';
import { passwordScreen } from './screens/password.ts';
import { registerScreen } from './screens/register.ts';
import { registrationSentScreen } from './screens/registration-sent.ts';
import { requestSentScreen } from './screens/request-sent.ts';
import { secondStepScreen } from './screens/second-step.ts';
import { setPasswordScreen } from './screens/set-password.ts';
import { signInScreen } from './screens/sign-in.ts';
import { signedOutScreen } from './screens/signed-out.ts';
import { undoEmailScreen } from './screens/undo-email.ts';
import { unknownAddressScreen } from './screens/unknown-address.ts';
import { yourNameScreen } from './screens/your-name.ts';
import { yourServicesScreen } from './screens/your-services.ts';
import { guardEveryAnswer } from './security-headers.ts';

export interface ServerParts extends ScreenParts {
  config: Config;
  log: Log;
  cookieKeys: string[];
  health: Middleware;
  assets: Middleware;
  pages: Middleware;
  unitOfWork: Middleware;
  provider: Middleware;
  /** Stands around the screens: the provider takes up what one of them has finished. */
  takeUp: Middleware;
}

const SCREENS = [
  signInScreen,
  passwordScreen,
  secondStepScreen,
  passkeyScreen,
  passkeyOfferScreen,
  registerScreen,
  registrationSentScreen,
  linkSentScreen,
  unknownAddressScreen,
  addressLostScreen,
  yourNameScreen,
  yourServicesScreen,
  requestSentScreen,
  lockedScreen,
  otherPersonScreen,
  inDoubtScreen,
  consentScreen,
  setPasswordScreen,
  linkExpiredScreen,
  passwordSetScreen,
  newAccountScreen,
  accountMadeScreen,
  keepFactorsScreen,
  accountScreen,
  accountDetailsScreen,
  accountEmailScreen,
  accountPasswordScreen,
  accountSessionsScreen,
  accountSignInsScreen,
  accountFactorsScreen,
  accountPasskeyScreen,
  accountAuthenticatorScreen,
  accountRecoveryCodesScreen,
  accountServicesScreen,
  accountDataScreen,
  accountLeaveScreen,
  confirmEmailScreen,
  undoEmailScreen,
  signedOutScreen,
  signedInReturn,
  changePasswordReturn,
  frontDoor,
];

export function webApp(parts: ServerParts): Koa {
  const { config } = parts;
  const app = new Koa({ proxy: config.listen.proxies > 0, maxIpsCount: config.listen.proxies });
  app.keys = parts.cookieKeys;
  answerAs(app, new URL(config.issuer));
  // Every fault is answered and logged below; Koa's own printing would put it on stderr a second time.
  app.silent = true;
  app.on('error', (error: Error) => parts.log.debug({ err: error }, 'the connection ended early'));

  app.use(guardEveryAnswer(config.issuer));
  app.use(parts.health);
  app.use(requestLog(parts.log));
  app.use(parts.assets);
  app.use(parts.pages);
  app.use(answerFaults(parts.log));
  app.use(securityContact(config, parts.clock));
  app.use(countGrants);
  if (config.signIn.unknownAddress === 'conceal') app.use(evenAnswers);
  app.use(parts.unitOfWork);
  // One way of writing each path: what follows from a path (its line in the log, its cookies) goes by these letters.
  const router = new Router({ sensitive: true });
  for (const make of SCREENS) {
    const screen = make(parts);
    if (screen.get) router.get(screen.path, asMiddleware(screen.get));
    if (screen.post) router.post(screen.path, asMiddleware(screen.post));
  }
  app.use(nothingThere);
  app.use(parts.takeUp);
  app.use(router.routes());
  app.use(router.allowedMethods());
  app.use(signOutForm);
  app.use(postedRequests);
  app.use(parts.provider);
  return app;
}

const asMiddleware =
  (handle: (ctx: Context) => Promise<void>): Middleware =>
  (ctx) =>
    handle(ctx);

/**
 * The issuer is the site: whatever `Host` or a whole address in the request line says, nothing is made from it. Where TLS ends
 * at a proxy this also makes every cookie `Secure`.
 */
function answerAs(app: Koa, { protocol, host, href }: URL): void {
  const values = { protocol: protocol.slice(0, -1), host, href };
  for (const [name, value] of Object.entries(values)) Object.defineProperty(app.request, name, { value });
}

/** The one form of ours that the provider reads itself: its own secret proves the page, this the site. */
const signOutForm: Middleware = (ctx, next) => {
  if (ctx.method === 'POST' && /^\/session\/end\/confirm\/?$/i.test(ctx.path))
    (ctx.state.formGuard as FormGuard).checkSite(ctx);
  return next();
};

/** What nobody answered is answered by a page of ours, or by JSON. */
const nothingThere: Middleware = async (ctx, next) => {
  await next();
  if (ctx.body != null) return;
  if (ctx.status === 404) throw new Problem('not_found', 404);
  // 501: a method that no screen has.
  if (ctx.status === 405 || ctx.status === 501) throw new Problem('method_not_allowed', 405);
};

const LINK_PATH = new RegExp(`((?:${LINK_PAGES})/).+`, 'i');

/** The parts of a path that are secrets never reach the log; nor what a mail program made of them. */
function loggablePath(path: string): string {
  return path
    .slice(0, 200)
    .replace(LINK_PATH, '$1…')
    .replace(/^(\/+(?:sign-in|auth)\/+)[^/]+/i, '$1…');
}

const providerRoute = (ctx: Context): string | undefined => (ctx as { oidc?: { route?: string } }).oidc?.route;

function requestLog(log: Log): Middleware {
  return async (ctx, next) => {
    const began = performance.now();
    const requestId = (ctx.state['requestId'] = randomToken(9));
    const route = await traced(
      'request',
      { 'tunnus.request_id': requestId, 'http.request.method': ctx.method },
      async (tell) => {
        await next();
        const route = String((ctx as { _matchedRoute?: string })._matchedRoute ?? providerRoute(ctx) ?? 'other');
        tell({ 'http.route': route, 'http.response.status_code': ctx.status });
        return route;
      },
    );
    const fields = {
      requestId,
      method: ctx.method,
      path: loggablePath(ctx.path),
      status: ctx.status,
      ms: Math.round(performance.now() - began),
    };
    metrics.requests.observe({ route, method: ctx.method, status: String(ctx.status) }, fields.ms / 1000);
    log.info(fields, 'request');
  };
}

/** RFC 9116. Made from the support contact; where there is none there is no file. */
function securityContact(config: Config, clock: () => Date): Middleware {
  return async (ctx, next) => {
    if (ctx.path !== '/.well-known/security.txt' || !config.support.email) {
      await next();
      return;
    }
    const expires = new Date(clock().getTime() + 180 * 86_400_000);
    ctx.type = 'text/plain; charset=utf-8';
    ctx.body = [
      `Contact: mailto:${config.support.email}`,
      `Expires: ${expires.toISOString()}`,
      `Preferred-Languages: ${config.languages.join(', ')}`,
      `Canonical: ${config.issuer}/.well-known/security.txt`,
      '',
    ].join('\n');
  };
}

/** Endpoints that programs call: they get JSON. */
const FOR_PROGRAMS = /^\/(token|me|jwks|request|introspection|\.well-known)(\/|$)/;

function answerFaults(log: Log): Middleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      const problem = asProblem(thrown);
      const requestId = ctx.state['requestId'] as string;
      const fields = {
        requestId,
        problem: problem.code,
        status: problem.status,
        err: problem.status >= 500 ? thrown : undefined,
      };
      log[problem.status >= 500 ? 'error' : 'info']({ ...fields, detail: problem.message }, 'a request was refused');
      if (problem.retryAfter) ctx.set('Retry-After', String(problem.retryAfter));
      if (FOR_PROGRAMS.test(ctx.path)) {
        ctx.status = problem.status;
        ctx.body = {
          error: problem.status >= 500 ? 'temporarily_unavailable' : 'invalid_request',
          error_description: problem.code,
        };
        return;
      }
      await problemPage(ctx, problem);
    }
  };
}

function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  if (thrown instanceof DatabaseUnavailable) return new Problem('unavailable', 503, { retryAfter: 5, cause: thrown });
  const status = (thrown as { status?: unknown }).status;
  if (thrown instanceof URIError || (typeof status === 'number' && status >= 400 && status < 500)) {
    return new Problem(status === 404 ? 'not_found' : 'bad_request', typeof status === 'number' ? status : 400, {
      detail: (thrown as Error).message,
      cause: thrown,
    });
  }
  return new Problem('fault', 500, { cause: thrown });
}

export async function problemPage(
  ctx: Context,
  problem: { code: string; status: number },
  locals: { service?: object; signOut?: string } = {},
): Promise<void> {
  const reference = ctx.state['requestId'] as string;
  await pageOf(ctx).problem(problem, { ...locals, reference });
}
