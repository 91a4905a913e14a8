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
  work: 'sign-in' | 'refresh' | 'introspection' | 'client-credentials' | 'authorization-request';
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

/** Of former orders, by issuer: who wants to measure refreshes alone first orders none of them. */
const kept = new Map<string, Tokens[]>();
const NEEDS_TOKENS = ['refresh', 'introspection'];

async function run(orders: Orders): Promise<Counted> {
  const agent = new Agent({ keepAlive: true, maxSockets: orders.atOnce });
  const latencies: number[] = [];
  let begun = 0;
  const tokens = kept.get(orders.issuer) ?? [];
  kept.set(orders.issuer, tokens);
  if (NEEDS_TOKENS.includes(orders.work))
    while (tokens.length < orders.atOnce) tokens.push(await signIn({ agent, orders, resident: tokens.length }));
  const start = performance.now();
  const until = start + (orders.milliseconds ?? Infinity);
  const lane = async (index: number): Promise<void> => {
    while (begun < (orders.count ?? Infinity) && performance.now() < until) {
      // All over the table, not one beside the other.
      const resident = (begun++ * 7919) % orders.residents;
      const from = performance.now();
      const job = { agent, orders, resident };
      if (orders.work === 'sign-in') await signIn(job);
      else if (orders.work === 'authorization-request') await beginSignIn(job);
      else if (orders.work === 'client-credentials') await asMachine(job);
      else if (orders.work === 'introspection') await introspect(job, tokens[index]!.access_token);
      else tokens[index] = await refresh(job, tokens[index]!);
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
type Job = { agent: Agent; orders: Orders; resident: number };

const placeOf = (resident: number): string => `10.${(resident >> 16) & 255}.${(resident >> 8) & 255}.${resident & 255}`;

/** The authorization request and the page that it leads to. */
async function beginSignIn(job: Job) {
  const { agent, orders } = job;
  const { issuer, redirectUri } = orders;
  const verifier = randomBytes(32).toString('base64url');
  const jar = new Map<string, string>();
  const send = async (path: string, options: { form?: Record<string, string>; headers?: object } = {}) => {
    const headers = { 'X-Forwarded-For': placeOf(job.resident), ...options.headers };
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
  const query = new URLSearchParams({
    client_id: orders.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid email profile',
    state: 's',
    nonce: randomBytes(16).toString('base64url'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const begin = await send(`/auth?${query.toString()}`);
  const addressPath = new URL(begin.location, issuer).pathname;
  return { send, verifier, addressPath, addressPage: await send(addressPath) };
}

/** Authorization request, address, password, resume, token, userinfo. */
async function signIn(job: Job): Promise<Tokens> {
  const { agent, orders, resident } = job;
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
  const code = new URL(answer.location).searchParams.get('code');
  if (!code) throw new Error(`no code: ${answer.status} ${answer.location} ${answer.body.slice(0, 200)}`);
  const tokens = await tokenRequest(job, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: redirectUri,
    code_verifier: verifier,
  });
  const info = await exchange(new URL('/me', issuer), {
    agent,
    headers: { Authorization: `Bearer ${tokens.access_token}` },
  });
  if (info.status !== 200) throw new Error(`userinfo answered ${info.status}: ${info.body}`);
  return tokens;
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

async function asService<T>({ agent, orders }: Job, path: string, form: Record<string, string>): Promise<T> {
  const credentials = [orders.clientId, orders.clientSecret].map(encodeURIComponent).join(':');
  const answer = await exchange(new URL(path, orders.issuer), {
    agent,
    form,
    headers: { Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
  });
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.body}`);
  return JSON.parse(answer.body) as T;
}

/** The hidden fields of the page's first form that posts. */
function hidden(html: string): Record<string, string> {
  const form = /<form[^>]*method="post".*?<\/form>/s.exec(html)?.[0] ?? '';
  const fields = [...form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
  return Object.fromEntries(fields.map(([, name, value]) => [name!, value!]));
}

function exchange(
  url: URL,
  options: { agent: Agent; jar?: Map<string, string>; form?: Record<string, string>; headers?: object },
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
