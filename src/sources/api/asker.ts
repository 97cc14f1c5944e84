import { backoffDelay } from '../../resilience/backoff.ts';
import { BreakerOpenError, type CircuitBreaker } from '../../resilience/circuit-breaker.ts';
import type { Clock } from '../../resilience/clock.ts';
import { retry, RetryAbandonedError } from '../../resilience/retry.ts';
import { sleepUntil } from '../../resilience/sleep-until.ts';
import type { ApiOptions } from './api-options.ts';
import type { ApiAnswer, ApiHooks } from './api-request.ts';
import { ApiRestsError } from './api-rests-error.ts';
import type { Tally } from './api-statistics.ts';
import type { AskedRests } from './asked-rests.ts';
import type { Call } from './call.ts';
import { describeFailure, type RequestFacts } from './describe-failure.ts';
import { RequestError } from './request-error.ts';
import type { Rests } from './rests.ts';
import { RepeatAtOnce, type Sender, SharedFailure } from './sender.ts';
import type { Slots } from './slots.ts';
import { TokenRestsError } from '../auth/token-failure.ts';

export interface AskerParts {
  options: Pick<ApiOptions, 'name' | 'retry'>;
  clock: Clock;
  breaker: CircuitBreaker;
  slots: Slots;
  sender: Sender;
  rests: Rests;
  askedRests: AskedRests;
  tally: Tally;
  onRetry: ApiHooks['onRetry'];
  /** What the messages of an attempt may say. */
  factsOf: (call: Call, attempt: number) => RequestFacts;
}

/* oxlint-disable no-await-in-loop -- the result of one attempt or wait decides whether another follows */
/** Asks until there is an answer, a failure of the request's own, or no more time. */
export class Asker {
  readonly #parts: AskerParts;

  constructor(parts: AskerParts) {
    this.#parts = parts;
  }

  /*
   * The order of the layers, from the outside in, and why:
   *   retry     outermost, so that every attempt passes all the others anew and a waiting attempt holds nothing.
   *   breaker   first a wait for it to be ready: an open one must not fill the slots with requests that cannot be sent.
   *   slot      before the permit: a permit that then waited for a slot would be spent long after it was granted, and the
   *             window would be left half empty.
   *   token     inside the slot, so that a queue of thousands does not leave with a token from before the wait.
   *   permit    last of the waits; it is stamped when the request is written to its socket, and given back when it never is.
   *   breaker   `execute` around the exchange alone, so that no wait of ours counts for or against the server. It may have
   *             opened meanwhile: then back to the wait, without an attempt spent.
   *   timeout   innermost: an attempt's time begins when nothing of ours holds it up any more, and ends with the last byte.
   * A failure that everybody waits for (a refusal of our pace, an outage) is no attempt: the request waits and is sent again.
   */
  async ask(call: Call): Promise<ApiAnswer> {
    const { deadline, patient } = call.request;
    const { attempts = (patient ? patientTimes : 1) * this.#parts.options.retry.attempts } = call.request;
    for (;;) {
      try {
        return await retry(async (attempt) => this.#attempt(call, call.attempts + attempt), {
          ...this.#parts.options.retry,
          attempts: Math.max(1, attempts - call.attempts),
          heldUp: () => call.heldMs,
          retryIf: (error) =>
            error instanceof RequestError &&
            error.retryable &&
            !(error.countsAgainstServer && !patient && this.#parts.sender.failsForGood(call, error.attempts)),
          retryAfter: (error) => (error instanceof RequestError ? error.wait : undefined),
          onRetry: (attempt, error, delay) => this.#noteRetry(call, { attempt: call.attempts + attempt, error, delay }),
          deadline,
          clock: this.#parts.clock,
          signal: call.signal,
        });
      } catch (error) {
        // An abort is the caller's own doing, and no failure of the API's.
        call.request.signal?.throwIfAborted();
        if (error instanceof RequestError) error.answeredOthers = this.#parts.sender.failsAlone(call);
        const failure = askedToWait(error, call);
        if (!failure) throw error;
        call.attempts = failure.attempts - 1;
        await this.#waitAsAsked(call, failure);
      }
    }
  }

  /** The API asks one request for more patience than its retries have: worth it when all depends on it, or everybody waits. */
  async #waitAsAsked(call: Call, failure: RequestError): Promise<void> {
    const { signal, request } = call;
    const retryAt = this.#parts.clock.now() + (failure.wait ?? 0);
    call.hold();
    this.#parts.rests.noteFailing();
    if (!request.patient) {
      // The next answer to another tells whether everybody is asked to wait.
      const end = this.#parts.clock.now() + longestLinger;
      while (!this.#parts.rests.now && this.#parts.askedRests.isOpen(call.name) && this.#parts.clock.now() < end)
        await sleepUntil(this.#parts.clock.now() + lookEvery, { clock: this.#parts.clock, signal });
      if (!this.#parts.rests.now) throw failure;
    }
    call.lastFailure = failure;
    if (request.patient) this.#parts.rests.notePatient(retryAt);
    await this.#waitUntil(retryAt, call);
  }

  async #attempt(call: Call, attempt: number): Promise<ApiAnswer> {
    const facts = this.#parts.factsOf(call, attempt);
    const { key } = call.request;
    for (;;) {
      call.hold();
      if (this.#parts.breaker.state !== 'closed') await this.#breakerReady(call, facts);
      try {
        return await this.#parts.slots.run(
          async () => this.#parts.sender.send(call, { facts, patience: () => this.#parts.rests.patience(call) }),
          // What waits to be repeated is older than what was never sent.
          { key, again: call.sends > 0, signal: call.signal },
        );
      } catch (error) {
        if (error instanceof BreakerOpenError || error instanceof RepeatAtOnce) continue;
        if (error instanceof SharedFailure) await this.#waitWithAll(call, error.failure);
        else {
          const last = this.#lastWord(error, call, facts);
          if (last instanceof RequestError && !call.signal?.aborted) call.latest = last;
          throw last;
        }
      }
    }
  }

  /** What the caller gets. A token server that rests is an API that rests, for all who have nothing else to go by. */
  #lastWord(error: unknown, { request }: Call, facts: RequestFacts): unknown {
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

  async #breakerReady(call: Call, facts: RequestFacts): Promise<void> {
    const { waitForBreaker, attempts = this.#parts.options.retry.attempts } = call.request;
    try {
      await this.#breakerReadyAtLast(call);
    } catch (error) {
      if (!(error instanceof BreakerOpenError) || waitForBreaker === false) throw describeFailure(error, facts);
      const { lastFailure } = call;
      // Asked as often as anyone may be: then it has its own answer, and is not asked first again by the next run.
      if (lastFailure && call.sends >= attempts)
        throw lastFailure.withNote(' (the circuit breaker is open)', call.sends);
      throw this.#parts.rests.tooLong(call, error);
    }
  }

  /** Looks again and again whether there is still the patience for it. */
  async #breakerReadyAtLast(call: Call): Promise<void> {
    const { breaker, clock, rests } = this.#parts;
    for (;;) {
      const patience = rests.patience(call);
      const look = clock.now() + patienceEvery;
      if (breaker.retryAt > patience || patience <= look)
        return breaker.whenReady({ deadline: patience, signal: call.signal });
      if (breaker.retryAt >= look) await sleepUntil(look, { clock, signal: call.signal });
      else {
        try {
          return await breaker.whenReady({ deadline: look, signal: call.signal });
        } catch (error) {
          if (!(error instanceof BreakerOpenError)) throw error;
        }
      }
    }
  }

  /** A refusal is waited for longer each time; an outage in the breaker. */
  async #waitWithAll(call: Call, failure: RequestError): Promise<void> {
    call.hold();
    this.#parts.rests.noteFailing();
    call.lastFailure = failure;
    const { retry: options } = this.#parts.options;
    const refused = failure.code === 'RATE_LIMITED';
    const backoff = refused ? backoffDelay({ ...options, retry: call.refusals }) : 0;
    const delay = Math.max(failure.wait ?? 0, backoff * (options.jitter ? this.#parts.clock.random() : 1));
    this.#noteRetry(call, { attempt: failure.attempts, error: failure, delay });
    await this.#waitUntil(this.#parts.clock.now() + delay, call);
  }

  /** The same for a time that is known. */
  async #waitUntil(time: number, call: Call): Promise<void> {
    const { clock, rests } = this.#parts;
    do {
      if (time > rests.patience(call)) throw rests.tooLong(call, call.lastFailure);
      await sleepUntil(Math.min(time, clock.now() + patienceEvery), { clock, signal: call.signal });
    } while (clock.now() < time);
  }

  #noteRetry(call: Call, { attempt, error, delay }: { attempt: number; error: unknown; delay: number }): void {
    this.#parts.tally.retries += 1;
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

/** Milliseconds for which an answer that may be the API's word to all waits for another that says the same. */
const longestLinger = 2_000;
const lookEvery = 20;
const patienceEvery = 500;
/** How many times as often that is asked which all depends on. */
const patientTimes = 2;

/** The failure of an attempt after which the API asks for more patience than the retries had, or all depends on it. */
function askedToWait(error: unknown, { request }: Call): RequestError | undefined {
  if (error instanceof RetryAbandonedError) return error.cause as RequestError;
  const asked = error instanceof RequestError && error.retryable && error.wait !== undefined;
  return asked && request.patient ? error : undefined;
}
