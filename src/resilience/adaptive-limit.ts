import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Level, LevelEvidence } from './level-evidence.ts';

export type { Level } from './level-evidence.ts';

/** The initial limit: small, because requests above the server's limit are refused. */
const firstLimit = 10;
/** Increase per good answer until the first refusal: from 10 to 50 in one round of answers. */
const growth = 4;
/** A settled limit above this share of the ceiling is not reported. */
const reportedBelow = 0.8;
/** Milliseconds without a refusal before one more is tried, then two more, then four; doubled each time that is refused. */
const firstProbeDelay = 500;
const longestProbeDelay = 60_000;

/**
 * A concurrency limit that adapts to the server's refusals: additive increase, multiplicative decrease (AIMD), where a
 * refusal counts only when it is about the number in flight. Never above the ceiling.
 */
export class AdaptiveLimit {
  readonly ceiling: number;
  readonly #clock: Clock;
  readonly #evidence = new LevelEvidence();
  #limit: number;
  #inFlight = 0;
  /** The state before the limit was last lowered; undefined while it never was. */
  #beforeLowering: { limit: number; lowered: boolean } | undefined;
  #lowered = false;
  #probeDelay = firstProbeDelay;
  #probeDelayFrom = 0;
  #hasProbed = false;
  /** A higher limit was tried and refused. */
  #probeRefused = false;
  #step = 1;

  constructor({ ceiling, clock = systemClock }: { ceiling: number; clock?: Clock }) {
    this.ceiling = checkedNumber(ceiling, { name: 'ceiling', least: 1, whole: true });
    this.#clock = clock;
    this.#limit = Math.min(ceiling, firstLimit);
  }

  /** The limit now. */
  get limit(): number {
    if (this.#lowered) this.#probe();
    return this.#limit;
  }

  /** The limit found, when it is well below the ceiling and a higher one was tried and refused; otherwise undefined. */
  get settled(): number | undefined {
    const isKnown = this.#lowered && this.#probeRefused && this.#evidence.good > 0;
    return isKnown && this.limit <= reportedBelow * this.ceiling ? this.#limit : undefined;
  }

  /** Counts a request in flight. Call `ended` for each, whatever its result. */
  sent(): Level {
    this.#inFlight += 1;
    return this.#evidence.mark(this.#inFlight);
  }

  ended(): void {
    this.#inFlight -= 1;
  }

  /** The request was answered and not refused. */
  answered(level: Level): void {
    const kind = this.#evidence.answered(level);
    if (kind === 'fits' && !this.#lowered) this.#limit = Math.min(this.ceiling, this.#limit + growth);
    // Answered at a higher level than the refused one, so that refusal was about something else.
    else if (kind === 'above' && this.#beforeLowering) {
      this.#limit = Math.max(this.#limit, this.#beforeLowering.limit);
      this.#lowered = this.#beforeLowering.lowered;
    } else if (kind === 'below') this.#limit = Math.max(this.#limit, level.at);
  }

  /** The request was refused. True when that is about the number in flight; the limit has then been lowered. */
  refused(level: Level): boolean {
    const kind = this.#evidence.refused(level);
    if (kind === 'echo' || level.at === 1) this.#probeDelayFrom = this.#clock.now();
    if (kind === 'beyond') this.#lower(level.at, this.#evidence.good || Math.floor(level.at / 2));
    return kind !== 'within';
  }

  /** The server answered that it is overloaded. Lowers the limit only when a lower level was answered well. */
  overloaded(level: Level): void {
    if (this.#evidence.good > 0) this.refused(level);
  }

  /** Halves the limit and forgets the levels answered well, because many requests are refused at those levels too. */
  halve(): void {
    this.#lower(this.limit + 1, Math.floor(this.limit / 2), { forget: true });
  }

  #lower(refusedAt: number, to: number, o: { forget?: boolean } = {}): void {
    this.#beforeLowering = { limit: this.limit, lowered: this.#lowered };
    this.#limit = Math.max(1, Math.min(this.#limit, to));
    this.#lowered = true;
    this.#evidence.lowered(refusedAt, o);
    this.#step = 1;
    if (this.#hasProbed) {
      this.#probeDelay = Math.min(longestProbeDelay, 2 * this.#probeDelay);
      this.#probeRefused = true;
    }
    this.#hasProbed = false;
    this.#probeDelayFrom = this.#clock.now();
  }

  #probe(): void {
    const now = this.#clock.now();
    while (this.#limit < this.ceiling && now >= this.#probeDelayFrom + this.#probeDelay) {
      this.#limit = Math.min(this.ceiling, this.#limit + this.#step);
      this.#step *= 2;
      this.#probeDelayFrom += this.#probeDelay;
      this.#hasProbed = true;
    }
  }
}
