/** e to the power of minus this is the accepted probability of an error (6 in a million). */
const caution = 12;
/** Answers per generation; the current and the previous generation count. */
const generation = 1000;

/**
 * Estimates the least time from writing a request to the first byte of its answer; RollingWindow derives from it how late
 * other requests arrived. Uses the last one to two thousand answers, so that a single fast answer (a proxy that refused at
 * once) does not make all answers look late for the rest of the night.
 */
export class TravelTime {
  #current = { seen: 0, least: Infinity, most: 0 };
  #previous = { seen: 0, least: Infinity, most: 0 };

  /** `time`: milliseconds from sent to answered. */
  observe(time: number): void {
    if (this.#current.seen === generation) {
      this.#previous = this.#current;
      this.#current = { seen: 0, least: Infinity, most: 0 };
    }
    const current = this.#current;
    current.seen += 1;
    if (time < current.least) current.least = time;
    if (time > current.most) current.most = time;
  }

  /**
   * A lower bound of the round-trip time in milliseconds, when the transit to the server varies by at most `spread`; minus
   * Infinity while too few answers were seen. The least of n draws exceeds the next draw by more than x times their spread
   * with a probability of (1 - x)^n, so the least value seen is lowered by caution / n of the spread.
   */
  atLeast(spread: number): number {
    const seen = this.#current.seen + this.#previous.seen;
    if (seen < caution) return -Infinity;
    const least = Math.min(this.#current.least, this.#previous.least);
    const most = Math.max(this.#current.most, this.#previous.most);
    return least - (Math.min(most - least, spread) * caution) / seen;
  }
}
