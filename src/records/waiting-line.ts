/**
 * Owns whose turn is next while more wait for a hash than can be worked on at once, so that a flood of guesses starves nobody
 * who belongs here. Each node bears its own flood: all of this is in memory.
 *
 * Who is known here comes before strangers. Among each, every try sends the next one of the same account or neighbourhood
 * further back, until it turns out right (the generic cell rate algorithm of ITU-T I.371, as an order instead of a limit):
 * to stay before residents, a flood needs a new network for each of its guesses. A full line turns away its last, who seldom
 * came last.
 */

/** In milliseconds: how far one failure sends back, and how far all of them at most. */
const BACK = 10 * 60_000;
const FURTHEST = 60 * 60_000;
/** The oldest makes room. */
const MOST_REMEMBERED = 100_000;

export interface Asker {
  /** Has shown already to belong here: by a device, a session or a mailed link of theirs. */
  known: boolean;
  /** The account of who is known, the neighbourhood of a stranger. */
  whose: string;
}

/** A place in the order. */
export interface Turn {
  known: boolean;
  due: number;
  /** It was no failure: what it sent back comes forward again. */
  giveBack(): void;
}

interface Waiting {
  turn: Turn;
  admit(): void;
  turnAway(): void;
}

const keyOf = ({ known, whose }: Asker): string => `${known ? 'known' : 'stranger'} ${whose}`;

export function waitingLine() {
  const waiting: Waiting[] = [];
  /** From when on somebody's next try is due. */
  const dueFrom = new Map<string, number>();
  const comesBefore = (turn: Omit<Turn, 'giveBack'>, other: Turn): boolean =>
    turn.known === other.known ? turn.due < other.due : turn.known;

  return {
    get length(): number {
      return waiting.length;
    },

    /** Whether somebody who came now would be taken in, while no more than `most` may wait. */
    hasRoomFor(asker: Asker, most: number, now: number): boolean {
      const turn = { known: asker.known, due: Math.max(now, dueFrom.get(keyOf(asker)) ?? 0) };
      return waiting.length < most || comesBefore(turn, waiting.at(-1)!.turn);
    },

    /** The turn of a try at this time, in milliseconds. Nobody's (work that can wait) comes last. */
    turnOf(asker: Asker | undefined, now: number): Turn {
      if (!asker) return { known: false, due: Infinity, giveBack: () => undefined };
      const key = keyOf(asker);
      const due = Math.max(now, dueFrom.get(key) ?? 0);
      dueFrom.set(key, Math.min(due + BACK, now + FURTHEST));
      if (dueFrom.size > MOST_REMEMBERED) dueFrom.delete(dueFrom.keys().next().value!);
      const giveBack = (): void => {
        const later = dueFrom.get(key);
        if (later !== undefined) dueFrom.set(key, later - BACK);
      };
      return { known: asker.known, due, giveBack };
    },

    /** Takes somebody in; where more than `most` wait then, the last is turned away, which may be the same. */
    join(one: Waiting, most: number): void {
      waiting.splice(waiting.findLastIndex(({ turn }) => !comesBefore(one.turn, turn)) + 1, 0, one);
      if (waiting.length > most) waiting.pop()!.turnAway();
    },

    /** Admits the next, where somebody waits. */
    admitNext(): boolean {
      const next = waiting.shift();
      next?.admit();
      return next !== undefined;
    },
  };
}
