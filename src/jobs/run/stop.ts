import { StopReason } from './stop-reason.ts';

/** Ends a run early: either gently, so that chunks in progress are finished, or at once. */
export class Stop {
  /** Aborts everything at once, because of a second signal, a lost lease or a broken runner. */
  readonly signal: AbortSignal;
  /** Aborts the admission of further chunks. */
  readonly stopping: AbortSignal;
  /** Aborts the listing, which loses nothing, because the next run lists again. */
  readonly listing: AbortSignal;
  readonly #told: AbortSignal;
  readonly #requested = new AbortController();
  readonly #broken = new AbortController();

  constructor(o: {
    /** From outside: finish the chunks in progress. Its reason is a StopReason. */
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

  /** Admits no more chunks. The first reason given is kept. */
  request(reason: StopReason): void {
    this.#requested.abort(reason);
  }

  /** Ends everything at once because the runner is broken. */
  fail(error: unknown): void {
    this.#broken.abort(error);
  }

  /** Why the run stops; a reason from outside comes before its own. */
  get reason(): StopReason | undefined {
    const { reason } = this.#told.aborted ? this.#told : this.#requested.signal;
    return reason instanceof StopReason ? reason : undefined;
  }
}
