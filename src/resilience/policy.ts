import type { CircuitBreaker, ExecuteOptions } from './circuit-breaker.ts';
import { retry, type RetryOptions } from './retry.ts';
import type { RollingWindow } from './rolling-window.ts';
import { withTimeout } from './timeout.ts';
import type { TokenBucket } from './token-bucket.ts';
import type { AcquireOptions } from './waiting-line.ts';
import type { Clock } from './clock.ts';

/** Something to be done that can be cancelled. */
export type Task<T> = (signal: AbortSignal) => Promise<T>;

/** Takes a task and gives back the same kind of task, so that policies stack in any order. */
export type Policy = <T>(task: Task<T>) => Task<T>;

/**
 * One policy of several, the first the outermost: `stack(retrying(r), breaking(b), timing(1000))(task)` retries what
 * passes the breaker, each attempt with a second of its own.
 */
export function stack(...policies: Policy[]): Policy {
  return <T>(task: Task<T>) => policies.reduceRight<Task<T>>((inner, policy) => policy(inner), task);
}

/** Repeats the task as `retry` does, on the caller's signal. */
export function retrying(options: Omit<RetryOptions, 'signal'> = {}): Policy {
  return (task) => async (signal) => retry(async () => task(signal), { ...options, signal });
}

/** Lets the task through the breaker; with `wait` it waits for an open one as long as the deadline allows. */
export function breaking(breaker: CircuitBreaker, options: Omit<ExecuteOptions, 'signal'> = {}): Policy {
  return (task) => async (signal) => breaker.execute(async () => task(signal), { ...options, signal });
}

/** Gives the task `ms` milliseconds. */
export function timing(ms: number, { clock }: { clock?: Clock } = {}): Policy {
  return (task) => async (signal) => withTimeout(ms, task, clock ? { signal, clock } : { signal });
}

/**
 * Starts the task when the limiter allows it. A rolling window counts the task as sent at its start and as answered at
 * its end; a caller that knows the true moments (a request written, a first byte) takes the permit itself and says so.
 */
export function limiting(limiter: RollingWindow | TokenBucket, options: Omit<AcquireOptions, 'signal'> = {}): Policy {
  return (task) => async (signal) => {
    const permit = await limiter.acquire({ ...options, signal });
    if ('sent' in permit) permit.sent();
    const value = await task(signal);
    // Not after a failure: it may have come sooner than any answer could.
    if ('answered' in permit) permit.answered();
    return value;
  };
}
