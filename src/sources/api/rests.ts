import type { CircuitBreaker } from '../../resilience/circuit-breaker.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { ApiLimits } from './api-limits.ts';
import type { ApiOptions } from './api-options.ts';
import type { Rest } from './api-request.ts';
import { ApiRestsError, shortestReportedRest } from './api-rests-error.ts';
import type { Call } from './call.ts';
import type { Credentials } from '../auth/credentials.ts';

/** Milliseconds without a good answer after which an API is not waited for any more, where no deadline says it. */
const downForGood = 30 * 60_000;
/** Milliseconds. */
const shortWait = 1_000;

interface RestsParts {
  options: Pick<ApiOptions, 'name' | 'breaker'>;
  clock: Clock;
  breaker: CircuitBreaker;
  limits: ApiLimits;
  credentials: Credentials;
  onRest: (rest: Omit<Rest, 'api'>) => void;
}

/** Whether an API rests, because it asked for that or seems to be down, until when, and how long that is waited for. */
export class Rests {
  readonly #parts: RestsParts;
  /** The breaker's trials after an outage failed, and it has not closed since. */
  seemsDead = false;
  /** The run is told to stop: nobody waits long any more. */
  hurried = false;
  /** Monotonic: since when no answer was good, while requests fail. */
  #failingSince: number | undefined;
  /** Monotonic: until when the one request that all depends on was asked to wait. */
  #patientUntil = -Infinity;

  constructor(parts: RestsParts) {
    this.#parts = parts;
  }

  noteGood(): void {
    this.#failingSince = undefined;
  }

  noteFailing(): void {
    this.#failingSince ??= this.#parts.clock.now();
  }

  /** The one request that all depends on waits, and others need not. */
  notePatient(until: number): void {
    this.#patientUntil = until;
    if (until - this.#parts.clock.now() >= shortestReportedRest && this.onWall) this.#parts.onRest(this.onWall);
  }

  /**
   * Monotonic: how long an API that rests is waited for. Without a deadline not for ever; by those who have something else
   * to go by until the first trial after an outage.
   */
  patience(call: Call): number {
    const patience = this.#patience(call);
    return this.hurried ? Math.min(patience, this.#parts.clock.now() + shortWait) : patience;
  }

  #patience({ request, begunAt }: Call): number {
    if (request.waitForBreaker === false) {
      const firstTrial = begunAt + (this.seemsDead ? 0 : this.#parts.options.breaker.openFor);
      return Math.min(firstTrial, request.deadline ?? Infinity);
    }
    if (request.deadline !== undefined && request.deadline < Infinity) return request.deadline;
    return (
      Math.max(
        this.#failingSince ?? this.#parts.clock.now(),
        this.#parts.limits.restsUntil,
        this.#parts.breaker.retryAt,
      ) + downForGood
    );
  }

  /** Until when nothing is sent, on the monotonic clock, and why; undefined while requests are. */
  get now(): { until: number; because: 'asked' | 'down' } | undefined {
    const now = this.#parts.clock.now();
    if (this.#parts.breaker.state !== 'closed')
      return { until: Math.max(now, this.#parts.breaker.retryAt), because: 'down' };
    const until = this.#parts.limits.restsUntil;
    return until > now ? { until, because: 'asked' } : this.#parts.credentials.rests;
  }

  /** For people, on the wall's clock: also while only the listing waits. */
  get onWall(): Omit<Rest, 'api'> | undefined {
    const isPatient = this.#patientUntil > this.#parts.clock.now();
    const rests = this.now ?? (isPatient ? { until: this.#patientUntil, because: 'asked' as const } : undefined);
    return rests && { ...rests, until: this.#parts.clock.wallNow() + rests.until - this.#parts.clock.now() };
  }

  /** What whoever waited, or would have to, for longer than it can is told. */
  tooLong(call: Pick<Call, 'lastFailure'> | undefined, cause: unknown): ApiRestsError {
    const lastFailure = call?.lastFailure;
    const now = this.#parts.clock.now();
    const rests = this.now;
    const asked = lastFailure?.wait === undefined ? -Infinity : now + lastFailure.wait;
    const until = Math.max(rests?.until ?? -Infinity, asked);
    const last = lastFailure ? `, last with ${lastFailure.code}` : '';
    const because = rests?.because === 'down' ? `it seems to be down${last}` : `it asked for that${last}`;
    return new ApiRestsError({
      api: this.#parts.options.name,
      ...((rests || lastFailure) && { because }),
      retryAt: until > now ? this.#parts.clock.wallNow() + until - now : undefined,
      cause,
    });
  }
}
