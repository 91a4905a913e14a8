/**
 * The two ways to say no.
 *
 * A Refusal is the expected 'no': a value that a journey returns and a screen puts into words; its code is a text key.
 * A Problem is thrown: the request cannot go on, one page or answer tells so; its code is a text key under `problem.`,
 * its detail goes to the log only.
 */
export interface Refusal {
  refused: string;
  /** When trying again makes sense, in seconds from now. */
  retryAfter?: number;
}

export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly retryAfter?: number;

  constructor(code: string, status: number, options: { detail?: string; retryAfter?: number; cause?: unknown } = {}) {
    super(options.detail ?? code, { cause: options.cause });
    this.name = 'Problem';
    this.code = code;
    this.status = status;
    this.retryAfter = options.retryAfter;
  }
}
