import { UsageError } from './failure.ts';
import { LinkedAbort } from './linked-abort.ts';

export const scopeModes = ['failFast', 'collect'] as const;
export type ScopeMode = (typeof scopeModes)[number];

export interface ScopeOptions {
  /** `failFast`: one failure aborts the others and is thrown by `join`. `collect`: failures are data, no task is aborted. */
  mode: ScopeMode;
  /** The owner's signal; when it aborts, the tasks' signal aborts too. */
  signal?: AbortSignal | undefined;
}

/** A task owned by a scope. Call `result` only if you need its value; the scope awaits the task either way. */
export interface Spawned<T> {
  result(): Promise<T>;
}

/**
 * Owns tasks: none of them outlives it.
 *
 *     await using scope = new Scope({ mode: 'failFast', signal });
 *     scope.spawn(async (signal) => …);
 *     await scope.join();
 *
 * Leaving the block without `join` (by an error, a return) aborts the running tasks and waits until they have ended; a
 * failure that `join` has not thrown is thrown then.
 */
export class Scope implements AsyncDisposable {
  readonly #mode: ScopeMode;
  readonly #linked: LinkedAbort;
  /** In the order of spawning. These promises never reject. */
  readonly #outcomes: Promise<PromiseSettledResult<unknown>>[] = [];
  #failure: { error: unknown } | undefined;
  #ended = false;

  constructor({ mode, signal }: ScopeOptions) {
    this.#mode = mode;
    this.#linked = new LinkedAbort(signal);
  }

  /** Aborts when the owner's signal aborts, on `abort`, when the block is left, and (in `failFast`) when a task fails. */
  get signal(): AbortSignal {
    return this.#linked.signal;
  }

  /** Starts a task now. Throws the signal's reason when the scope is cancelled, a UsageError when it has ended. */
  spawn<T>(task: (signal: AbortSignal) => Promise<T>): Spawned<T> {
    if (this.#ended) throw new UsageError('The scope has ended and cannot start more tasks.', { code: 'SCOPE_ENDED' });
    this.signal.throwIfAborted();
    const outcome = this.#run(task);
    this.#outcomes.push(outcome);
    return { result: async () => valueOf(await outcome) };
  }

  /** Cancels all tasks; `join` still waits until they have ended. */
  abort(reason: unknown): void {
    this.#linked.abort(reason);
  }

  /**
   * Waits for all tasks, including those spawned meanwhile. `collect`: every outcome, in the order of spawning.
   * `failFast`: the same when all succeeded; otherwise throws the first failure. In both modes throws the signal's reason
   * when the scope was cancelled.
   */
  async join(): Promise<PromiseSettledResult<unknown>[]> {
    const outcomes = await this.#end();
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure.error;
    this.signal.throwIfAborted();
    return outcomes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#linked.abort(blockLeft);
    await this.#end();
    this.#linked[Symbol.dispose]();
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure.error;
  }

  async #run<T>(task: (signal: AbortSignal) => Promise<T>): Promise<PromiseSettledResult<T>> {
    try {
      return { status: 'fulfilled', value: await task(this.signal) };
    } catch (reason) {
      // A failure after the abort is a consequence of it; the cause is already recorded.
      if (this.#mode === 'failFast' && !this.signal.aborted) {
        this.#failure = { error: reason };
        this.#linked.abort(reason);
      }
      return { status: 'rejected', reason };
    }
  }

  async #end(): Promise<PromiseSettledResult<unknown>[]> {
    const outcomes: PromiseSettledResult<unknown>[] = [];
    // Reads the length on each pass, because a task may spawn others.
    // oxlint-disable-next-line no-await-in-loop -- a task may spawn others while this loop waits
    for (let index = 0; index < this.#outcomes.length; index += 1) outcomes.push(await this.#outcomes[index]!);
    this.#ended = true;
    return outcomes;
  }
}

const blockLeft = new DOMException('The block that owns this task has ended.', 'AbortError');

function valueOf<T>(outcome: PromiseSettledResult<T>): T {
  if (outcome.status === 'fulfilled') return outcome.value;
  throw outcome.reason;
}
