import { offAbort, onAbort } from './on-abort.ts';

/**
 * A signal that aborts with its parent and can also be aborted on its own. Dispose it when the work has ended.
 * Not `AbortSignal.any`, because the run's signal lives all night and would collect one dependent signal per request.
 */
export class LinkedAbort implements Disposable {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #follow = (reason: unknown): void => this.#controller.abort(reason);

  constructor(parent?: AbortSignal) {
    this.#parent = parent;
    if (parent?.aborted) this.#follow(parent.reason);
    else if (parent) onAbort(parent, this.#follow);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Only the first call has an effect. */
  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    if (this.#parent) offAbort(this.#parent, this.#follow);
  }
}
