/** Each parameter of each endpoint, left out and given twice: the error that its standard names, and nothing else. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { city } from '../support/city.ts';
import { endpoints, verdictOf, type Endpoint } from '../support/endpoints.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { PASSWORD, signedIn } from '../support/protocol.ts';
import { CLIENT_SECRET, startWorld, type World } from '../support/world.ts';

let world: World;
let browser: HttpBrowser;
let all: Endpoint[];
const secrets: string[] = [CLIENT_SECRET];

beforeAll(async () => {
  const { options, keys } = await city();
  world = await startWorld(options);
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  browser = await signedIn(world, 'portal', 'maija@example.com');
  all = endpoints(world, { browser, keys });
});
afterAll(() => world.close());

const encoded = (fields: [string, string][]): string => new URLSearchParams(fields).toString();
const send = (endpoint: Endpoint, fields: [string, string][]) => {
  const cookie = browser.jar.headerFor(new URL('/auth', world.issuer), { withLax: true }) ?? '';
  for (const [name, value] of fields)
    if (['code', 'refresh_token', 'client_assertion', 'access_token', 'code_verifier'].includes(name))
      secrets.push(value);
  return verdictOf(world, endpoint, { encoded: encoded(fields), cookie });
};

test('as they should be, all are taken', async () => {
  for (const endpoint of all) {
    expect([endpoint.name, await send(endpoint, await endpoint.fields())]).toEqual([
      endpoint.name,
      { status: expect.any(Number), error: '', wrong: [] },
    ]);
  }
});

test('a parameter that is left out is told, or not needed', async () => {
  const wrong: string[] = [];
  for (const endpoint of all) {
    for (const [name, { missing }] of Object.entries(endpoint.errors)) {
      const fields = (await endpoint.fields()).filter(([each]) => each !== name);
      const verdict = await send(endpoint, fields);
      if (verdict.error !== missing || verdict.wrong.length)
        wrong.push(`${endpoint.name} without ${name}: ${JSON.stringify(verdict)}, not ${missing || 'taken'}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('a parameter that is given twice is invalid_request (RFC 6749, 3.1 and 3.2)', async () => {
  const wrong: string[] = [];
  for (const endpoint of all) {
    for (const name of Object.keys(endpoint.errors).filter((each) => !endpoint.mayRepeat?.includes(each))) {
      const fields = await endpoint.fields();
      const value = fields.find(([each]) => each === name)?.[1] ?? 'x';
      const verdict = await send(endpoint, [...fields.filter(([each]) => each !== name), [name, value], [name, value]]);
      if (verdict.error !== 'invalid_request' || verdict.wrong.length)
        wrong.push(`${endpoint.name} with ${name} twice: ${JSON.stringify(verdict)}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('nothing of it that is a secret stands in the log', () => {
  const log = world.log.join();
  expect(new Set(secrets).size).toBeGreaterThan(20);
  expect(secrets.filter((secret) => log.includes(secret))).toEqual([]);
});
