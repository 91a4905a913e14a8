/**
 * An e-service that speaks raw HTTP, for tests of what the standards ask: it adds nothing and checks nothing by itself, as a
 * client library would. Every request is the smallest good one; a test changes what it is about.
 */
import { createHash } from 'node:crypto';
import type { HttpBrowser } from './http-browser.ts';
import type { HttpPage } from './http-page.ts';
import { CLIENT_SECRET, type World } from './world.ts';

/** RFC 7636, appendix B. */
export const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
export const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');

/** Changes to a request: undefined takes a parameter out, a list sends it more than once. */
export type Changes = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  body: Record<string, unknown>;
}

export interface Tokens {
  access_token: string;
  id_token: string;
  refresh_token?: string;
  [more: string]: unknown;
}

export function parameters(base: Record<string, string>, changes: Changes = {}): URLSearchParams {
  const result = new URLSearchParams(base);
  for (const [name, value] of Object.entries(changes)) {
    result.delete(name);
    for (const each of value === undefined ? [] : [value].flat()) result.append(name, each);
  }
  return result;
}

export async function send(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { redirect: 'manual', ...init });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  const body = isJson && text ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, headers: response.headers, text, body };
}

export class RawClient {
  readonly id: string;
  readonly redirectUri: string;
  readonly #world: World;
  readonly #scope: string;

  constructor(world: World, id: string, { scope = 'openid' } = {}) {
    this.#world = world;
    this.id = id;
    this.#scope = scope;
    this.redirectUri = world.config.clients.find(({ client_id }) => client_id === id)!.redirect_uris[0]!;
  }

  get basic(): string {
    return `Basic ${Buffer.from(`${this.id}:${encodeURIComponent(CLIENT_SECRET)}`).toString('base64')}`;
  }

  /** What an authorization request holds. */
  request(changes: Changes = {}): URLSearchParams {
    const base = {
      client_id: this.id,
      redirect_uri: this.redirectUri,
      response_type: 'code',
      scope: this.#scope,
      state: 'a state',
      nonce: 'a nonce',
      code_challenge: CHALLENGE,
      code_challenge_method: 'S256',
    };
    return parameters(base, changes);
  }

  /** Where the browser ends: a page of ours, or the redirect to the e-service. */
  visit(browser: HttpBrowser, changes: Changes = {}): Promise<HttpPage> {
    return browser.get(`${this.#world.issuer}/auth?${this.request(changes).toString()}`);
  }

  /** The answer that came back to the redirect URI; a page of ours instead is an error. */
  async authorize(browser: HttpBrowser, changes: Changes = {}): Promise<URLSearchParams> {
    return answerOf(await this.visit(browser, changes));
  }

  async code(browser: HttpBrowser, changes: Changes = {}): Promise<string> {
    const answer = await this.authorize(browser, changes);
    const code = answer.get('code');
    if (!code) throw new Error(`no code but ${answer.toString()}`);
    return code;
  }

  post(path: string, form: URLSearchParams, headers: Record<string, string> = {}): Promise<Answer> {
    return send(`${this.#world.issuer}${path}`, { method: 'POST', body: form, headers });
  }

  /** A token request with client_secret_basic; a header that is undefined is left out. */
  redeem(code: string, changes: Changes = {}, headers: Record<string, string | undefined> = {}): Promise<Answer> {
    const base = {
      grant_type: 'authorization_code',
      code,
      redirect_uri: this.redirectUri,
      code_verifier: VERIFIER,
    };
    return this.post('/token', parameters(base, changes), this.#headers(headers));
  }

  refresh(token: string, changes: Changes = {}, headers: Record<string, string | undefined> = {}): Promise<Answer> {
    return this.post(
      '/token',
      parameters({ grant_type: 'refresh_token', refresh_token: token }, changes),
      this.#headers(headers),
    );
  }

  async tokens(browser: HttpBrowser, changes: Changes = {}): Promise<Tokens> {
    const answer = await this.redeem(await this.code(browser, changes));
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
    return answer.body as unknown as Tokens;
  }

  introspect(token: string, changes: Changes = {}, headers: Record<string, string | undefined> = {}): Promise<Answer> {
    return this.post('/token/introspection', parameters({ token }, changes), this.#headers(headers));
  }

  revoke(token: string, changes: Changes = {}, headers: Record<string, string | undefined> = {}): Promise<Answer> {
    return this.post('/token/revocation', parameters({ token }, changes), this.#headers(headers));
  }

  /** A pushed authorization request. */
  push(changes: Changes = {}, headers: Record<string, string | undefined> = {}): Promise<Answer> {
    return this.post('/request', this.request(changes), this.#headers(headers));
  }

  #headers(changes: Record<string, string | undefined>): Record<string, string> {
    const all = { Authorization: this.basic as string | undefined, ...changes };
    return Object.fromEntries(Object.entries(all).filter((each): each is [string, string] => each[1] !== undefined));
  }
}

/** What a redirect to an e-service carries. */
export function answerOf(page: HttpPage): URLSearchParams {
  if (!page.leadsTo) throw new Error(`a page and no redirect: ${page.status} '${page.title}' at ${page.url.href}`);
  const { searchParams, hash } = page.leadsTo;
  // An error of a response type that would answer in the fragment comes there too.
  return hash ? new URLSearchParams(hash.slice(1)) : searchParams;
}

export function userinfo(world: World, token: string, init: RequestInit = {}): Promise<Answer> {
  return send(`${world.issuer}/me`, { headers: { Authorization: `Bearer ${token}` }, ...init });
}

/** A browser in which this resident is signed in. */
export async function signedIn(world: World, resident: { email: string; password: string }): Promise<HttpBrowser> {
  const browser = world.browser();
  await new RawClient(world, 'rp').visit(browser);
  await browser.submit({ username: resident.email });
  await browser.submit({ 'current-password': resident.password });
  return browser;
}
