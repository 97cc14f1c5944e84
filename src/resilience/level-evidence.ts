/** How much was under way (in flight, or sent within a window) when one was sent, itself included. */
export interface Level {
  readonly at: number;
  /** How often the limit had been lowered by then. */
  readonly era: number;
}

/**
 * Tells whether a refusal is about how much was under way: it is when nothing was answered well with as much under way.
 * So one record that is always refused says nothing about a limit that others just met.
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
   * Takes a good answer. `fits`: to what was sent since the limit was lowered. Of what was sent before that, it tells
   * whether that was right: `above` the level that was refused it was not; `below` it, this much is allowed.
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
   * Takes a refusal. `echo`: of the excess that the limit was lowered for; `within`: as much was answered well, or it was
   * alone, and less there cannot be.
   */
  refused({ at, era }: Level): 'echo' | 'within' | 'beyond' {
    if (era !== this.#era) return 'echo';
    return at <= Math.max(1, this.#good) ? 'within' : 'beyond';
  }

  /** The limit was lowered because of a refusal at this level; `forget` what was answered well, when that says nothing now. */
  lowered(at: number, { forget = false } = {}): void {
    this.#era += 1;
    if (forget) this.#good = 0;
    this.#refusedAt = at;
  }
}
