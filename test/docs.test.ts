/** What the pages for people say of files, commands and settings is true of the code. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { configOf, ISSUER, SECRET } from './config/config-folder.ts';
import { runTunnus } from './support/command.ts';
import { checkedSections, STANDARDS_FILE, standardsPage } from './support/write-standards.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const pages = ['.', 'docs'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
);
const examples = (path: string, language: string) =>
  [...read(path).matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map((match) => match[1]!);

describe('every page', () => {
  test.each(pages)('%s leads only to what is there', (path) => {
    const text = read(path);
    const links = [...text.matchAll(/\]\(([^)#]+)[^)]*\)|src="([^"]+)"/g)].map((match) => match[1] ?? match[2]!);
    const own = links.filter((link) => !/^[a-z]+:/.test(link));
    expect(own.filter((link) => !existsSync(resolve(root, dirname(path), link)))).toEqual([]);
  });

  test.each(pages)('%s names only files and scripts that are there', (path) => {
    const text = read(path);
    const files = [...text.matchAll(/`([\w.-]+\/[\w./-]*\.(?:ts|pug|sql))`/g)].map((match) => match[1]!);
    const places = (file: string) => [file, join('src', file)].map((place) => join(root, place));
    expect(files.filter((file) => !places(file).some((place) => existsSync(place)))).toEqual([]);
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const called = [...text.matchAll(/npm run ([\w:]+)/g)].map((match) => match[1]!);
    expect(called.filter((script) => !scripts[script])).toEqual([]);
  });
});

describe('docs/security.md', () => {
  const tables = read('docs/security.md')
    .split(/\n(?!\|)/)
    .filter((part) => part.includes('\n|-'))
    .map((part) =>
      part
        .split('\n')
        .filter((line) => line.startsWith('|') && !line.startsWith('|-'))
        .map((line) => line.slice(1, -1).split('|')),
    );

  test('leaves no cell empty, and each test that it names is there', () => {
    expect(tables.length).toBeGreaterThan(10);
    expect(tables.flat().filter((cells) => cells.some((cell) => cell.trim() === ''))).toEqual([]);
    // Whatever says what we do says by what it is shown.
    const shown = tables.filter(([head]) => head!.at(-1)!.trim() === 'shown by').flatMap(([, ...rows]) => rows);
    expect(shown.length).toBeGreaterThan(200);
    const part = String.raw`\*[^*]+\*`;
    const form = new RegExp(`^ (?:\`test/[^\`]+\`: ${part}(?:, ${part})*(?:; )?)+ $`);
    expect(shown.map((cells) => cells.at(-1)!).filter((cell) => !form.test(cell))).toEqual([]);
    const named = shown.flatMap((cells) =>
      cells
        .at(-1)!
        .split('`test/')
        .slice(1)
        .flatMap((text) => [...text.matchAll(/\*([^*]+)\*/g)].map(([, name]) => [`test/${text.split('`')[0]}`, name!])),
    );
    expect(named.filter(([path, name]) => !existsSync(join(root, path!)) || !read(path!).includes(name!))).toEqual([]);
  });

  test('has a row for each requirement of OWASP ASVS 5.0.0 at level 2, of V6 and V7 at level 3', () => {
    // How many there are at the end of each section; what stands behind is level 3 and needs no row.
    const required: Record<string, string> = {
      1: '2 9 11 3 2',
      2: '3 3 4 1',
      3: '- 2 4 6 5 - 2',
      4: '3 1 2 4',
      5: '1 3 2 3',
      6: '3 12 8 6 8 4 2 4',
      7: '3 4 2 5 3 2',
      8: '2 3 1 1',
      9: '3 4',
      10: '2 2 4 11 5 2 3',
      11: '2 3 3 4 1 1',
      12: '3 2 4',
      13: '1 5 2 5',
      14: '2 4 3',
      15: '3 3 7',
      16: '1 5 4 3 3',
      17: '1 4 2',
    };
    const wanted = Object.entries(required).flatMap(([chapter, sections]) =>
      sections
        .split(' ')
        .flatMap((count, section) =>
          Array.from({ length: Number(count) || 0 }, (_, at) => `${chapter}.${section + 1}.${at + 1}`),
        ),
    );
    const asvs = read('docs/security.md')
      .split('\n## ')
      .filter((part) => part.startsWith('OWASP ASVS'))
      .flatMap((part) => [...part.matchAll(/^\| ([^|]+) \|/gm)].map((match) => match[1]!));
    const told = asvs.flatMap((cell) =>
      [...cell.matchAll(/(\d+\.\d+\.)(\d+)(?: to \1(\d+))?/g)].flatMap(([, section, first, last = first]) =>
        Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => `${section}${Number(first) + at}`),
      ),
    );
    expect(wanted.filter((requirement) => !told.includes(requirement))).toEqual([]);
    expect(told.filter((requirement, at) => told.indexOf(requirement) !== at)).toEqual([]);
  });
});

test('docs/architecture.md has every file of src', () => {
  const text = read('docs/architecture.md');
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => !file.startsWith('demo/') && !file.startsWith('web/screens/'));
  expect(files.filter((file) => !text.includes(`${basename(file)}\``))).toEqual([]);
  // Of a line that two hands have changed a merge may leave both.
  const [, ...folders] = text
    .split('\n## ')
    .find((part) => part.startsWith('Files'))!
    .split('\n| **');
  for (const folder of folders) {
    const named = folder.split('\n').flatMap((row) => row.split('|')[1]?.match(/`[\w-]+\.ts`/g) ?? []);
    expect(named.filter((name, index) => named.indexOf(name) !== index)).toEqual([]);
  }
});

test.each(['README.md', 'docs/for-e-services.md'])('the client files of %s can be copied as they stand', (path) => {
  const environment = { LIBRARY_CLIENT_SECRET: SECRET };
  const files = examples(path, 'yaml').filter((text) => text.startsWith('client_id:'));
  expect(files).not.toEqual([]);
  for (const file of files) {
    const { clients } = configOf({ 'tunnus.yaml': ISSUER, 'clients/library.yaml': file }, environment);
    expect(clients.map(({ client_id: id }) => id)).toEqual(['library']);
  }
});

test("the README's settings can be copied as they stand", () => {
  const [settings] = examples('README.md', 'yaml');
  expect(configOf({ 'tunnus.yaml': settings! }).issuer).toBe('http://localhost:3000');
});

test('the README names every command', async () => {
  const readme = read('README.md');
  const commandsOf = async (...group: string[]): Promise<string[]> => {
    const { out } = await runTunnus(root, [...group, '--help']);
    const [, list = ''] = out.split('Commands:\n');
    return [...list.matchAll(/^ {2}([\w-]+)/gm)].map(([, name]) => [...group, name].join(' '));
  };
  const named = (command: string) => command.endsWith('help') || readme.includes(`\`${command}`);
  const groups = ['accounts', 'audit', 'clients', 'keys', 'mail'];
  const commands = await Promise.all([commandsOf(), ...groups.map((group) => commandsOf(group))]);
  expect(commands.flat()).toEqual(expect.arrayContaining(['serve', ...groups, 'accounts import', 'mail test']));
  expect(commands.flat().filter((command) => !named(command))).toEqual([]);
}, 30_000);

test('docs/standards.md says what the tests of test/standards check (npm run standards)', () => {
  expect(readFileSync(STANDARDS_FILE, 'utf8')).toBe(standardsPage());
});

test('docs/conformance.md names for each module of the suite a test that there is', () => {
  const page = read('docs/conformance.md');
  const sections = new Set(
    checkedSections().flatMap(({ standard, rows }) => rows.map(({ section }) => `${standard}, ${section}`)),
  );
  const modules = [...page.matchAll(/^\| `([\w-]+)` \| (.+?) \| (.+?) \|$/gm)];
  expect(modules.length).toBeGreaterThan(40);
  const wrong = modules
    .flatMap(([, module, , tests]) => tests!.split('; ').map((name) => ({ module, name })))
    .filter(({ name }) => !sections.has(name) && !/^(?:–|its own way)$/.test(name));
  expect(wrong).toEqual([]);
});
