/**
 * Keeps cookies as a browser does: by host, path and name, until they expire, `Secure` only over https. A cookie that a
 * browser would refuse (a broken `__Host-` or `__Secure-` promise) is an error here, since on a resident's machine it would
 * be a sign-in that never works.
 */
export interface Cookie {
  name: string;
  value: string;
  host: string;
  path: string;
  secure: boolean;
  httpOnly: boolean;
  sameSite: string;
  /** Undefined: until the browser closes. */
  expires: Date | undefined;
}

export class CookieJar {
  #cookies: Cookie[] = [];
  readonly #clock: () => Date;

  constructor(clock: () => Date = () => new Date()) {
    this.#clock = clock;
  }

  /** What stands in the jar now, for a test to look at. */
  get all(): readonly Cookie[] {
    const now = this.#clock();
    return this.#cookies.filter(({ expires }) => !expires || expires > now);
  }

  find(name: string): Cookie | undefined {
    return this.all.find((cookie) => cookie.name === name);
  }

  /** Throws a cookie away, or all of them: a browser that was cleaned. */
  forget(name?: string): void {
    this.#cookies = name ? this.#cookies.filter((cookie) => cookie.name !== name) : [];
  }

  /** Puts a cookie in by hand: for tests of what a stranger could plant. */
  plant(cookie: { name: string; value: string; host: string; path?: string }): void {
    this.#put({ path: '/', secure: false, httpOnly: false, sameSite: 'lax', expires: undefined, ...cookie });
  }

  headerFor(url: URL, { withLax }: { withLax: boolean }): string {
    return this.all
      .filter(({ host, path, secure, sameSite }) => {
        if (host !== url.hostname || (secure && url.protocol !== 'https:')) return false;
        if (!withLax && sameSite !== 'none') return false;
        return url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`);
      })
      .sort((a, b) => b.path.length - a.path.length)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }

  keep(line: string, from: URL): void {
    const [pair = '', ...rest] = line.split(';').map((part) => part.trim());
    const attributes = new Map(
      rest.map((part) => {
        const [name = '', ...value] = part.split('=');
        return [name.toLowerCase(), value.join('=')];
      }),
    );
    const at = pair.indexOf('=');
    const path = attributes.get('path');
    const cookie: Cookie = {
      name: pair.slice(0, at),
      value: pair.slice(at + 1),
      host: from.hostname,
      path: path?.startsWith('/') ? path : from.pathname.replace(/\/[^/]*$/, '') || '/',
      secure: attributes.has('secure'),
      httpOnly: attributes.has('httponly'),
      sameSite: (attributes.get('samesite') ?? 'lax').toLowerCase(),
      expires: this.#expiry(attributes),
    };
    checkAsBrowser(cookie, { line, from, domain: attributes.get('domain') });
    this.#put(cookie);
  }

  #put(cookie: Cookie): void {
    this.#cookies = this.#cookies.filter(
      ({ name, host, path }) => name !== cookie.name || host !== cookie.host || path !== cookie.path,
    );
    if (!cookie.expires || cookie.expires > this.#clock()) this.#cookies.push(cookie);
  }

  #expiry(attributes: Map<string, string>): Date | undefined {
    const maxAge = attributes.get('max-age');
    if (maxAge !== undefined) return new Date(this.#clock().getTime() + Number(maxAge) * 1000);
    const expires = attributes.get('expires');
    return expires === undefined ? undefined : new Date(expires);
  }
}

function checkAsBrowser(cookie: Cookie, received: { line: string; from: URL; domain: string | undefined }): void {
  const { line, from, domain } = received;
  const refuse = (why: string) => {
    throw new Error(`a browser refuses this cookie from ${from.href}: ${why}: ${line}`);
  };
  if (cookie.secure && from.protocol !== 'https:') refuse('Secure, but not over https');
  if (/^__(Secure|Host)-/.test(cookie.name) && !cookie.secure) refuse('the prefix asks for Secure');
  if (cookie.name.startsWith('__Host-') && (cookie.path !== '/' || domain !== undefined))
    refuse('__Host- asks for Path=/ and no Domain');
  if (domain !== undefined && domain.replace(/^\./, '') !== cookie.host) refuse('Domain is another');
  if (cookie.sameSite === 'none' && !cookie.secure) refuse('SameSite=None asks for Secure');
  // Chromium and Firefox drop what is longer.
  if (Buffer.byteLength(`${cookie.name}=${cookie.value}`) > 4096) refuse('longer than 4096 bytes');
}
