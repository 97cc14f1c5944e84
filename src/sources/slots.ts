import PQueue from 'p-queue';
import { type Clock, systemClock } from '../resilience/clock.ts';
import { WaitingLine } from '../resilience/waiting-line.ts';

export interface SlotOptions {
  /** Those who ask under another key (a lookup, the listing) take turns with this one. */
  key?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The semaphore: at most `concurrency` pieces of work at once. Keys take turns; inside one first come, first served.
 * A slot is free again only when its work has really ended. p-queue's own `timeout` and `signal` would free it while
 * the request is still running at the server, so neither is used. Nor does anybody wait in p-queue: it knows no turns,
 * and whoever asks for thousands would keep everyone else out until all of those are done.
 */
export class Slots {
  readonly limit: number;
  /** The most that ever ran at once. */
  peak = 0;
  readonly #queue: PQueue;
  readonly #line: WaitingLine<Slots>;
  /** Slots given away; at most `limit`, so what is handed to p-queue starts as soon as it has put the last one away. */
  #taken = 0;

  constructor(concurrency: number, { clock = systemClock }: { clock?: Clock } = {}) {
    this.limit = concurrency;
    this.#queue = new PQueue({ concurrency });
    this.#line = new WaitingLine({ clock, grant: () => this.#take() });
  }

  get inUse(): number {
    return this.#queue.pending;
  }

  /** How many wait for a slot now. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Runs `work` once a slot is free. While it waits, an abort rejects at once with the signal's reason. */
  async run<T>(work: () => Promise<T>, { key, signal }: SlotOptions = {}): Promise<T> {
    await this.#line.acquire({ ...(key === undefined ? {} : { key }), ...(signal ? { signal } : {}) });
    try {
      // The abort may have come between the turn and now.
      signal?.throwIfAborted();
      return await this.#queue.add(async () => {
        if (this.#queue.pending > this.peak) this.peak = this.#queue.pending;
        return work();
      });
    } finally {
      this.#taken -= 1;
      this.#line.poke();
    }
  }

  /** Infinity: ask again when a slot has been given back. */
  #take(): Slots | number {
    if (this.#taken === this.limit) return Infinity;
    this.#taken += 1;
    return this;
  }
}
