import type { Log } from '../observe/log.ts';
import type { Clock } from '../resilience/clock.ts';
import { retry } from '../resilience/retry.ts';
import { CommitInDoubtError, DatabaseError, DatabaseGoneError } from '../sinks/postgres/postgres.ts';
import { recoveryRetry } from '../sinks/postgres/recovery-retry.ts';

/**
 * Gives what the task gives, and runs it again while Postgres has a transient fault. A task that commits must find out
 * itself whether an earlier attempt was committed. Throws DatabaseGoneError when the database stays away, or can serve
 * nobody; otherwise the last attempt's own error.
 */
export async function withDatabaseRetry<T>(
  task: () => Promise<T>,
  {
    clock,
    signal,
    log,
    databaseWaitMs,
    chunk,
  }: { clock: Clock; signal: AbortSignal; log: Log; databaseWaitMs: number; /** For the log. */ chunk?: number },
): Promise<T> {
  const begun = clock.now();
  try {
    return await retry(task, {
      ...recoveryRetry(databaseWaitMs),
      clock,
      signal,
      retryIf: isRetryable,
      onRetry: (attempt, error, delay) =>
        log.warn(
          {
            ...(chunk !== undefined && { chunk }),
            attempt,
            delayMs: Math.round(delay),
            reason: (error as Error).message,
          },
          'Postgres is asked again',
        ),
    });
  } catch (error) {
    signal.throwIfAborted();
    if (!affectsWholeDatabase(error)) throw error;
    throw new DatabaseGoneError(error, { waitedMs: isRetryable(error) ? clock.now() - begun : 0 });
  }
}

const isRetryable = (error: unknown): boolean =>
  error instanceof CommitInDoubtError || (error instanceof DatabaseError && error.isRetryable);

const affectsWholeDatabase = (error: unknown): error is Error =>
  error instanceof CommitInDoubtError || (error instanceof DatabaseError && error.isOfWholeDatabase);
