/// <reference types="node" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
export { AdaptiveLimit, type Level } from './adaptive-limit.ts';
export { announcedLimits, type AnnouncedLimits } from './announced-limits.ts';
export { type Backoff, backoffDelay, type BackoffOptions, backoffs } from './backoff.ts';
export { BoundedQueue, type BoundedQueueOptions, QueueClosedError } from './bounded-queue.ts';
export {
  BreakerOpenError,
  type BreakerState,
  breakerStates,
  CircuitBreaker,
  type CircuitBreakerOptions,
  type ExecuteOptions,
  type WaitOptions,
} from './circuit-breaker.ts';
export { type Clock, systemClock } from './clock.ts';
export { asCompleted, type CollectOptions, gather, gatherWithLimit, type Settled } from './collect.ts';
export { DeadlineError, withDeadline } from './deadline.ts';
export { earliestFinish, type Workload } from './earliest-finish.ts';
export { blockedAbove, EventLoopDelay, type EventLoopDelayFigures } from './event-loop-delay.ts';
export { type FailureClass, failureClasses, type FailureFacts, NightfillError, UsageError } from './failure.ts';
export { type FallbackOptions, type LastKnown, type Sourced, withLastKnown } from './fallback.ts';
export { breaking, limiting, type Policy, retrying, stack, type Task, timing } from './policy.ts';
export { dayIn, Quota, type QuotaFigures, type QuotaOptions, type QuotaPeriod, type QuotaUse } from './quota.ts';
export { retry, RetryAbandonedError, type RetryOptions } from './retry.ts';
export { type AnswerHeaders, nonsenseRetryAfter, retryAfter, type RetryAfterOptions } from './retry-after.ts';
export { type Permit, RollingWindow, type RollingWindowOptions } from './rolling-window.ts';
export { Scope, type ScopeMode, scopeModes, type ScopeOptions, type Spawned } from './scope.ts';
export { shield } from './shield.ts';
export { measuring, type TaskFigures, TaskMetrics } from './task-metrics.ts';
export { TimeoutError, type TimeoutOptions, withTimeout } from './timeout.ts';
export { TokenBucket, type TokenBucketOptions, type Tokens } from './token-bucket.ts';
export type { AcquireOptions } from './waiting-line.ts';
