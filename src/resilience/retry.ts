import { type Backoff, backoffDelay } from './backoff.ts';
import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { DeadlineError } from './deadline.ts';
import { NightfillError } from './failure.ts';
import { sleepUntil } from './sleep-until.ts';

/** All durations in milliseconds. The defaults are those of an API in a job file. */
export interface RetryOptions {
  /** How often the task may run, the first time included. Default: 5. */
  attempts?: number | undefined;
  /** Default: exponential. */
  backoff?: Backoff | undefined;
  /** Default: 200 ms. */
  baseDelay?: number | undefined;
  /** Bounds the backoff only; a server that asks for more gets more. Default: 30 s. */
  maxDelay?: number | undefined;
  /** Full jitter: the delay is drawn from [0, delay]. Default: true. */
  jitter?: boolean | undefined;
  /** From the call of `retry` on; no attempt starts later, whatever kinds of error alternate. Default: 2 minutes. */
  maxElapsed?: number | undefined;
  /** Milliseconds so far for which the caller's own limits held the attempts up: `maxElapsed` does not count them. */
  heldUp?: (() => number) | undefined;
  /** By default everything but a NightfillError whose class says that time does not mend it. */
  retryIf?: ((error: unknown) => boolean) | undefined;
  /** The server's own wish, milliseconds from now: never waited shorter. When it lies too late: RetryAbandonedError at once. */
  retryAfter?: ((error: unknown) => number | undefined) | undefined;
  /** Told before each wait; `attempt` is the one that failed, `delay` what will be waited. What it throws ends the retrying. */
  onRetry?: ((attempt: number, error: unknown, delay: number) => void | Promise<void>) | undefined;
  /** Monotonic time after which nothing is started. */
  deadline?: number | undefined;
  clock?: Clock | undefined;
  signal?: AbortSignal | undefined;
}

/** The server asks for more patience than `maxElapsed` or the deadline leaves. `cause` is the last attempt's own error. */
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
      message: `The server asks to wait ${Math.ceil(facts.retryAfter / 1000)} s, which is more than is left. Try again after that.`,
      cause: facts.cause,
    });
    this.retryAt = facts.retryAt;
    this.retryAfter = facts.retryAfter;
    this.attempts = facts.attempts;
  }
}

/**
 * The value of the first attempt that succeeds. When none does: the last attempt's own error, or a RetryAbandonedError
 * with it as the cause. An abort while waiting rejects at once with the signal's reason; one during an attempt lets the
 * attempt end as it ends and starts no other.
 */
export async function retry<T>(task: (attempt: number) => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { attempts = 5, backoff = 'exponential', baseDelay = 200, maxDelay = 30_000, jitter = true } = options;
  const { maxElapsed = 120_000, retryIf = timeMayMend, deadline = Infinity, clock = systemClock, signal } = options;
  checkedNumber(attempts, { name: 'attempts', least: 1, whole: attempts !== Infinity });
  signal?.throwIfAborted();
  const begun = clock.now();
  if (begun > deadline) throw new DeadlineError({ deadline });
  /* oxlint-disable no-await-in-loop -- one attempt runs after the other */
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await task(attempt);
    } catch (error) {
      if (attempt >= attempts || signal?.aborted || !retryIf(error)) throw error;
      const failedAt = clock.now();
      const end = Math.min(begun + maxElapsed + (options.heldUp?.() ?? 0), deadline);
      const wish = options.retryAfter?.(error);
      if (wish !== undefined && failedAt + wish > end) {
        throw new RetryAbandonedError({ retryAt: failedAt + wish, retryAfter: wish, attempts: attempt, cause: error });
      }
      const delay = Math.max(
        wish ?? 0,
        backoffDelay({ backoff, baseDelay, maxDelay, retry: attempt }) * (jitter ? clock.random() : 1),
      );
      if (failedAt + delay > end) throw error;
      await options.onRetry?.(attempt, error, delay);
      await sleepUntil(failedAt + delay, { clock, signal });
      // The listener or the timer may have taken longer than was asked.
      if (clock.now() > end) throw error;
    }
  }
  /* oxlint-enable no-await-in-loop */
}

function timeMayMend(error: unknown): boolean {
  return !(error instanceof NightfillError) || error.class === 'transient';
}
