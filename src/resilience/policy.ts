import type { CircuitBreaker, ExecuteOptions } from './circuit-breaker.ts';
import { retry, type RetryOptions } from './retry.ts';
import type { RollingWindow } from './rolling-window.ts';
import { withTimeout } from './timeout.ts';
import type { TokenBucket } from './token-bucket.ts';
import type { AcquireOptions } from './waiting-line.ts';
import type { Clock } from './clock.ts';

/** An operation that can be cancelled. */
export type Task<T> = (signal: AbortSignal) => Promise<T>;

/** Wraps a task in another task of the same type, so that policies stack in any order. */
export type Policy = <T>(task: Task<T>) => Task<T>;

/**
 * Combines policies into one, the first being the outermost: `stack(retrying(r), breaking(b), timing(1000))(task)`
 * retries; each attempt passes the breaker and has one second.
 */
export function stack(...policies: Policy[]): Policy {
  return <T>(task: Task<T>) => policies.reduceRight<Task<T>>((inner, policy) => policy(inner), task);
}

/** Repeats the task as `retry` does, with the caller's signal. */
export function retrying(options: Omit<RetryOptions, 'signal'> = {}): Policy {
  return (task) => async (signal) => retry(async () => task(signal), { ...options, signal });
}

/** Runs the task through the breaker; with `wait` it waits for an open breaker until the deadline. */
export function breaking(breaker: CircuitBreaker, options: Omit<ExecuteOptions, 'signal'> = {}): Policy {
  return (task) => async (signal) => breaker.execute(async () => task(signal), { ...options, signal });
}

/** Limits the task to `ms` milliseconds. */
export function timing(ms: number, { clock }: { clock?: Clock } = {}): Policy {
  return (task) => async (signal) => withTimeout(ms, task, clock ? { signal, clock } : { signal });
}

/**
 * Starts the task when the limiter allows it. A rolling window counts the task as sent at its start and as answered at its
 * end. A caller that knows the exact times (request written, first byte received) should acquire the permit itself.
 */
export function limiting(limiter: RollingWindow | TokenBucket, options: Omit<AcquireOptions, 'signal'> = {}): Policy {
  return (task) => async (signal) => {
    const permit = await limiter.acquire({ ...options, signal });
    if ('sent' in permit) permit.sent();
    const value = await task(signal);
    // Not after a failure, because it may have come sooner than an answer could.
    if ('answered' in permit) permit.answered();
    return value;
  };
}
