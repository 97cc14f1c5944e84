import { checkedNumber } from './checked-number.ts';
import type { Clock } from './clock.ts';
import { UsageError } from './failure.ts';
import { LinkedQueue } from './linked-queue.ts';

export interface FailureRateOptions {
  /** Share of failed calls, above 0 and up to 1, that is too much. */
  failureRate: number;
  /** Milliseconds over which calls are counted. */
  samplingWindow: number;
  /** Fewer calls than this within the window say nothing. */
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

  constructor({
    failureRate,
    samplingWindow,
    minimumCalls,
    clock,
  }: {
    failureRate: number;
    samplingWindow: number | undefined;
    minimumCalls: number | undefined;
    clock: Clock;
  }) {
    if (!(failureRate > 0 && failureRate <= 1) || samplingWindow === undefined || minimumCalls === undefined) {
      throw new UsageError(
        '"failureRate" is a share above 0 and up to 1, and needs "samplingWindow" and "minimumCalls" beside it.',
        { code: 'FAILURE_RATE_INCOMPLETE' },
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
