/**
 * What an e-service sends by itself, as plain HTTP: for the requests that no client library would make. A resident signs in
 * once; every further code comes from the session that the browser then has.
 */
import { createHash, randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';
import type { HttpBrowser } from './http-browser.ts';
import { CLIENT_SECRET, type World } from './world.ts';

export const PASSWORD = 'kolme vihreää omenaa pöydällä';
/** RFC 7636, appendix B. */
export const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
export const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM';

export type Fields = Record<string, string | undefined> | [string, string][];

export interface Answer {
  status: number;
  headers: Headers;
  /** Parsed where it is JSON. */
  body: Record<string, unknown>;
  text: string;
}

const fieldsOf = (fields: Fields): [string, string][] =>
  Array.isArray(fields)
    ? fields
    : Object.entries(fields).filter((field): field is [string, string] => field[1] !== undefined);

/** A browser in which this resident is signed in. */
export async function signedIn(world: World, client: string, email: string): Promise<HttpBrowser> {
  const browser = world.browser();
  await browser.get(authorizationUrl(world, client, { prompt: 'login' }));
  await browser.submit({ username: email });
  await browser.submit({ 'current-password': PASSWORD });
  return browser;
}

export const redirectUriOf = (world: World, client: string): string =>
  world.config.clients.find(({ client_id: id }) => id === client)!.redirect_uris[0]!;

export function authorizationUrl(world: World, client: string, wishes: Record<string, string | undefined> = {}): URL {
  const url = new URL('/auth', world.issuer);
  const parameters = {
    client_id: client,
    redirect_uri: redirectUriOf(world, client),
    response_type: 'code',
    scope: 'openid email',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
    state: 'a state',
    ...wishes,
  };
  for (const [name, value] of fieldsOf(parameters)) url.searchParams.append(name, value);
  return url;
}

/** Where an authorization request leads: its parameters, by the query or the fragment, and the address without them. */
export async function authorized(
  browser: HttpBrowser,
  url: URL,
): Promise<Record<string, string | undefined> & { to?: string }> {
  const page = await browser.get(url);
  if (!page.leadsTo) return { error: `no redirect: ${page.status}` };
  const { origin, pathname, searchParams, hash } = page.leadsTo;
  return { ...Object.fromEntries([...searchParams, ...new URLSearchParams(hash.slice(1))]), to: origin + pathname };
}

/** A code for the resident who is signed in in this browser. */
export async function codeFrom(browser: HttpBrowser, url: URL): Promise<string> {
  const answer = await authorized(browser, url);
  if (!answer['code']) throw new Error(`no code: ${JSON.stringify(answer)}`);
  return answer['code'];
}

export function basic(client: string, secret = CLIENT_SECRET): { authorization: string } {
  const credentials = `${encodeURIComponent(client)}:${encodeURIComponent(secret)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
}

export async function send(
  target: string | URL,
  { method = 'POST', fields, headers = {} }: { method?: string; fields?: Fields; headers?: Record<string, string> },
): Promise<Answer> {
  const response = await fetch(target, {
    method,
    redirect: 'manual',
    headers: { accept: 'application/json', ...headers },
    body: fields && new URLSearchParams(fieldsOf(fields)),
  });
  const text = await response.text();
  const json = response.headers.get('content-type')?.includes('json') && text;
  const body = json ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, headers: response.headers, body, text };
}

/** The code's exchange, as a client with a secret; `fields` add to it or take away. */
export function exchange(
  world: World,
  code: string,
  { client, fields = {}, headers = basic(client) }: As,
): Promise<Answer> {
  return send(`${world.issuer}/token`, {
    headers,
    fields: {
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUriOf(world, client),
      code_verifier: VERIFIER,
      ...fields,
    },
  });
}

interface As {
  client: string;
  fields?: Record<string, string | undefined>;
  headers?: Record<string, string>;
}

/** As a client that has no secret. */
export const publicly = (client: string, fields: Record<string, string | undefined> = {}): As => ({
  client,
  headers: {},
  fields: { client_id: client, ...fields },
});

export interface Key {
  privateKey: CryptoKey;
  publicJwk: JWK;
  alg: string;
}

export async function makeKey(alg = 'ES256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, alg, publicJwk: await exportJWK(publicKey) };
}

export const seconds = (): number => Math.floor(Date.now() / 1000);

/** A proof of possession (RFC 9449, 4.2). */
export function dpopProof(
  key: Key,
  {
    htu,
    htm = 'POST',
    token,
    header = {},
    ...claims
  }: JWTPayload & { htu: string; htm?: string; token?: string; header?: object },
): Promise<string> {
  const ath = token && createHash('sha256').update(token).digest('base64url');
  return new SignJWT({ htu, htm, jti: randomUUID(), iat: seconds(), ...(ath ? { ath } : {}), ...claims })
    .setProtectedHeader({ alg: key.alg, typ: 'dpop+jwt', jwk: key.publicJwk, ...header })
    .sign(key.privateKey);
}

/** A client assertion (RFC 7523, 3); a claim that is undefined is left out. */
export function assertion(key: Key | { secret: string }, claims: JWTPayload & { header?: object }): Promise<string> {
  const { header = {}, ...given } = claims;
  const whole = { jti: randomUUID(), iat: seconds(), exp: seconds() + 60, ...given };
  const present = Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined));
  if ('secret' in key) {
    return new SignJWT(present).setProtectedHeader({ alg: 'HS256', ...header }).sign(Buffer.from(key.secret));
  }
  return new SignJWT(present).setProtectedHeader({ alg: key.alg, ...header }).sign(key.privateKey);
}
