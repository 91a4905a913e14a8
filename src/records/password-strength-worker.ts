/**
 * The thread in which new passwords are judged by zxcvbn-ts: its dictionaries take some 70 MB and half a second to load, and
 * judging takes milliseconds that no other request should wait for. Started and ended by password-strength.ts.
 */
import { readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { ZxcvbnFactory } from '@zxcvbn-ts/core';
import { adjacencyGraphs, dictionary as common } from '@zxcvbn-ts/language-common';
import { dictionary as english } from '@zxcvbn-ts/language-en';
import finnish from '@zxcvbn-ts/language-fi';

export interface StrengthQuestion {
  id: number;
  plain: string;
  /** What an attacker knows of this resident and this service. */
  known: readonly string[];
}

export interface StrengthAnswer {
  id: number;
  weakness?: Weakness;
}

/** `common`: on the list of passwords that breaches show most often. `personal`: easy, and with what is known in it. `guessable`: words, runs, repetition. */
export type Weakness = 'common' | 'personal' | 'guessable';

/**
 * Guesses as powers of ten: what stands against an attacker who has the hashes (zxcvbn's best of five grades). Fewer would do
 * against guessing here, which is slow; more would refuse what residents make of the advice they are given.
 */
const ENOUGH = 10;
/**
 * Code points that are looked at. The work grows with the square of the length and worse (a password of 256 once took seven
 * seconds); who has this much that is hard to guess needs no more.
 */
const LOOKED_AT = 40;

/** Letters of what is known that are no accident in a password. */
const TELLING = 4;

const own = readFileSync(new URL('./common-words.txt', import.meta.url), 'utf8');
const zxcvbn = new ZxcvbnFactory({
  dictionary: {
    ...common,
    ...english,
    ...Object.fromEntries(Object.entries(finnish.dictionary).map(([name, words]) => [`${name}-fi`, words])),
    own: own
      .split('\n')
      .filter((line) => !line.startsWith('#'))
      .flatMap((line) => line.split(' ').filter(Boolean)),
  },
  graphs: adjacencyGraphs,
  l33tMaxSubstitutions: 2,
});

const listed = new Set<string>(common['passwords-common']);

function weaknessOf({ plain, known }: StrengthQuestion): Weakness | undefined {
  const lower = plain.toLowerCase();
  if (listed.has(lower)) return 'common';
  const looked = [...plain].slice(0, LOOKED_AT).join('');
  if (zxcvbn.check(looked, [...known]).guessesLog10 >= ENOUGH) return undefined;
  return known.some((word) => word.length >= TELLING && lower.includes(word.toLowerCase())) ? 'personal' : 'guessable';
}

parentPort!.on('message', (question: StrengthQuestion) => {
  parentPort!.postMessage({ id: question.id, weakness: weaknessOf(question) } satisfies StrengthAnswer);
});
