import { retry } from '../../resilience/retry.ts';
import { CommitInDoubtError, DatabaseError, DatabaseGoneError } from '../../sinks/postgres/postgres.ts';
import type { RunContext } from './run-context.ts';

/**
 * What the task gives; it is begun again while Postgres has a fault that may pass. A task that commits must find out
 * itself what became of an earlier attempt. Throws DatabaseGoneError when the database stays away, or can be of no use to
 * anything else either; otherwise the last attempt's own error.
 */
export async function persist<T>(
  task: () => Promise<T>,
  { clock, signal, log, databaseWaitMs }: Pick<RunContext, 'clock' | 'signal' | 'log' | 'databaseWaitMs'>,
  about: { chunk?: number } = {},
): Promise<T> {
  const begun = clock.now();
  try {
    return await retry(task, {
      // Time bounds it: a server that recovers refuses connections at once, however often it is asked.
      attempts: Infinity,
      backoff: 'exponential',
      baseDelay: 250,
      maxDelay: 5_000,
      jitter: true,
      maxElapsed: databaseWaitMs,
      clock,
      signal,
      retryIf: isRetryable,
      onRetry: (attempt, error, delay) =>
        log.warn(
          { ...about, attempt, delayMs: Math.round(delay), reason: (error as Error).message },
          'Postgres is asked again',
        ),
    });
  } catch (error) {
    signal.throwIfAborted();
    if (!isOfWholeDatabase(error)) throw error;
    throw new DatabaseGoneError(error, { waitedMs: isRetryable(error) ? clock.now() - begun : 0 });
  }
}

const isRetryable = (error: unknown): boolean =>
  error instanceof CommitInDoubtError || (error instanceof DatabaseError && error.isRetryable);

const isOfWholeDatabase = (error: unknown): error is Error =>
  error instanceof CommitInDoubtError || (error instanceof DatabaseError && error.isOfWholeDatabase);
