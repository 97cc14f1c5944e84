import { AdaptiveLimit } from '../../resilience/adaptive-limit.ts';
import { type Clock, systemClock } from '../../resilience/clock.ts';
import { WaitingLine } from '../../resilience/waiting-line.ts';

interface SlotOptions {
  /** The caller's lane (a lookup, the listing): lanes take turns. */
  lane?: string | undefined;
  /** A repeat goes to the front of its lane. */
  again?: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * The semaphore: as many pieces of work at once as the adaptive limit allows. Lanes take turns; within a lane the order is
 * first in, first out. A slot is freed only when its work has ended.
 * Not p-queue, because it has no lanes that take turns.
 */
export class Slots {
  readonly adaptive: AdaptiveLimit;
  /** The largest number that ran at once so far. */
  peak = 0;
  readonly #line: WaitingLine<Slots>;
  #inUse = 0;

  constructor(concurrency: number, { clock = systemClock }: { clock?: Clock } = {}) {
    this.adaptive = new AdaptiveLimit({ ceiling: concurrency, clock });
    this.#line = new WaitingLine({ clock, grant: () => this.#take() });
  }

  /** The largest number that may run at once. */
  get limit(): number {
    return this.adaptive.ceiling;
  }

  get inUse(): number {
    return this.#inUse;
  }

  /** Number of waiters for a slot. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Runs `work` once a slot is free. An abort during the wait rejects at once with the signal's reason. */
  async run<T>(work: () => Promise<T>, { lane, again = false, signal }: SlotOptions = {}): Promise<T> {
    const options = { again, ...(lane === undefined ? {} : { key: lane }), ...(signal ? { signal } : {}) };
    if (!this.#line.serveAtOnce(options)) await this.#line.wait(options);
    try {
      // The signal may have aborted after the slot was granted.
      signal?.throwIfAborted();
      return await work();
    } finally {
      this.#inUse -= 1;
      this.#line.serveWaiters();
    }
  }

  /** Infinity: no slot is free; ask again when one has been freed. */
  #take(): Slots | number {
    if (this.#inUse >= this.adaptive.limit) return Infinity;
    this.#inUse += 1;
    if (this.#inUse > this.peak) this.peak = this.#inUse;
    return this;
  }
}
