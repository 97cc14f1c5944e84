import PQueue from 'p-queue';

/**
 * The semaphore: at most `concurrency` pieces of work at once, first come, first served.
 * A slot is free again only when its work has really ended. p-queue's own `timeout` and `signal` would free it while
 * the request is still running at the server, so neither is used.
 */
export class Slots {
  readonly limit: number;
  /** The most that ever ran at once. */
  peak = 0;
  readonly #queue: PQueue;

  constructor(concurrency: number) {
    this.limit = concurrency;
    this.#queue = new PQueue({ concurrency });
  }

  get inUse(): number {
    return this.#queue.pending;
  }

  /** Runs `work` once a slot is free. While it waits, an abort rejects at once with the signal's reason. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const ended = Promise.withResolvers<T>();
    const onAbort = (): void => ended.reject(signal?.reason);
    let started = false;
    const queued = this.#queue.add(async () => {
      started = true;
      // Its place in the queue outlives an aborted wait, and then does nothing.
      if (signal?.aborted) return;
      signal?.removeEventListener('abort', onAbort);
      if (this.#queue.pending > this.peak) this.peak = this.#queue.pending;
      try {
        ended.resolve(await work());
      } catch (error) {
        ended.reject(error);
      }
    });
    // With a free slot p-queue starts the work inside `add`, and there is no wait to abort.
    if (!started) signal?.addEventListener('abort', onAbort, { once: true });
    // The work's own errors are caught above; this one would be p-queue's.
    queued.catch(ended.reject);
    return ended.promise;
  }
}
