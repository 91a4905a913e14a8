/**
 * Does what browsers and e-services do, as fast as a provider lets it, in a process of its own, so that the driver's work is
 * not taken for the provider's. Speaks bare HTTP over kept-open connections. It is told by a message what to do, and answers with what it counted.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';

export interface Orders {
  issuer: string;
  clientId: string;
  clientSecret: string;
  redirectUri: string;
  password: string;
  /** Residents are `resident<i>@example.com`. */
  residents: number;
  /** From how many networks guesses come. */
  networks?: number;
  work: keyof typeof WORK;
  atOnce: number;
  /** Milliseconds between two of a lane. */
  pause?: number;
  /** Stop after so many, or after so long. */
  count?: number;
  milliseconds?: number;
}

export interface Counted {
  done: number;
  milliseconds: number;
  /** Sorted, of one whole operation. */
  latencies: number[];
}

interface Answer {
  status: number;
  location: string;
  cookies: string[];
  body: string;
}

process.on('message', (orders: Orders) => {
  run(orders).then(
    (counted) => process.send!(counted),
    (error: Error) => process.send!({ error: error.stack }),
  );
});
process.on('disconnect', () => process.exit());

/**
 * Of former orders, by issuer: who wants to measure refreshes alone first orders none of them. Sign-ins end them, since a
 * provider that keeps all in memory forgets the oldest.
 */
const kept = new Map<string, Lane[]>();

/** What a lane of the driver does again and again. `lane` is its own: who is signed in there, and with which tokens. */
const WORK = {
  'sign-in': (job: Job) => signIn(job),
  /** As a resident does who is told that much is going on: once more, a little later. */
  'patient-sign-in': async (job: Job) => {
    while (!(await signIn(job).catch(() => undefined))) await new Promise((resolve) => setTimeout(resolve, 250));
  },
  /** The same where they did before: the browser has its device cookie, and no session any more. */
  'patient-return': async (job: Job) => {
    const jar: Jar = devices.get(job.resident) ?? new Map<string, string>();
    devices.set(job.resident, jar);
    while (!(await signIn({ ...job, jar }).catch(() => undefined)))
      await new Promise((resolve) => setTimeout(resolve, 250));
    for (const name of jar.keys()) if (!name.includes('device')) jar.delete(name);
  },
  /** As somebody does who guesses: a wrong password, whatever comes of it, and from elsewhere than residents come from. */
  guess: async (job: Job) =>
    void (await signIn({
      ...job,
      place: placeOf(job.resident % (job.orders.networks ?? Infinity), 172),
      orders: { ...job.orders, password: 'guessed' },
    }).catch(() => undefined)),
  'authorization-request': (job: Job) => beginSignIn(job),
  'client-credentials': (job: Job) => asMachine(job),
  refresh: async (job: Job, lane: Lane) => void Object.assign(lane.tokens, await refresh(job, lane.tokens)),
  introspection: (job: Job, { tokens }: Lane) => introspect(job, tokens.access_token),
  userinfo: (job: Job, { tokens }: Lane) => userinfo(job, tokens.access_token),
  // A new grant may take the place of the former: its tokens are the lane's from then on.
  'single-sign-on': async (job: Job, { tokens, session }: Lane) =>
    void Object.assign(tokens, await signInAgain(job, session)),
  // It ends the grant too: what follows needs a code of its own.
  'revocation-and-single-sign-on': async (job: Job, { tokens, session }: Lane) => {
    await asService(job, '/token/revocation', { token: tokens.refresh_token });
    Object.assign(tokens, await signInAgain(job, session));
  },
  'pushed-request': (job: Job) => asService(job, '/request', authorization(job.orders).parameters, 201),
  discovery: (job: Job) => read(job, '/.well-known/openid-configuration'),
  keys: (job: Job) => read(job, '/jwks'),
};
const NEEDS_LANES: (keyof typeof WORK)[] = [
  'refresh',
  'introspection',
  'userinfo',
  'single-sign-on',
  'revocation-and-single-sign-on',
];

interface Lane {
  tokens: Tokens;
  session: Session;
}

async function run(orders: Orders): Promise<Counted> {
  const agent = new Agent({ keepAlive: true, maxSockets: orders.atOnce });
  const latencies: number[] = [];
  let begun = 0;
  const lanes = kept.get(orders.issuer) ?? [];
  if (orders.work === 'sign-in') kept.delete(orders.issuer);
  else kept.set(orders.issuer, lanes);
  if (NEEDS_LANES.includes(orders.work))
    while (lanes.length < orders.atOnce) lanes.push(await signIn({ agent, orders, resident: lanes.length }));
  const start = performance.now();
  const until = start + (orders.milliseconds ?? Infinity);
  const lane = async (index: number): Promise<void> => {
    while (begun < (orders.count ?? Infinity) && performance.now() < until) {
      // All over the table, not one beside the other.
      const resident = (begun++ * 7919) % orders.residents;
      const from = performance.now();
      await WORK[orders.work]({ agent, orders, resident }, lanes[index]!);
      latencies.push(performance.now() - from);
      if (orders.pause) await new Promise((resolve) => setTimeout(resolve, orders.pause));
    }
  };
  await Promise.all(Array.from({ length: orders.atOnce }, (_, index) => lane(index)));
  agent.destroy();
  return {
    done: latencies.length,
    milliseconds: performance.now() - start,
    latencies: latencies.sort((a, b) => a - b),
  };
}

type Tokens = { access_token: string; refresh_token: string };
type Jar = Map<string, string>;
type Job = { agent: Agent; orders: Orders; resident: number; place?: string; jar?: Jar };

/** Of residents who come back. */
const devices = new Map<number, Jar>();

/** Each in a neighbourhood of its own. */
const placeOf = (resident: number, first = 10): string =>
  `${first}.${(resident >> 8) & 255}.${resident & 255}.${(resident >> 16) & 255}`;

type Session = (path: string, options?: { form?: Record<string, string>; headers?: object }) => Promise<Answer>;

/** A browser: it keeps its cookies. */
function openBrowser({
  agent,
  orders: { issuer },
  resident,
  place = placeOf(resident),
  jar = new Map<string, string>(),
}: Job): Session {
  return async (path, options = {}) => {
    const headers = { 'X-Forwarded-For': place, ...options.headers };
    const answer = await exchange(new URL(path, issuer), { agent, jar, ...options, headers });
    for (const line of answer.cookies) {
      const [pair = '', ...rest] = line.split(';');
      const at = pair.indexOf('=');
      const isOver = rest.some((each) => /expires=Thu, 01 Jan 1970/i.test(each));
      if (isOver) jar.delete(pair.slice(0, at));
      else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return answer;
  };
}

function authorization({ clientId, redirectUri }: Orders): { verifier: string; parameters: Record<string, string> } {
  const verifier = randomBytes(32).toString('base64url');
  const parameters = {
    client_id: clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid email profile',
    state: 's',
    nonce: randomBytes(16).toString('base64url'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  };
  return { verifier, parameters };
}

/** The authorization request and the page that it leads to. */
async function beginSignIn(job: Job) {
  const send = openBrowser(job);
  const { verifier, parameters } = authorization(job.orders);
  const begin = await send(`/auth?${new URLSearchParams(parameters).toString()}`);
  const addressPath = new URL(begin.location, job.orders.issuer).pathname;
  return { send, verifier, addressPath, addressPage: await send(addressPath) };
}

/** Authorization request, address, password, resume, token, userinfo. */
async function signIn(job: Job): Promise<Lane> {
  const { orders, resident } = job;
  const { issuer, redirectUri } = orders;
  const { send, verifier, addressPath, addressPage } = await beginSignIn(job);
  const email = `resident${resident}@example.com`;
  const toPassword = await send(addressPath, { form: { ...hidden(addressPage.body), email } });
  const passwordPath = new URL(toPassword.location, issuer).pathname;
  const passwordPage = await send(passwordPath);
  let answer = await send(passwordPath, {
    form: { ...hidden(passwordPage.body), username: email, password: orders.password },
  });
  for (let hops = 0; hops < 5 && !answer.location.startsWith(redirectUri); hops += 1)
    answer = await send(answer.location);
  const tokens = await redeem(job, answer, verifier);
  await userinfo(job, tokens.access_token);
  return { tokens, session: send };
}

/** By the session that is there: authorization request, token. */
async function signInAgain(job: Job, send: Session): Promise<Tokens> {
  const { verifier, parameters } = authorization(job.orders);
  return redeem(job, await send(`/auth?${new URLSearchParams(parameters).toString()}`), verifier);
}

function redeem(job: Job, { status, location, body }: Answer, verifier: string): Promise<Tokens> {
  const code = URL.canParse(location) && new URL(location).searchParams.get('code');
  if (!code) throw new Error(`no code: ${status} ${location} ${body.slice(0, 200)}`);
  return tokenRequest(job, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: job.orders.redirectUri,
    code_verifier: verifier,
  });
}

const userinfo = (job: Job, token: string): Promise<string> => read(job, '/me', { Authorization: `Bearer ${token}` });

async function read({ agent, orders }: Job, path: string, headers: object = {}): Promise<string> {
  const answer = await exchange(new URL(path, orders.issuer), { agent, headers });
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.body}`);
  return answer.body;
}

async function refresh(job: Job, { refresh_token: token }: Tokens): Promise<Tokens> {
  const tokens = await tokenRequest(job, { grant_type: 'refresh_token', refresh_token: token });
  return { ...tokens, refresh_token: tokens.refresh_token ?? token };
}

async function asMachine({ agent, orders, resident }: Job): Promise<void> {
  const job = { agent, resident, orders: { ...orders, clientId: 'machine' } };
  await tokenRequest(job, { grant_type: 'client_credentials', resource: 'urn:bench:api' });
}

async function introspect(job: Job, token: string): Promise<void> {
  const { active } = await asService<{ active: boolean }>(job, '/token/introspection', { token });
  if (!active) throw new Error('introspection of a live token said that it is not active');
}

const tokenRequest = (job: Job, form: Record<string, string>): Promise<Tokens> =>
  asService<Tokens>(job, '/token', form);

async function asService<T>(
  { agent, orders }: Job,
  path: string,
  ...[form, expected = 200]: [form: Record<string, string>, expected?: number]
): Promise<T> {
  const credentials = [orders.clientId, orders.clientSecret].map(encodeURIComponent).join(':');
  const answer = await exchange(new URL(path, orders.issuer), {
    agent,
    form,
    headers: { Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
  });
  if (answer.status !== expected) throw new Error(`${path} answered ${answer.status}: ${answer.body}`);
  return (answer.body ? JSON.parse(answer.body) : undefined) as T;
}

/** The hidden fields of the page's first form that posts. */
function hidden(html: string): Record<string, string> {
  const form = /<form[^>]*method="post".*?<\/form>/s.exec(html)?.[0] ?? '';
  const fields = [...form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
  return Object.fromEntries(fields.map(([, name, value]) => [name!, value!]));
}

function exchange(
  url: URL,
  options: { agent: Agent; jar?: Jar; form?: Record<string, string>; headers?: object },
): Promise<Answer> {
  const { agent, jar, form, headers } = options;
  const body = form && new URLSearchParams(form).toString();
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, {
      agent,
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        // A browser's forms say where they come from; an e-service's own requests do not.
        ...(jar ? { Cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '), Origin: url.origin } : {}),
        ...(body === undefined
          ? {}
          : {
              'Content-Type': 'application/x-www-form-urlencoded',
              'Content-Length': Buffer.byteLength(body),
            }),
        ...headers,
      },
    });
    request.on('error', reject).on('response', (response) => {
      text(response).then(
        (read) =>
          resolve({
            status: response.statusCode ?? 0,
            location: response.headers.location ?? '',
            cookies: response.headers['set-cookie'] ?? [],
            body: read,
          }),
        reject,
      );
    });
    request.end(body);
  });
}
