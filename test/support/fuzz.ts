/**
 * Inputs that fast-check makes up for every form and endpoint: the request that a place understands, with anything in any of
 * its fields, cookies and headers, or as a body that is no form. A failure names seed and path, by which it comes again, and the
 * smallest requests that still fail.
 */
import fc from 'fast-check';
import { requestTo } from './bad-input.ts';
import { faultsOf } from './calm.ts';
import { NASTY } from './nasty.ts';
import { COOKIES, MORE_NAMES, PATHS, type Place } from './places.ts';
import { exchange, type WireRequest } from './wire.ts';

/** How many requests are under way at once; one input of a property. */
export const BATCH = 60;

/** In a value somewhere: what is secret where it stands, and so belongs in no line of the log. */
export const MARK = 'fuzzed-secret-0123456789';
const SECRET_NAMES =
  'password current next code code_verifier refresh_token client_secret client_assertion token access_token csrf xsrf';

const words = [
  ...'__proto__ constructor toString then length null undefined NaN true -1 0 1e309 [] {} [object%20Object]'.split(' '),
  ...'openid code none login S256 plain fi sv en query form_post fragment asiointi bare maija@example.com'.split(' '),
  ...[
    'http://127.0.0.1',
    'https://asiointi.example/callback',
    'urn:ietf:params:oauth:request_uri:x',
    'a@xn--e1afmkfd.example',
  ],
];

const value: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...Object.values(NASTY)) },
  { weight: 3, arbitrary: fc.constantFrom(...words.map(encodeURIComponent)) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }).map((text) => escaped(text)) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => escaped(text)) },
  { weight: 1, arbitrary: fc.json({ maxDepth: 3 }).map((text) => escaped(text)) },
  { weight: 1, arbitrary: fc.base64String({ maxLength: 120 }).map((text) => escaped(text)) },
);

/** As a browser would send it, or, where that cannot be (half a pair), byte by byte. */
function escaped(text: string): string {
  return text.isWellFormed()
    ? encodeURIComponent(text)
    : [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

/** A header's value: bytes that HTTP lets through. */
const headerValue = fc.oneof(
  value.map((text) => text.slice(0, 400)),
  fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((byte) => String.fromCharCode(byte)), maxLength: 60 }),
);
const headerName = fc.constantFrom(
  ...'Authorization Accept Accept-Language Origin Sec-Fetch-Site Content-Type DPoP Host X-Forwarded-For Referer Range'.split(
    ' ',
  ),
  ...'If-None-Match Content-Encoding Expect X-HTTP-Method-Override Access-Control-Request-Method OAuth-Client-Attestation'.split(
    ' ',
  ),
);

type Twist = 'replaced' | 'dropped' | 'doubled' | 'marked';
const twist: fc.Arbitrary<Twist> = fc.constantFrom('replaced', 'replaced', 'dropped', 'doubled', 'marked');

/** The place's request with some of its fields twisted. */
function twisted(place: Place): fc.Arbitrary<WireRequest> {
  const names = [
    ...new Set([...place.fields.map(([name]) => name), ...(MORE_NAMES[place.path] ?? []), ...SECRET_NAMES.split(' ')]),
  ];
  const change = fc.tuple(fc.constantFrom(...names), twist, value);
  return fc
    .record({
      changes: fc.array(change, { maxLength: 4 }),
      headers: fc.array(fc.tuple(headerName, headerValue), { maxLength: 2 }),
      cookie: fc.option(fc.tuple(fc.constantFrom(...COOKIES), value), { freq: 4, nil: undefined }),
      method: fc.oneof(
        { weight: 12, arbitrary: fc.constant(place.method) },
        { weight: 1, arbitrary: fc.constantFrom('GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH') },
      ),
      body: fc.option(fc.uint8Array({ maxLength: 200 }), { freq: 12, nil: undefined }),
    })
    .map(({ changes, headers, cookie, method, body }) => {
      let fields = place.fields.map(([name, good]) => `${encodeURIComponent(name)}=${encodeURIComponent(good)}`);
      for (const [name, what, other] of changes) {
        if (what !== 'doubled') fields = fields.filter((field) => !field.startsWith(`${name}=`));
        if (what === 'marked' && SECRET_NAMES.split(' ').includes(name)) fields.push(`${name}=${MARK}`);
        else if (what !== 'dropped') fields.push(`${name}=${other}`);
      }
      const request = requestTo(place, fields.join('&'));
      const all: WireRequest['headers'] = { ...request.headers, ...Object.fromEntries(headers) };
      if (cookie) all['Cookie'] = [place.cookies, cookie.join('=')].filter(Boolean).join('; ');
      return {
        ...request,
        method,
        headers: all,
        ...(body && request.body !== undefined ? { body: Buffer.from(body) } : {}),
      };
    });
}

const anywhere: fc.Arbitrary<WireRequest> = fc
  .record({ path: fc.constantFrom(...PATHS), more: value, how: fc.constantFrom('/', '?', '?lang=', '?client_id=', '') })
  .map(({ path, more, how }) => ({ target: `${path}${how}${more}`, headers: { 'Accept-Language': 'sv' } }));

const inputs = (places: readonly Place[]): fc.Arbitrary<WireRequest> =>
  fc.oneof({ weight: 1, arbitrary: anywhere }, { weight: 6, arbitrary: fc.oneof(...places.map(twisted)) });

/** Sends so many inputs; throws what fast-check has to say of the first batch that was not answered calmly. */
export async function fuzz(
  port: number,
  places: readonly Place[],
  { count, seed }: { count: number; seed: number },
): Promise<void> {
  const batch = fc.array(inputs(places), { minLength: 1, maxLength: BATCH, size: 'max' });
  let sent = 0;
  const property = fc.asyncProperty(batch, async (requests) => {
    sent += requests.length;
    const answers = await Promise.all(requests.map((request) => exchange(port, request)));
    const faults = answers.flatMap((answer, index) =>
      answer ? faultsOf(answer, { method: requests[index]!.method }) : ['no answer at all'],
    );
    if (faults.length) throw new Error(faults.join('\n'));
  });
  // Batches differ in length: so many of them until there are enough.
  for (let round = 0; sent < count; round += 1) {
    const numRuns = Math.max(1, Math.ceil((count - sent) / BATCH));
    await fc.assert(property, { seed: seed + round, numRuns, endOnFailure: false });
  }
}
