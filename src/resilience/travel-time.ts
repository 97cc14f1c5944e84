/** So many times fewer surprises than answers: e to the power of minus this is the chance taken (6 in a million). */
const caution = 12;
const generation = 1000;

/**
 * Learns the least time from writing a request to the first byte of its answer, to tell how late others arrived.
 * What counts is what was seen in the last one to two thousand answers, so that one odd answer (a proxy that refused at
 * once) does not make every later one look late for the rest of the night.
 */
export class TravelTime {
  #current = { seen: 0, least: Infinity, most: 0 };
  #previous = { seen: 0, least: Infinity, most: 0 };

  /** Milliseconds from sent to answered. */
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
   * Milliseconds that a request and its answer surely take, when the way out varies by at most `spread`; minus Infinity
   * while too few were seen to say. The least of n like draws lies above the next one by more than x times their spread
   * with a chance of (1 - x)^n, so the least seen is lowered by caution / n of the spread.
   */
  atLeast(spread: number): number {
    const seen = this.#current.seen + this.#previous.seen;
    if (seen < caution) return -Infinity;
    const least = Math.min(this.#current.least, this.#previous.least);
    const most = Math.max(this.#current.most, this.#previous.most);
    return least - (Math.min(most - least, spread) * caution) / seen;
  }
}
