import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Above this the event loop was blocked: timers, answers and heartbeats came late. Milliseconds. */
export const blockedAbove = 200;

const resolution = 20;

/** How late the event loop came to its work, beyond the sampling interval. Milliseconds. */
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
    // The histogram holds the whole time between two samples, in nanoseconds.
    const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolution);
    if (this.#histogram.count === 0) return { p99: 0, max: 0 };
    return { p99: beyond(this.#histogram.percentile(99)), max: beyond(this.#histogram.max) };
  }

  [Symbol.dispose](): void {
    this.#histogram.disable();
  }
}
