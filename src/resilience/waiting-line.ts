import type { Clock } from './clock.ts';
import { LinkedQueue, type QueueNode } from './linked-queue.ts';
import { offAbort, onAbort } from './on-abort.ts';
import { longestSleep } from './sleep-until.ts';

export interface AcquireOptions {
  /** How much of the limit this takes; a whole number. Default: 1. */
  weight?: number;
  /** The caller's lane (a job, a tenant, a lookup): lanes take turns, so that none keeps the others waiting. */
  key?: string;
  /** A repeat of something served before: it goes to the front of its lane. */
  again?: boolean;
  signal?: AbortSignal;
}

interface Waiter<Grant> {
  weight: number;
  since: number;
  serve: (grant: Grant) => void;
  refuse: (reason: unknown) => void;
}

const timerCancelled = new Error('The timer was cancelled.');

/**
 * The waiters of a limiter. Lanes take turns; within a lane the order is first in, first out. The waiter whose turn it is
 * keeps it until served, so a heavy one is never overtaken and none starves. One timer serves all waiters.
 */
export class WaitingLine<Grant extends object> {
  readonly #clock: Clock;
  /** Grants the weight now, or gives the time to ask again (monotonic; Infinity: at the next `serveWaiters`). */
  readonly #grant: (weight: number) => Grant | number;
  /** In the order of turns: the first lane is next. */
  readonly #lanes = new Map<string, LinkedQueue<Waiter<Grant>>>();
  #length = 0;
  #waited = 0;
  #timer: { due: number; abort: AbortController } | undefined;

  constructor({ clock, grant }: { clock: Clock; grant: (weight: number) => Grant | number }) {
    this.#clock = clock;
    this.#grant = grant;
  }

  get length(): number {
    return this.#length;
  }

  /** Milliseconds waited so far, summed over all waiters that were served or have left. */
  get waitedMs(): number {
    return this.#waited;
  }

  /** Monotonic time of the next attempt to serve a waiter; minus Infinity when none is scheduled. */
  get nextTurn(): number {
    return this.#timer?.due ?? -Infinity;
  }

  async acquire(options: AcquireOptions): Promise<Grant> {
    return this.serveAtOnce(options) ?? this.wait(options);
  }

  /** A grant if no wait is needed. Creates no closure or promise, because most calls find an idle limiter. */
  serveAtOnce({ weight = 1, signal }: AcquireOptions): Grant | undefined {
    signal?.throwIfAborted();
    if (this.#length > 0) return undefined;
    const grant = this.#grant(weight);
    return typeof grant === 'number' ? undefined : grant;
  }

  /** Waits for its turn and gives the grant. */
  async wait({ weight = 1, key: lane = '', again = false, signal }: AcquireOptions): Promise<Grant> {
    const { promise, resolve, reject } = Promise.withResolvers<Grant>();
    // Remove the listener here, not in the promise's reactions: an abort may come before those run.
    const serve = (grant: Grant): void => {
      if (signal) offAbort(signal, abandon);
      resolve(grant);
    };
    const refuse = (reason: unknown): void => {
      if (signal) offAbort(signal, abandon);
      reject(reason as Error);
    };
    const node = this.#join(lane, { weight, since: this.#clock.now(), serve, refuse }, again);
    const abandon = (reason: unknown): void => {
      this.#leave(lane, node);
      reject(reason as Error);
      // The next waiter may be served now. In a microtask, because the same abort may remove it too.
      queueMicrotask(() => this.serveWaiters());
    };
    if (signal) onAbort(signal, abandon);
    this.serveWaiters();
    return promise;
  }

  /** Serves every waiter that can be served now. Call it whenever the limiter's state has changed. */
  serveWaiters(): void {
    for (const [lane, queue] of this.#lanes) {
      const head = queue.first;
      if (!head) continue;
      const grant = this.#grant(head.value.weight);
      if (typeof grant === 'number') return this.#schedule(grant);
      this.#leave(lane, head);
      // Move the lane to the end: its next turn comes after all others. Map iteration includes entries added meanwhile.
      if (this.#lanes.delete(lane)) this.#lanes.set(lane, queue);
      head.value.serve(grant);
    }
  }

  /** Rejects the `acquire` of all current waiters with the reason. */
  dismiss(reason: unknown): void {
    for (const [lane, queue] of this.#lanes) {
      for (let head = queue.first; head; head = queue.first) {
        this.#leave(lane, head);
        head.value.refuse(reason);
      }
    }
  }

  #join(lane: string, waiter: Waiter<Grant>, again: boolean): QueueNode<Waiter<Grant>> {
    let queue = this.#lanes.get(lane);
    if (!queue) this.#lanes.set(lane, (queue = new LinkedQueue()));
    this.#length += 1;
    return again ? queue.unshift(waiter) : queue.push(waiter);
  }

  #leave(lane: string, node: QueueNode<Waiter<Grant>>): void {
    const queue = this.#lanes.get(lane);
    queue?.remove(node);
    if (queue?.length === 0) this.#lanes.delete(lane);
    this.#length -= 1;
    this.#waited += this.#clock.now() - node.value.since;
    if (this.#length === 0) this.#schedule(Infinity);
  }

  /** Serves waiters at `due` at the latest. Keeps an earlier timer, because `serveWaiters` checks the time again. */
  #schedule(due: number): void {
    if (this.#length > 0 && (due === Infinity || (this.#timer && this.#timer.due <= due))) return;
    this.#timer?.abort.abort(timerCancelled);
    this.#timer = undefined;
    if (this.#length === 0) return;
    const timer = { due, abort: new AbortController() };
    this.#timer = timer;
    const wait = Math.min(Math.ceil(due - this.#clock.now()), longestSleep);
    void this.#clock.sleep(wait, timer.abort.signal).then(
      () => {
        if (this.#timer !== timer) return;
        this.#timer = undefined;
        this.serveWaiters();
      },
      // Only `#schedule` cancels the sleep.
      () => undefined,
    );
  }
}
