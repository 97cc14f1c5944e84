import { AdaptiveLimit } from '../../resilience/adaptive-limit.ts';
import { type Clock, systemClock } from '../../resilience/clock.ts';
import { WaitingLine } from '../../resilience/waiting-line.ts';

export interface SlotOptions {
  /** Those who ask under another key (a lookup, the listing) take turns with this one. */
  key?: string | undefined;
  /** Goes before those of its key: it has been sent before. */
  again?: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * The semaphore: at most as many pieces of work at once as the adaptive limit says. Keys take turns; inside one first
 * come, first served. A slot is free again only when its work has really ended.
 */
export class Slots {
  readonly adaptive: AdaptiveLimit;
  /** The most that ever ran at once. */
  peak = 0;
  readonly #line: WaitingLine<Slots>;
  #inUse = 0;

  constructor(concurrency: number, { clock = systemClock }: { clock?: Clock } = {}) {
    this.adaptive = new AdaptiveLimit({ ceiling: concurrency, clock });
    this.#line = new WaitingLine({ clock, grant: () => this.#take() });
  }

  /** As many as there will ever be at once. */
  get limit(): number {
    return this.adaptive.ceiling;
  }

  get inUse(): number {
    return this.#inUse;
  }

  /** How many wait for a slot now. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Runs `work` once a slot is free. While it waits, an abort rejects at once with the signal's reason. */
  async run<T>(work: () => Promise<T>, { key, again = false, signal }: SlotOptions = {}): Promise<T> {
    const options = { again, ...(key === undefined ? {} : { key }), ...(signal ? { signal } : {}) };
    if (!this.#line.serveAtOnce(options)) await this.#line.wait(options);
    try {
      // The abort may have come between the turn and now.
      signal?.throwIfAborted();
      return await work();
    } finally {
      this.#inUse -= 1;
      this.#line.serveWaiters();
    }
  }

  /** Infinity: ask again when a slot has been given back. */
  #take(): Slots | number {
    if (this.#inUse >= this.adaptive.limit) return Infinity;
    this.#inUse += 1;
    if (this.#inUse > this.peak) this.peak = this.#inUse;
    return this;
  }
}
