import type { CircuitBreaker } from '../../resilience/circuit-breaker.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { ApiLimits } from './api-limits.ts';
import type { ApiOptions } from './api-options.ts';
import type { OnRest, Rest } from './api-request.ts';
import { ApiRestsError, shortestReportedRest } from './api-rests-error.ts';
import type { Call } from './call.ts';
import type { Credentials } from '../auth/credentials.ts';

/** Milliseconds without a good answer after which requests without a deadline stop waiting for the API. */
const longestOutage = 30 * 60_000;
/** Milliseconds: the longest wait once the run is stopping. */
const patienceWhenStopping = 1_000;

interface RestsParts {
  options: Pick<ApiOptions, 'name' | 'breaker'>;
  clock: Clock;
  breaker: CircuitBreaker;
  limits: ApiLimits;
  credentials: Credentials;
  onRest: OnRest;
}

/** Whether and until when an API rests, because it asked for that or seems to be down, and how long requests wait for it. */
export class Rests {
  readonly #parts: RestsParts;
  /** The breaker's trials have failed, and it has not closed since. */
  trialsFailed = false;
  /** The run is stopping, so no request waits long. */
  stopping = false;
  /** Monotonic: when requests began to fail; undefined after a good answer. */
  #failingSince: number | undefined;
  /** Monotonic: until when a patient request was asked to wait. */
  #patientUntil = -Infinity;

  constructor(parts: RestsParts) {
    this.#parts = parts;
  }

  noteSuccess(): void {
    this.#failingSince = undefined;
  }

  noteFailing(): void {
    this.#failingSince ??= this.#parts.clock.now();
  }

  /** A patient request waits, while other requests may not have to. */
  notePatient(until: number): void {
    this.#patientUntil = until;
    if (until - this.#parts.clock.now() >= shortestReportedRest && this.onWallClock)
      this.#parts.onRest(this.onWallClock);
  }

  /**
   * Monotonic: until when a request waits for a resting API. Limited even without a deadline; a request with a fallback
   * waits until the breaker's first trial only.
   */
  patience(call: Call): number {
    const patience = this.#patience(call);
    return this.stopping ? Math.min(patience, this.#parts.clock.now() + patienceWhenStopping) : patience;
  }

  #patience({ request, begunAt }: Call): number {
    if (request.waitForBreaker === false) {
      const firstTrial = begunAt + (this.trialsFailed ? 0 : this.#parts.options.breaker.openFor);
      return Math.min(firstTrial, request.deadline ?? Infinity);
    }
    if (request.deadline !== undefined && request.deadline < Infinity) return request.deadline;
    return (
      Math.max(
        this.#failingSince ?? this.#parts.clock.now(),
        this.#parts.limits.restsUntil,
        this.#parts.breaker.retryAt,
      ) + longestOutage
    );
  }

  /** Until when nothing is sent (monotonic), and why; undefined while requests are sent. */
  get now(): { until: number; because: 'asked' | 'down' } | undefined {
    const now = this.#parts.clock.now();
    if (this.#parts.breaker.state !== 'closed')
      return { until: Math.max(now, this.#parts.breaker.retryAt), because: 'down' };
    const until = this.#parts.limits.restsUntil;
    return until > now ? { until, because: 'asked' } : this.#parts.credentials.rests;
  }

  /** The rest in epoch milliseconds, for messages; also while only a patient request waits. */
  get onWallClock(): Omit<Rest, 'api'> | undefined {
    const isPatient = this.#patientUntil > this.#parts.clock.now();
    const rests = this.now ?? (isPatient ? { until: this.#patientUntil, because: 'asked' as const } : undefined);
    return rests && { ...rests, until: this.#parts.clock.wallNow() + rests.until - this.#parts.clock.now() };
  }

  /** The error for a request that cannot wait until the rest ends. */
  errorFor(call: Pick<Call, 'sharedFailure'> | undefined, cause: unknown): ApiRestsError {
    const sharedFailure = call?.sharedFailure;
    const now = this.#parts.clock.now();
    const rests = this.now;
    const asked = sharedFailure?.wait === undefined ? -Infinity : now + sharedFailure.wait;
    const until = Math.max(rests?.until ?? -Infinity, asked);
    const last = sharedFailure ? `, last with ${sharedFailure.code}` : '';
    const because = rests?.because === 'down' ? `it seems to be down${last}` : `it asked for that${last}`;
    return new ApiRestsError({
      api: this.#parts.options.name,
      ...((rests || sharedFailure) && { because }),
      retryAt: until > now ? this.#parts.clock.wallNow() + until - now : undefined,
      cause,
    });
  }
}
