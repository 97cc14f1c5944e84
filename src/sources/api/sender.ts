import type { CircuitBreaker } from '../../resilience/circuit-breaker.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { Permit } from '../../resilience/rolling-window.ts';
import { TimeLimit } from '../../resilience/time-limit.ts';
import { TimeoutError } from '../../resilience/timeout.ts';
import type { ApiLimits } from './api-limits.ts';
import type { ApiOptions } from './api-options.ts';
import type { ApiAnswer } from './api-request.ts';
import type { AskedRests } from './asked-rests.ts';
import type { Tally } from './api-statistics.ts';
import type { Call } from './call.ts';
import type { Connections } from '../http/connections.ts';
import type { Credentials } from '../auth/credentials.ts';
import { acceptedEncodings } from '../http/decode-body.ts';
import { describeFailure, type RequestFacts } from './describe-failure.ts';
import { exchange, ExchangeError, type WireRequest } from '../http/exchange.ts';
import { isLostConnection } from '../http/fault-code.ts';
import type { Mark, Pace } from './pace.ts';
import { readAnswer } from '../http/read-answer.ts';
import type { Refusals } from './refusals.ts';
import { RequestError } from './request-error.ts';
import type { Meaning } from './responses.ts';

/** Not an attempt: the same request once more, through all the limits. */
export class RepeatAtOnce extends Error {}

/** Not an attempt: the failure is the API's pace or an outage, which everybody waits for. */
export class SharedFailure extends Error {
  readonly failure: RequestError;

  constructor(failure: RequestError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

export interface SenderParts {
  options: ApiOptions;
  clock: Clock;
  pool: Connections;
  limits: ApiLimits;
  pace: Pace;
  askedRests: AskedRests;
  breaker: CircuitBreaker;
  credentials: Credentials;
  refusals: Refusals;
  tally: Tally;
}

/** What is known of one sending while it is under way. */
interface Sending {
  call: Call;
  facts: RequestFacts;
  authorization: Record<string, string>;
  permit: Permit | undefined;
  mark: Mark | undefined;
  /** It was refused for our pace, or everybody waits for the time that it was told. */
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

  /** The answer; or RequestError, SharedFailure, RepeatAtOnce, ApiRestsError, BreakerOpenError or an abort's reason. */
  async send(call: Call, { facts, patience }: { facts: RequestFacts; patience: () => number }): Promise<ApiAnswer> {
    const { credentials, limits, breaker, pace } = this.#parts;
    const { key, deadline = Infinity, failedBefore = false, waitForBreaker } = call.request;
    const authorization = await credentials.headers({
      signal: call.signal,
      patience: patience(),
      deadline: waitForBreaker === false ? patience() : deadline,
    });
    const permit = await limits.permit({ key, again: call.sends > 0, signal: call.signal, deadline: patience });
    const sending: Sending = { call, facts, authorization, permit, mark: undefined, shared: false };
    try {
      return await breaker.execute(
        async () => this.#ask(sending),
        // An exchange that we broke off says nothing about the server.
        { signal: call.signal, name: call.name, evidence: () => !failedBefore && !this.failsAlone(call) },
      );
    } catch (error) {
      throw this.#isShared(error, sending) ? new SharedFailure(error) : error;
    } finally {
      permit?.release();
      if (sending.mark) pace.ended();
    }
  }

  async #ask(sending: Sending): Promise<ApiAnswer> {
    const { call, permit, facts } = sending;
    const { pool, options, tally, limits, pace, clock, askedRests } = this.#parts;
    let writtenAt = 0;
    call.go();
    try {
      const wire = await exchange(pool, this.#wireRequest(sending), {
        signal: call.signal,
        timeLimit: this.#timeLimit,
        maxBytes: options.maxResponseBytes,
        onWritten: () => {
          permit?.sent();
          limits.quota?.spend();
          call.sends += 1;
          sending.mark = pace.sent();
          writtenAt = clock.now();
          tally.written(writtenAt);
        },
        onAnswered: () => permit?.answered(),
      });
      tally.answered(wire.status, clock.now() - writtenAt);
      limits.heed(wire.headers, { status: wire.status, key: call.request.key });
      const body = await readAnswer(wire, {
        facts,
        rules: options.responses,
        maxBytes: options.maxResponseBytes,
        anyDepth: call.request.anyDepth ?? false,
        onMeaning: ({ action }) => this.#heedCredentials(action, sending),
      });
      if (sending.mark) pace.answered(sending.mark);
      tally.goodAnswers += 1;
      askedRests.answered(writtenAt);
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

  /** Asks once more, with a new token, when that is what the answer is about. */
  #heedCredentials(action: Meaning['action'], { call, authorization }: Sending): void {
    const { credentials, refusals } = this.#parts;
    if (action === 'ok') {
      refusals.accepted();
      credentials.accepted(authorization);
    }
    if (action !== 'unauthorized' || !credentials.refused(authorization, { again: call.renewed })) return;
    call.renewed = true;
    throw new RepeatAtOnce();
  }

  /** The failure as the breaker, the retry and the caller will see it. */
  #noteFailure(error: unknown, sending: Sending): unknown {
    const { call, facts, mark } = sending;
    const { tally, pace } = this.#parts;
    if (error instanceof TimeoutError) tally.timeouts += 1;
    if (call.repeatable && !call.repeated && diedIdle(error)) {
      call.repeated = true;
      return new RepeatAtOnce();
    }
    const failure = describeFailure(error, facts);
    // What we broke off says nothing.
    if (!(failure instanceof RequestError) || call.signal?.aborted) return failure;
    if (call.answersAtFailure === undefined) tally.failedAtFirst += 1;
    call.answersAtFailure ??= tally.goodAnswers;
    call.codes.add(failure.code);
    if (!mark) return failure;
    if (failure.code === 'RATE_LIMITED') this.#noteRefusal(failure, sending);
    else if (failure.httpStatus === 503) this.#noteUnavailable(failure, sending);
    else if (failure.httpStatus !== undefined && failure.httpStatus < 500) pace.answered(mark);
    return failure;
  }

  /** Unavailable, as all that was sent since another was told so: everybody waits for the time that they were told. */
  #noteUnavailable({ wait }: RequestError, sending: Sending): void {
    const { call, mark } = sending;
    const { pace, limits, clock, askedRests } = this.#parts;
    pace.overloaded(mark!);
    if (!wait || call.request.failedBefore || this.failsAlone(call)) return;
    const now = clock.now();
    const until = askedRests.asked(call.name, { now, until: now + wait });
    if (until === undefined) return;
    call.outages += 1;
    sending.shared = call.request.waitForBreaker !== false && this.#mayWaitAgain(call, call.outages);
    limits.restFor(until - now);
  }

  /** Refused for our pace, or for the first time with a time to wait: everybody does. Else it is about this request alone. */
  #noteRefusal({ wait }: RequestError, sending: Sending): void {
    const { call, mark } = sending;
    const { tally, pace, limits } = this.#parts;
    tally.rateLimited += 1;
    const ofPace = pace.refused(mark!, call, { wait });
    const isFirst = call.refusals === 0 && !call.request.failedBefore;
    call.refusals += 1;
    const isForAll = ofPace || (isFirst && wait !== undefined);
    sending.shared = (isForAll && this.#mayWaitAgain(call, call.refusals)) || call.request.patient === true;
    if (wait !== undefined && (ofPace || isFirst)) limits.restFor(wait);
    else if (pace.refusesAll) limits.restFor(this.#parts.options.breaker.openFor);
  }

  /** Since it first failed others were answered: then its failures say nothing of the API. */
  failsAlone({ answersAtFailure = Infinity }: Call): boolean {
    return this.#parts.tally.goodAnswers > answersAtFailure;
  }

  /**
   * That it failed so often is no chance: it failed the same way each time while others were answered, and so few of them
   * fail that it is its own. What is left of its attempts would take the place of others.
   */
  failsForGood(call: Call, attempt: number): boolean {
    const { requests, retries, failedAtFirst } = this.#parts.tally;
    const others = requests - retries;
    if (attempt < surelyTried || others < fewOthers || call.codes.size > 1 || !this.failsAlone(call)) return false;
    return (failedAtFirst / others) ** attempt < noChance;
  }

  /** What everybody's waiting mends is no attempt of this request's. */
  #isShared(error: unknown, { call, shared }: Sending): error is RequestError {
    return error instanceof RequestError && (shared || this.#isOutage(error, call));
  }

  /** Whatever is sent fails now. */
  #isOutage({ countsAgainstServer, retryable }: RequestError, call: Call): boolean {
    const { failedBefore, waitForBreaker } = call.request;
    if (!countsAgainstServer || !retryable || failedBefore || waitForBreaker === false) return false;
    if (this.#parts.breaker.state === 'closed') return false;
    call.outages += 1;
    return this.#mayWaitAgain(call, call.outages);
  }

  /** There is an end to waiting with all: what fails or is refused ever again does so for its own sake. */
  #mayWaitAgain({ request }: Call, times: number): boolean {
    return request.patient === true || times <= waitsPerAttempt * this.#parts.options.retry.attempts;
  }
}

const waitsPerAttempt = 2;
/** Attempts that every request has, and how many others must have been sent before a share of them means anything. */
const surelyTried = 3;
const fewOthers = 100;
const noChance = 1e-4;

/** A connection kept alive that the server closed just as the request went out (RFC 9112, 9.3.1). */
function diedIdle(error: unknown): boolean {
  return error instanceof ExchangeError && error.reusedSocket && !error.answered && isLostConnection(error.cause);
}

function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
