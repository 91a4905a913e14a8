/**
 * Owns one YAML file of the configuration folder: its text, the environment and secret files that it points to, and the line
 * on which each value stands. Does not know which keys there are.
 *
 * No message may hold a secret: what came through `${…}` is named by its place, and words about broken YAML are our own,
 * since the parser's quote the text.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, Scalar, type Node } from 'yaml';
import type { Fault } from '../config.ts';

export type Path = readonly (string | number)[];

/** A reference that leads nowhere has been told; what it stands in is not told again as too short or missing. */
export const UNKNOWN = Symbol('unknown');

export interface Source {
  readonly file: string;
  /** The whole content as plain values, `${…}` filled in. */
  readonly data: unknown;
  readonly faults: Fault[];
  /** The line of what stands at the path, or of the nearest thing around it. */
  lineOf: (path: Path) => number;
  /** How to name the value in a message: as written, so never what `${…}` stands for. */
  show: (path: Path) => string;
}

const BROKEN: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this key stands here twice, expected once',
  TAB_AS_INDENT: 'the line is indented with a tab, expected spaces',
  BAD_INDENT: 'the indentation does not fit the lines around it, expected the same for all keys of a section',
  MULTIPLE_DOCS: 'a second document begins (---), expected one in a file',
  MISSING_CHAR: 'a closing quote, bracket or brace, or a space after a colon, is missing',
  BLOCK_AS_IMPLICIT_KEY: 'a colon stands where none can be, expected quotes around a text that holds ": "',
  MULTILINE_IMPLICIT_KEY: 'this is no key, expected "key: value"',
  TAG_RESOLVE_FAILED: 'the tag (!…) is not known, expected a plain value',
};
const BROKEN_OTHERWISE =
  'this cannot be read as YAML, expected "key: value" (quotes around a text with special characters)';

const UNCLOSED = 'the reference ${ has no }, expected ${NAME} or ${file:/path}';
const REFERENCE = /\$\{([^}]*)(\}?)/g;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `folder` is what a relative `${file:…}` starts from. */
export function readSource(file: string, folder: string, env: NodeJS.ProcessEnv): Source {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return emptySource(file, `the file ${reasonOf(error)}, expected a readable file`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  const faults: Fault[] = [...document.errors, ...document.warnings].map(({ code, pos }) => {
    return { file, line: lineAt(pos[0]), message: BROKEN[code] ?? BROKEN_OTHERWISE };
  });
  // One broken character makes the parser stumble over what follows it as well.
  const told = faults.filter(({ line, message }, index) => {
    return faults.findIndex((other) => other.line === line && other.message === message) === index;
  });
  if (told.length) return { ...emptySource(file), faults: told };

  const written = new Map<Scalar, string>();
  visit(document, {
    Alias(_role, alias) {
      const message =
        'an alias (*…) is not read, expected the value itself, or quotes around a text that begins with *';
      faults.push({ file, line: lineAt(alias.range?.[0] ?? 0), message });
      return new Scalar(UNKNOWN);
    },
    Pair(_role, pair) {
      if (isScalar(pair.key)) return;
      const at = (pair.key as Node | null)?.range?.[0] ?? 0;
      faults.push({
        file,
        line: lineAt(at),
        message: 'a section or a list stands where a key must, expected a plain name',
      });
      return visit.REMOVE;
    },
    Scalar(role, scalar) {
      if (role === 'key' || typeof scalar.value !== 'string' || !scalar.value.includes('${')) return;
      written.set(scalar, scalar.value);
      const line = lineAt(scalar.range?.[0] ?? 0);
      const wrong: string[] = [];
      const filled = scalar.value.replace(REFERENCE, (_all, name: string, end: string) => {
        const found = end ? lookUp(name, folder, env) : { fault: UNCLOSED };
        if ('value' in found) return found.value;
        wrong.push(found.fault);
        return '';
      });
      faults.push(...wrong.map((message) => ({ file, line, message })));
      scalar.value = wrong.length ? UNKNOWN : filled;
    },
  });
  const lineOf = (path: Path): number => lineAt(place(document, path)?.offset ?? 0);
  return {
    file,
    data: document.toJS(),
    faults,
    lineOf,
    show(path) {
      const node = place(document, path)?.value;
      if (isMap(node)) return 'a section';
      if (isSeq(node)) return 'a list';
      if (!isScalar(node) || node.value === null) return 'empty';
      const source = written.get(node);
      return source === undefined ? JSON.stringify(shorten(node.value)) : `the value of ${source}`;
    },
  };
}

export function emptySource(file: string, message?: string): Source {
  return {
    file,
    data: UNKNOWN,
    faults: message ? [{ file, line: 1, message }] : [],
    lineOf: () => 1,
    show: () => 'empty',
  };
}

function lookUp(name: string, folder: string, env: NodeJS.ProcessEnv): { value: string } | { fault: string } {
  if (name.startsWith('file:')) {
    const path = resolve(folder, name.slice('file:'.length));
    try {
      const value = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
      return value ? { value } : { fault: `the file ${path} is empty, expected the value in it` };
    } catch (error) {
      return { fault: `the file ${path} ${reasonOf(error)}, expected the value in it` };
    }
  }
  if (!VARIABLE.test(name))
    return { fault: `\${${shorten(name)}} is no reference, expected \${NAME} or \${file:/path}` };
  const value = env[name];
  return value
    ? { value }
    : { fault: `the environment variable ${name} is not set or empty, expected the value in it` };
}

export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user';
  if (code === 'EISDIR') return 'is a folder';
  return `cannot be read (${code ?? 'unknown reason'})`;
}

/** Short, and without the password of a URL. */
function shorten<T>(value: T): T | string {
  if (typeof value !== 'string') return value;
  const plain = value.replace(/\/\/[^/\s]*@/g, '//…@');
  return plain.length > 80 ? `${plain.slice(0, 79)}…` : plain;
}

/** The node at the path and where its line begins: at the key in a section, at the item in a list. */
function place(document: Document, path: Path): { offset: number; value: unknown } | undefined {
  let value: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(value)) {
      const pair = value.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (!pair) break;
      offset = (pair.key as Scalar).range?.[0] ?? offset;
      value = pair.value;
    } else if (isSeq(value)) {
      const item = value.items[Number(step)];
      if (!item) break;
      offset = (item as Node).range?.[0] ?? offset;
      value = item;
    } else break;
  }
  return { offset, value };
}
