/**
 * `npm run bench:grants`: requests per second of each grant and endpoint, beside the same oidc-provider with its in-memory
 * adapter (`bare.ts`). The two take turns, and each ratio is the median of the rounds; statements are counted apart, on the
 * wire. `-- --quick` is one short round, which shows that all of it works and no more.
 */
import { parseArgs } from 'node:util';
import { settle } from './city.ts';
import type { Orders } from './driver.ts';
import { bare, clearUp, drive, postgres, RESIDENTS, statementsOf, tunnus } from './parts.ts';
import { fixed, median, printColumns } from './table.ts';

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const [ROUNDS, MILLISECONDS] = options.quick ? [1, 200] : [5, 1500];

const STEPS: readonly (readonly [work: Orders['work'], name: string])[] = [
  ['discovery', 'discovery'],
  ['keys', 'JWKS'],
  ['authorization-request', 'authorization request and sign-in page, of a stranger'],
  ['single-sign-on', 'code and token, signed in'],
  ['pushed-request', 'pushed authorization request'],
  ['refresh', 'refresh token'],
  ['client-credentials', 'client credentials'],
  ['userinfo', 'userinfo'],
  ['introspection', 'introspection'],
  ['revocation-and-single-sign-on', 'revocation of a refresh token, then code and token, signed in'],
];

try {
  const database = await postgres.create('tunnus');
  await settle(database, { residents: RESIDENTS });
  const statements = await statementsOf(
    (url) => tunnus('tunnus', url),
    database,
    STEPS.map(([work]) => work),
  );
  const [ours, theirs] = [await tunnus('tunnus', database), await bare('bare')];
  const lines: string[][] = [];
  for (const [work, name] of STEPS) {
    const rounds: { here: number; there: number; ratio: number }[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const here = await drive(ours, work, { milliseconds: MILLISECONDS });
      const there = await drive(theirs, work, { milliseconds: MILLISECONDS });
      rounds.push({ here: here.perSecond, there: there.perSecond, ratio: here.perSecond / there.perSecond });
    }
    const of = (key: 'here' | 'there' | 'ratio'): number => median(rounds.map((round) => round[key]));
    lines.push([
      name,
      fixed(of('here'), 0),
      fixed(of('there'), 0),
      fixed(of('ratio'), 2),
      String(statements.get(work)),
    ]);
  }
  printColumns(['what', 'per second', 'bare', 'ratio', 'SQL statements'], lines);
} finally {
  await clearUp();
}
