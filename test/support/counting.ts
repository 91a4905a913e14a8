/** What a request costs in SQL, counted where nothing else asks the database meanwhile. */
import { jest } from '@jest/globals';
import type { Database } from '../../src/platform/database.ts';

/** Before a world starts: a node tells of itself every 15 seconds, in a statement of its own that is no request's. */
export function withoutHeartbeats(): void {
  const others = 'Date hrtime nextTick performance queueMicrotask setImmediate clearImmediate setTimeout clearTimeout';
  jest.useFakeTimers({ doNotFake: others.split(' ') as never[] });
}

export interface Counted<T> {
  statements: number;
  commits: number;
  result: T;
}

export async function counted<T>({ counts }: Database, work: () => Promise<T>): Promise<Counted<T>> {
  const { statements, commits } = counts;
  const result = await work();
  return { statements: counts.statements - statements, commits: counts.commits - commits, result };
}
