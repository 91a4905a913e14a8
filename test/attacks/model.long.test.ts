/**
 * The table of states walked at random (fast-check's commands): two browsers of a resident, an attacker, and a provider that
 * loses all that it had in memory between two steps, in any order (kills amid a step are in test/web/kills.long.test.ts). After each step no rule of the house is broken, whatever came before.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { startTunnus, type RunningTunnus } from '../../src/app.ts';
import { sql } from '../../src/platform/database.ts';
import { makeLog } from '../../src/platform/telemetry.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type RelyingParty, type World } from '../support/world.ts';

const LIMIT = 10 * 60_000;
const RUNS = Number(process.env['RUNS'] ?? 40);
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000);

const OLD = 'kolme vihreää omenaa pöydällä';
const OTHERS = 'hyökkääjän oma pitkä salasana';
const WHO = ['home', 'phone', 'attacker'] as const;
type Who = (typeof WHO)[number];

/** What should be so. */
interface Model {
  password: string | undefined;
  locked: boolean;
  /** Who proved to be the resident, and nothing has ended it since. */
  signedIn: Set<Who>;
  linksUsed: number;
}

/** What is so. */
interface Real {
  email: string;
  accountId: string;
  browsers: Record<Who, HttpBrowser>;
  links: string[];
}

type Command = fc.AsyncCommand<Model, Real>;

let world: World;
let asiointi: RelyingParty;
let node: RunningTunnus;
let residents = 0;

/** The provider that serves now: the first one only keeps the address. */
const there = (url: URL): URL => (url.origin === world.issuer ? new URL(url.pathname + url.search, node.url) : url);

const started = (): Promise<RunningTunnus> =>
  startTunnus({
    config: { ...world.config, listen: { ...world.config.listen, port: 0 } },
    clock: () => world.clock.now(),
    log: makeLog({ level: 'silent' }),
  });

beforeAll(async () => {
  world = await startWorld({ settings: { listen: { proxies: 1 } } });
  node = await started();
  asiointi = await world.relyingParty();
});
afterAll(async () => {
  await node.close();
  await world.close();
});

const codeIn = (browser: HttpBrowser): string | undefined =>
  browser.page.leadsTo?.searchParams.get('code') ?? undefined;

async function toPassword({ email, browsers }: Real, who: Who): Promise<HttpBrowser> {
  const browser = browsers[who];
  await browser.get((await asiointi.begin({ prompt: 'login' })).url);
  await browser.submit({ username: email });
  return browser;
}

/** Each link that came by now; only the resident reads this mailbox. */
function gather(real: Real): void {
  real.links = world.mailbox.all
    .filter(({ to, links }) => to === real.email && links.some((link) => link.includes('/set-password/')))
    .map(({ links }) => links.find((link) => link.includes('/set-password/'))!);
}

const command = (name: string, run: (model: Model, real: Real) => Promise<void>): Command => ({
  check: () => true,
  run: async (model, real) => {
    await run(model, real);
    await invariants(model, real);
  },
  toString: () => name,
});

const signIn = (who: Who, which: 'right' | 'wrong' | "the attacker's"): Command =>
  command(`${who} signs in with ${which === 'right' ? 'the' : which} password`, async (model, real) => {
    const browser = await toPassword(real, who);
    if (!browser.page.field('current-password')) return;
    const password = which === 'right' ? model.password : which === 'wrong' ? 'not the right one' : OTHERS;
    await browser.submit({ 'current-password': password ?? OLD });
    const proved = model.password !== undefined && password === model.password && !model.locked;
    const throttled = browser.page.status === 429;
    expect(codeIn(browser) !== undefined).toBe(proved && !throttled);
    if (codeIn(browser)) model.signedIn.add(who);
  });

const askLink = (who: Who): Command =>
  command(`${who} asks for a link`, async (_model, real) => {
    const browser = await toPassword(real, who);
    if (browser.page.root.querySelector('form[action$="/link-sent"]'))
      await browser.submit({}, { form: 'form[action$="/link-sent"]' });
    expect(codeIn(browser)).toBeUndefined();
    // The mail is handed over by the queue: what has come is looked at when a link is used.
    await new Promise((resolve) => setTimeout(resolve, 50));
  });

const useLink = (which: number, who: 'home' | 'phone', at: number): Command =>
  command(`${who} sets a password by link ${which}`, async (model, real) => {
    gather(real);
    const link = real.links[which % Math.max(1, real.links.length)];
    if (!link) return;
    const browser = real.browsers[who];
    await browser.get(link);
    if (!browser.page.root.querySelector('main form[method=post]') || !browser.page.field('new-password')) return;
    const next = `neljä keltaista päärynää ${at}`;
    await browser.submit({ 'new-password': next });
    if (!browser.page.url.pathname.startsWith('/password-set/')) return;
    expect(model.locked).toBe(false);
    Object.assign(model, { password: next, linksUsed: model.linksUsed + 1 });
    // Setting a password signs nobody in, and out everywhere.
    model.signedIn.clear();
    // Once: the same link opens no form again.
    await browser.get(link);
    expect(browser.page.root.querySelector('input[autocomplete="new-password"]')).toBeNull();
  });

const crash = command('another provider takes over, and knows nothing but the database', async () => {
  const former = node;
  node = await started();
  await former.close();
});

const lock = (locked: boolean): Command =>
  command(locked ? 'support locks the account' : 'support unlocks it', async (model, real) => {
    if (model.locked === locked) return;
    await world.database.query(sql`
      update accounts set locked_at = ${locked ? world.clock.now() : null}, epoch = epoch + ${locked ? 1 : 0}
      where id = ${real.accountId}`);
    model.locked = locked;
    if (locked) model.signedIn.clear();
  });

const signOut = (who: Who): Command =>
  command(`${who} signs out`, async (model, real) => {
    const browser = real.browsers[who];
    await browser.get(`${world.issuer}/session/end`);
    if (browser.page.root.querySelector('main form[method=post]')) await browser.submit();
    model.signedIn.delete(who);
  });

async function invariants(model: Model, real: Real): Promise<void> {
  for (const who of WHO) {
    // Nobody is signed in without a proof, and whoever proved it stays so.
    const silent = real.browsers[who].newTab();
    await silent.get((await asiointi.begin({ prompt: 'none', scope: 'openid legacy' })).url);
    expect([who, codeIn(silent) !== undefined]).toEqual([who, model.signedIn.has(who)]);
  }
  expect(model.signedIn.has('attacker')).toBe(false);
  const [row] = await world.database.query<Record<string, number | string | null>>(sql`
    select password_state as state,
      (select count(*)::int from links where account_id = a.id and spent_at is not null) as spent,
      (select count(*)::int from audit where account_id = a.id and kind = 'password_set') as audited,
      (select count(*)::int from mails where account_id = a.id and kind = 'password_changed') as told,
      (select count(*)::int from subjects where account_id <> a.id and sub = 'historia-' || a.email) as strangers
    from accounts a where id = ${real.accountId}`);
  // A link once; password, audit row and mail together or not at all; the history never another's.
  expect(row).toEqual({
    state: model.password === undefined ? 'none' : 'own',
    spent: model.linksUsed,
    audited: model.linksUsed,
    told: model.linksUsed,
    strangers: 0,
  });
}

const commands = [
  fc.constantFrom(...WHO).map((who) => askLink(who)),
  fc.constantFrom('home' as const, 'phone' as const).map((who) => signIn(who, 'right')),
  fc.constantFrom('home' as const, 'phone' as const).map((who) => signIn(who, 'wrong')),
  fc.constantFrom('wrong' as const, "the attacker's" as const).map((which) => signIn('attacker', which)),
  fc
    .tuple(fc.nat(4), fc.constantFrom('home' as const, 'phone' as const), fc.nat(1000))
    .map(([which, who, at]) => useLink(which, who, at)),
  fc.constantFrom(...WHO).map((who) => signOut(who)),
  fc.boolean().map((locked) => lock(locked)),
  fc.constant(crash),
];

test(
  `${RUNS} walks (seed ${seed})`,
  async () => {
    const walk = fc.asyncProperty(
      fc.commands(commands, { maxCommands: 14, size: 'max' }),
      fc.boolean(),
      async (steps, had) => {
        const email = `asukas${(residents += 1)}@example.com`;
        const accountId = await world.account({
          email,
          password: had ? OLD : undefined,
          ids: { asiointi: `historia-${email}` },
        });
        await fc.asyncModelRun(
          () => ({
            model: { password: had ? OLD : undefined, locked: false, signedIn: new Set<Who>(), linksUsed: 0 },
            real: {
              email,
              accountId,
              browsers: Object.fromEntries(
                WHO.map((who, index) => {
                  const place = `10.${residents >> 8}.${residents & 255}.${index + 1}`;
                  return [who, world.browser({ reach: there, headers: { 'X-Forwarded-For': place } })];
                }),
              ) as Record<Who, HttpBrowser>,
              links: [],
            },
          }),
          steps,
        );
      },
    );
    await fc.assert(walk, { numRuns: RUNS, seed });
  },
  LIMIT,
);
