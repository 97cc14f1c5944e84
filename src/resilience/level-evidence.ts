/** The level (requests in flight, or sent within a window) at which a request was sent, itself included. */
export interface Level {
  readonly at: number;
  /** How often the limit had been lowered when the request was sent. */
  readonly era: number;
}

/**
 * Decides whether a refusal is about the level: it is unless another request was answered well at the same or a higher
 * level. So a record that is always refused does not lower a limit that other requests keep.
 */
export class LevelEvidence {
  #era = 0;
  /** The highest level answered well. */
  #good = 0;
  #refusedAt = Infinity;

  /** The highest level answered well; 0 when none was. */
  get good(): number {
    return this.#good;
  }

  mark(at: number): Level {
    return { at, era: this.#era };
  }

  /**
   * Records a good answer. `fits`: the request was sent since the limit was last lowered. For one sent before: `above` the
   * refused level shows that lowering was wrong; `below` it shows that this level is allowed. `old`: sent even earlier.
   */
  answered({ at, era }: Level): 'fits' | 'above' | 'below' | 'old' {
    if (era === this.#era) {
      if (at > this.#good) this.#good = at;
      return 'fits';
    }
    if (era !== this.#era - 1) return 'old';
    if (at > this.#refusedAt) return 'above';
    if (at > this.#good) this.#good = at;
    return 'below';
  }

  /**
   * Classifies a refusal. `echo`: the request was sent before the limit was last lowered; `within`: this level was answered
   * well before, or the request was alone; `beyond`: it is about the level.
   */
  refused({ at, era }: Level): 'echo' | 'within' | 'beyond' {
    if (era !== this.#era) return 'echo';
    return at <= Math.max(1, this.#good) ? 'within' : 'beyond';
  }

  /** Records that the limit was lowered for a refusal at this level; `forget` discards the levels answered well so far. */
  lowered(at: number, { forget = false } = {}): void {
    this.#era += 1;
    if (forget) this.#good = 0;
    this.#refusedAt = at;
  }
}
