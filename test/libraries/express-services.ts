/**
 * E-services written with the usual libraries for Express, as their manuals say, in a process of their own: `modern` with
 * express-openid-connect (a secret in the body, sign-out, back channel), `old` with passport-openidconnect (no PKCE).
 * express.test.ts starts it, is told the addresses, and tells the issuer.
 */
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import openIdConnect from 'express-openid-connect';
import session from 'express-session';
import passport from 'passport';
import OpenIDConnectStrategy from 'passport-openidconnect';

const [clientSecret = ''] = process.argv.slice(2);
const SESSION_SECRET = 'an e-service signs its own cookies with this';

const [modern, old] = [await reserve(), await reserve()];
process.send!({ modern: modern.home, old: old.home });
const [issuer] = (await once(process, 'message')) as [string];
modern.serve(modernService(modern.home));
old.serve(oldService(old.home));
process.send!('ready');

/** Takes a port first: the provider has to know the addresses before the e-services can ask it. */
async function reserve(): Promise<{ home: string; serve: (app: express.Express) => void }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Another host than the provider's, as in earnest: cookies know no ports.
  const home = `http://localhost:${(server.address() as AddressInfo).port}`;
  return { home, serve: (app) => void server.on('request', app) };
}

function modernService(baseURL: string): express.Express {
  const loggedOut = new Set<string>();
  const app = express();
  app.use((request, response, next) => {
    if (request.path === '/backchannel-logout') response.on('finish', () => process.send!(response.statusCode));
    next();
  });
  app.use(
    openIdConnect.auth({
      issuerBaseURL: issuer,
      baseURL,
      clientID: 'modern',
      clientSecret: clientSecret,
      secret: SESSION_SECRET,
      authRequired: false,
      idpLogout: true,
      authorizationParams: { response_type: 'code', scope: 'openid email profile' },
      backchannelLogout: {
        onLogoutToken: async (token) => void loggedOut.add((token as { sid: string }).sid),
        isLoggedOut: async (request) => loggedOut.has(request.oidc.idTokenClaims?.['sid'] as string),
        onLogin: false,
      },
    }),
  );
  app.get('/', (request, response) => {
    response.json({ user: request.oidc.isAuthenticated() ? request.oidc.user : null });
  });
  app.get('/info', openIdConnect.requiresAuth(), async (request, response) => {
    const held = request.oidc.accessToken!;
    const { access_token: token } = held;
    const fresh = await held.refresh();
    response.json({ info: await request.oidc.fetchUserInfo(), changed: fresh.access_token !== token });
  });
  return app;
}

function oldService(home: string): express.Express {
  const strategy = new OpenIDConnectStrategy(
    {
      issuer: issuer,
      authorizationURL: `${issuer}/auth`,
      tokenURL: `${issuer}/token`,
      userInfoURL: `${issuer}/me`,
      clientID: 'old',
      clientSecret: clientSecret,
      callbackURL: `${home}/callback`,
      scope: ['email', 'profile'],
      skipUserProfile: false,
    },
    (_issuer: string, profile: passport.Profile, done: (error: null, user: object) => void) => done(null, profile),
  );
  const authenticator = new passport.Passport();
  authenticator.use('oidc', strategy);
  authenticator.serializeUser((user, done) => done(null, user));
  authenticator.deserializeUser((user, done) => done(null, user as Express.User));
  const app = express();
  app.use(session({ secret: SESSION_SECRET, resave: false, saveUninitialized: false }));
  app.use(authenticator.initialize());
  app.use(authenticator.session());
  app.get('/login', authenticator.authenticate('oidc') as express.RequestHandler);
  app.get('/callback', authenticator.authenticate('oidc') as express.RequestHandler, (_request, response) =>
    response.redirect('/'),
  );
  app.get('/', (request, response) => void response.json({ user: request.user ?? null }));
  return app;
}
