import type { RetryOptions } from '../../resilience/retry.ts';

/**
 * How a database that is away is asked again. Bounded by time, because a server that recovers refuses connections at once,
 * however often it is asked; with delays of at most an eighth of it, so that it is asked until shortly before its end.
 */
export const recoveryRetry = (waitMs: number) =>
  ({
    attempts: Infinity,
    backoff: 'exponential',
    baseDelay: 250,
    maxDelay: Math.min(5_000, Math.max(250, waitMs / 8)),
    jitter: true,
    maxElapsed: waitMs,
  }) satisfies RetryOptions;
