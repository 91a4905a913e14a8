/**
 * `npm run bench:flood`: what others notice of a flood of sign-ins. Guessers keep the hashing saturated; beside them discovery
 * and tokens are asked for, and a few residents sign in. The same without the flood, in turns; the figures are medians.
 *
 * `-- --quick` only shows that it runs.
 */
import { parseArgs } from 'node:util';
import { settle } from './city.ts';
import { clearUp, drive, helper, postgres, tunnus, type Measured, type Result } from './parts.ts';
import { at, fixed, median, printColumns } from './table.ts';

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const [ROUNDS, MILLISECONDS] = options.quick ? [1, 2_000] : [5, 8_000];
const GUESSERS = 200;
/** The residents who sign in are some of them. */
const [ALL, SOME] = [5_000, 200];

const WATCHED = ['discovery', 'client-credentials', 'patient-sign-in'] as const;
type Watched = (typeof WATCHED)[number];

const guesser = helper('driver');
const watchers = new Map(WATCHED.map((work) => [work, helper('driver')]));

async function round(on: Measured, flooded: boolean): Promise<Record<Watched, Result>> {
  const flood = flooded
    ? drive(on, 'guess', { by: guesser, residents: ALL, atOnce: GUESSERS, milliseconds: MILLISECONDS + 2000 })
    : undefined;
  // It has begun when the others look.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const watched = WATCHED.map(async (work) => {
    const wish = { by: watchers.get(work)!, residents: SOME, atOnce: 2, pause: 20, milliseconds: MILLISECONDS };
    return [work, await drive(on, work, wish)] as const;
  });
  const results = Object.fromEntries(await Promise.all(watched)) as Record<Watched, Result>;
  await flood;
  return results;
}

try {
  const database = await postgres.create('flood');
  await settle(database, { residents: ALL });
  const on = await tunnus('tunnus', database);
  await drive(on, 'sign-in', { residents: SOME, count: 20 });
  const calm: Record<Watched, Result>[] = [];
  const flooded: Record<Watched, Result>[] = [];
  for (let turn = 0; turn < ROUNDS; turn += 1) {
    calm.push(await round(on, false));
    flooded.push(await round(on, true));
  }
  const of = (rounds: Record<Watched, Result>[], work: Watched, figure: (result: Result) => number): string =>
    fixed(median(rounds.map((each) => figure(each[work]))), 1);
  const p = (share: number) => (result: Result) => at(result.latencies, share);
  printColumns(
    ['what', 'p50 calm, ms', 'p50 flooded', 'p99 calm, ms', 'p99 flooded', 'per second calm', 'flooded'],
    WATCHED.map((work) => [
      work,
      ...[p(0.5), p(0.99), (result: Result) => result.perSecond].flatMap((figure) => [
        of(calm, work, figure),
        of(flooded, work, figure),
      ]),
    ]),
  );
} finally {
  await clearUp();
}
