/**
 * Requests that nobody should send, as tables: each field, body, method, path, cookie and header of each place, spoilt in each
 * way. And the one way to send them: several at a time, with what was wrong with the answers gathered.
 */
import { faultsOf } from './calm.ts';
import { dice, NASTY, randomRequest, spoiltFields } from './nasty.ts';
import { COOKIES, MORE_NAMES, PATHS, type Place } from './places.ts';
import { exchange, exchangeBytes, type WireRequest } from './wire.ts';

export type Named = [string, WireRequest];
type Table = (places: readonly Place[]) => Iterable<Named>;

export const FORM = 'application/x-www-form-urlencoded';
export const MEGABYTE = 'm'.repeat(1024 * 1024);

const METHODS = 'GET HEAD POST PUT PATCH DELETE OPTIONS PROPFIND TRACE LINK M-SEARCH'.split(' ');
const TYPES = [
  '',
  FORM,
  `${FORM}; charset=utf-16`,
  'application/json',
  'multipart/form-data',
  'text/plain',
  '/',
  'a/b;c=\xff',
];
const BODIES = ['', '=', '&&&', '%', '\0', '{"a":', '[]', 'null', 'a'.repeat(70_000), 'a=1&'.repeat(20_000)];
const HEADERS =
  'Accept Accept-Encoding Authorization Content-Type Origin Sec-Fetch-Site Host Range Expect X-Forwarded-For'
    .concat(
      ' X-Forwarded-Host X-Forwarded-Proto Forwarded If-None-Match If-Modified-Since DPoP Referer Upgrade User-Agent',
    )
    .concat(' Access-Control-Request-Method Access-Control-Request-Headers X-HTTP-Method-Override')
    .split(' ');
const HEADER_VALUES = [
  ...Object.values(NASTY).map((value) => value.slice(0, 2000)),
  ...[
    '\xff\xfe',
    ',,,;;q=',
    'Basic',
    'Basic %',
    'Basic Og==',
    'Basic /w==',
    'Bearer',
    'DPoP x',
    'a/b',
    '*',
    'bytes=9-1',
  ],
  ...['100-continue', 'x:y:z', '[::1', 'evil.example:99999', '"', 'https://evil.example', 'null'],
];

/** The request that a place understands, with these fields instead. */
export const requestTo = (place: Place, fields: string): WireRequest => ({
  method: place.method,
  target: place.method === 'GET' ? `${place.path}?${fields}` : place.path,
  headers: {
    'Accept-Language': 'sv',
    ...(place.cookies ? { Cookie: place.cookies } : {}),
    ...(place.method === 'POST' ? { 'Content-Type': FORM } : {}),
    ...place.headers,
  },
  body: place.method === 'POST' ? fields : undefined,
});

const urlencoded = (place: Place): string => new URLSearchParams(place.fields).toString();
const namesOf = (place: Place): string[] => [
  ...new Set([...place.fields.map(([name]) => name), ...(MORE_NAMES[place.path] ?? [])]),
];

function* fields(places: readonly Place[]): Generator<Named> {
  for (const place of places) {
    for (const name of namesOf(place)) {
      for (const [what, spoilt] of spoiltFields(place.fields, name)) {
        yield [`${place.name}, ${name}: ${what}`, requestTo(place, spoilt)];
      }
    }
  }
}

function* bodies(places: readonly Place[]): Generator<Named> {
  for (const place of places.filter(({ method }) => method === 'POST')) {
    const { headers, ...good } = requestTo(place, urlencoded(place));
    for (const type of TYPES) {
      for (const body of BODIES) {
        yield [
          `${place.name}, ${type}: ${body.slice(0, 9)}`,
          { ...good, headers: { ...headers, 'Content-Type': type }, body },
        ];
      }
    }
    for (const encoding of ['gzip', 'br', 'nonsense']) {
      yield [`${place.name} in ${encoding}`, { ...good, headers: { ...headers, 'Content-Encoding': encoding } }];
    }
  }
}

function* megabytes(places: readonly Place[]): Generator<Named> {
  for (const place of places) {
    yield [place.name, requestTo(place, `${urlencoded(place)}&x=${MEGABYTE}`)];
    const headers = { 'Transfer-Encoding': 'chunked', 'Content-Type': FORM, ...place.headers };
    const body = `100000\r\n${MEGABYTE}\r\n0\r\n\r\n`;
    yield [`${place.name}, in chunks`, { method: 'POST', target: place.path, headers, body }];
  }
}

function* methods(): Generator<Named> {
  for (const path of PATHS) {
    for (const method of METHODS) {
      yield [`${method} ${path}`, { method, target: path }];
      yield [`${method} ${path} with a body`, { method, target: path, headers: { 'Content-Type': FORM }, body: 'a=1' }];
    }
  }
}

function* paths(): Generator<Named> {
  for (const path of PATHS) {
    const parent = path.replace(/[^/]+$/, '');
    for (const [what, value] of Object.entries(NASTY)) {
      for (const target of [`${parent}${value}`, `${path}/${value}`, `${path}?${value}`, `${path}${value}`]) {
        yield [`${path}: ${what}`, { target }];
      }
    }
  }
}

function* cookies(places: readonly Place[]): Generator<Named> {
  const good = places.find(({ name }) => name === 'the password step')!;
  const values = Object.entries({ ...NASTY, raw: '\x01\xff"\\,', many: 'a; '.repeat(250) });
  for (const [what, value] of values) {
    for (const path of [...PATHS, good.path]) {
      const all = COOKIES.map((name) => `${name}=${value.slice(0, 800)}`).join('; ');
      yield [`${path}, all cookies: ${what}`, { target: path, headers: { Cookie: all } }];
    }
    for (const name of COOKIES) {
      const others = good.cookies.split('; ').filter((each) => !each.startsWith(`${name}=`));
      yield [
        `${name}: ${what}`,
        { target: good.path, headers: { Cookie: [...others, `${name}=${value}`].join('; ') } },
      ];
    }
  }
}

function* headers(places: readonly Place[]): Generator<Named> {
  const targets = ['/auth', '/token', '/me', '/.well-known/openid-configuration', '/account', '/signed-out'];
  for (const name of HEADERS) {
    for (const value of HEADER_VALUES) {
      for (const target of targets) yield [`${target}, ${name}: ${value}`, { target, headers: { [name]: value } }];
    }
    for (const value of every(6, HEADER_VALUES)) {
      for (const place of places) {
        const good = requestTo(place, urlencoded(place));
        yield [`${place.name}, ${name}: ${value}`, { ...good, headers: { ...good.headers, [name]: value } }];
      }
    }
  }
}

export const TABLES: Readonly<Record<string, Table>> = {
  'each field may hold anything, come twice, as a list, or not at all': fields,
  'a body may be of any type, any length, or no form at all': bodies,
  'a megabyte is too much, wherever it stands': megabytes,
  'each path answers every method': methods,
  'each path may have anything in it or behind it': paths,
  'any cookie may hold anything': cookies,
  'any header may hold anything': headers,
};

/** Every so many of a table. A number that divides no list's length meets every value somewhere. */
export function* every<T>(step: number, all: Iterable<T>): Generator<T> {
  let index = 0;
  for (const each of all) if (index++ % step === 0) yield each;
}

const AT_ONCE = 8;

/** Sends all of it and gives back what was wrong with the answers. */
export async function wrongWith(port: number, requests: Iterable<Named>): Promise<string[]> {
  const wrong: string[] = [];
  const waiting = requests[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (let next = waiting.next(); !next.done; next = waiting.next()) {
      const [what, request] = next.value;
      const answer = await exchange(port, request);
      const faults = answer ? faultsOf(answer, { method: request.method }) : ['no answer at all'];
      wrong.push(...faults.map((fault) => `${what}: ${fault}`));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return wrong;
}

/** A request whose promised body never comes is waited for by the server too; this is long enough for an answer. */
const PATIENCE = 1_000;

/** Random requests, the same for the same seed. */
export async function sweep(
  port: number,
  places: readonly Place[],
  { seed, count }: { seed: number; count: number },
): Promise<string[]> {
  const roll = dice(seed);
  const ingredients = {
    targets: [...PATHS, ...places.map(({ path }) => path)],
    names: [...new Set(places.flatMap(namesOf))],
    cookies: COOKIES,
    values: [...new Set(places.flatMap((place) => place.fields.map(([, value]) => value)))],
  };
  const wrong: string[] = [];
  let sent = 0;
  const worker = async (): Promise<void> => {
    while (sent < count) {
      const number = (sent += 1);
      const { method, bytes } = randomRequest(roll, ingredients);
      const answer = await exchangeBytes(port, bytes, { patience: PATIENCE });
      const faults = faultsOf(answer, { method });
      wrong.push(...faults.map((fault) => `seed ${seed}, request ${number}: ${fault}\n${bytes.toString('latin1')}`));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return wrong;
}
