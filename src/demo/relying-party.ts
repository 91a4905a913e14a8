/**
 * The demo e-services' side of OpenID Connect, made with openid-client: asking for a sign-in, receiving its answer, signing
 * out, and believing a logout token.
 *
 * It keeps nothing: what a sign-in must remember (state, nonce, PKCE verifier) is handed out and wanted back. Browser sessions
 * and pages are e-service.ts's.
 */
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as client from 'openid-client';

export interface Registration {
  issuer: string;
  clientId: string;
  clientSecret: string;
  scope: string;
  redirectUri: string;
  postLogoutRedirectUri: string;
}

/** A sign-in on its way; belongs to one browser and is used once. */
export interface Errand {
  state: string;
  nonce: string;
  verifier: string;
  startedAt: number;
  /** Where in the e-service the resident wanted to go. */
  target: string;
}

export interface Resident {
  sub: string;
  username: string;
  name: string;
  /** The user id in the e-service's own old list. */
  legacyId?: string;
  /** Signed in at Tunnus before this sign-in began. */
  singleSignOn: boolean;
  /** The sign-in was in two steps, or by a passkey. */
  twoSteps: boolean;
  idToken: string;
  sid?: string;
}

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout';

export class RelyingParty {
  readonly #registration: Registration;
  #discovered: Promise<client.Configuration> | undefined;

  constructor(registration: Registration) {
    this.#registration = registration;
  }

  /** The browser's next address and what to remember until it comes back. */
  async begin(wishes: {
    language: string;
    target: string;
    loginHint?: string;
  }): Promise<{ url: string; errand: Errand }> {
    const errand: Errand = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      startedAt: Date.now(),
      target: wishes.target,
    };
    const url = client.buildAuthorizationUrl(await this.#configuration(), {
      redirect_uri: this.#registration.redirectUri,
      scope: this.#registration.scope,
      state: errand.state,
      nonce: errand.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(errand.verifier),
      code_challenge_method: 'S256',
      ui_locales: wishes.language,
      ...(wishes.loginHint ? { login_hint: wishes.loginHint } : {}),
    });
    return { url: url.href, errand };
  }

  /** Throws when the answer is no sign-in, or not the one that was asked for. */
  async finish(answer: URL, errand: Errand): Promise<Resident> {
    const configuration = await this.#configuration();
    const tokens = await client.authorizationCodeGrant(configuration, answer, {
      expectedState: errand.state,
      expectedNonce: errand.nonce,
      pkceCodeVerifier: errand.verifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims()!;
    const info = await client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
    const text = (name: string) =>
      [info[name], claims[name]].find((value): value is string => typeof value === 'string');
    const username = text('preferred_username') ?? text('email') ?? claims.sub;
    return {
      sub: claims.sub,
      username,
      name: text('name') ?? username,
      legacyId: text('legacy_id'),
      singleSignOn: typeof claims.auth_time === 'number' && claims.auth_time * 1000 < errand.startedAt,
      twoSteps: Array.isArray(claims['amr']) && claims['amr'].includes('mfa'),
      idToken: tokens.id_token!,
      sid: text('sid'),
    };
  }

  async signOutUrl(resident: Resident): Promise<string> {
    return client.buildEndSessionUrl(await this.#configuration(), {
      id_token_hint: resident.idToken,
      post_logout_redirect_uri: this.#registration.postLogoutRedirectUri,
    }).href;
  }

  /** The resident's own settings at Tunnus, which keep the way back here. */
  async accountUrl(): Promise<string> {
    const { issuer, clientId } = this.#registration;
    const announced = (await this.#configuration()).serverMetadata()['account_management_uri'];
    const url = new URL(typeof announced === 'string' ? announced : `${issuer}/account`);
    url.searchParams.set('client_id', clientId);
    return url.href;
  }

  /** Whose sessions a back-channel logout ends; undefined when the token is not to be believed. */
  async readLogoutToken(token: string): Promise<{ sub?: string; sid?: string } | undefined> {
    const { issuer, jwks_uri: keys } = (await this.#configuration()).serverMetadata();
    if (!keys) return undefined;
    try {
      const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(keys)), {
        issuer,
        audience: this.#registration.clientId,
        requiredClaims: ['iat', 'exp', 'jti', 'events'],
        clockTolerance: 10,
      });
      const events = payload['events'];
      const isLogout = typeof events === 'object' && events !== null && logoutEvent in events;
      const sid = typeof payload['sid'] === 'string' ? payload['sid'] : undefined;
      // A nonce would make an ID token pass for a logout token (Back-Channel Logout 1.0, 2.4).
      if (!isLogout || 'nonce' in payload || (!payload.sub && !sid)) return undefined;
      return { sub: payload.sub, sid };
    } catch {
      return undefined;
    }
  }

  /** Discovery waits for the first resident, so that e-services and Tunnus may start in any order; a failure is tried anew. */
  #configuration(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret } = this.#registration;
    this.#discovered ??= client
      .discovery(new URL(issuer), clientId, undefined, client.ClientSecretBasic(clientSecret), {
        timeout: 10,
        // The demo lives on http://localhost. A real e-service leaves this line out.
        execute: issuer.startsWith('http://') ? [client.allowInsecureRequests] : [],
      })
      .catch((error: unknown) => {
        this.#discovered = undefined;
        throw error;
      });
    return this.#discovered;
  }
}
