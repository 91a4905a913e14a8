/**
 * What a browser sends: reads and checks the forms and the queries of our own pages.
 *
 * A form is urlencoded, small, valid UTF-8, and each field comes at most once and no longer than its screen allows;
 * anything else is a Problem, never a fault of the server. What was typed is returned as typed: a password may begin
 * with a space. Reading a form also proves that it came from a page of ours (see FormGuard), so no screen can forget to.
 */
import type { Context } from 'koa';
import { Problem } from '../platform/refusal.ts';
import type { Sealer } from '../platform/secrets.ts';
import { randomToken, sameSecret } from '../platform/secrets.ts';

const LARGEST_FORM = 64 * 1024;
const FORM_ID = /^[A-Za-z0-9_-]{43}$/;
const PURPOSE = 'form';

export const FORM_TOKEN_FIELD = 'csrf';

/** A field's greatest length in UTF-16 units; a required one must be there, though it may be empty. */
export type FieldRules = Record<string, { max: number; required?: boolean }>;

/** Proves that a POST came from a page that we gave to this very browser. */
export interface FormGuard {
  /** The value of a form's hidden field; gives the browser its form cookie where it has none. */
  token(ctx: Context): string;
  /** Throws the Problem 'form_expired' for a form that another site sent. */
  checkSite(ctx: Context): void;
  /** And for one that outlived its cookie or is another resident's, too. */
  check(ctx: Context, token: string | undefined): void;
  /** Whether a form with this token came from a page that is good for whose this one is. */
  fits(ctx: Context, token: string | undefined): boolean;
}

/**
 * Whose page this request is for: its forms are good for that account alone, so that one of somebody who has signed out since,
 * in another tab, does nothing to whoever is signed in now.
 */
export function ownForms(ctx: Context, accountId: string): void {
  ctx.state.formOwner = accountId;
}

export function makeFormGuard({ sealer, issuer }: { sealer: Sealer; issuer: string }): FormGuard {
  const { protocol, origin } = new URL(issuer);
  const secure = protocol === 'https:';
  const cookie = secure ? '__Host-tunnus_form' : 'tunnus_form';
  const idOf = (ctx: Context): string | undefined => {
    const id = ctx.cookies.get(cookie, { signed: false });
    return id !== undefined && FORM_ID.test(id) ? id : undefined;
  };
  const ids = new WeakMap<Context, string>();
  const marked = (ctx: Context, id: string): string => [id, ctx.state.formOwner].filter(Boolean).join(' ');
  const fits = (ctx: Context, token: string | undefined): boolean => {
    const id = idOf(ctx);
    if (id === undefined || token === undefined) return false;
    const good = sealer.digests(marked(ctx, id), PURPOSE);
    return good.some((digest) => sameSecret(digest.toString('base64url'), token));
  };
  const checkSite = (ctx: Context): void => {
    if (fromOurSite(ctx, origin)) return;
    throw new Problem('form_expired', 403, { detail: 'the form came from another site' });
  };

  return {
    checkSite,
    token(ctx) {
      let id = ids.get(ctx) ?? idOf(ctx);
      if (id === undefined) {
        id = randomToken();
        writeCookie(ctx, { name: cookie, value: id, secure });
      }
      ids.set(ctx, id);
      return sealer.digest(marked(ctx, id), PURPOSE).toString('base64url');
    },
    check(ctx, token) {
      checkSite(ctx);
      if (!fits(ctx, token)) throw new Problem('form_expired', 403, { detail: 'the form has no good token' });
    },
    fits,
  };
}

/**
 * Whether the browser says that a page of ours sent the form. Under `Referrer-Policy: no-referrer` browsers send
 * `Origin: null` with our own forms too, so null says nothing by itself and Sec-Fetch-Site, where sent, decides.
 * A browser that sends neither is let on to the token.
 */
function fromOurSite(ctx: Context, issuerOrigin: string): boolean {
  const site = ctx.get('Sec-Fetch-Site').toLowerCase();
  if (site !== '' && site !== 'same-origin' && site !== 'none') return false;
  const origin = ctx.get('Origin');
  return origin === '' || origin === 'null' || origin.toLowerCase() === issuerOrigin;
}

/** Reads the body of a POST from one of our pages: a value for each field asked for, '' where it is absent. */
export async function readForm<Rules extends FieldRules>(
  ctx: Context,
  rules: Rules,
): Promise<{ [Name in keyof Rules]: string }> {
  const fields = parseFields(await readBody(ctx));
  (ctx.state.formGuard as FormGuard).check(ctx, fields.get(FORM_TOKEN_FIELD));
  const values = Object.entries(rules).map(([name, rule]) => {
    const value = fields.get(name);
    if (value === undefined && rule.required) throw badForm(`the field ${name} is missing`);
    if (value !== undefined && value.length > rule.max) throw badForm(`the field ${name} is too long`);
    return [name, value ?? ''];
  });
  return Object.fromEntries(values) as { [Name in keyof Rules]: string };
}

/** Of a form that is not acted upon: its token, which nobody has judged yet, and those of some fields that it has. */
export async function readLateForm(
  ctx: Context,
  names: readonly string[],
): Promise<{ token: string | undefined; typed: Record<string, string> }> {
  const fields = parseFields(await readBody(ctx));
  return {
    token: fields.get(FORM_TOKEN_FIELD),
    typed: Object.fromEntries([...fields].filter(([name]) => names.includes(name))),
  };
}

/** Reads a form that another site may send; what it says is judged by whoever asked for it. */
export async function readForeignForm(ctx: Context): Promise<URLSearchParams> {
  return new URLSearchParams((await readBody(ctx)).toString());
}

/** One query parameter, or undefined where it is absent, repeated, too long or not readable: a link never fails for it. */
export function readQuery(ctx: Context, name: string, max = 2048): string | undefined {
  const values = new URLSearchParams(ctx.querystring.slice(0, LARGEST_FORM)).getAll(name);
  const [value] = values;
  if (value === undefined || values.length > 1 || value.length > max || /[\0\uFFFD]/.test(value)) return undefined;
  return value;
}

/** A cookie of ours that no script and no other site's form needs; Koa's own proxy check would stop `secure` behind TLS ends. */
export function writeCookie(
  ctx: Context,
  {
    name,
    value,
    secure,
    path = '/',
    maxAge,
  }: { name: string; value: string; secure: boolean; path?: string; maxAge?: number },
): void {
  const age = maxAge === undefined ? '' : `; Max-Age=${Math.round(maxAge / 1000)}`;
  ctx.append('Set-Cookie', `${name}=${value}; Path=${path}${age}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`);
}

async function readBody(ctx: Context): Promise<Buffer> {
  if (!ctx.is('application/x-www-form-urlencoded')) {
    throw new Problem('bad_form', 415, { detail: 'the body is no urlencoded form' });
  }
  const request = ctx.req;
  const tooLarge = (): Problem => new Problem('form_too_large', 413, { detail: `a form over ${LARGEST_FORM} bytes` });
  if (Number(request.headers['content-length'] ?? 0) > LARGEST_FORM) throw tooLarge();
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw new Problem('bad_form', 415, { detail: 'a compressed form' });
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > LARGEST_FORM) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem('bad_form', 400, { detail: 'the body ended too early', cause: error });
  }
  return Buffer.concat(chunks);
}

/** Stricter than URLSearchParams, which quietly puts U+FFFD for what it can't read: a password must not change on its way. */
function parseFields(body: Buffer): Map<string, string> {
  const fields = new Map<string, string>();
  for (const pair of body.toString('latin1').split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = decode(at < 0 ? pair : pair.slice(0, at));
    const value = decode(at < 0 ? '' : pair.slice(at + 1));
    if (fields.has(name)) throw badForm('a field comes twice');
    fields.set(name, value);
  }
  return fields;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(encoded: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(encoded)) throw badForm('broken percent-encoding');
  const bytes = encoded
    .replaceAll('+', ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  let text: string;
  try {
    text = utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    throw badForm('broken UTF-8');
  }
  if (text.includes('\0')) throw badForm('a NUL byte');
  return text;
}

function badForm(detail: string): Problem {
  return new Problem('bad_form', 400, { detail });
}
