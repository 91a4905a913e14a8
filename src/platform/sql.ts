/** Owns the tag `sql`: statements whose values are parameters, composed from parts. It knows no database. */

export interface Sql {
  readonly text: string;
  readonly values: readonly unknown[];
}

class Statement implements Sql {
  /** What stands around the values: one more than there are of these. */
  readonly pieces: readonly string[];
  readonly values: readonly unknown[];
  #text?: string;

  constructor(pieces: readonly string[], values: readonly unknown[]) {
    this.pieces = pieces;
    this.values = values;
  }

  get text(): string {
    return (this.#text ??= this.pieces.reduce((text, piece, index) => `${text}$${index}${piece}`));
  }
}

/** Nested sql`…` values become part of the text, every other value a parameter; lists go as arrays: `= any(${ids})`. */
export function sql(strings: TemplateStringsArray, ...values: unknown[]): Sql {
  const pieces = [strings[0]!];
  const parameters: unknown[] = [];
  values.forEach((value, index) => {
    if (value instanceof Statement) {
      const [first = '', ...others] = value.pieces;
      pieces[pieces.length - 1] += first;
      pieces.push(...others);
      parameters.push(...value.values);
    } else {
      parameters.push(value);
      pieces.push('');
    }
    pieces[pieces.length - 1] += strings[index + 1]!;
  });
  return new Statement(pieces, parameters);
}

/** Comes before every id (RFC 9562, 5.9: the nil UUID). */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000';
