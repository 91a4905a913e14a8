/** Residents who keep coming while something is broken: each sets a password by link. Who is told so is acknowledged. */
import { expect } from '@jest/globals';
import { sql } from '../../src/platform/database.ts';
import type { HttpBrowser } from './http-browser.ts';
import type { World } from './world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';

export interface Arrivals {
  /** Addresses of those who were told that the password is set. */
  readonly acknowledged: string[];
  /** Statuses of all answers but the good ones, with how often. */
  readonly refused: Map<number, number>;
  /** Lets those under way end. */
  stop(): Promise<void>;
}

/** `accounts` are there from the start: an operator imported them before it broke. */
export async function startArrivals(world: World, accounts = 200): Promise<Arrivals> {
  await world.database.query(sql`
    insert into accounts (email, email_key, password_state, created_at, updated_at)
    select 'r' || n || '@example.com', 'r' || n || '@example.com', 'none', now(), now()
    from generate_series(1, ${accounts}) as n`);
  const acknowledged: string[] = [];
  const refused = new Map<number, number>();
  let walking = true;
  let nth = 0;

  async function step(browser: HttpBrowser, ask: () => Promise<unknown>): Promise<void> {
    for (;;) {
      await ask();
      const { status, html } = browser.page;
      if (status < 400) return;
      refused.set(status, (refused.get(status) ?? 0) + 1);
      if (status !== 503) throw new Error(`${status}: ${browser.page.text}`);
      expect(html).not.toMatch(/\b(53100|57P0\d|25006|ECONN\w+)\b|No space|\.ts:\d/);
      if (!walking) throw new Error('stopped');
      await new Promise((resolve) => setTimeout(resolve, 50));
      // the form again: 'try again' leads there
      await browser.get(browser.page.main.querySelector('a.button')!.getAttribute('href')!);
    }
  }

  async function arrive(email: string): Promise<void> {
    const browser = world.browser();
    await browser.get((await (await world.relyingParty('kartta')).begin()).url);
    await step(browser, () => browser.submit({ username: email }));
    const { links } = await world.mailbox.next({ to: email, within: 20_000 });
    await step(browser, () => browser.get(links[0]!));
    await step(browser, () => browser.submit({ 'new-password': PASSWORD }));
    if (browser.page.text.includes('Salasanan asettaminen onnistui')) acknowledged.push(email);
  }

  const lane = async (): Promise<void> => {
    while (walking) {
      if ((nth += 1) > accounts) throw new Error('more residents came than there are');
      try {
        await arrive(`r${nth}@example.com`);
      } catch (error) {
        // who gave up in the middle was promised nothing
        if (/^(4|500)/.test((error as Error).message)) throw error;
      }
    }
  };
  const lanes = Promise.all([lane(), lane()]);
  lanes.catch(() => undefined);
  return {
    acknowledged,
    refused,
    async stop() {
      walking = false;
      await lanes;
    },
  };
}

/** Who was told that a password is set has one. */
export async function expectNobodyLost(world: World, { acknowledged }: Arrivals): Promise<void> {
  const rows = await world.database.query<{ email: string }>(
    sql`select email from accounts where password_state = 'own'`,
  );
  const there = new Set(rows.map(({ email }) => email));
  expect(acknowledged.filter((email) => !there.has(email))).toEqual([]);
}
