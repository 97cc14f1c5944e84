import { retry } from '../../resilience/retry.ts';
import { DatabaseUnreachableError } from './unreachable-error.ts';
import { DatabaseError } from './database-error.ts';

/**
 * What the task gives; it is begun again while the database cannot be reached for a cause that may pass, such as a
 * server that is still starting. Throws the last attempt's error, saying how long it was waited for, or the signal's reason.
 */
export async function waitForDatabase<T>(
  task: () => Promise<T>,
  o: {
    /** Milliseconds; 0 asks once. */
    waitMs: number;
    signal?: AbortSignal | undefined;
    /** Told why, when the waiting begins and whenever the reason changes. */
    onWait: (reason: string) => void;
  },
): Promise<T> {
  const begun = performance.now();
  let told: string | undefined;
  try {
    return await retry(task, {
      // Time bounds it: a server that starts refuses at once, however often it is asked.
      attempts: Infinity,
      backoff: 'exponential',
      baseDelay: 250,
      maxDelay: 5_000,
      jitter: true,
      maxElapsed: o.waitMs,
      signal: o.signal,
      retryIf: isRetryable,
      onRetry: (_, error) => {
        const { message } = error as Error;
        if (message !== told) o.onWait(message);
        told = message;
      },
    });
  } catch (error) {
    o.signal?.throwIfAborted();
    if (told === undefined || !(error instanceof DatabaseUnreachableError)) throw error;
    throw error.after(performance.now() - begun);
  }
}

const isRetryable = (error: unknown): boolean =>
  (error instanceof DatabaseUnreachableError || error instanceof DatabaseError) && error.isRetryable;
