import { setImmediate as settled } from 'node:timers/promises';
import type { Clock } from '../../src/resilience/clock.ts';

interface Sleeper {
  due: number;
  wake: () => void;
}

/** A clock that stands still until it is told to advance, with chance from a seed. */
export class FakeClock implements Clock {
  #now: number;
  #wall: number;
  #seed: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor({ now = 0, wall = Date.UTC(2026, 0, 1), seed = 1 }: { now?: number; wall?: number; seed?: number } = {}) {
    this.#now = now;
    this.#wall = wall;
    this.#seed = seed;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#wall + this.#now;
  }

  /** Moves the wall clock alone, as daylight saving or an operator does. */
  stepWall(ms: number): void {
    this.#wall += ms;
  }

  /** mulberry32 */
  random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper: Sleeper = { due: this.#now + Math.max(0, ms), wake: resolve };
    const abort = (): void => reject(signal?.reason as Error);
    signal?.addEventListener('abort', abort, { once: true });
    this.#sleepers.add(sleeper);
    try {
      await promise;
    } finally {
      this.#sleepers.delete(sleeper);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Due times of everyone asleep, earliest first: empty when nothing was left behind. */
  get pending(): number[] {
    return Array.from(this.#sleepers, ({ due }) => due).toSorted((a, b) => a - b);
  }

  /** Lets everything that can go on without time passing go on. */
  async settle(): Promise<void> {
    await settled();
  }

  /** Passes `ms` of time, waking sleepers in the order they are due; what one of them starts may fall due within it. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.settle();
    for (let next = this.#earliest(); next && next.due <= end; next = this.#earliest()) {
      this.#now = Math.max(this.#now, next.due);
      this.#sleepers.delete(next);
      next.wake();
      await this.settle();
    }
    this.#now = end;
    await this.settle();
  }

  /** Advances from sleeper to sleeper until the promise settles, and gives its value; fails when nobody sleeps before that. */
  async finish<T>(work: Promise<T>): Promise<T> {
    let open = true;
    const closing = work.then(
      () => void (open = false),
      () => void (open = false),
    );
    for (await this.settle(); open; await this.settle()) {
      const next = this.#earliest();
      if (!next) throw new Error('The work waits for something other than time.');
      await this.advance(next.due - this.#now);
    }
    await closing;
    return work;
  }

  /** The one due first; among equals the one asleep longest. */
  #earliest(): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) if (!first || sleeper.due < first.due) first = sleeper;
    return first;
  }
}
