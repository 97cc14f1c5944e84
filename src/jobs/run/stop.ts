import { StopReason } from './stop-reason.ts';

/** How a run is ended early: gently, so that what has begun is finished, or at once. */
export class Stop {
  /** Ends everything at once: a second signal, a lost lease, a broken runner. */
  readonly signal: AbortSignal;
  /** Ends the admission of chunks that have not begun. */
  readonly stopping: AbortSignal;
  /** Ends the listing: it has no side effects, and the next run lists again. */
  readonly listing: AbortSignal;
  readonly #told: AbortSignal;
  readonly #requested = new AbortController();
  readonly #broken = new AbortController();

  constructor(o: {
    /** From outside: finish what has begun. Its reason is a StopReason. */
    stopping: AbortSignal;
    /** From outside: end at once. */
    signal: AbortSignal;
    /** The lease is lost. */
    lost: AbortSignal;
  }) {
    this.#told = o.stopping;
    this.signal = AbortSignal.any([o.signal, o.lost, this.#broken.signal]);
    this.stopping = AbortSignal.any([o.stopping, this.#requested.signal, this.signal]);
    this.listing = AbortSignal.any([this.signal, o.stopping]);
  }

  /** Admits no more chunks. The first reason stands. */
  request(reason: StopReason): void {
    this.#requested.abort(reason);
  }

  /** Ends everything at once because the runner is broken. */
  fail(error: unknown): void {
    this.#broken.abort(error);
  }

  /** Why the run stops; what it is told from outside comes first. */
  get reason(): StopReason | undefined {
    const { reason } = this.#told.aborted ? this.#told : this.#requested.signal;
    return reason instanceof StopReason ? reason : undefined;
  }
}
