/**
 * Chromium for tests: contexts with and without JavaScript, the accessibility rules, pictures.
 *
 * Whether there is a Chromium at all is jest.config.js's matter: without one these tests are not run.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';

export type { Browser, BrowserContext, Page };

export interface Visitor {
  language?: 'fi' | 'sv' | 'en';
  javaScript?: boolean;
  dark?: boolean;
  width?: number;
  height?: number;
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export function startChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
    // Chromium's sandbox refuses root; /dev/shm is small in containers.
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-dev-shm-usage'],
  });
}

export async function newVisitor(browser: Browser, visitor: Visitor = {}): Promise<BrowserContext> {
  const { language = 'fi', javaScript = true, dark = false, width = 1280, height = 900 } = visitor;
  const context = await browser.newContext({
    locale: { fi: 'fi-FI', sv: 'sv-FI', en: 'en-GB' }[language],
    javaScriptEnabled: javaScript,
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
    viewport: { width, height },
  });
  // Sooner than the test's own limit: this fault names the element that never came.
  context.setDefaultTimeout(10_000);
  return context;
}

/** What axe-core has against the page, one line a rule with the places; [] is what a test wants. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  // The page's own policy lets no foreign script in; this way in is the debugger's.
  await page.evaluate(axeSource);
  return page.evaluate(async (tags) => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(options: object): Promise<{
          passes: object[];
          violations: { id: string; help: string; nodes: { target: unknown[] }[] }[];
        }>;
      };
    };
    const { passes, violations } = await axe.run({ runOnly: { type: 'tag', values: tags } });
    if (passes.length === 0) return ['axe-core found nothing to look at'];
    return violations.map(
      ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`,
    );
  }, rules);
}

/** How far the page is wider than its window, in pixels: more than none is a page that must be pushed sideways. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

/** A picture for people to look at, only where SCREENSHOTS names a folder: tests must not change the checkout. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}
