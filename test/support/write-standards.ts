/**
 * Draws docs/standards.md from the names of the tests in test/standards/, so that the table cannot promise what no test checks.
 * `npm run standards` writes it; test/docs.test.ts compares.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const folder = 'test/standards';
export const STANDARDS_FILE = join(root, 'docs/standards.md');

const INTRODUCTION = `# Standards

What the standards ask of an OpenID Provider, and the test that holds Tunnus to it. Each test speaks raw HTTP to a whole
Tunnus; its name begins with the section. This page is drawn from those names: \`npm run standards\`.
How the OpenID Foundation's own suite is run stands in [conformance.md](conformance.md).
`;

/** What a call of `describe`, or one whose first words are a section, is named. */
const NAMED = /\bdescribe\(\s*(['"`])(.+?)\1,|\(\s*(['"`])(\d[\d.]*): (.+?)\3,/g;

/** Standard to its rows: section and promise. */
export function checkedSections(): { standard: string; file: string; rows: { section: string; promise: string }[] }[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .flatMap((name) => {
      const file = `${folder}/${name}`;
      const found: ReturnType<typeof checkedSections> = [];
      for (const match of readFileSync(join(root, file), 'utf8').matchAll(NAMED)) {
        const [, , standard, , section, promise] = match.map((part) => part?.replace(/\\(['"`])/g, '$1'));
        if (standard) found.push({ standard, file, rows: [] });
        else if (section && promise) found.at(-1)!.rows.push({ section, promise });
      }
      return found.filter(({ rows }) => rows.length);
    });
}

export function standardsPage(): string {
  const tables = checkedSections().map(({ standard, file, rows }) => {
    const lines = rows.map(
      ({ section, promise }) => `| ${section} | ${promise.replaceAll('|', '\\|').replaceAll('%s', '…')} |`,
    );
    return `\n## ${standard}\n\n\`${file}\`\n\n| section | promise |\n|---|---|\n${lines.join('\n')}\n`;
  });
  return INTRODUCTION + tables.join('');
}

if (import.meta.main) writeFileSync(STANDARDS_FILE, standardsPage());
