import type { Clock } from './clock.ts';

/**
 * Additive increase, multiplicative decrease: the share of a ceiling that may be used. It halves on each complaint and
 * climbs back by a tenth per quiet period. Complaints within one period after a halving are echoes of the same excess
 * (everything in flight was refused together): they restart the quiet period and do not halve again.
 */
export class AdaptiveShare {
  readonly #clock: Clock;
  readonly #quiet: number;
  /** In tenths, because ten times 0.1 is not 1. */
  #tenths = 10;
  #since = 0;
  #halvedAt = -Infinity;
  #before = 10;

  constructor({ quiet, clock }: { /** Milliseconds. */ quiet: number; clock: Clock }) {
    this.#quiet = quiet;
    this.#clock = clock;
  }

  /** In (0, 1]. */
  get now(): number {
    return this.#reached() / 10;
  }

  /** Monotonic milliseconds of the next climb; Infinity at the ceiling. */
  get nextStep(): number {
    return this.#reached() === 10 ? Infinity : this.#since + (this.#steps() + 1) * this.#quiet;
  }

  halve(): void {
    const now = this.#clock.now();
    this.#tenths = this.#reached();
    this.#since = now;
    if (now - this.#halvedAt < this.#quiet) return;
    this.#before = this.#tenths;
    this.#tenths /= 2;
    this.#halvedAt = now;
  }

  /** The latest complaint turned out to be about something else: it takes its halving back. */
  restore(): void {
    if (this.#halvedAt === -Infinity) return;
    this.#tenths = Math.max(this.#reached(), this.#before);
    this.#since = this.#clock.now();
    this.#halvedAt = -Infinity;
  }

  #steps(): number {
    return Math.floor((this.#clock.now() - this.#since) / this.#quiet);
  }

  #reached(): number {
    return this.#tenths === 10 ? 10 : Math.min(10, this.#tenths + this.#steps());
  }
}
