/**
 * The two great attacks, by a clock that is passed in: one attacker with ten thousand addresses to try, and ten thousand networks
 * with one address to try. On the floor of the journeys, where a try costs no page.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { allowances, type Visitor } from '../../src/journeys/allowances.ts';
import { signIn } from '../../src/journeys/sign-in.ts';
import { makeMails } from '../../src/mail/mails.ts';
import { readSettings } from '../../src/config/settings.ts';
import { sql } from '../../src/platform/database.ts';
import { makeSealer } from '../../src/platform/secrets.ts';
import { hashPassword } from '../../src/records/passwords.ts';
import { configFolder } from '../config/config-folder.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const BEGAN = new Date('2026-11-24T06:00:00Z').getTime();
const HOUR = 3_600_000;
const MANY = 10_000;
const LANES = 8;
const LIMIT = 5 * 60_000;

let db: TestDatabase;
let journey: ReturnType<typeof signIn>;

beforeAll(async () => {
  db = await testDatabase();
  const sealer = makeSealer(['a secret of the tests, thirty-two characters or more']);
  const folder = configFolder({ 'tunnus.yaml': 'issuer: https://tunnus.example\n' });
  const { limits } = readSettings(folder, {}).settings!;
  const config = {
    signIn: { unknownAddress: 'tell', registration: 'closed' },
    links: { lifetime: 24 * HOUR },
    issuer: 'https://tunnus.example',
  } as const;
  const mails = makeMails({ sealer });
  journey = signIn({ database: db.database, sealer, config, mails, allowances: allowances({ sealer, limits }) });
  await db.database.query(sql`
    insert into accounts (email, email_key, password_state, password_hash, created_at, updated_at)
    select email, email, 'own', ${await hashPassword(PASSWORD)}, now(), now()
    from (select 'asukas' || i || '@example.com' as email from generate_series(1, ${MANY}::int) i) as residents`);
});
afterAll(() => db.drop());
beforeEach(() => db.database.query(sql`delete from throttle`).then(() => undefined));

const at = (milliseconds: number): Date => new Date(BEGAN + milliseconds);
const network = (index: number): Visitor => {
  const place = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
  return { place, network: place, kind: { browser: 'firefox', system: 'linux' } };
};

async function guess(
  { email, visitor, password = 'a guess' }: { email: string; visitor: Visitor; password?: string },
  now: Date,
): Promise<string> {
  const tried = await journey.tryPassword({ email, password, visitor, clientId: 'asiointi' }, now);
  if ('refused' in tried) return tried.refused;
  for (const write of tried.writes ?? []) await db.database.query(write);
  return tried.page;
}

async function inLanes(work: (index: number) => Promise<void>): Promise<void> {
  let index = 0;
  const lane = async (): Promise<void> => {
    for (let next = (index += 1); next <= MANY; next = index += 1) await work(next);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

test(
  'one attacker with ten thousand addresses learns of, and guesses at, no more than a hundred an hour',
  async () => {
    const attacker = network(1);
    const hours = 10;
    let probed = 0;
    let guessed = 0;
    await inLanes(async (index) => {
      const now = at((index / MANY) * hours * HOUR);
      const email = `asukas${index}@example.com`;
      const keep = () => sql`select 1`;
      const origin = { clientId: 'asiointi', language: 'fi' };
      const found = await journey.identify({ typed: email, visitor: attacker, origin, keep }, now);
      if ('refused' in found) return;
      probed += 1;
      if ((await guess({ email, visitor: attacker }, now)) === 'wrong_password') guessed += 1;
    });
    expect(probed).toBeGreaterThan(0);
    expect(probed).toBeLessThanOrEqual(hours * 100);
    expect(guessed).toBeLessThanOrEqual(probed);
  },
  LIMIT,
);

test(
  'ten thousand networks with one address get forty guesses an hour, and its owner still signs in at home',
  async () => {
    const email = 'asukas1@example.com';
    const owner: Visitor = { ...network(0), device: 'a device that signed in before' };
    const hours = 4;
    let guessed = 0;
    let signedIn = 0;
    await inLanes(async (index) => {
      const now = at((index / MANY) * hours * HOUR);
      if ((await guess({ email, visitor: network(index) }, now)) === 'wrong_password') guessed += 1;
      if (index % 500 === 0 && (await guess({ email, visitor: owner, password: PASSWORD }, now)) === 'e-service')
        signedIn += 1;
    });
    expect(guessed).toBeGreaterThan(20);
    expect(guessed).toBeLessThanOrEqual(hours * 40);
    expect(signedIn).toBe(MANY / 500);
    // And when it is over, the wait of anybody else is over soon too: nothing has locked.
    expect(await guess({ email, visitor: network(MANY + 1), password: PASSWORD }, at((hours + 1) * HOUR))).toBe(
      'e-service',
    );
  },
  LIMIT,
);
