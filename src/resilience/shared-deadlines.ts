import { type Clock, systemClock } from './clock.ts';
import { DeadlineError } from './deadline.ts';
import { LinkedAbort } from './linked-abort.ts';
import { sleepUntil } from './sleep-until.ts';

const ended = new Error('Nothing has to end by this deadline any more.');

/**
 * `withDeadline` for many tasks at once: those with the same deadline and the same signal of the caller share one signal and
 * one timer, because the requests of a run all have the run's.
 */
export class SharedDeadlines {
  readonly #clock: Clock;
  /** Those that tasks are under way for; mostly a single one. */
  readonly #open: SharedDeadline[] = [];

  constructor({ clock = systemClock }: { clock?: Clock } = {}) {
    this.#clock = clock;
  }

  /** As `withDeadline`. */
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
      if (shared.struck) throw shared.struck;
      return value;
    } catch (error) {
      throw shared.struck && error !== shared.struck ? new DeadlineError({ deadline, cause: error }) : error;
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
  /** Under way. */
  tasks = 0;
  /** What the signal was aborted with when the deadline came, unless the caller was first. */
  struck: DeadlineError | undefined;
  readonly #linked: LinkedAbort;
  readonly #timer = new AbortController();

  constructor(deadline: number, { parent, clock }: { parent: AbortSignal | undefined; clock: Clock }) {
    this.deadline = deadline;
    this.parent = parent;
    this.#linked = new LinkedAbort(parent);
    void sleepUntil(deadline, { clock, signal: this.#timer.signal }).then(
      () => this.#strike(),
      // Only its own timer's abort ends the sleep early.
      () => undefined,
    );
  }

  get signal(): AbortSignal {
    return this.#linked.signal;
  }

  [Symbol.dispose](): void {
    this.#timer.abort(ended);
    this.#linked[Symbol.dispose]();
  }

  #strike(): void {
    if (this.#linked.signal.aborted) return;
    this.struck = new DeadlineError({ deadline: this.deadline });
    this.#linked.abort(this.struck);
  }
}
