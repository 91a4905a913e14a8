/**
 * A small browser without scripts: cookies, redirects, and pages read as a person without sight would use them, by headings,
 * links, labels' autocomplete tokens and the main form (docs: the provider's pages promise these). Where its device has a passkey,
 * it fills in what the pages' script would.
 *
 * It checks nothing; whoever drives it does.
 */
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { parsePage } from './browser-page.ts';
import type { Form, Page } from './browser-page.ts';
import type { Passkey } from './passkey.ts';

interface Cookie {
  name: string;
  value: string;
  host: string;
  path: string;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

const mostRedirects = 20;

export class Browser {
  /** The addresses of the last walk, redirects included. */
  trail: string[] = [];
  #cookies: Cookie[] = [];
  readonly #language: string;
  readonly #signal: AbortSignal | undefined;
  readonly #passkey: Passkey | undefined;

  constructor(options: { language?: string; signal?: AbortSignal; passkey?: Passkey } = {}) {
    this.#language = options.language ?? 'fi';
    this.#signal = options.signal;
    this.#passkey = options.passkey;
  }

  /** Opens an address as a typed one or a followed link. */
  open(url: string): Promise<Page> {
    return this.#walk(url, {});
  }

  /** One request, no redirect followed. */
  async fetch(method: 'GET' | 'HEAD', url: string): Promise<Answer> {
    return this.#send(new URL(url), { method });
  }

  /** Fills in the page's main form by autocomplete tokens, ticks the boxes that are named, and presses its first button, or the one with this text. */
  submit(page: Page, filled: Readonly<Record<string, string>> = {}, button?: string): Promise<Page> {
    const form = button ? page.forms.find((each) => each.button === button) : page.mainForm;
    if (!form)
      throw new Error(`no form ${button ? `with the button '${button}' ` : ''}on ${page.url} ('${page.title}')`);
    const values = fill(form, filled);
    if (this.#passkey) fillByScript(form, values, this.#passkey);
    return this.#walk(form.action, { method: 'POST', body: values.toString(), from: page.url });
  }

  async #walk(url: string, first: { method?: 'POST'; body?: string; from?: string }): Promise<Page> {
    this.trail = [];
    let target = new URL(url);
    let step = first;
    for (let hops = 0; hops <= mostRedirects; hops += 1) {
      this.trail.push(target.href);
      const { status, headers, body } = await this.#send(target, step);
      if (status < 300 || status >= 400 || !headers.location)
        return parsePage({ url: target.href, status, html: body });
      target = new URL(headers.location, target);
      step = {};
    }
    throw new Error(`more than ${mostRedirects} redirects from ${url}`);
  }

  async #send(url: URL, options: { method?: string; body?: string; from?: string }): Promise<Answer> {
    const { method = 'GET', body, from } = options;
    const cookies = this.#cookiesFor(url);
    const answer = await new Promise<Answer>((resolve, reject) => {
      const request = httpRequest(url, {
        method,
        signal: this.#signal,
        headers: {
          Accept: 'text/html',
          'Accept-Language': this.#language,
          ...(cookies ? { Cookie: cookies } : {}),
          ...(body === undefined ? {} : { 'Content-Type': 'application/x-www-form-urlencoded' }),
          ...(from ? { Origin: new URL(from).origin, 'Sec-Fetch-Site': siteOf(url, from) } : {}),
        },
      });
      request.on('error', reject).on('response', (response) => {
        readText(response).then(
          (text) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
          reject,
        );
      });
      request.end(body);
    });
    for (const line of answer.headers['set-cookie'] ?? []) this.#keepCookie(line, url);
    return answer;
  }

  /** Like a real browser's, the jar goes by host name: ports make no difference. */
  #cookiesFor({ hostname, pathname }: URL): string {
    return this.#cookies
      .filter(
        ({ host, path }) => host === hostname && (pathname === path || pathname.startsWith(path.replace(/\/?$/, '/'))),
      )
      .sort((a, b) => b.path.length - a.path.length)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }

  #keepCookie(line: string, { hostname: host, pathname }: URL): void {
    const [pair = '', ...attributes] = line.split(/;\s*/);
    const [name = '', ...rest] = pair.split('=');
    const of = (wanted: string) =>
      attributes.find((each) => each.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
    const path = of('path') ?? (pathname.replace(/\/[^/]*$/, '') || '/');
    const expires = of('expires');
    const isOver = Number(of('max-age') ?? 1) <= 0 || (expires !== undefined && Date.parse(expires) <= Date.now());
    this.#cookies = this.#cookies.filter((each) => each.name !== name || each.host !== host || each.path !== path);
    if (!isOver) this.#cookies.push({ name, value: rest.join('='), host, path });
  }
}

function siteOf(url: URL, from: string): string {
  return url.origin === new URL(from).origin ? 'same-origin' : 'same-site';
}

function fill(form: Form, filled: Readonly<Record<string, string>>): URLSearchParams {
  const values = new URLSearchParams();
  for (const { name, value, autocomplete } of form.fields) values.append(name, filled[autocomplete] ?? value);
  for (const token of Object.keys(filled)) {
    const box = form.boxes.find(({ name }) => name === token);
    if (box) values.append(box.name, box.value);
    else if (!form.fields.some(({ autocomplete }) => autocomplete === token))
      throw new Error(`no field '${token}' in the form`);
  }
  return values;
}

/** As views/assets/passkey.js does. */
function fillByScript({ passkey: ask }: Form, values: URLSearchParams, passkey: Passkey): void {
  if (values.has('passkeys')) values.set('passkeys', 'yes');
  if (ask) values.set('passkey', ask.does === 'create' ? passkey.create(ask.asked) : passkey.answer(ask.asked));
}
