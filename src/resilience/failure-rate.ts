import { checkedNumber } from './checked-number.ts';
import type { Clock } from './clock.ts';
import { UsageError } from './failure.ts';

export interface FailureRateOptions {
  /** Share of failed calls, above 0 and up to 1, that is too much. Default: 0.5. */
  failureRate: number;
  /** Milliseconds over which calls are counted. Default: 30 s. */
  window: number;
  /** Fewer calls than this within the window say nothing. Default: 20. */
  minimumCalls: number;
}

/** Good calls are counted by slices of the window, for there are many. */
const slices = 30;

/**
 * Tells whether too large a share of calls failed within the last `window`, or all of the latest `minimumCalls`. Calls of one name (a URL) that fail count once in it, however
 * often they are repeated, so that a few dead records are not taken for a dead server; a good one takes the failure back.
 */
export class FailureRate {
  readonly #threshold: number;
  readonly #window: number;
  readonly #minimum: number;
  readonly #clock: Clock;
  /** When each last failed; the longest ago first. */
  readonly #failed = new Map<unknown, number>();
  /** Those of them that failed since the last good call. */
  readonly #inARow = new Set<unknown>();
  readonly #good = new Map<number, number>();
  #goods = 0;

  constructor(o: Partial<FailureRateOptions> & { clock: Clock }) {
    const { failureRate = 0.5, window = 30_000, minimumCalls = 20, clock } = o;
    if (!(failureRate > 0 && failureRate <= 1))
      throw new UsageError(`"failureRate" must be a share above 0 and up to 1, not ${failureRate}.`, {
        code: 'NUMBER_OUT_OF_RANGE',
      });
    this.#threshold = failureRate;
    this.#window = checkedNumber(window, { name: 'window', least: 1 });
    this.#minimum = checkedNumber(minimumCalls, { name: 'minimumCalls', least: 1 });
    this.#clock = clock;
  }

  get exceeded(): boolean {
    this.#forgetOld();
    const calls = this.#failed.size + this.#goods;
    if (calls < this.#minimum) return false;
    // An outage is seen at once, however many calls were good before it.
    return this.#failed.size >= this.#threshold * calls || this.#inARow.size >= this.#minimum;
  }

  /** `name` tells which calls are repeats of one another; without one each is its own. */
  count({ failed, name = {} }: { failed: boolean; name?: unknown }): void {
    this.#forgetOld();
    // To the end of the map, which is in the order of time.
    if (this.#failed.size > 0) this.#failed.delete(name);
    if (failed) {
      this.#failed.set(name, this.#clock.now());
      this.#inARow.add(name);
      return;
    }
    if (this.#inARow.size > 0) this.#inARow.clear();
    const slice = this.#sliceOf(this.#clock.now());
    this.#good.set(slice, (this.#good.get(slice) ?? 0) + 1);
    this.#goods += 1;
  }

  clear(): void {
    this.#failed.clear();
    this.#inARow.clear();
    this.#good.clear();
    this.#goods = 0;
  }

  #sliceOf(time: number): number {
    return Math.floor((time * slices) / this.#window);
  }

  #forgetOld(): void {
    const start = this.#clock.now() - this.#window;
    for (const [name, at] of this.#failed) {
      if (at > start) break;
      this.#failed.delete(name);
      this.#inARow.delete(name);
    }
    for (const [slice, count] of this.#good) {
      if (slice > this.#sliceOf(start)) break;
      this.#good.delete(slice);
      this.#goods -= count;
    }
  }
}
