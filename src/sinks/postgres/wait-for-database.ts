import { retry } from '../../resilience/retry.ts';
import { DatabaseUnreachableError } from './unreachable-error.ts';
import { DatabaseError } from './database-error.ts';
import { recoveryRetry } from './recovery-retry.ts';

/**
 * The result of the task, which is retried while the database is temporarily unreachable, for example still starting.
 * Throws the last attempt's error with the time waited, or the signal's reason.
 */
export async function waitForDatabase<T>(
  task: () => Promise<T>,
  o: {
    /** Milliseconds; 0 tries once. */
    waitMs: number;
    signal?: AbortSignal | undefined;
    /** Called with the reason when the wait begins and whenever the reason changes. */
    onWait: (reason: string) => void;
  },
): Promise<T> {
  const begun = performance.now();
  let reported: string | undefined;
  try {
    return await retry(task, {
      ...recoveryRetry(o.waitMs),
      signal: o.signal,
      retryIf: isRetryable,
      onRetry: (_, error) => {
        const { message } = error as Error;
        if (message !== reported) o.onWait(message);
        reported = message;
      },
    });
  } catch (error) {
    o.signal?.throwIfAborted();
    if (reported === undefined || !(error instanceof DatabaseUnreachableError)) throw error;
    throw error.after(performance.now() - begun);
  }
}

const isRetryable = (error: unknown): boolean =>
  (error instanceof DatabaseUnreachableError || error instanceof DatabaseError) && error.isRetryable;
