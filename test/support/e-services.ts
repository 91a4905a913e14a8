/**
 * E-services that take logouts (OpenID Connect Back-Channel Logout 1.0) on a real HTTP server, each under its own path. They
 * answer as a test says, and hand out what came.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface ReceivedLogout {
  service: string;
  token: string;
}

export interface EServices {
  /** For `backchannel_logout_uri`. */
  uri(service: string): string;
  /** Each that ever came. */
  readonly all: readonly ReceivedLogout[];
  /** The oldest of this e-service not handed out yet; waits for it, and fails when it doesn't come in time. */
  next(service: string, within?: number): Promise<string>;
  /** How many calls it had to answer at once, at the most. */
  atOnce(service: string): number;
  /** The next answers of this e-service, in order; 200 after them. 0 never answers. */
  answer(service: string, ...statuses: number[]): void;
  close(): Promise<void>;
}

export async function startEServices(): Promise<EServices> {
  const all: ReceivedLogout[] = [];
  const handedOut = new Set<ReceivedLogout>();
  const waiting = new Set<() => void>();
  const answers = new Map<string, number[]>();
  const stalled = new Set<ServerResponse>();
  const open = new Map<string, number>();
  const most = new Map<string, number>();
  const count = (service: string, by: 1 | -1): void => {
    const now = (open.get(service) ?? 0) + by;
    open.set(service, now);
    most.set(service, Math.max(most.get(service) ?? 0, now));
  };
  const server = createServer((request, response) => {
    const service = request.url!.slice(1);
    count(service, 1);
    response.once('close', () => count(service, -1));
    void text(request).then((body) => {
      const token = new URLSearchParams(body).get('logout_token') ?? '';
      all.push({ service, token });
      const status = answers.get(service)?.shift() ?? 200;
      if (status === 0) stalled.add(response);
      else response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end();
      for (const look of waiting) look();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    uri: (service) => `${origin}/${service}`,
    all,
    atOnce: (service) => most.get(service) ?? 0,
    next: (service, within = 20_000) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = all.find((one) => one.service === service && !handedOut.has(one));
          if (!found) return;
          handedOut.add(found);
          waiting.delete(look);
          clearTimeout(timer);
          resolve(found.token);
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`nothing came to ${service} within ${within} ms`));
        }, within);
        waiting.add(look);
        look();
      }),
    answer: (service, ...statuses) => void answers.set(service, statuses),
    close: () => {
      for (const response of stalled) response.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
