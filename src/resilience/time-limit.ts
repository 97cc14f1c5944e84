import { type Clock, systemClock } from './clock.ts';
import { LinkedQueue, type QueueNode } from './linked-queue.ts';
import { longestSleep } from './sleep-until.ts';

interface Timed {
  /** Monotonic. */
  due: number;
  onTimeout: () => void;
  isOver: boolean;
}

/** One timed piece of work. */
export type Timing = QueueNode<Timed>;

const timerCancelled = new Error('The timer was cancelled because all timed work has ended.');

/**
 * One timeout for many pieces of work. All have the same limit, so the oldest one reaches it first, and a single timer
 * for the head of the queue is enough.
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

  /** Calls `onTimeout`, which must not throw, when the limit is reached, unless `stop` is called first. */
  start(onTimeout: () => void): Timing {
    const timing = this.#queue.push({ due: this.#clock.now() + this.ms, onTimeout, isOver: false });
    if (!this.#timer) this.#schedule(timing);
    return timing;
  }

  /** To be called when the work has ended, in time or not. The last call cancels the timer. */
  stop(timing: Timing): void {
    if (timing.value.isOver) return;
    this.#queue.remove(timing);
    if (this.#queue.length > 0) return;
    this.#timer?.abort(timerCancelled);
    this.#timer = undefined;
  }

  #schedule({ value: { due } }: Timing): void {
    const timer = new AbortController();
    this.#timer = timer;
    const wait = Math.max(0, Math.ceil(due - this.#clock.now()));
    void this.#clock.sleep(Math.min(wait, longestSleep), timer.signal).then(
      () => this.#onTimer(timer),
      // Only `stop` cancels the sleep.
      () => undefined,
    );
  }

  /** Schedules the timer again when Node fired it early, or when the work it was set for has ended. */
  #onTimer(timer: AbortController): void {
    if (this.#timer !== timer) return;
    this.#timer = undefined;
    for (let first = this.#queue.first; first && first.value.due <= this.#clock.now(); first = this.#queue.first) {
      this.#queue.remove(first);
      first.value.isOver = true;
      first.value.onTimeout();
    }
    if (this.#queue.first && !this.#timer) this.#schedule(this.#queue.first);
  }
}
