/**
 * Under `conceal` the time of an answer tells nothing: the times for each state of an account, and for an old list's dear hash,
 * come from one distribution (two-sample Kolmogorov-Smirnov). What is known of no account is the yardstick, measured in turn
 * with the others, so that a busy machine touches all alike.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const ROUNDS = 18;
/** How many walk at once: most of the time is waiting. */
const LANES = 3;
/** With equal distributions the greatest distance is over this in one of ten thousand runs: sqrt(-ln(alpha / 2) / 2). */
const CRITICAL = Math.sqrt(-Math.log(0.000_1 / 2) / 2) * Math.sqrt(2 / ROUNDS);
// bcrypt at cost 14, the dearest of all that may be imported: over a second, where our own hash takes 13 ms.
const DEAR = '$2b$14$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW';

const STATES = ['unknown', 'no_password', 'has_password', 'locked', 'old_hash'] as const;
type State = (typeof STATES)[number];
/** Each round of a lane has an address of its own: nobody is throttled by what went before. */
const addressOf = (state: State, round: number): string => `${state.padEnd(12, 'x')}${round % LANES}@example.com`;

let world: World;
let asiointi: RelyingParty;

beforeAll(async () => {
  world = await startWorld({ settings: { signIn: { unknownAddress: 'conceal' }, listen: { proxies: 1 } } });
  asiointi = await world.relyingParty();
  for (const state of STATES) {
    if (state === 'unknown') continue;
    const password = state === 'no_password' ? undefined : PASSWORD;
    for (let lane = 0; lane < LANES; lane += 1)
      await world.account({ email: addressOf(state, lane), password, locked: state === 'locked' });
  }
  await world.database.query(sql`
    update accounts set password_hash = ${DEAR} where email like 'old_hash%'`);
});
afterAll(() => world.close());

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** The greatest distance between the distributions of two samples. */
function distance(a: readonly number[], b: readonly number[]): number {
  const share = (sample: readonly number[], limit: number): number =>
    sample.filter((value) => value <= limit).length / sample.length;
  return Math.max(...[...a, ...b].map((limit) => Math.abs(share(a, limit) - share(b, limit))));
}

const median = (sample: readonly number[]): number => [...sample].sort((a, b) => a - b)[sample.length >> 1]!;

const STEPS: Record<string, (browser: HttpBrowser) => Promise<unknown>> = {
  'a wrong password': (browser) => browser.submit({ 'current-password': 'not the right one' }, { follow: false }),
  'a link asked for': (browser) => browser.submit({}, { form: 'form[action$="/link-sent"]', follow: false }),
};

test(
  'each step takes the same time for each address',
  async () => {
    const samples: Record<string, Record<string, number[]>> = {};
    const note = (step: string, state: State, ms: number): void => {
      ((samples[step] ??= {})[state] ??= []).push(ms);
    };
    const walk = async (round: number): Promise<void> => {
      const order = STATES.map((_, index) => STATES[(index + round) % STATES.length]!);
      for (const [index, state] of order.entries()) {
        const browser = world.browser({ headers: { 'X-Forwarded-For': `10.${round}.0.${index}` } });
        await browser.get((await asiointi.begin()).url);
        note(
          'the address',
          state,
          await timed(() => browser.submit({ username: addressOf(state, round) }, { follow: false })),
        );
        const page = browser.page.leadsTo!;
        for (const [step, work] of Object.entries(STEPS)) {
          await browser.get(page);
          note(step, state, await timed(() => work(browser)));
        }
      }
    };
    for (let round = 0; round < ROUNDS; round += LANES) {
      await Promise.all(Array.from({ length: LANES }, (_, index) => walk(round + index)));
    }
    const told = Object.entries(samples).flatMap(([step, byState]) =>
      STATES.map((state) => ({
        step,
        state,
        median: Math.round(median(byState[state]!)),
        distance: Number(distance(byState[state]!, byState['unknown']!).toFixed(2)),
      })),
    );
    expect(told).toHaveLength(15);
    expect(told.filter((each) => each.distance > CRITICAL)).toEqual([]);
  },
  10 * 60_000,
);
