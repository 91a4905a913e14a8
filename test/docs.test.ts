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

test('docs/security.md leaves no cell empty, and each test that it names is there', () => {
  const rows = read('docs/security.md')
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('|-'))
    .map((line) => line.slice(1, -1).split('|'));
  expect(rows.length).toBeGreaterThan(90);
  expect(rows.filter((cells) => cells.some((cell) => cell.trim() === ''))).toEqual([]);
  const named = rows.flatMap((cells) => [...cells.at(-1)!.matchAll(/`(test\/[^`]+)`(?:: \*([^*]+)\*)?/g)]);
  expect(named.length).toBeGreaterThan(90);
  const missing = named.filter(
    ([, path, part]) => !part || !existsSync(join(root, path!)) || !read(path!).includes(part),
  );
  expect(missing.map(([whole]) => whole)).toEqual([]);
  // Whatever says what we do says by what it is shown.
  const shown = rows.filter(
    (cells) => cells.at(-1)!.trim() !== 'shown by' && cells.length > 2 && !/429|no mail/.test(cells.at(-1)!),
  );
  expect(shown.filter((cells) => !cells.at(-1)!.includes('`test/') && !cells.at(-1)!.includes('past it'))).toEqual([]);
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
