import { type Clock, systemClock } from './clock.ts';
import { DeadlineError } from './deadline.ts';
import { LinkedAbort } from './linked-abort.ts';
import { sleepUntil } from './sleep-until.ts';

const timerCancelled = new Error('The timer was cancelled because all tasks have ended.');

/**
 * `withDeadline` for many tasks at once. Tasks with the same deadline and caller's signal share one signal and one timer,
 * because all requests of a run have the run's deadline.
 */
export class SharedDeadlines {
  readonly #clock: Clock;
  /** Deadlines with running tasks; usually one. */
  readonly #open: SharedDeadline[] = [];

  constructor({ clock = systemClock }: { clock?: Clock } = {}) {
    this.#clock = clock;
  }

  /** Same contract as `withDeadline`. */
  async run<T>(
    deadline: number,
    task: (signal: AbortSignal) => Promise<T>,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    if (this.#clock.now() > deadline) throw new DeadlineError({ deadline });
    const shared = this.#shared(deadline, signal);
    shared.tasks += 1;
    try {
      const value = await task(shared.signal);
      if (shared.expired) throw shared.expired;
      return value;
    } catch (error) {
      throw shared.expired && error !== shared.expired ? new DeadlineError({ deadline, cause: error }) : error;
    } finally {
      shared.tasks -= 1;
      if (shared.tasks === 0) this.#end(shared);
    }
  }

  #shared(deadline: number, parent: AbortSignal | undefined): SharedDeadline {
    const known = this.#open.find((shared) => shared.deadline === deadline && shared.parent === parent);
    if (known) return known;
    const shared = new SharedDeadline(deadline, { parent, clock: this.#clock });
    this.#open.push(shared);
    return shared;
  }

  #end(shared: SharedDeadline): void {
    shared[Symbol.dispose]();
    this.#open.splice(this.#open.indexOf(shared), 1);
  }
}

class SharedDeadline implements Disposable {
  readonly deadline: number;
  readonly parent: AbortSignal | undefined;
  /** Number of running tasks. */
  tasks = 0;
  /** The reason the signal was aborted with at the deadline; undefined when the caller aborted it first. */
  expired: DeadlineError | undefined;
  readonly #linked: LinkedAbort;
  readonly #timer = new AbortController();

  constructor(deadline: number, { parent, clock }: { parent: AbortSignal | undefined; clock: Clock }) {
    this.deadline = deadline;
    this.parent = parent;
    this.#linked = new LinkedAbort(parent);
    void sleepUntil(deadline, { clock, signal: this.#timer.signal }).then(
      () => this.#expire(),
      // Only the dispose below cancels the sleep.
      () => undefined,
    );
  }

  get signal(): AbortSignal {
    return this.#linked.signal;
  }

  [Symbol.dispose](): void {
    this.#timer.abort(timerCancelled);
    this.#linked[Symbol.dispose]();
  }

  #expire(): void {
    if (this.#linked.signal.aborted) return;
    this.expired = new DeadlineError({ deadline: this.deadline });
    this.#linked.abort(this.expired);
  }
}
