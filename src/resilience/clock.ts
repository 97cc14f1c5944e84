import { setTimeout as delay } from 'node:timers/promises';

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
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    try {
      await delay(Math.max(0, ms), undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};
