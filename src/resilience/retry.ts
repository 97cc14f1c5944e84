import { type Backoff, backoffDelay } from './backoff.ts';
import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { DeadlineError } from './deadline.ts';
import { isTransient, NightfillError } from './failure.ts';
import { sleepUntil } from './sleep-until.ts';

/** All durations in milliseconds. The defaults are those of an API in a job file. */
export interface RetryOptions {
  /** How often the task may run, including the first time. Default: 5. */
  attempts?: number | undefined;
  /** Default: exponential. */
  backoff?: Backoff | undefined;
  /** Default: 200 ms. */
  baseDelay?: number | undefined;
  /** Limits the backoff only, not the wait that a server asks for. Default: 30 s. */
  maxDelay?: number | undefined;
  /** Full jitter: the delay is drawn from [0, delay]. Default: true. */
  jitter?: boolean | undefined;
  /** No attempt starts later than this after the call of `retry`. Default: 2 minutes. */
  maxElapsed?: number | undefined;
  /** Milliseconds so far that attempts waited for the caller's own limits: `maxElapsed` does not count them. */
  heldUp?: (() => number) | undefined;
  /** Default: all errors except a NightfillError whose class is not `transient`. */
  retryIf?: ((error: unknown) => boolean) | undefined;
  /** Milliseconds from now that the server asks to wait; the wait is never shorter. Too long: RetryAbandonedError at once. */
  retryAfter?: ((error: unknown) => number | undefined) | undefined;
  /** Called before each wait with the failed attempt's number and the delay to come. An error it throws ends the retries. */
  onRetry?: ((attempt: number, error: unknown, delay: number) => void | Promise<void>) | undefined;
  /** Monotonic time after which nothing is started. */
  deadline?: number | undefined;
  clock?: Clock | undefined;
  signal?: AbortSignal | undefined;
}

/** The server asks to wait longer than `maxElapsed` or the deadline allows. `cause` is the last attempt's error. */
export class RetryAbandonedError extends NightfillError {
  /** Monotonic milliseconds: the earliest time another attempt makes sense. */
  readonly retryAt: number;
  /** Milliseconds the server asked for. */
  readonly retryAfter: number;
  /** Attempts made. */
  readonly attempts: number;

  constructor(facts: { retryAt: number; retryAfter: number; attempts: number; cause: unknown }) {
    super({
      code: 'RETRY_ABANDONED',
      class: 'transient',
      message: `The server asks to wait ${Math.ceil(facts.retryAfter / 1000)} s, longer than the time left for retries. Try again after that.`,
      cause: facts.cause,
    });
    this.retryAt = facts.retryAt;
    this.retryAfter = facts.retryAfter;
    this.attempts = facts.attempts;
  }
}

/**
 * The value of the first attempt that succeeds. When none does: throws the last attempt's error, or a RetryAbandonedError
 * with it as the cause. An abort during a wait rejects at once with the signal's reason; an abort during an attempt waits
 * for that attempt's result and starts no other.
 */
export async function retry<T>(task: (attempt: number) => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { attempts = 5, backoff = 'exponential', baseDelay = 200, maxDelay = 30_000, jitter = true } = options;
  const { maxElapsed = 120_000, retryIf = isTransient, deadline = Infinity, clock = systemClock, signal } = options;
  checkedNumber(attempts, { name: 'attempts', least: 1, whole: attempts !== Infinity });
  signal?.throwIfAborted();
  const startedAt = clock.now();
  if (startedAt > deadline) throw new DeadlineError({ deadline });
  for (let attempt = 1; ; attempt += 1) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one attempt runs after the other
      return await task(attempt);
    } catch (error) {
      if (attempt >= attempts || signal?.aborted || !retryIf(error)) throw error;
      const failedAt = clock.now();
      const end = Math.min(startedAt + maxElapsed + (options.heldUp?.() ?? 0), deadline);
      const askedWait = options.retryAfter?.(error);
      if (askedWait !== undefined && failedAt + askedWait > end) {
        throw new RetryAbandonedError({
          retryAt: failedAt + askedWait,
          retryAfter: askedWait,
          attempts: attempt,
          cause: error,
        });
      }
      const delay = Math.max(
        askedWait ?? 0,
        backoffDelay({ backoff, baseDelay, maxDelay, retry: attempt }) * (jitter ? clock.random() : 1),
      );
      if (failedAt + delay > end) throw error;
      // oxlint-disable-next-line no-await-in-loop -- one attempt runs after the other
      await options.onRetry?.(attempt, error, delay);
      // oxlint-disable-next-line no-await-in-loop -- one attempt runs after the other
      await sleepUntil(failedAt + delay, { clock, signal });
      // `onRetry` or the timer may have taken longer than planned.
      if (clock.now() > end) throw error;
    }
  }
  /* oxlint-enable no-await-in-loop */
}
