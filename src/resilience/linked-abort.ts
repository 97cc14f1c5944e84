import { offAbort, onAbort } from './on-abort.ts';

/**
 * A signal that follows its parent and can be aborted on its own. Dispose it when the work has ended.
 * `AbortSignal.any` is not used: a run's signal lives all night, and it would collect one dependent per request.
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

  /** The first reason stays; later calls change nothing. */
  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    if (this.#parent) offAbort(this.#parent, this.#follow);
  }
}
