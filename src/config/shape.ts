/**
 * Owns the check of a file's content against the keys that it may have: every fault at once, each with its line.
 *
 * Keys are checked one by one, so that a wrong one hides none of the others and what is right can still be compared with the
 * rest. A schema's message is what is expected; what is wrong is told here, where the line and a secret's look are known.
 */
import type { z } from 'zod';
import type { Fault } from '../config.ts';
import { distance } from '../platform/edit-distance.ts';
import { UNKNOWN, type Path, type Source } from './source.ts';

export type Shape = { readonly [key: string]: z.ZodType | Shape };

/** What each key holds, where it is there and right. */
export type Partly<S extends Shape> = {
  -readonly [K in keyof S]: S[K] extends z.ZodType
    ? z.output<S[K]> | undefined
    : S[K] extends Shape
      ? Partly<S[K]>
      : never;
};

export interface Checked<S extends Shape> {
  values: Partly<S>;
  faults: Fault[];
  /** Is the key written in the file, right or wrong? */
  given: (...path: string[]) => boolean;
  fault: (path: Path, message: string) => void;
}

/** @param insteadOf for a key that the shape does not have: what to do instead, where that is known */
export function check<S extends Shape>(
  source: Source,
  shape: S,
  insteadOf?: (key: string) => string | undefined,
): Checked<S> {
  const faults = [...source.faults];
  const fault = (path: Path, message: string): void => {
    faults.push({ file: source.file, line: source.lineOf(path), message });
  };
  const values = section(source.data, shape, { path: [], source, fault, insteadOf }) as Partly<S>;
  return { values, faults, fault, given: (...path) => has(source.data, path) };
}

interface Here {
  path: Path;
  source: Source;
  fault: (path: Path, message: string) => void;
  insteadOf?: (key: string) => string | undefined;
}

function section(data: unknown, shape: Shape, here: Here): Record<string, unknown> {
  const { path, fault, insteadOf } = here;
  const values: Record<string, unknown> = {};
  // A section whose keys are all commented out is null.
  const found = data === null || data === undefined || data === UNKNOWN ? {} : data;
  if (!isSection(found)) {
    // The value is not shown: `database: postgres://…` holds a password.
    fault(path, `${nameOf(path)} is no section, expected a section with ${Object.keys(shape).join(', ')}`);
  }
  const content = isSection(found) ? found : {};
  for (const key of Object.keys(content)) {
    if (Object.hasOwn(shape, key)) continue;
    const instead = insteadOf?.(key);
    if (instead) {
      fault([...path, key], `${nameOf([...path, key])} is not taken, ${instead}`);
      continue;
    }
    const close = nearest(key, Object.keys(shape));
    const hint = close ? `did you mean ${close}?` : `expected one of ${Object.keys(shape).join(', ')}`;
    fault([...path, key], `${nameOf([...path, key])} is not known, ${hint}`);
  }
  for (const [key, inner] of Object.entries(shape)) {
    const at = [...path, key];
    const value = Object.hasOwn(content, key) ? content[key] : undefined;
    if (!isSchema(inner)) values[key] = section(value, inner, { ...here, path: at });
    else if (value !== undefined) values[key] = leaf(value, inner, { ...here, path: at });
  }
  return values;
}

function leaf(value: unknown, schema: z.ZodType, { path, source, fault }: Here): unknown {
  if (holdsUnknown(value)) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const inside = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
    const wrong = inside.reduce<unknown>((outer, step) => (isBranch(outer) ? outer[step] : outer), value);
    // A single value where a list may stand is checked as a list of one.
    const at = [...path, ...(isBranch(value) ? inside : [])];
    fault(at, `${nameOf(at)} is ${shownAs(schema, wrong) ?? source.show(at)}, expected ${issue.message}`);
  }
  return undefined;
}

/** How to name a value that must not be shown. */
function shownAs(schema: z.ZodType, wrong: unknown): string | undefined {
  const { hidden } = schema.meta() ?? {};
  if (!hidden || wrong === null || isBranch(wrong)) return undefined;
  if (typeof wrong !== 'string') return 'no text';
  return hidden === 'secret' ? `${wrong.length} characters long` : 'another text';
}

const isSection = (value: unknown): value is Record<string, unknown> => isBranch(value) && !Array.isArray(value);
const isBranch = (value: unknown): value is Record<PropertyKey, unknown> => typeof value === 'object' && value !== null;
const isSchema = (value: z.ZodType | Shape): value is z.ZodType => typeof value['safeParse'] === 'function';

function holdsUnknown(value: unknown): boolean {
  return value === UNKNOWN || (isBranch(value) && Object.values(value).some(holdsUnknown));
}

function has(data: unknown, path: readonly string[]): boolean {
  const [key, ...rest] = path;
  if (key === undefined || data === UNKNOWN) return true;
  return isBranch(data) && Object.hasOwn(data, key) && has(data[key], rest);
}

export const inOrder = (faults: readonly Fault[]): Fault[] => [...faults].sort((a, b) => a.line - b.line);

/** `redirect_uris[2]`, `database.url`. */
function nameOf(path: Path): string {
  if (!path.length) return 'the file';
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : index ? `.${step}` : step)).join('');
}

const FURTHEST = 3;

/** The known name that is a slip of the pen away, if any. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');
  const [best] = known
    .map((candidate) => ({ candidate, steps: distance(plain(name), plain(candidate), FURTHEST) }))
    .sort((a, b) => a.steps - b.steps);
  return best && best.steps <= Math.min(FURTHEST, Math.max(1, Math.round(name.length / 3)))
    ? best.candidate
    : undefined;
}
