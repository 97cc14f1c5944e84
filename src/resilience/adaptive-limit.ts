import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Level, LevelEvidence } from './level-evidence.ts';

export type { Level } from './level-evidence.ts';

/** Where it starts: of these some are refused when the other side allows fewer. */
const firstLimit = 10;
/** More for each that was answered well, until the first is refused: from 10 to 50 in one round of answers. */
const growth = 4;
/** The share of the ceiling above which what it settled at is no news. */
const worthSaying = 0.8;
/** Milliseconds without a refusal after which one more is tried, then two more, then four; twice as long each time that fails. */
const firstQuiet = 500;
const longestQuiet = 60_000;

/**
 * How many may be in flight at once, learnt from what the other side refuses: additive increase, multiplicative decrease
 * (AIMD), where a refusal counts only when it is about how many there were. Never above the ceiling.
 */
export class AdaptiveLimit {
  readonly ceiling: number;
  readonly #clock: Clock;
  readonly #evidence = new LevelEvidence();
  #limit: number;
  #inFlight = 0;
  /** What it was before it was last lowered; undefined while it never was. */
  #before: { limit: number; lowered: boolean } | undefined;
  #lowered = false;
  #quiet = firstQuiet;
  #quietSince = 0;
  #climbed = false;
  /** One more than it settled at was tried, and refused. */
  #confirmed = false;
  #step = 1;

  constructor({ ceiling, clock = systemClock }: { ceiling: number; clock?: Clock }) {
    this.ceiling = checkedNumber(ceiling, { name: 'ceiling', least: 1, whole: true });
    this.#clock = clock;
    this.#limit = Math.min(ceiling, firstLimit);
  }

  /** How many may be in flight now. */
  get limit(): number {
    if (this.#lowered) this.#climb();
    return this.#limit;
  }

  /** What it settled at, well below the ceiling, once more was tried and refused; undefined before. */
  get settled(): number | undefined {
    const isKnown = this.#lowered && this.#confirmed && this.#evidence.good > 0;
    return isKnown && this.limit <= worthSaying * this.ceiling ? this.#limit : undefined;
  }

  /** One is on its way. To be followed by `ended`, whatever becomes of it. */
  sent(): Level {
    this.#inFlight += 1;
    return this.#evidence.mark(this.#inFlight);
  }

  ended(): void {
    this.#inFlight -= 1;
  }

  /** It was answered, and not refused. */
  answered(level: Level): void {
    const kind = this.#evidence.answered(level);
    if (kind === 'fits' && !this.#lowered) this.#limit = Math.min(this.ceiling, this.#limit + growth);
    // More were in flight and it was answered: the refusal was about something else.
    else if (kind === 'above' && this.#before) {
      this.#limit = Math.max(this.#limit, this.#before.limit);
      this.#lowered = this.#before.lowered;
    } else if (kind === 'below') this.#limit = Math.max(this.#limit, level.at);
  }

  /** It was refused as one too many. True when that is about how many were in flight; then the limit is lower now. */
  refused(level: Level): boolean {
    const kind = this.#evidence.refused(level);
    if (kind === 'echo' || level.at === 1) this.#quietSince = this.#clock.now();
    if (kind === 'beyond') this.#lower(level.at, this.#evidence.good || Math.floor(level.at / 2));
    return kind !== 'within';
  }

  /** It was answered that the other side is overloaded: fewer may be in flight when fewer were answered well. */
  overloaded(level: Level): void {
    if (this.#evidence.good > 0) this.refused(level);
  }

  /** For refusals that are about no level and yet are many: what was answered well before says nothing any more. */
  halve(): void {
    this.#lower(this.limit + 1, Math.floor(this.limit / 2), { forget: true });
  }

  #lower(refusedAt: number, to: number, o: { forget?: boolean } = {}): void {
    this.#before = { limit: this.limit, lowered: this.#lowered };
    this.#limit = Math.max(1, Math.min(this.#limit, to));
    this.#lowered = true;
    this.#evidence.lowered(refusedAt, o);
    this.#step = 1;
    if (this.#climbed) {
      this.#quiet = Math.min(longestQuiet, 2 * this.#quiet);
      this.#confirmed = true;
    }
    this.#climbed = false;
    this.#quietSince = this.#clock.now();
  }

  #climb(): void {
    const now = this.#clock.now();
    while (this.#limit < this.ceiling && now >= this.#quietSince + this.#quiet) {
      this.#limit = Math.min(this.ceiling, this.#limit + this.#step);
      this.#step *= 2;
      this.#quietSince += this.#quiet;
      this.#climbed = true;
    }
  }
}
