import type { Clock } from './clock.ts';

/** Milliseconds. Node fires a timer longer than this after 1 ms. */
export const longestSleep = 2 ** 31 - 1;

/**
 * Resolves once `clock.now()` has reached `time`, never earlier, although Node's timers may fire up to 1 ms early.
 * Rejects with the signal's reason when the signal aborts first.
 */
export async function sleepUntil(time: number, { clock, signal }: { clock: Clock; signal?: AbortSignal | undefined }) {
  signal?.throwIfAborted();
  for (let left = time - clock.now(); left > 0; left = time - clock.now()) {
    // oxlint-disable-next-line no-await-in-loop -- a timer may fire early, and long waits take several timers
    await clock.sleep(Math.min(Math.ceil(left), longestSleep), signal);
  }
}
