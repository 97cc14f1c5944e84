import { type Clock, systemClock } from './clock.ts';
import { LinkedQueue, type QueueNode } from './linked-queue.ts';
import { longestSleep } from './sleep-until.ts';

interface Timed {
  /** Monotonic. */
  due: number;
  onLate: () => void;
  isLate: boolean;
}

/** One piece of work that is being timed. */
export type Timing = QueueNode<Timed>;

const ended = new Error('Nothing is timed any more.');

/**
 * Times many pieces of work of which each may take as long as any other. So whichever began first is late first, and one
 * timer, for the first in the queue, does for all.
 */
export class TimeLimit {
  /** Milliseconds. */
  readonly ms: number;
  readonly #clock: Clock;
  readonly #queue = new LinkedQueue<Timed>();
  #timer: AbortController | undefined;

  constructor(ms: number, { clock = systemClock }: { clock?: Clock } = {}) {
    this.ms = ms;
    this.#clock = clock;
  }

  /** Calls `onLate`, which must not throw, once the time is over, unless `stop` comes first. */
  start(onLate: () => void): Timing {
    const timing = this.#queue.push({ due: this.#clock.now() + this.ms, onLate, isLate: false });
    if (!this.#timer) this.#arm(timing);
    return timing;
  }

  /** The work has ended, in time or not. The last one takes the timer away. */
  stop(timing: Timing): void {
    if (timing.value.isLate) return;
    this.#queue.remove(timing);
    if (this.#queue.length > 0) return;
    this.#timer?.abort(ended);
    this.#timer = undefined;
  }

  #arm({ value: { due } }: Timing): void {
    const timer = new AbortController();
    this.#timer = timer;
    const wait = Math.max(0, Math.ceil(due - this.#clock.now()));
    void this.#clock.sleep(Math.min(wait, longestSleep), timer.signal).then(
      () => this.#ring(timer),
      // Only `stop` ends the sleep early.
      () => undefined,
    );
  }

  /** The first may have ended meanwhile, and Node's timers may be early: then the timer is set anew. */
  #ring(timer: AbortController): void {
    if (this.#timer !== timer) return;
    this.#timer = undefined;
    for (let first = this.#queue.first; first && first.value.due <= this.#clock.now(); first = this.#queue.first) {
      this.#queue.remove(first);
      first.value.isLate = true;
      first.value.onLate();
    }
    if (this.#queue.first && !this.#timer) this.#arm(this.#queue.first);
  }
}
