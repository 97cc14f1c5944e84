import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Milliseconds. A longer delay means that the event loop was blocked: timers, answers and heartbeats were late. */
export const blockedAbove = 200;

/** The sampling interval, milliseconds. */
const resolution = 20;

/** Milliseconds by which the event loop was late, without the sampling interval. */
export interface EventLoopDelayFigures {
  p99: number;
  max: number;
}

/** Measures the event loop's delay until disposed. */
export class EventLoopDelay implements Disposable {
  readonly #histogram = monitorEventLoopDelay({ resolution });

  constructor() {
    this.#histogram.enable();
  }

  figures(): EventLoopDelayFigures {
    // The histogram holds the time between two samples in nanoseconds, sampling interval included.
    const delayOf = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolution);
    if (this.#histogram.count === 0) return { p99: 0, max: 0 };
    return { p99: delayOf(this.#histogram.percentile(99)), max: delayOf(this.#histogram.max) };
  }

  [Symbol.dispose](): void {
    this.#histogram.disable();
  }
}
