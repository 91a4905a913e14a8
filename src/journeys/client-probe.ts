/**
 * Owns `tunnus clients check`: asks an e-service's own addresses what residents and this service will meet there, and says
 * what is wrong before anybody does. It sends nothing of worth: a logout token that nobody signed, a sign-in that nobody
 * began. It follows no redirect but within the e-service itself.
 */
import { randomUUID } from 'node:crypto';
import { generateKeyPair, SignJWT } from 'jose';
import type { ClientConfig } from '../config.ts';
import { isPublicKey } from '../config/client-keys.ts';
import { ask, type Answer, type Answered, type AskOptions } from '../platform/ask.ts';

export interface Finding {
  level: 'ok' | 'warning' | 'fault';
  /** The client's key that the address stands under. */
  key: string;
  url: string;
  message: string;
}

export interface Probe extends AskOptions {
  issuer: string;
  now: Date;
}

type Verdict = Pick<Finding, 'level' | 'message'>;
/** The answer that was judged, for what holds of every one (TLS, clock). */
type Judged = { answer: Answered; verdicts: Verdict[] } | { failed: string };
type Check = (url: string, of: { client: ClientConfig; probe: Probe }) => Promise<Judged>;

const ok = (message: string): Verdict => ({ level: 'ok', message });
const warning = (message: string): Verdict => ({ level: 'warning', message });
const fault = (message: string): Verdict => ({ level: 'fault', message });

const DAY = 86_400_000;
/** A certificate that ends sooner than this is told of, in days. */
const CERTIFICATE_LEFT = 14;
/** How far a clock may be off before tokens look wrong there, in seconds. */
const CLOCK_OFF = 30;
/** How many redirects within the e-service a sign-in may begin with. */
const MOST_HOPS = 5;

/** One finding or more for each address of the client. */
export async function probeClient(client: ClientConfig, probe: Probe): Promise<Finding[]> {
  const asked = CHECKS.flatMap(([key, check]) =>
    [client[key] ?? []].flat().map(async (url): Promise<Finding[]> => {
      const verdicts = /^https?:/.test(url)
        ? verdictsOf(await check(url, { client, probe }), probe)
        : [ok("an app's own address: only a device can open it")];
      return verdicts.map((verdict) => ({ ...verdict, key, url }));
    }),
  );
  return (await Promise.all(asked)).flat();
}

function verdictsOf(judged: Judged, { now }: Probe): Verdict[] {
  if ('failed' in judged) return [fault(judged.failed)];
  const { certificateEnds, headers } = judged.answer;
  const verdicts = [...judged.verdicts];
  const left = certificateEnds ? Math.floor((certificateEnds.getTime() - now.getTime()) / DAY) : CERTIFICATE_LEFT;
  if (left < CERTIFICATE_LEFT) verdicts.push(warning(`its certificate ends in ${left} days`));
  const off = Math.round((Date.parse(headers.date ?? '') - now.getTime()) / 1000);
  if (Math.abs(off) > CLOCK_OFF) {
    const which = off > 0 ? 'ahead' : 'behind';
    verdicts.push(warning(`its clock is ${Math.abs(off)} seconds ${which}: tokens will look wrong there`));
  }
  return verdicts;
}

const judged = (answer: Answer, judge: (answered: Answered) => Verdict[]): Judged =>
  'failed' in answer ? answer : { answer, verdicts: judge(answer) };

/** Asked without a code it has nothing to give, but it must be there. */
const comesBack: Check = async (url, { probe }) =>
  judged(await ask(url, {}, probe), ({ status }) => {
    if (status >= 500) return [warning(`answers ${status} where no code comes along, expected a page that says so`)];
    if (status === 404) return [warning('answers 404: residents come back to a page that is not there')];
    return [ok(`answers ${status}`)];
  });

const isPage: Check = async (url, { probe }) =>
  judged(await ask(url, {}, probe), ({ status, headers }) => {
    if (status < 300) return [ok(`answers ${status}`)];
    if (status < 400) return [ok(`leads to ${headers.location ?? 'nowhere'}`)];
    return [fault(`answers ${status}, expected a page`)];
  });

/** A name that nobody can have (RFC 6761, 6.4). */
const NO_ISSUER = 'https://issuer.invalid';

/** OpenID Connect Core 1.0, 4: third-party initiated login, by us and by nobody else. */
const beginsSignIn: Check = async (url, of) => {
  const judged = await begun(url, of);
  if ('failed' in judged) return judged;
  const foreign = new URL(url);
  foreign.searchParams.set('iss', NO_ISSUER);
  const answer = await ask(foreign, {}, of.probe);
  if ('failed' in answer || !originOf(answer.headers.location, foreign)?.startsWith(NO_ISSUER)) return judged;
  const verdict = fault('leads wherever iss says: anybody can send residents from there to a page of their own');
  return { ...judged, verdicts: [...judged.verdicts, verdict] };
};

const originOf = (location: string | undefined, base: URL): string | undefined =>
  location && URL.canParse(location, base.href) ? new URL(location, base).origin : undefined;

const begun: Check = async (url, { client, probe }) => {
  let next = new URL(url);
  next.searchParams.set('iss', probe.issuer);
  const cookies = new Map<string, string>();
  const verdicts: Verdict[] = [];
  for (let hops = 0; ; hops++) {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const answer = await ask(next, cookie ? { headers: { cookie } } : {}, probe);
    if ('failed' in answer) return answer;
    for (const line of answer.headers['set-cookie'] ?? []) {
      verdicts.push(...cookieFaults(line, next));
      const [name = '', value = ''] = line.split(';')[0]!.split(/=(.*)/);
      cookies.set(name.trim(), value);
    }
    const {
      status,
      headers: { location },
    } = answer;
    if (status < 300 || status >= 400 || !location) {
      const page = 'answers with a page: whether a script there begins a sign-in cannot be seen from here';
      verdicts.unshift(
        status < 300 ? warning(page) : fault(`answers ${status}, expected a redirect to ${probe.issuer}`),
      );
      return { answer, verdicts };
    }
    const to = URL.canParse(location, next.href) ? new URL(location, next) : undefined;
    if (to?.origin === probe.issuer) return { answer, verdicts: [...requestFaults(to, client), ...verdicts] };
    if (to?.host !== next.host || hops >= MOST_HOPS) {
      verdicts.unshift(fault(`leads to ${to?.origin ?? 'no address'}, expected ${probe.issuer}`));
      return { answer, verdicts };
    }
    next = to;
  }
};

/** The authorization request that the e-service begins with. */
function requestFaults({ searchParams: query }: URL, client: ClientConfig): Verdict[] {
  const of = query.get('client_id');
  if (of !== client.client_id)
    return [fault(`begins a sign-in of client_id ${of ?? 'nobody'}, expected ${client.client_id}`)];
  // What was pushed or signed is not in the address.
  if (query.has('request_uri') || query.has('request')) return [ok('begins a sign-in')];
  const redirectUri = query.get('redirect_uri') ?? '';
  const scopes = (query.get('scope') ?? '').split(' ');
  const foreign = scopes.filter((scope) => !client.scope.split(' ').includes(scope));
  const found = [
    !client.redirect_uris.includes(redirectUri) &&
      fault(`begins a sign-in with redirect_uri ${redirectUri || 'none'}, which is not in the file`),
    foreign.length > 0 && fault(`begins a sign-in with scope ${foreign.join(' ') || 'none'}, which is not in the file`),
    client.require_pkce &&
      query.get('code_challenge_method') !== 'S256' &&
      fault('begins a sign-in without PKCE (S256)'),
    !query.has('state') && !query.has('nonce') && warning('begins a sign-in with neither state nor nonce'),
  ].filter((verdict) => verdict !== false);
  return found.length ? found : [ok('begins a sign-in')];
}

/** What it keeps of the sign-in must come along when the browser comes back from here, and nobody else may have it. */
function cookieFaults(line: string, { protocol }: URL): Verdict[] {
  const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
  const name = pair.split('=')[0];
  const has = (attribute: RegExp): boolean => attributes.some((given) => attribute.test(given));
  const found = [
    has(/^samesite=strict$/i) &&
      warning(`its cookie ${name} is SameSite=Strict: it stays away when the resident comes back`),
    !has(/^httponly$/i) && warning(`its cookie ${name} is not HttpOnly: scripts can read it`),
    protocol === 'https:' && !has(/^secure$/i) && warning(`its cookie ${name} is not Secure`),
  ];
  return found.filter((verdict) => verdict !== false);
}

/** Back-Channel Logout 1.0, 2.6 and 2.8: a logout token whose signature is nobody's is refused with 400. */
const refusesBogusToken: Check = async (url, { client, probe }) => {
  const form = { logout_token: await bogusLogoutToken(client, probe) };
  return judged(await ask(url, { form }, probe), ({ status }) => {
    if (status === 400) return [ok('refuses a logout token that we did not sign')];
    if (status < 300)
      return [fault(`answers ${status} to a logout token that we did not sign: anybody can sign residents out there`)];
    if (status === 404 || status === 405) return [fault(`answers ${status}, expected it to take a POST`)];
    if (status < 400) return [fault(`answers ${status}, expected an answer of its own: redirects are not followed`)];
    if (status >= 500) return [fault(`answers ${status} to a bad logout token, expected 400`)];
    return [warning(`answers ${status} to a bad logout token, expected 400; is the address open to us?`)];
  });
};

/** Right in everything but its key. */
async function bogusLogoutToken(client: ClientConfig, { issuer, now }: Probe): Promise<string> {
  const alg = client.id_token_signed_response_alg ?? 'RS256';
  const { privateKey } = await generateKeyPair(alg);
  const claims = {
    sub: randomUUID(),
    sid: randomUUID(),
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
  };
  return new SignJWT(claims)
    .setProtectedHeader({ alg, typ: 'logout+jwt', kid: 'check' })
    .setIssuer(issuer)
    .setAudience(client.client_id)
    .setJti(randomUUID())
    .setIssuedAt(now)
    .setExpirationTime(new Date(now.getTime() + 120_000))
    .sign(privateKey);
}

const givesKeys: Check = async (url, { probe }) =>
  judged(await ask(url, {}, probe), ({ status, body }) => {
    if (status !== 200) return [fault(`answers ${status}, expected keys`)];
    const keys = keysIn(body);
    if (!keys?.length) return [fault('gives no JSON Web Key Set')];
    if (keys.some((key) => 'd' in key)) return [fault('gives away a private key: make a new one at once')];
    const good = keys.filter(isPublicKey).length;
    return [good ? ok(`gives ${good} good key${good === 1 ? '' : 's'}`) : fault('gives no key that can be used')];
  });

function keysIn(body: string): Record<string, unknown>[] | undefined {
  try {
    const { keys } = JSON.parse(body) as { keys?: unknown };
    return Array.isArray(keys)
      ? keys.filter((key): key is Record<string, unknown> => typeof key === 'object' && key !== null)
      : undefined;
  } catch {
    return undefined;
  }
}

const CHECKS = [
  ['redirect_uris', comesBack],
  ['post_logout_redirect_uris', isPage],
  ['initiate_login_uri', beginsSignIn],
  ['client_uri', isPage],
  ['policy_uri', isPage],
  ['tos_uri', isPage],
  ['backchannel_logout_uri', refusesBogusToken],
  ['jwks_uri', givesKeys],
] as const satisfies readonly (readonly [keyof ClientConfig, Check])[];
