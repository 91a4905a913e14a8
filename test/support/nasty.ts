/**
 * What a stranger might write where a value belongs (as it stands in a form or a query), and a small generator of more of
 * the same. A sweep prints its seed: the same seed sends the same requests.
 */
import { bytesOf, type WireRequest } from './wire.ts';

export const NASTY: Readonly<Record<string, string>> = {
  nothing: '',
  'a NUL byte': 'a%00b',
  'a raw percent sign': '%',
  'broken percent-encoding': 'a%zz',
  'broken UTF-8': '%C3%28',
  'bytes that are no UTF-8': '%FF%FE%00',
  'an overlong slash': '%C0%AF',
  'half a surrogate pair': '%ED%A0%80',
  'the replacement character': '%EF%BF%BD',
  'a line break and a header': 'a%0D%0ASet-Cookie:%20stolen=1',
  'right to left': '%E2%80%AEmoc.elpmaxe',
  'a lot of accents': 'e%CC%81'.repeat(300),
  'nine thousand letters': 'x'.repeat(9000),
  'a number': '-1',
  'too large a number': '1e309',
  'a JSON object': '%7B%22a%22%3A%5B1%5D%7D',
  'JSON that breaks off': '%7B%22a%22%3A',
  'the name of a prototype': '__proto__',
  'the name of a method': 'constructor',
  markup: '%22%3E%3Cscript%3Ealert(1)%3C/script%3E',
  'a quote for SQL': '%27%3B%20drop%20table%20accounts%3B--',
  'a way up': '..%2F..%2F..%2Fetc%2Fpasswd',
  'a script address': 'javascript%3Aalert(1)',
  'another address': 'https%3A%2F%2Fevil.example%2F',
  'no JWT': 'eyJhbGciOiJub25lIn0.e30.',
};

/** `name=value` pairs with one of them replaced, left out, doubled or given as a list or an object. */
export function* spoiltFields(
  fields: readonly (readonly [string, string])[],
  name: string,
): Generator<[string, string]> {
  const rest = fields.filter(([each]) => each !== name).map(([key, value]) => encoded(key, value));
  const good = fields.find(([each]) => each === name)?.[1] ?? 'x';
  const join = (...more: string[]) => [...rest, ...more].join('&');
  for (const [what, value] of Object.entries(NASTY)) yield [what, join(`${name}=${value}`)];
  yield ['left out', join()];
  yield ['without a value', join(name)];
  yield ['twice', join(encoded(name, good), `${name}=another`)];
  yield ['a list', join(`${name}[]=${encodeURIComponent(good)}`)];
  yield ['an object', join(`${name}[a]=1`, `${name}[__proto__][b]=2`)];
}

const encoded = (name: string, value: string): string => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;

export interface Dice {
  below(limit: number): number;
  pick<T>(from: readonly T[]): T;
}

/** Mulberry32: small, and the same everywhere. */
export function dice(seed: number): Dice {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return { below, pick: (from) => from[below(from.length)]! };
}

const METHODS = ['GET', 'GET', 'GET', 'POST', 'POST', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND'];
const TYPES = [
  'application/x-www-form-urlencoded',
  'application/x-www-form-urlencoded',
  'application/x-www-form-urlencoded; charset=utf-16',
  'application/json',
  'multipart/form-data; boundary=x',
  'text/plain',
  'nonsense',
  '',
];
const HEADERS = [
  'Accept',
  'Accept-Encoding',
  'Authorization',
  'Cookie',
  'Origin',
  'Host',
  'Range',
  'X-Forwarded-For',
].concat([
  'X-Forwarded-Host',
  'X-Forwarded-Proto',
  'If-None-Match',
  'Sec-Fetch-Site',
  'DPoP',
  'Forwarded',
  'X-HTTP-Method-Override',
]);

export interface Ingredients {
  /** Good targets: path and query. */
  targets: readonly string[];
  names: readonly string[];
  cookies: readonly string[];
  /** Good values, which lead deeper than nonsense does. */
  values: readonly string[];
}

/** One request made of good parts and bad ones, as bytes; now and then a byte of it is another. */
export function randomRequest(
  roll: Dice,
  { targets, names, cookies, values }: Ingredients,
): { method: string; bytes: Buffer } {
  const nasty = Object.values(NASTY).filter((value) => value.length < 1000);
  const value = (): string => (roll.below(2) ? roll.pick(nasty) : encodeURIComponent(roll.pick(values)));
  const fields = (most: number): string =>
    Array.from({ length: roll.below(most) }, () => `${roll.pick(names)}=${value()}`).join('&');
  const method = roll.pick(METHODS);
  let target = roll.pick(targets);
  if (roll.below(4) === 0) target = target.replace(/[^/?]+(?=$|\?)/, () => value());
  if (roll.below(2)) target += `${target.includes('?') ? '&' : '?'}${fields(6)}`;
  const request: WireRequest = { method, target, headers: { 'Accept-Language': 'sv' } };
  if (roll.below(2)) request.headers!['Cookie'] = `${roll.pick(cookies)}=${value()}; ${roll.pick(cookies)}=${value()}`;
  for (let i = roll.below(3); i > 0; i -= 1) request.headers![roll.pick(HEADERS)] = value().slice(0, 500);
  if (method !== 'GET' && method !== 'HEAD') {
    request.headers!['Content-Type'] = roll.pick(TYPES);
    request.body = fields(12);
  }
  const bytes = bytesOf(request);
  if (roll.below(10) === 0) bytes[roll.below(bytes.length)] = roll.below(256);
  return { method, bytes };
}
