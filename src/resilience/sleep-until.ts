import type { Clock } from './clock.ts';

/** Node fires a longer timer after 1 ms instead, which would turn a month of patience into none. */
export const longestSleep = 2 ** 31 - 1;

/**
 * Resolves once `clock.now()` has reached `time`, never earlier: Node's timers may fire up to 1 ms before their time.
 * Rejects with the signal's reason when it aborts first.
 */
export async function sleepUntil(time: number, { clock, signal }: { clock: Clock; signal?: AbortSignal | undefined }) {
  signal?.throwIfAborted();
  for (let left = time - clock.now(); left > 0; left = time - clock.now()) {
    // oxlint-disable-next-line no-await-in-loop -- a timer may fire early, and long waits take several timers
    await clock.sleep(Math.min(Math.ceil(left), longestSleep), signal);
  }
}
