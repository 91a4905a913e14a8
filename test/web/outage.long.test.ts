/**
 * Each way in which a database can be away, made to happen: calm answers in every language and to programs, `/health/ready` says
 * so, nothing acknowledged is lost, and all goes on by itself. The times go into docs/operations.md.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openDatabase, type Database } from '../../src/platform/database.ts';
import { startGate, type Gate } from '../support/gate.ts';
import type { HttpBrowser } from '../support/http-browser.ts';
import { startWorld, type World } from '../support/world.ts';

const PASSWORD = 'kolme vihreää omenaa pöydällä';
const WORDS = {
  fi: 'Palvelussa on nyt ruuhkaa',
  sv: 'Det är mycket trafik just nu',
  en: 'The service is busy right now',
} as const;

let world: World;
let gate: Gate;
/** Around the gate, to do what an operator or a full disk does. */
let operator: Database;
let name: string;
let url: string;

beforeAll(async () => {
  world = await startWorld({
    async databaseUrl(direct) {
      url = direct;
      operator = openDatabase({ url: direct, max: 2, statementTimeout: 0 });
      name = new URL(direct).pathname.slice(1);
      // A superuser is let in where nobody else is.
      await script(`create role ${name} login password 'x'; grant ${new URL(direct).username} to ${name}`);
      gate = await startGate(Object.assign(new URL(direct), { username: name, password: 'x' }).href);
      return gate.url;
    },
  });
  await world.account({ email: 'maija@example.com', password: PASSWORD });
});
afterAll(async () => {
  await gate.open();
  await operator.close();
  await world.close();
  await gate.close();
  await elsewhere(`drop role ${name}`);
});

const ready = async (): Promise<number> => (await fetch(`${world.issuer}/health/ready`)).status;
const script = (text: string) => operator.session((session) => session.script(text));
const CUT = (): string =>
  `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and pid <> pg_backend_pid()`;
const cut = () => script(CUT());

async function begin(language = 'fi'): Promise<HttpBrowser> {
  const browser = world.browser();
  await browser.get((await (await world.relyingParty()).begin({ ui_locales: language })).url);
  return browser;
}

async function signIn(): Promise<HttpBrowser> {
  const browser = await begin();
  await browser.submit({ username: 'maija@example.com' });
  await browser.submit({ 'current-password': PASSWORD });
  return browser;
}

interface Fault {
  makes: () => Promise<unknown> | void;
  ends: () => Promise<unknown> | void;
  /** Of a fault that reading does not notice `/health/ready` does not tell. */
  tellsReady?: false;
  /** Now and then one gets through. */
  withHoles?: true;
}

const WRITTEN = ['throttle', 'interactions', 'artifacts', 'audit', 'links', 'mails'];

const FAULTS: Record<string, Fault> = {
  'refuses connections': { makes: () => gate.close(), ends: () => gate.open() },
  'takes connections and swallows everything': { makes: () => gate.block(), ends: () => gate.open() },
  'answers only after ten seconds': {
    makes: () => gate.slow(10_000),
    ends: async () => {
      await gate.close();
      await gate.open();
    },
  },
  'cuts every connection again and again': {
    makes: () => {
      resetting = setInterval(() => void cut().catch(() => undefined), 50);
    },
    ends: () => clearInterval(resetting),
    tellsReady: false,
    withHoles: true,
  },
  'takes no writing, as a standby does': {
    makes: async () => {
      await elsewhere(`alter database ${name} set default_transaction_read_only = on`);
      await cut();
    },
    ends: () => elsewhere(`alter database ${name} reset default_transaction_read_only`),
  },
  'has no connection left': {
    makes: async () => {
      await script(`alter role ${name} connection limit 0`);
      await cut();
    },
    ends: () => script(`alter role ${name} connection limit -1`),
  },
  'lets nobody in': {
    makes: async () => {
      await elsewhere(`alter database ${name} allow_connections false`);
      await elsewhere(CUT());
    },
    ends: () => elsewhere(`alter database ${name} allow_connections true`),
  },
  'has a full disk': {
    makes: () =>
      script(`create function full_disk() returns trigger language plpgsql as
        $$ begin raise 'could not extend file: No space left on device' using errcode = '53100'; end $$;
        ${WRITTEN.map((table) => `create trigger full_disk before insert or update on ${table} execute function full_disk();`).join('')}`),
    ends: () => script('drop function full_disk cascade'),
    tellsReady: false,
  },
  'waits for a lock that somebody holds': {
    makes: async () => {
      let held = (): void => {};
      const holding = new Promise<void>((resolve) => (held = resolve));
      locked = operator.session(async (session) => {
        await session.script(`begin; lock table ${WRITTEN.join(', ')} in access exclusive mode`);
        held();
        await new Promise<void>((resolve) => (release = resolve));
      });
      await holding;
    },
    ends: async () => {
      release();
      await locked;
    },
    tellsReady: false,
  },
};
let resetting: NodeJS.Timeout;
let locked: Promise<void>;
let release = (): void => {};

/** From another database of the server: one that takes no connections, or no writing, lets in nobody who would change that. */
async function elsewhere(text: string): Promise<void> {
  const other = new URL(url);
  other.pathname = '/postgres';
  const server = openDatabase({ url: other.href, max: 1 });
  await server.session((session) => session.script(text)).finally(() => server.close());
}

describe.each(Object.entries(FAULTS))(
  'a database that %s',
  (what, { makes, ends, tellsReady = true, withHoles = false }) => {
    test('gives calm answers within ten seconds, and all goes on within seconds of its return', async () => {
      const resident = await signIn();
      expect(resident.page.leadsTo?.host).toBe('asiointi.example');
      const pages = await Promise.all(
        (['fi', 'sv', 'en'] as const).map(async (language) => [language, await begin(language)] as const),
      );
      await makes();
      try {
        let asked = performance.now();
        if (tellsReady) {
          expect([what, await ready()]).toEqual([what, 503]);
          expect(performance.now() - asked).toBeLessThan(3_000);
        }
        expect((await fetch(`${world.issuer}/health/live`)).status).toBe(200);
        asked = performance.now();
        await Promise.all(
          pages.map(async ([language, browser]) => {
            await browser.submit({ username: 'maija@example.com' });
            const { page } = browser;
            if (withHoles && page.status === 200) return;
            expect([language, page.status, page.lang, page.headers['retry-after']]).toEqual([
              language,
              503,
              language,
              '5',
            ]);
            expect(page.html).not.toMatch(/53100|ECONN|No space|\.ts:\d|\n\s+at /);
            expect(page.text).toContain(WORDS[language]);
          }),
        );
        expect(performance.now() - asked).toBeLessThan(12_000);
        const form = {
          grant_type: 'refresh_token',
          refresh_token: 'x'.repeat(43),
          client_id: 'asiointi',
          client_secret: world.config.clients.find(({ client_id: id }) => id === 'asiointi')!.client_secret![0]!,
        };
        const told = await fetch(`${world.issuer}/token`, { method: 'POST', body: new URLSearchParams(form) });
        // Where reading works, an unknown token is unknown all the same.
        if (tellsReady && what !== 'takes no writing, as a standby does') {
          expect([told.status, await told.json()]).toEqual([
            503,
            expect.objectContaining({ error: 'temporarily_unavailable' }),
          ]);
          expect(told.headers.get('retry-after')).toBe('5');
        } else expect([400, 503]).toContain(told.status);
      } finally {
        await ends();
      }
      const began = performance.now();
      for (;;) {
        const browser = await begin();
        await browser.submit({ username: 'maija@example.com' });
        if (browser.page.status === 200) {
          await browser.submit({ 'current-password': PASSWORD });
          if (browser.page.leadsTo) break;
        }
        expect(performance.now() - began).toBeLessThan(10_000);
      }
      process.stdout.write(`a database that ${what}: back after ${Math.round(performance.now() - began)} ms\n`);
      expect(await ready()).toBe(200);
      // Who was signed in still is, and the queue carries mails.
      expect((await resident.get(`${world.issuer}/account`)).text).toContain('maija@example.com');
      const email = `jalkeen${Object.keys(FAULTS).indexOf(what)}@example.com`;
      await world.account({ email });
      const newcomer = await begin();
      await newcomer.submit({ username: email });
      await expect(world.mailbox.next({ to: email, within: 20_000 })).resolves.toBeDefined();
    }, 90_000);
  },
);
