import type { Clock } from './clock.ts';

/**
 * The share of a ceiling that may be used: additive increase, multiplicative decrease. Each refusal halves it; each period
 * without one raises it by a tenth. Refusals within one period after a halving have the same cause (everything in flight
 * was refused together): they restart the period and do not halve again.
 */
export class AdaptiveShare {
  readonly #clock: Clock;
  readonly #period: number;
  /** In tenths, because adding 0.1 ten times does not give 1. */
  #tenths = 10;
  #since = 0;
  #halvedAt = -Infinity;
  #beforeHalving = 10;

  constructor({ period, clock }: { /** Milliseconds. */ period: number; clock: Clock }) {
    this.#period = period;
    this.#clock = clock;
  }

  /** In (0, 1]. */
  get now(): number {
    return this.#reached() / 10;
  }

  /** Monotonic time of the next increase; Infinity at the ceiling. */
  get nextStep(): number {
    return this.#reached() === 10 ? Infinity : this.#since + (this.#steps() + 1) * this.#period;
  }

  halve(): void {
    const now = this.#clock.now();
    this.#tenths = this.#reached();
    this.#since = now;
    if (now - this.#halvedAt < this.#period) return;
    this.#beforeHalving = this.#tenths;
    this.#tenths /= 2;
    this.#halvedAt = now;
  }

  /** Undoes the latest halving, because its refusal turned out to be about something else. */
  restore(): void {
    if (this.#halvedAt === -Infinity) return;
    this.#tenths = Math.max(this.#reached(), this.#beforeHalving);
    this.#since = this.#clock.now();
    this.#halvedAt = -Infinity;
  }

  #steps(): number {
    return Math.floor((this.#clock.now() - this.#since) / this.#period);
  }

  #reached(): number {
    return this.#tenths === 10 ? 10 : Math.min(10, this.#tenths + this.#steps());
  }
}
