import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { UsageError } from './failure.ts';
import { type AcquireOptions, WaitingLine } from './waiting-line.ts';

export interface TokenBucketOptions {
  /** Tokens per second. */
  rate: number;
  /** Tokens the full bucket holds: the largest burst. */
  capacity: number;
  clock?: Clock;
}

/** Tokens that were taken. They cannot be given back. */
export interface Tokens {
  readonly weight: number;
}

/**
 * Starts full and is refilled continuously. Any t seconds contain at most `capacity + rate * t` tokens, so an interval that
 * begins with a burst may contain nearly twice the rate. For "at most N in any interval" use a RollingWindow.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #capacity: number;
  readonly #clock: Clock;
  readonly #line: WaitingLine<Tokens>;
  /** The tokens at the time `#filledAt`. */
  #tokens: number;
  #filledAt: number;

  constructor({ rate, capacity, clock = systemClock }: TokenBucketOptions) {
    if (!(rate > 0)) throw new UsageError(`"rate" must be above 0, not ${rate}.`, { code: 'NUMBER_OUT_OF_RANGE' });
    this.#perMs = rate / 1000;
    this.#capacity = checkedNumber(capacity, { name: 'capacity', least: 1 });
    this.#clock = clock;
    this.#tokens = capacity;
    this.#filledAt = clock.now();
    this.#line = new WaitingLine({ clock, grant: (weight) => this.#grant(weight) });
  }

  /** Milliseconds waited for tokens, summed over all waiters. */
  get waitedMs(): number {
    return this.#line.waitedMs;
  }

  /** Resolves when the bucket holds the weight. Throws UsageError when it never can. */
  async acquire(options: AcquireOptions = {}): Promise<Tokens> {
    this.#check(options.weight);
    return this.#line.serveAtOnce(options) ?? this.#line.wait(options);
  }

  /** The tokens now, or the milliseconds until the bucket holds them; longer when others wait. Never overtakes waiters. */
  tryAcquire(weight = 1): Tokens | { waitMs: number } {
    this.#check(weight);
    const now = this.#clock.now();
    const grant = this.#line.length === 0 ? this.#grant(weight) : Math.max(this.#line.nextTurn, this.#dueFor(weight));
    return typeof grant === 'number' ? { waitMs: Math.max(0, grant - now) } : grant;
  }

  #check(weight = 1): void {
    checkedNumber(weight, { name: 'weight', least: 1, whole: true });
    if (weight <= this.#capacity) return;
    throw new UsageError(
      `A weight of ${weight} can never be granted: the bucket holds ${this.#capacity}. Lower the weight or raise the capacity.`,
      { code: 'WEIGHT_ABOVE_LIMIT' },
    );
  }

  #grant(weight: number): Tokens | number {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
    const due = this.#dueFor(weight);
    if (due > now) return due;
    this.#tokens -= weight;
    return { weight };
  }

  #dueFor(weight: number): number {
    const missing = weight - this.#tokens;
    return missing <= 0 ? -Infinity : this.#filledAt + missing / this.#perMs;
  }
}
