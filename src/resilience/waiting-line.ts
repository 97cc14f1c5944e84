import type { Clock } from './clock.ts';
import { LinkedQueue, type QueueNode } from './linked-queue.ts';
import { offAbort, onAbort } from './on-abort.ts';
import { longestSleep } from './sleep-until.ts';

export interface AcquireOptions {
  /** How much of the limit this takes; a whole number, 1 when not given. */
  weight?: number;
  /** Whoever shares the limiter under another key (a job, a tenant, a lookup) takes turns with this one. */
  key?: string;
  /** Goes before those of its key: it has been served before, and comes once more. */
  again?: boolean;
  signal?: AbortSignal;
}

interface Waiter<Grant> {
  weight: number;
  since: number;
  serve: (grant: Grant) => void;
  refuse: (reason: unknown) => void;
}

const disarmed = new Error('Nobody waits for this timer any more.');

/**
 * Those who wait for a limiter. Keys take turns; inside one key first come, first served. Whoever's turn it is holds it
 * until served: a heavy one is never overtaken, so nobody starves. One timer serves all.
 */
export class WaitingLine<Grant extends object> {
  readonly #clock: Clock;
  /** Grants the weight now, or says when to ask again (monotonic; Infinity: after the next `poke`). */
  readonly #grant: (weight: number) => Grant | number;
  /** In the order of turns: the first key is next. */
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

  /** Milliseconds, summed over everyone who has waited and has been served or has gone. */
  get waitedMs(): number {
    return this.#waited;
  }

  /** Monotonic time of the next try to serve someone; minus Infinity when none is planned. */
  get nextTurn(): number {
    return this.#timer?.due ?? -Infinity;
  }

  async acquire(options: AcquireOptions): Promise<Grant> {
    return this.serveAtOnce(options) ?? this.wait(options);
  }

  /** A grant for whoever need not wait. Kept short of closures and promises: an idle limiter is asked most often. */
  serveAtOnce({ weight = 1, signal }: AcquireOptions): Grant | undefined {
    signal?.throwIfAborted();
    if (this.#length > 0) return undefined;
    const grant = this.#grant(weight);
    return typeof grant === 'number' ? undefined : grant;
  }

  /** A grant, when its turn has come. */
  async wait({ weight = 1, key = '', again = false, signal }: AcquireOptions): Promise<Grant> {
    const { promise, resolve, reject } = Promise.withResolvers<Grant>();
    // The listener goes here and not after the promise: an abort may come before its reactions run.
    const serve = (grant: Grant): void => {
      if (signal) offAbort(signal, abandon);
      resolve(grant);
    };
    const refuse = (reason: unknown): void => {
      if (signal) offAbort(signal, abandon);
      reject(reason as Error);
    };
    const node = this.#join(key, { weight, since: this.#clock.now(), serve, refuse }, again);
    const abandon = (reason: unknown): void => {
      this.#leave(key, node);
      reject(reason as Error);
      // It may have held up the others; later, because the same abort may be about to take them too.
      queueMicrotask(() => this.poke());
    };
    if (signal) onAbort(signal, abandon);
    this.poke();
    return promise;
  }

  /** Serves whoever can be served now. To be called whenever the limiter may have room or knows more about when. */
  poke(): void {
    for (const [key, lane] of this.#lanes) {
      const head = lane.first;
      if (!head) continue;
      const grant = this.#grant(head.value.weight);
      if (typeof grant === 'number') return this.#arm(grant);
      this.#leave(key, head);
      // To the end: the key's next turn comes after everyone else's. A Map iterates over what is added meanwhile.
      if (this.#lanes.delete(key)) this.#lanes.set(key, lane);
      head.value.serve(grant);
    }
  }

  /** Sends everyone who waits now away: their `acquire` rejects with the reason. */
  dismiss(reason: unknown): void {
    for (const [key, lane] of this.#lanes) {
      for (let head = lane.first; head; head = lane.first) {
        this.#leave(key, head);
        head.value.refuse(reason);
      }
    }
  }

  #join(key: string, waiter: Waiter<Grant>, again: boolean): QueueNode<Waiter<Grant>> {
    let lane = this.#lanes.get(key);
    if (!lane) this.#lanes.set(key, (lane = new LinkedQueue()));
    this.#length += 1;
    return again ? lane.unshift(waiter) : lane.push(waiter);
  }

  #leave(key: string, node: QueueNode<Waiter<Grant>>): void {
    const lane = this.#lanes.get(key);
    lane?.remove(node);
    if (lane?.length === 0) this.#lanes.delete(key);
    this.#length -= 1;
    this.#waited += this.#clock.now() - node.value.since;
    if (this.#length === 0) this.#arm(Infinity);
  }

  /** Pokes at `due` at the latest. A timer that rings too early is left alone: the poke re-checks, as it must for Node's. */
  #arm(due: number): void {
    if (this.#length > 0 && (due === Infinity || (this.#timer && this.#timer.due <= due))) return;
    this.#timer?.abort.abort(disarmed);
    this.#timer = undefined;
    if (this.#length === 0) return;
    const timer = { due, abort: new AbortController() };
    this.#timer = timer;
    const wait = Math.min(Math.ceil(due - this.#clock.now()), longestSleep);
    void this.#clock.sleep(wait, timer.abort.signal).then(
      () => {
        if (this.#timer !== timer) return;
        this.#timer = undefined;
        this.poke();
      },
      // Only `#arm` ends the sleep early.
      () => undefined,
    );
  }
}
