/**
 * `npm run bench:flood`: what others notice of a flood of sign-ins. Guessers keep the hashing saturated, from some networks that
 * have failed before or from ever new ones; beside them discovery and tokens are asked for, and a few residents sign in, where they
 * did before and on new devices. The same without the flood, in turns; the figures are medians.
 *
 * `-- --quick` only shows that it runs.
 */
import { constants, setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { settle } from './city.ts';
import { clearUp, drive, helper, postgres, tunnus, type Measured, type Result } from './parts.ts';
import { at, fixed, median, printColumns } from './table.ts';

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const [ROUNDS, MILLISECONDS] = options.quick ? [1, 2_000] : [5, 8_000];
const GUESSERS = 200;
/** The residents who sign in are some of them. */
const [ALL, SOME] = [5_000, 200];

const WATCHED = ['discovery', 'client-credentials', 'patient-return', 'patient-sign-in'] as const;
type Watched = (typeof WATCHED)[number];
type Round = Record<Watched, Result> & { guess?: Result };

/** From how many networks guesses come: none do; so many that fail again and again; a new one for each. */
const FLOODS = { calm: 0, 'from 200': 200, 'from new': ALL };
type Flood = keyof typeof FLOODS;

const guesser = helper('driver');
// Their machines are not ours: what guessing costs them takes nothing from the hashing.
setPriority(guesser.pid!, constants.priority.PRIORITY_LOW);
const watchers = new Map(WATCHED.map((work) => [work, helper('driver')]));

async function round(on: Measured, networks: number): Promise<Round> {
  const order = { by: guesser, residents: ALL, networks, atOnce: GUESSERS, milliseconds: MILLISECONDS + 2000 };
  const flood = networks > 0 ? drive(on, 'guess', order) : undefined;
  // It has begun when the others look.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const watched = WATCHED.map(async (work) => {
    const wish = { by: watchers.get(work)!, residents: SOME, atOnce: 2, pause: 20, milliseconds: MILLISECONDS };
    return [work, await drive(on, work, wish)] as const;
  });
  const results = Object.fromEntries(await Promise.all(watched)) as Round;
  return { ...results, guess: await flood };
}

try {
  const database = await postgres.create('flood');
  await settle(database, { residents: ALL });
  const on = await tunnus('tunnus', database);
  // All of them have a device of theirs when the flood comes.
  await drive(on, 'patient-return', { by: watchers.get('patient-return'), residents: SOME, count: SOME });
  const rounds: Record<Flood, Round[]> = { calm: [], 'from 200': [], 'from new': [] };
  for (let turn = 0; turn < ROUNDS; turn += 1)
    for (const [flood, networks] of Object.entries(FLOODS)) rounds[flood as Flood].push(await round(on, networks));
  const p = (share: number) => (result: Result) => at(result.latencies, share);
  const figures = { 'p50, ms': p(0.5), 'p99, ms': p(0.99), 'per second': (result: Result) => result.perSecond };
  const names = Object.keys(FLOODS) as Flood[];
  printColumns(
    ['what', ...Object.keys(figures).flatMap((figure) => names.map((flood) => `${figure}: ${flood}`))],
    [...WATCHED, 'guess' as const].map((work) => [
      work,
      ...Object.values(figures).flatMap((figure) =>
        names.map((flood) => {
          const measured = rounds[flood].flatMap((each) => each[work] ?? []);
          return measured.length ? fixed(median(measured.map(figure)), 1) : '';
        }),
      ),
    ]),
  );
} finally {
  await clearUp();
}
