/**
 * A stand-in for the OpenID Foundation's conformance suite: it interprets the commands of its scripted browser in Chromium,
 * on a live Tunnus with the suite's clients, and takes what comes back to it. What a module asks is the tests' own matter.
 */
import { EventEmitter, once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from '@jest/globals';
import { parse } from 'yaml';
import { PLANS, RESIDENT, type Configuration, type Visit } from '../conformance/plans.ts';
import { newVisitor, startChromium, type Browser, type Page } from './browser.ts';
import { startWorld, type World } from './world.ts';

const folder = join(import.meta.dirname, '../conformance');
/** The suite's clients, as Tunnus reads them. */
export const clientFiles = readdirSync(join(folder, 'config/clients'));

interface Arrival {
  path: string;
  parameters: URLSearchParams;
}

export interface StandIn {
  /** A module of a plan begins, with a browser of its own. */
  module(plan: string, name: string): Promise<Module>;
  /** The same, with the resident signed in and an ID token to sign out with. */
  signedIn(plan: string, name: string): Promise<SignedIn>;
  /** The parameters of the next request to the suite whose path ends so. */
  next(name: string): Promise<URLSearchParams>;
  close(): Promise<void>;
}

export async function startStandIn(): Promise<StandIn> {
  const reached: Arrival[] = [];
  const arrivals = new EventEmitter();
  const note = async (request: IncomingMessage): Promise<void> => {
    const url = new URL(request.url!, 'http://suite');
    const parameters = new URLSearchParams((await text(request)) || url.search);
    reached.push({ path: url.pathname, parameters });
    arrivals.emit(url.pathname.split('/').at(-1)!, parameters);
  };
  const suite = createServer((request, response) => {
    void note(request).then(() =>
      response.setHeader('content-type', 'text/html').end('<body><p id="submission_complete">complete</p></body>'),
    );
  });
  await new Promise<void>((resolve) => suite.listen(0, '127.0.0.1', resolve));
  suite.unref();
  const address = `http://127.0.0.1:${(suite.address() as AddressInfo).port}`;
  const clients = clientFiles.map((name) => {
    const yaml = readFileSync(join(folder, 'config/clients', name), 'utf8').replaceAll('${CONFORMANCE_SUITE}', address);
    const client = parse(yaml) as Record<string, unknown>;
    return [client['client_id'] as string, client];
  });
  const world = await startWorld({ clients: Object.fromEntries(clients) as Record<string, Record<string, unknown>> });
  await world.account(RESIDENT);
  const chromium = await startChromium();
  const module = (plan: string, name: string) => moduleOf({ world, chromium, address, reached }, plan, name);
  return {
    module,
    async signedIn(plan, name) {
      const begun = await module(plan, name);
      const hint = await begun.idToken((await begun.authorize())!);
      const still = async () => (await begun.authorize({ prompt: 'none' }))?.has('code') ?? false;
      return { ...begun, hint, back: `${begun.home}/post_logout_redirect`, still };
    },
    next: async (name) => ((await once(arrivals, name)) as [URLSearchParams])[0],
    async close() {
      await chromium.close();
      await world.close();
      suite.closeAllConnections();
      await new Promise((resolve) => suite.close(resolve));
    },
  };
}

export interface Module {
  browser: ScriptedBrowser;
  /** The suite's own address for this plan. */
  home: string;
  /** Sends the browser to authorize; what came back, undefined when nothing did. */
  authorize(more?: Record<string, string>): Promise<URLSearchParams | undefined>;
  idToken(answer: URLSearchParams): Promise<string>;
  /** Sends the browser to sign out; what came back, undefined when nothing did. */
  signOut(parameters: Record<string, string>): Promise<URLSearchParams | undefined>;
  close(): Promise<void>;
}

export interface SignedIn extends Module {
  hint: string;
  back: string;
  /** Whether the resident is still signed in, found out as the suite does. */
  still(): Promise<boolean>;
}

/** `*` stands for any characters, as in the suite. */
const matches = (pattern: string, url: string): boolean =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 's').test(url);

/** The browser of one module: sent somewhere, it does what the configuration says; one cookie jar throughout. */
export class ScriptedBrowser {
  readonly #page: Page;
  readonly #visits: Visit[];
  pictures = 0;

  constructor(page: Page, { browser, override }: Configuration, module: string) {
    this.#page = page;
    this.#visits = override[module]?.browser ?? browser;
  }

  async goTo(url: URL): Promise<void> {
    const visit = this.#visits.find(({ match }) => matches(match, url.href));
    if (!visit) throw new Error(`nobody says what to do at ${url.href}`);
    await this.#page.goto(url.href);
    for (const { task, match, optional, commands = [] } of visit.tasks) {
      const here = this.#page.url();
      if (!matches(match, here)) {
        if (optional) continue;
        throw new Error(`'${task}' expects ${match}, the page is ${here}`);
      }
      for (const command of commands) await this.#do(command);
    }
  }

  async #do([what, how, target, ...more]: Visit['tasks'][number]['commands'] extends (infer C)[] | undefined
    ? C
    : never) {
    const found = this.#page.locator(how === 'xpath' ? `xpath=${target}` : how === 'id' ? `#${target}` : target);
    if (more.at(-1) === 'optional' && (await found.count()) === 0) return;
    if (what === 'text') return found.fill(String(more[0]));
    if (what === 'click') {
      await found.click();
      return this.#page.waitForLoadState();
    }
    if (what !== 'wait') throw new Error(`no such command: ${what}`);
    const [, words, action] = more as [number, string?, string?];
    await found.first().waitFor();
    if (words) expect(await found.first().innerText()).toMatch(new RegExp(words));
    if (action?.startsWith('update-image-placeholder')) this.pictures += 1;
  }
}

interface Stage {
  world: World;
  chromium: Browser;
  address: string;
  reached: Arrival[];
}

async function moduleOf({ world, chromium, address, reached }: Stage, plan: string, name: string): Promise<Module> {
  const configuration = PLANS[plan]!.configuration({ issuer: world.issuer, suite: address });
  const page = await (await newVisitor(chromium, { language: 'en' })).newPage();
  const browser = new ScriptedBrowser(page, configuration, name);
  const { client_id: id, client_secret: secret } = configuration.client as Record<string, string>;
  const home = `${address}/test/a/${configuration.alias}`;
  const goTo = async (path: string, parameters: Record<string, string>, back: string) => {
    const before = reached.length;
    await browser.goTo(new URL(`${path}?${new URLSearchParams(parameters).toString()}`, world.issuer));
    return reached.slice(before).find((each) => each.path.endsWith(back))?.parameters;
  };
  return {
    browser,
    home,
    close: () => page.context().close(),
    authorize: (more) => {
      const query = {
        client_id: id!,
        redirect_uri: `${home}/callback`,
        response_type: 'code',
        scope: 'openid',
        ...more,
      };
      return goTo('/auth', query, '/callback');
    },
    signOut: (parameters) => goTo('/session/end', parameters, '/post_logout_redirect'),
    async idToken(answer) {
      const response = await fetch(`${world.issuer}/token`, {
        method: 'POST',
        headers: { Authorization: `Basic ${btoa(`${id}:${secret}`)}` },
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          code: answer.get('code')!,
          redirect_uri: `${home}/callback`,
        }),
      });
      return ((await response.json()) as { id_token: string }).id_token;
    },
  };
}
