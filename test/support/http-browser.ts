/**
 * A browser without scripts for tests: real HTTP, a cookie jar that keeps the rules of RFC 6265 (path, expiry, secure, the
 * name prefixes; ports make no difference), redirects followed one by one and noted, forms filled by autocomplete token.
 *
 * It judges nothing but what a browser itself refuses; http-page.ts reads the pages. Chromium is in browser.ts.
 */
import { request as plainRequest } from 'node:http';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { request as secureRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { CookieJar } from './cookie-jar.ts';
import { HttpPage } from './http-page.ts';

export interface BrowserOptions {
  /** What Accept-Language says. */
  language?: string;
  /** Sent with every request, as a proxy in front would (X-Forwarded-For). */
  headers?: OutgoingHttpHeaders;
  clock?: () => Date;
  /** Where the server of an address really listens: for issuers such as https://tunnistus.example. */
  reach?: (url: URL) => URL;
  /** The authority (PEM) that an https server reached so must be certified by, under the name in its address. */
  authority?: string;
}

export interface RequestOptions {
  headers?: OutgoingHttpHeaders;
  /** False: the answer itself, even if it leads elsewhere. */
  follow?: boolean;
}

/** One request and what came of it; the whole walk of a browser is a list of these. */
export interface Step {
  method: string;
  url: string;
  status: number;
  headers: IncomingHttpHeaders;
}

interface Outgoing extends RequestOptions {
  method: string;
  body?: string | Buffer;
  /** The page on which a form stands. */
  from?: URL;
}

const mostRedirects = 20;

export class HttpBrowser {
  readonly steps: Step[] = [];
  readonly jar: CookieJar;
  readonly #options: BrowserOptions;
  #page: HttpPage | undefined;

  constructor(options: BrowserOptions = {}, jar?: CookieJar) {
    this.#options = options;
    this.jar = jar ?? new CookieJar(options.clock);
  }

  /** Another tab of the same browser: one jar, a page of its own. */
  newTab(): HttpBrowser {
    return new HttpBrowser(this.#options, this.jar);
  }

  /** The page that is open. */
  get page(): HttpPage {
    if (!this.#page) throw new Error('no page is open yet');
    return this.#page;
  }

  get(url: string | URL, options: RequestOptions = {}): Promise<HttpPage> {
    return this.send(url, { ...options, method: 'GET' });
  }

  /** A form sent from nowhere: for what no page of ours would send. */
  post(
    url: string | URL,
    fields: Record<string, string> | [string, string][] = {},
    options: RequestOptions & { from?: URL } = {},
  ): Promise<HttpPage> {
    return this.send(url, { ...options, method: 'POST', body: new URLSearchParams(fields).toString() });
  }

  /** Follows the first link with this text, or the only one that a selector finds. */
  follow(textOrSelector: string): Promise<HttpPage> {
    return this.get(this.page.link(textOrSelector));
  }

  /**
   * Sends the main form (or the one that `form` names by a selector) as a press of its first button would, or of the button
   * with the given text. Fields are named by autocomplete token, else by name.
   */
  submit(
    fields: Record<string, string> = {},
    options: RequestOptions & { form?: string; button?: string } = {},
  ): Promise<HttpPage> {
    const { url } = this.page;
    const { action, method, values } = this.page.fill(fields, options);
    if (method === 'POST')
      return this.send(action, { ...options, method, body: new URLSearchParams(values).toString(), from: url });
    const target = new URL(action);
    target.search = new URLSearchParams(values).toString();
    return this.get(target, options);
  }

  async send(url: string | URL, outgoing: Outgoing): Promise<HttpPage> {
    let target = new URL(url);
    let next: Outgoing = outgoing;
    for (let hop = 0; hop <= mostRedirects; hop += 1) {
      const page = await this.#exchange(target, next);
      this.#page = page;
      const leadsTo = page.leadsTo;
      if (!leadsTo || outgoing.follow === false || !this.#canReach(leadsTo)) return page;
      const keepsBody = page.status === 307 || page.status === 308;
      next = keepsBody ? next : { method: next.method === 'HEAD' ? 'HEAD' : 'GET', headers: outgoing.headers };
      target = leadsTo;
    }
    throw new Error(`more than ${mostRedirects} redirects: ${this.#trail(mostRedirects)}`);
  }

  /** An address that only stands for one (https://asiointi.example/cb) is where the walk ends; the test reads it off. */
  #canReach(url: URL): boolean {
    return isLoopback(this.#reach(url).hostname);
  }

  #reach(url: URL): URL {
    return this.#options.reach?.(url) ?? url;
  }

  async #exchange(url: URL, outgoing: Outgoing): Promise<HttpPage> {
    const { method, body, from } = outgoing;
    const crossSitePost = from !== undefined && from.hostname !== url.hostname;
    const cookies = this.jar.headerFor(url, { withLax: !crossSitePost });
    const headers: OutgoingHttpHeaders = {
      Host: url.host,
      Accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8',
      'Accept-Language': this.#options.language ?? 'fi',
      ...(cookies ? { Cookie: cookies } : {}),
      ...(body === undefined
        ? {}
        : { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': Buffer.byteLength(body) }),
      ...(from ? { Origin: from.origin, 'Sec-Fetch-Site': crossSitePost ? 'cross-site' : 'same-origin' } : {}),
      ...this.#options.headers,
      ...outgoing.headers,
    };
    const { authority } = this.#options;
    const answer = await exchange(this.#reach(url), { method, headers, body, name: url.hostname, authority });
    for (const line of answer.headers['set-cookie'] ?? []) this.jar.keep(line, url);
    this.steps.push({ method, url: url.href, status: answer.status, headers: answer.headers });
    return new HttpPage({ url, ...answer });
  }

  #trail(count: number): string {
    return this.steps
      .slice(-count)
      .map(({ method, url, status }) => `${method} ${url} ${status}`)
      .join('\n');
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || /^127\.|^\[::1\]$/.test(hostname);
}

/** One request over a connection of its own; the name and the authority are what TLS must prove, where it is spoken. */
export function exchange(
  url: URL,
  outgoing: { method: string; headers: OutgoingHttpHeaders; body?: string | Buffer; name: string; authority?: string },
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  const { method, headers, body, name, authority } = outgoing;
  return new Promise((resolve, reject) => {
    const request =
      url.protocol === 'https:'
        ? secureRequest(url, { method, headers, agent: false, servername: name, ca: authority })
        : plainRequest(url, { method, headers, agent: false });
    request.on('error', reject);
    request.on('response', (response) => {
      buffer(response).then(
        (bytes) =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes.toString('utf8') }),
        reject,
      );
    });
    request.end(body);
  });
}
