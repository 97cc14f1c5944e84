import type { CircuitBreaker } from '../../resilience/circuit-breaker.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { Permit } from '../../resilience/rolling-window.ts';
import { TimeLimit } from '../../resilience/time-limit.ts';
import { TimeoutError } from '../../resilience/timeout.ts';
import type { ApiLimits } from './api-limits.ts';
import type { ApiOptions } from './api-options.ts';
import type { ApiAnswer } from './api-request.ts';
import type { RestRequests } from './rest-requests.ts';
import type { ApiCounters } from './api-statistics.ts';
import type { Call } from './call.ts';
import type { Connections } from '../http/connections.ts';
import type { Credentials } from '../auth/credentials.ts';
import { acceptedEncodings } from '../http/decode-body.ts';
import { describeFailure, type RequestFacts } from './describe-failure.ts';
import { exchange, ExchangeError, type WireRequest } from '../http/exchange.ts';
import { isLostConnection } from '../http/fault-code.ts';
import type { SentLevels, Pace } from './pace.ts';
import { readAnswer } from './read-answer.ts';
import type { CredentialRefusals } from './credential-refusals.ts';
import { RequestError } from './request-error.ts';
import type { Meaning } from './responses.ts';

/** Resend the request through all limits; does not count as an attempt. */
export class ResendNow extends Error {}

/** A failure by our pace or an outage, for which all requests wait; does not count as an attempt. */
export class SharedFailure extends Error {
  readonly failure: RequestError;

  constructor(failure: RequestError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

interface SenderParts {
  options: ApiOptions;
  clock: Clock;
  pool: Connections;
  limits: ApiLimits;
  pace: Pace;
  restRequests: RestRequests;
  breaker: CircuitBreaker;
  credentials: Credentials;
  refusals: CredentialRefusals;
  counters: ApiCounters;
}

/** The state of one sending. */
interface Sending {
  call: Call;
  facts: RequestFacts;
  authorization: Record<string, string>;
  permit: Permit | undefined;
  levels: SentLevels | undefined;
  /** All requests wait for the cause of its failure: our pace, or a rest that the API asked for. */
  shared: boolean;
}

/** Sends a request once, within a slot: token, permit, breaker, timeout, exchange. */
export class Sender {
  readonly #parts: SenderParts;
  readonly #headers: Record<string, string>;
  readonly #timeLimit: TimeLimit;

  constructor(parts: SenderParts) {
    this.#parts = parts;
    this.#timeLimit = new TimeLimit(parts.options.timeout, { clock: parts.clock });
    this.#headers = {
      accept: 'application/json',
      'accept-encoding': acceptedEncodings,
      'user-agent': 'nightfill',
      ...lowerCased(parts.options.headers),
    };
  }

  /** The answer. Throws RequestError, SharedFailure, ResendNow, ApiRestsError, BreakerOpenError or an abort's reason. */
  async send(call: Call, { facts, patience }: { facts: RequestFacts; patience: () => number }): Promise<ApiAnswer> {
    const { credentials, limits, breaker, pace } = this.#parts;
    const { lane, deadline = Infinity, failedBefore = false, waitForBreaker } = call.request;
    const authorization = await credentials.headers({
      signal: call.signal,
      patience: patience(),
      deadline: waitForBreaker === false ? patience() : deadline,
    });
    const permit = await limits.permit({ lane, again: call.sends > 0, signal: call.signal, deadline: patience });
    const sending: Sending = { call, facts, authorization, permit, levels: undefined, shared: false };
    try {
      return await breaker.execute(
        async () => this.#ask(sending),
        // With `signal`, because an exchange that we aborted is no evidence about the server.
        { signal: call.signal, name: call.name, evidence: () => !failedBefore && !this.othersWereAnswered(call) },
      );
    } catch (error) {
      throw this.#isShared(error, sending) ? new SharedFailure(error) : error;
    } finally {
      permit?.release();
      if (sending.levels) pace.ended();
    }
  }

  async #ask(sending: Sending): Promise<ApiAnswer> {
    const { call, permit, facts } = sending;
    const { pool, options, counters, limits, pace, clock, restRequests } = this.#parts;
    let writtenAt = 0;
    call.startSending();
    try {
      const wire = await exchange(pool, this.#wireRequest(sending), {
        signal: call.signal,
        timeLimit: this.#timeLimit,
        maxBytes: options.maxResponseBytes,
        onWritten: () => {
          permit?.sent();
          limits.quota?.spend();
          call.sends += 1;
          sending.levels = pace.sent();
          writtenAt = clock.now();
          counters.written(writtenAt);
        },
        onAnswered: () => permit?.answered(),
      });
      counters.answered(wire.status, clock.now() - writtenAt);
      limits.applyHeaders(wire.headers, { status: wire.status, lane: call.request.lane });
      const body = await readAnswer(wire, {
        facts,
        rules: options.responses,
        maxBytes: options.maxResponseBytes,
        anyDepth: call.request.anyDepth ?? false,
        onMeaning: ({ action }) => this.#checkCredentials(action, sending),
      });
      if (sending.levels) pace.answered(sending.levels);
      counters.goodAnswers += 1;
      restRequests.answered(writtenAt);
      const { status, headers } = wire;
      return { url: call.url.href, status, headers, body, attempts: facts.attempt, bytes: wire.body.length };
    } catch (error) {
      throw this.#noteFailure(error, sending);
    }
  }

  #wireRequest({ call: { method, url, request }, authorization }: Sending): WireRequest {
    return {
      method,
      path: url.pathname + url.search,
      headers: {
        ...this.#headers,
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(request.headers ? lowerCased(request.headers) : {}),
        ...authorization,
      },
      body: request.body,
    };
  }

  /** Throws ResendNow when a 401 is answered by a new token. */
  #checkCredentials(action: Meaning['action'], { call, authorization }: Sending): void {
    const { credentials, refusals } = this.#parts;
    if (action === 'ok') {
      refusals.accepted();
      credentials.accepted(authorization);
    }
    if (action !== 'unauthorized' || !credentials.refused(authorization, { again: call.tokenRenewed })) return;
    call.tokenRenewed = true;
    throw new ResendNow();
  }

  /** Records a failure and turns it into the error that the breaker, the retry and the caller get. */
  #noteFailure(error: unknown, sending: Sending): unknown {
    const { call, facts, levels } = sending;
    const { counters, pace } = this.#parts;
    if (error instanceof TimeoutError) counters.timeouts += 1;
    if (call.repeatable && !call.resent && closedWhileIdle(error)) {
      call.resent = true;
      return new ResendNow();
    }
    const failure = describeFailure(error, facts);
    // An exchange that we aborted is no evidence.
    if (!(failure instanceof RequestError) || call.signal?.aborted) return failure;
    if (call.answersAtFailure === undefined) counters.failedAtFirst += 1;
    call.answersAtFailure ??= counters.goodAnswers;
    call.codes.add(failure.code);
    if (!levels) return failure;
    if (failure.code === 'RATE_LIMITED') this.#noteRefusal(failure, sending);
    else if (failure.httpStatus === 503) this.#noteUnavailable(failure, sending);
    else if (failure.httpStatus !== undefined && failure.httpStatus < 500) pace.answered(levels);
    return failure;
  }

  /** A 503. When another request got one too and none was answered in between, all requests wait for the stated time. */
  #noteUnavailable({ wait }: RequestError, sending: Sending): void {
    const { call, levels } = sending;
    const { pace, limits, clock, restRequests } = this.#parts;
    pace.overloaded(levels!);
    if (!wait || call.request.failedBefore || this.othersWereAnswered(call)) return;
    const now = clock.now();
    const until = restRequests.asked(call.name, { now, until: now + wait });
    if (until === undefined) return;
    call.outages += 1;
    sending.shared = call.request.waitForBreaker !== false && this.#mayWaitAgain(call, call.outages);
    limits.restFor(until - now);
  }

  /** A 429. All requests wait when it is about our pace, or when it is this request's first and states a time. */
  #noteRefusal({ wait }: RequestError, sending: Sending): void {
    const { call, levels } = sending;
    const { counters, pace, limits } = this.#parts;
    counters.rateLimited += 1;
    const isAboutPace = pace.refused(levels!, call, { wait });
    const isFirst = call.refusals === 0 && !call.request.failedBefore;
    call.refusals += 1;
    const isForAll = isAboutPace || (isFirst && wait !== undefined);
    sending.shared = (isForAll && this.#mayWaitAgain(call, call.refusals)) || call.request.patient === true;
    if (wait !== undefined && (isAboutPace || isFirst)) limits.restFor(wait);
    else if (pace.refusesAll) limits.restFor(this.#parts.options.breaker.openFor);
  }

  /** Whether other requests were answered since it first failed, so that its failures say nothing about the API. */
  othersWereAnswered({ answersAtFailure = Infinity }: Call): boolean {
    return this.#parts.counters.goodAnswers > answersAtFailure;
  }

  /**
   * Whether the failures are very unlikely to be chance: all with the same code, while others were answered and few of
   * them failed. Then further attempts would only take permits from other requests.
   */
  failsByItself(call: Call, attempt: number): boolean {
    const { requests, retries, failedAtFirst } = this.#parts.counters;
    const others = requests - retries;
    if (attempt < leastAttempts || others < leastRequests || call.codes.size > 1 || !this.othersWereAnswered(call))
      return false;
    return (failedAtFirst / others) ** attempt < leastProbability;
  }

  /** Whether all requests wait for the cause, so that the failure does not count as an attempt. */
  #isShared(error: unknown, { call, shared }: Sending): error is RequestError {
    return error instanceof RequestError && (shared || this.#isOutage(error, call));
  }

  /** Whether the failure is part of an outage: the breaker is open. */
  #isOutage({ countsAgainstServer, retryable }: RequestError, call: Call): boolean {
    const { failedBefore, waitForBreaker } = call.request;
    if (!countsAgainstServer || !retryable || failedBefore || waitForBreaker === false) return false;
    if (this.#parts.breaker.state === 'closed') return false;
    call.outages += 1;
    return this.#mayWaitAgain(call, call.outages);
  }

  /** Limits the waits with all requests: a request that fails more often than this fails for its own reason. */
  #mayWaitAgain({ request }: Call, times: number): boolean {
    return request.patient === true || times <= waitsPerAttempt * this.#parts.options.retry.attempts;
  }
}

const waitsPerAttempt = 2;
/** Attempts that every request gets. */
const leastAttempts = 3;
/** Requests that must have been sent before their share of failures is evaluated. */
const leastRequests = 100;
/** Failures that are less probable than this are not chance. */
const leastProbability = 1e-4;

/** Whether the server closed a kept-alive connection just as the request was written (RFC 9112, 9.3.1). */
function closedWhileIdle(error: unknown): boolean {
  return error instanceof ExchangeError && error.reusedSocket && !error.answered && isLostConnection(error.cause);
}

function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
