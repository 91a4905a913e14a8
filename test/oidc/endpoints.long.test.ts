/** Each parameter of each endpoint, with all that a stranger might write there: an error of its standard, and nothing else. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { city } from '../support/city.ts';
import { endpoints, verdictOf, type Endpoint } from '../support/endpoints.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { spoiltFields } from '../support/nasty.ts';
import { PASSWORD, signedIn } from '../support/protocol.ts';
import { startWorld, type World } from '../support/world.ts';

const LIMIT = 15 * 60_000;
/** These change the request's form, not the value: endpoints.test.ts has them. */
const ELSEWHERE = ['left out', 'twice', 'nothing', 'without a value', 'a list', 'an object'];

let world: World;
let browser: HttpBrowser;
let all: Endpoint[];

beforeAll(async () => {
  const { options, keys } = await city();
  world = await startWorld(options);
  await world.account({ email: 'maija@example.com', password: PASSWORD });
  browser = await signedIn(world, 'portal', 'maija@example.com');
  all = endpoints(world, { browser, keys });
});
afterAll(() => world.close());

test(
  'nonsense is told by the error of its standard',
  async () => {
    const wrong: string[] = [];
    for (const endpoint of all) {
      const cookie = browser.jar.headerFor(new URL('/auth', world.issuer), { withLax: true }) ?? '';
      for (const [name, { spoilt }] of Object.entries(endpoint.errors)) {
        for (const [what] of spoiltFields([], name)) {
          if (ELSEWHERE.includes(what)) continue;
          const fields = await endpoint.fields();
          const [, encoded] = [...spoiltFields(fields, name)].find(([each]) => each === what)!;
          const verdict = await verdictOf(world, endpoint, { encoded, cookie });
          if (!spoilt.includes(verdict.error) || verdict.wrong.length)
            wrong.push(`${endpoint.name}: ${name} is ${what}: ${JSON.stringify(verdict)}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  },
  LIMIT,
);

test('after all that nothing of ours has failed', () => {
  expect(world.log.filter((line) => line.includes('"level":"error"'))).toEqual([]);
});
