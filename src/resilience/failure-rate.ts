import { checkedNumber } from './checked-number.ts';
import type { Clock } from './clock.ts';
import { UsageError } from './failure.ts';

export interface FailureRateOptions {
  /** Share of failed calls, above 0 and up to 1, that opens the breaker. Default: 0.5. */
  failureRate: number;
  /** Milliseconds over which calls are counted. Default: 30 s. */
  window: number;
  /** With fewer calls than this within the window the share is not evaluated. Default: 20. */
  minimumCalls: number;
}

/** Successful calls are counted per slice of the window, because there are many. */
const slices = 30;

/**
 * Decides whether too large a share of calls failed within the last `window`, or all of the latest `minimumCalls` calls.
 * Failed calls of one name (a URL) count once, so that repeats of a few broken records do not look like an outage; a
 * success of that name removes its failure.
 */
export class FailureRate {
  readonly #threshold: number;
  readonly #window: number;
  readonly #minimum: number;
  readonly #clock: Clock;
  /** When each name last failed; the oldest first. */
  readonly #failed = new Map<unknown, number>();
  /** The names that failed since the last success. */
  readonly #failedInARow = new Set<unknown>();
  readonly #successesBySlice = new Map<number, number>();
  #successes = 0;

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
    const calls = this.#failed.size + this.#successes;
    if (calls < this.#minimum) return false;
    // The second condition detects an outage at once, however many calls succeeded before it.
    return this.#failed.size >= this.#threshold * calls || this.#failedInARow.size >= this.#minimum;
  }

  /** Calls with the same `name` are repeats; without a name each call is separate. */
  count({ failed, name = {} }: { failed: boolean; name?: unknown }): void {
    this.#forgetOld();
    // Deleting moves the name to the end of the map, which is ordered by time.
    if (this.#failed.size > 0) this.#failed.delete(name);
    if (failed) {
      this.#failed.set(name, this.#clock.now());
      this.#failedInARow.add(name);
      return;
    }
    if (this.#failedInARow.size > 0) this.#failedInARow.clear();
    const slice = this.#sliceOf(this.#clock.now());
    this.#successesBySlice.set(slice, (this.#successesBySlice.get(slice) ?? 0) + 1);
    this.#successes += 1;
  }

  clear(): void {
    this.#failed.clear();
    this.#failedInARow.clear();
    this.#successesBySlice.clear();
    this.#successes = 0;
  }

  #sliceOf(time: number): number {
    return Math.floor((time * slices) / this.#window);
  }

  #forgetOld(): void {
    const start = this.#clock.now() - this.#window;
    for (const [name, at] of this.#failed) {
      if (at > start) break;
      this.#failed.delete(name);
      this.#failedInARow.delete(name);
    }
    for (const [slice, count] of this.#successesBySlice) {
      if (slice > this.#sliceOf(start)) break;
      this.#successesBySlice.delete(slice);
      this.#successes -= count;
    }
  }
}
