import { checkedNumber } from './checked-number.ts';
import type { Clock } from './clock.ts';
import { UsageError } from './failure.ts';
import { LinkedQueue } from './linked-queue.ts';

export interface FailureRateOptions {
  /** Share of failed calls, above 0 and up to 1, that is too much. */
  failureRate: number;
  /** Milliseconds over which calls are counted. Default: 30 s. */
  samplingWindow: number;
  /** Fewer calls than this within the window say nothing. Default: 20. */
  minimumCalls: number;
}

/** The share of calls that failed within the last `samplingWindow`, exactly: every call is remembered that long. */
export class FailureRate {
  readonly #threshold: number;
  readonly #window: number;
  readonly #minimum: number;
  readonly #clock: Clock;
  readonly #calls = new LinkedQueue<{ at: number; failed: boolean }>();
  #failed = 0;

  constructor(o: {
    failureRate: number | undefined;
    samplingWindow: number | undefined;
    minimumCalls: number | undefined;
    clock: Clock;
  }) {
    const { failureRate, samplingWindow = 30_000, minimumCalls = 20, clock } = o;
    if (failureRate === undefined || !(failureRate > 0 && failureRate <= 1)) {
      throw new UsageError(
        failureRate === undefined
          ? '"samplingWindow" and "minimumCalls" belong to a "failureRate", which is missing: give a share such as 0.5.'
          : `"failureRate" must be a share above 0 and up to 1, not ${failureRate}.`,
        { code: failureRate === undefined ? 'FAILURE_RATE_INCOMPLETE' : 'NUMBER_OUT_OF_RANGE' },
      );
    }
    this.#threshold = failureRate;
    this.#window = checkedNumber(samplingWindow, { name: 'samplingWindow', least: 1 });
    this.#minimum = checkedNumber(minimumCalls, { name: 'minimumCalls', least: 1 });
    this.#clock = clock;
  }

  get exceeded(): boolean {
    this.#forgetOld();
    return this.#calls.length >= this.#minimum && this.#failed >= this.#threshold * this.#calls.length;
  }

  count({ failed }: { failed: boolean }): void {
    this.#forgetOld();
    this.#calls.push({ at: this.#clock.now(), failed });
    if (failed) this.#failed += 1;
  }

  clear(): void {
    while (this.#calls.shift());
    this.#failed = 0;
  }

  #forgetOld(): void {
    const start = this.#clock.now() - this.#window;
    for (let first = this.#calls.first; first && first.value.at <= start; first = this.#calls.first) {
      this.#calls.remove(first);
      if (first.value.failed) this.#failed -= 1;
    }
  }
}
