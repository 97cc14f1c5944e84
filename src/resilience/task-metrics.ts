import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { type Clock, systemClock } from './clock.ts';
import type { Policy } from './policy.ts';

/** Counts and times of the tasks of one kind so far. Times in milliseconds, of ended tasks. */
export interface TaskFigures {
  kind: string;
  /** Started tasks, ended or not. */
  count: number;
  inFlight: number;
  succeeded: number;
  failed: number;
  totalMs: number;
  averageMs: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

interface Kind {
  histogram: RecordableHistogram;
  succeeded: number;
  failed: number;
  inFlight: number;
  totalMs: number;
}

/** Counts and times tasks by kind, in constant memory per kind; readable while they run. */
export class TaskMetrics {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Kind>();

  constructor({ clock = systemClock }: { clock?: Clock } = {}) {
    this.#clock = clock;
  }

  /**
   * Runs the task, records its duration and whether it failed, and gives its result. A task fails when it throws, or when
   * `failed` is true for its value (for tasks that return failures as values).
   */
  async measure<T>(
    kind: string,
    task: () => Promise<T>,
    { failed = () => false }: { failed?: (value: T) => boolean } = {},
  ): Promise<T> {
    const entry = this.#kind(kind);
    const begun = this.#clock.now();
    entry.inFlight += 1;
    try {
      const value = await task();
      entry[failed(value) ? 'failed' : 'succeeded'] += 1;
      return value;
    } catch (error) {
      entry.failed += 1;
      throw error;
    } finally {
      const ms = this.#clock.now() - begun;
      entry.inFlight -= 1;
      entry.totalMs += ms;
      // In whole microseconds, because a histogram holds integers from 1.
      entry.histogram.record(Math.max(1, Math.round(ms * 1_000)));
    }
  }

  /** The figures of every kind, by name. */
  figures(): TaskFigures[] {
    return [...this.#kinds]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([kind, { histogram, succeeded, failed, inFlight, totalMs }]) => {
        const ended = succeeded + failed;
        const at = (percent: number): number => (ended === 0 ? 0 : histogram.percentile(percent) / 1_000);
        return {
          kind,
          count: ended + inFlight,
          inFlight,
          succeeded,
          failed,
          totalMs,
          averageMs: ended === 0 ? 0 : totalMs / ended,
          p50: at(50),
          p95: at(95),
          p99: at(99),
          max: at(100),
        };
      });
  }

  #kind(name: string): Kind {
    let entry = this.#kinds.get(name);
    if (!entry) {
      const histogram = createHistogram({ lowest: 1, highest: 86_400_000_000, figures: 3 });
      this.#kinds.set(name, (entry = { histogram, succeeded: 0, failed: 0, inFlight: 0, totalMs: 0 }));
    }
    return entry;
  }
}

/** Counts and times every run of a task under `kind`. */
export function measuring(metrics: TaskMetrics, kind: string): Policy {
  return (task) => async (signal) => metrics.measure(kind, async () => task(signal));
}
