/** At most `requests` in any interval of `per` milliseconds. */
export interface Rate {
  requests: number;
  per: number;
}

/** Counts the moments within the last `per` milliseconds: exactly, in memory that grows only with their density. */
class RollingCount {
  readonly #per: number;
  #moments = new Float64Array(256);
  #first = 0;
  count = 0;

  constructor(per: number) {
    this.#per = per;
  }

  /** Removes moments that are `per` or more old. A moment exactly `per` later belongs to a new interval. */
  forget(now: number): void {
    while (this.count > 0 && this.oldest() <= now - this.#per) {
      this.#first = (this.#first + 1) % this.#moments.length;
      this.count -= 1;
    }
  }

  oldest(): number {
    return this.#moments[this.#first]!;
  }

  add(now: number): void {
    const { length } = this.#moments;
    if (this.count === length) {
      const larger = new Float64Array(length * 2);
      larger.set(this.#moments.subarray(this.#first));
      larger.set(this.#moments.subarray(0, this.#first), length - this.#first);
      this.#moments = larger;
      this.#first = 0;
    }
    this.#moments[(this.#first + this.count) % this.#moments.length] = now;
    this.count += 1;
  }
}

/**
 * The strict rolling limit, measured at arrival.
 *
 * An arrival is refused when there are `requests` accepted ones within the last `per`; refused ones do not count, as with
 * HubSpot and Salesforce. `peak` and `violations` count every arrival, refused or not, because a refused request exceeded
 * the caller's limit as well.
 */
export class Arrivals {
  readonly rate: Rate | undefined;
  readonly per: number;
  readonly #all: RollingCount;
  readonly #accepted: RollingCount;
  /** The most arrivals in any interval of `per`. */
  peak = 0;
  /** Arrivals that made more than `requests` in the interval that ends with them. */
  violations = 0;
  refused = 0;

  constructor(rate: Rate | undefined) {
    this.rate = rate;
    this.per = rate?.per ?? 1000;
    this.#all = new RollingCount(this.per);
    this.#accepted = new RollingCount(this.per);
  }

  /** 0 when the request that arrives at `now` is accepted, else the milliseconds until one would be. */
  arrive(now: number): number {
    this.#all.forget(now);
    this.#all.add(now);
    if (this.#all.count > this.peak) this.peak = this.#all.count;
    if (!this.rate) return 0;
    if (this.#all.count > this.rate.requests) this.violations += 1;
    this.#accepted.forget(now);
    if (this.#accepted.count < this.rate.requests) {
      this.#accepted.add(now);
      return 0;
    }
    this.refused += 1;
    return Math.max(this.#accepted.oldest() + this.per - now, Number.MIN_VALUE);
  }
}
