import { backoffDelay } from '../../resilience/backoff.ts';
import { BreakerOpenError, type CircuitBreaker } from '../../resilience/circuit-breaker.ts';
import type { Clock } from '../../resilience/clock.ts';
import { retry, RetryAbandonedError } from '../../resilience/retry.ts';
import { sleepUntil } from '../../resilience/sleep-until.ts';
import type { ApiOptions } from './api-options.ts';
import type { ApiAnswer, ApiHooks } from './api-request.ts';
import { ApiRestsError } from './api-rests-error.ts';
import type { ApiCounters } from './api-statistics.ts';
import type { RestRequests } from './rest-requests.ts';
import type { Call } from './call.ts';
import { describeFailure, type RequestFacts } from './describe-failure.ts';
import { RequestError } from './request-error.ts';
import type { Rests } from './rests.ts';
import { ResendNow, type Sender, SharedFailure } from './sender.ts';
import type { Slots } from './slots.ts';
import { TokenRestsError } from '../auth/token-failure.ts';

interface AskerParts {
  options: Pick<ApiOptions, 'name' | 'retry'>;
  clock: Clock;
  breaker: CircuitBreaker;
  slots: Slots;
  sender: Sender;
  rests: Rests;
  restRequests: RestRequests;
  counters: ApiCounters;
  onRetry: ApiHooks['onRetry'];
  /** The facts for an attempt's error message. */
  factsOf: (call: Call, attempt: number) => RequestFacts;
}

/** Sends a request until it is answered, has failed for its own reason, or has no time left. */
export class Asker {
  readonly #parts: AskerParts;

  constructor(parts: AskerParts) {
    this.#parts = parts;
  }

  /*
   * The order of the layers, from the outside in, and why:
   *   retry     outermost, so that every attempt passes all other layers and a waiting attempt holds nothing.
   *   breaker   first waits until it is ready, so that an open breaker does not fill the slots with unsendable requests.
   *   slot      before the permit, because a permit that waited for a slot would be used long after it was granted and
   *             leave the window half empty.
   *   token     inside the slot, so that thousands of queued requests are not sent with a token from before the wait.
   *   permit    the last wait; stamped when the request is written to its socket, given back if it never is.
   *   breaker   `execute` around the exchange only, so that our own waits do not count for or against the server. If it
   *             has opened meanwhile, the request waits again, without spending an attempt.
   *   timeout   innermost: an attempt's time runs from the end of our own waits to the last byte.
   * A failure that all requests wait for (a refusal of our pace, an outage) does not count as an attempt.
   */
  async ask(call: Call): Promise<ApiAnswer> {
    const { deadline, patient } = call.request;
    const { attempts = (patient ? patientAttemptsFactor : 1) * this.#parts.options.retry.attempts } = call.request;
    for (;;) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
        return await retry(async (attempt) => this.#attempt(call, call.attempts + attempt), {
          ...this.#parts.options.retry,
          attempts: Math.max(1, attempts - call.attempts),
          heldUp: () => call.waitedMs,
          retryIf: (error) =>
            error instanceof RequestError &&
            error.retryable &&
            !(error.countsAgainstServer && !patient && this.#parts.sender.failsByItself(call, error.attempts)),
          retryAfter: (error) => (error instanceof RequestError ? error.wait : undefined),
          onRetry: (attempt, error, delay) => this.#noteRetry(call, { attempt: call.attempts + attempt, error, delay }),
          deadline,
          clock: this.#parts.clock,
          signal: call.signal,
        });
      } catch (error) {
        // An abort by the caller is not a failure of the API.
        call.request.signal?.throwIfAborted();
        if (error instanceof RequestError) error.answeredOthers = this.#parts.sender.othersWereAnswered(call);
        const failure = statedWaitFailure(error, call);
        if (!failure) throw error;
        call.attempts = failure.attempts - 1;
        // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
        await this.#waitAsStated(call, failure);
      }
    }
  }

  /** Waits although the API asks for longer than the retries allow: if the request is patient, or all requests wait. */
  async #waitAsStated(call: Call, failure: RequestError): Promise<void> {
    const { signal, request } = call;
    const retryAt = this.#parts.clock.now() + (failure.wait ?? 0);
    call.startWaiting();
    this.#parts.rests.noteFailing();
    if (!request.patient) {
      // The next answer to another request decides whether all requests have to wait.
      const end = this.#parts.clock.now() + longestUndecided;
      while (!this.#parts.rests.now && this.#parts.restRequests.isUndecided(call.name) && this.#parts.clock.now() < end)
        // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
        await sleepUntil(this.#parts.clock.now() + undecidedRecheckEvery, { clock: this.#parts.clock, signal });
      if (!this.#parts.rests.now) throw failure;
    }
    call.sharedFailure = failure;
    if (request.patient) this.#parts.rests.notePatient(retryAt);
    await this.#waitUntil(retryAt, call);
  }

  async #attempt(call: Call, attempt: number): Promise<ApiAnswer> {
    const facts = this.#parts.factsOf(call, attempt);
    const { lane } = call.request;
    for (;;) {
      call.startWaiting();
      // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
      if (this.#parts.breaker.state !== 'closed') await this.#waitForBreaker(call, facts);
      try {
        // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
        return await this.#parts.slots.run(
          async () => this.#parts.sender.send(call, { facts, patience: () => this.#parts.rests.patience(call) }),
          // A repeat is older than the requests of its lane that were never sent.
          { lane, again: call.sends > 0, signal: call.signal },
        );
      } catch (error) {
        if (error instanceof BreakerOpenError || error instanceof ResendNow) continue;
        // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
        if (error instanceof SharedFailure) await this.#waitForAll(call, error.failure);
        else {
          const failure = this.#errorForCaller(error, call, facts);
          if (failure instanceof RequestError && !call.signal?.aborted) call.ownFailure = failure;
          throw failure;
        }
      }
    }
  }

  /** The error for the caller. A resting token server counts as a resting API, unless the caller has a fallback. */
  #errorForCaller(error: unknown, { request }: Call, facts: RequestFacts): unknown {
    if (error instanceof ApiRestsError) return error;
    if (error instanceof TokenRestsError && request.waitForBreaker !== false)
      return new ApiRestsError({
        api: this.#parts.options.name,
        because: error.because,
        retryAt: error.retryAt,
        cause: error,
      });
    return describeFailure(error, facts);
  }

  async #waitForBreaker(call: Call, facts: RequestFacts): Promise<void> {
    const { waitForBreaker, attempts = this.#parts.options.retry.attempts } = call.request;
    try {
      await this.#whenBreakerReady(call);
    } catch (error) {
      if (!(error instanceof BreakerOpenError) || waitForBreaker === false) throw describeFailure(error, facts);
      const { sharedFailure } = call;
      // It was sent as often as allowed, so its own failure is reported and the next run does not start with it.
      if (sharedFailure && call.sends >= attempts)
        throw sharedFailure.withNote(' (the circuit breaker is open)', call.sends);
      throw this.#parts.rests.errorFor(call, error);
    }
  }

  /** Checks the request's patience every `recheckEvery`, because it may become shorter. */
  async #whenBreakerReady(call: Call): Promise<void> {
    const { breaker, clock, rests } = this.#parts;
    for (;;) {
      const patience = rests.patience(call);
      const look = clock.now() + recheckEvery;
      if (breaker.retryAt > patience || patience <= look)
        return breaker.whenReady({ deadline: patience, signal: call.signal });
      // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
      if (breaker.retryAt >= look) await sleepUntil(look, { clock, signal: call.signal });
      else {
        try {
          // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
          return await breaker.whenReady({ deadline: look, signal: call.signal });
        } catch (error) {
          if (!(error instanceof BreakerOpenError)) throw error;
        }
      }
    }
  }

  /** Waits, together with all requests, after a refusal (longer each time) or an outage (the breaker decides how long). */
  async #waitForAll(call: Call, failure: RequestError): Promise<void> {
    call.startWaiting();
    this.#parts.rests.noteFailing();
    call.sharedFailure = failure;
    const { retry: options } = this.#parts.options;
    const refused = failure.code === 'RATE_LIMITED';
    const backoff = refused ? backoffDelay({ ...options, retry: call.refusals }) : 0;
    const delay = Math.max(failure.wait ?? 0, backoff * (options.jitter ? this.#parts.clock.random() : 1));
    this.#noteRetry(call, { attempt: failure.attempts, error: failure, delay });
    await this.#waitUntil(this.#parts.clock.now() + delay, call);
  }

  /** Waits until `time`, or throws when the request's patience ends earlier. */
  async #waitUntil(time: number, call: Call): Promise<void> {
    const { clock, rests } = this.#parts;
    do {
      if (time > rests.patience(call)) throw rests.errorFor(call, call.sharedFailure);
      // oxlint-disable-next-line no-await-in-loop -- the result of one attempt or wait decides whether another follows
      await sleepUntil(Math.min(time, clock.now() + recheckEvery), { clock, signal: call.signal });
    } while (clock.now() < time);
  }

  #noteRetry(call: Call, { attempt, error, delay }: { attempt: number; error: unknown; delay: number }): void {
    this.#parts.counters.retries += 1;
    if (!this.#parts.onRetry || !(error instanceof RequestError)) return;
    const { code, httpStatus } = error;
    this.#parts.onRetry({
      api: this.#parts.options.name,
      path: call.url.pathname,
      attempt,
      code,
      delay,
      ...(httpStatus === undefined ? {} : { httpStatus }),
    });
  }
}
/* oxlint-enable no-await-in-loop */

/** Milliseconds to wait for a second answer that confirms that all requests have to wait. */
const longestUndecided = 2_000;
/** Milliseconds. */
const undecidedRecheckEvery = 20;
const recheckEvery = 500;
/** A patient request has this many times as many attempts. */
const patientAttemptsFactor = 2;

/** The failure whose stated wait is longer than the retries allow, or which a patient request waits for in any case. */
function statedWaitFailure(error: unknown, { request }: Call): RequestError | undefined {
  if (error instanceof RetryAbandonedError) return error.cause as RequestError;
  const asked = error instanceof RequestError && error.retryable && error.wait !== undefined;
  return asked && request.patient ? error : undefined;
}
